//! Logs in the shape of etcd's: one line per event, as zap writes it.
//!
//! A thread that logs makes its line and leaves it in a bounded queue; one writer thread does all
//! the waiting. When the queue is full the line is dropped and counted, and the count is written as
//! soon as there is room again: a slow disk or terminal never holds up a request. Spans are not
//! shown, since etcd has none.
//!
//! A field named `fatal` makes an error event a line of level `fatal`; the field itself is not
//! shown.

mod destination;
mod encode;
mod install;
mod journal;
mod line;
mod message_id;
mod rotation;
mod subscriber;
mod time;
mod writer;

pub use destination::OpenError;
pub use install::{InstallError, LogGuard, dropped_lines, install, wait_until_written};
pub use time::rfc3339;
