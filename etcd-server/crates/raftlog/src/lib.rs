//! The raft log on disk: preallocated, checksummed segments and the watermark beside them.
//!
//! ```text
//! directory
//!   segment-0000000000000007   [header 4 KiB][frame][frame]…[frame] zeros or stale bytes to the end
//!   segment-0000000000000008   one frame = one write = entries + hard state; sealed by CRC-32C
//!   spare-000000000000000b     prepared in the background; becomes the next segment by a rename
//!   watermark                  three 4 KiB slots: two synced in turn, one written after every sync
//! ```
//!
//! Acknowledged entries are there after a crash, or [`Log::open`] refuses with the reason. A frame
//! that was never acknowledged may be there or not. Damage is distinguished from a torn tail by
//! three witnesses: the watermark, the durable batch number that every later frame carries, and the
//! header of the following segment.
//!
//! Deliberately absent: async, meaning of the entries' data, locking of the directory, and any
//! retry of a failed write or sync.
#![forbid(unsafe_code)]

mod disk;
mod error;
mod frame;
mod index;
mod inode;
mod log;
mod reader;
mod record;
mod recovery;
mod replay;
mod segment;
mod spare;
mod watermark;

pub use error::{OpenError, ReadError};
pub use inode::{Inode, Loss, is_absence};
pub use log::{Log, Options, Presence};
pub use reader::{Entries, Reader};
pub use record::{HardState, RECORD_BYTES_MAX, Record};
pub use recovery::{Recovered, TornTail};
pub use segment::Identity;
pub use spare::{Space, SpareState};
