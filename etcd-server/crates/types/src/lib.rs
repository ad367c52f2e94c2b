//! Vocabulary of all crates: ids, revisions, key ranges, timestamps and fatal errors.
//!
//! Pure values without behaviour of their own; no clock, file or socket.
#![forbid(unsafe_code)]

mod event;
mod fault;
mod id;
mod key_range;
mod monotonic_time;
mod revision;

pub use event::Event;
pub use fault::Fault;
pub use id::{ClusterId, LeaseId, MemberId};
pub use key_range::KeyRange;
pub use monotonic_time::MonotonicTime;
pub use revision::{MainRevision, Revision};
