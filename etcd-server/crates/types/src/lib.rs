//! Words everybody speaks: ids, revisions, key ranges, moments and faults.
//!
//! Pure values without behaviour of their own; nothing here knows a clock, a file or a socket.
#![forbid(unsafe_code)]

mod event;
mod fault;
mod id;
mod key_range;
mod moment;
mod revision;

pub use event::Event;
pub use fault::Fault;
pub use id::{ClusterId, LeaseId, MemberId};
pub use key_range::KeyRange;
pub use moment::Moment;
pub use revision::{MainRevision, Revision};
