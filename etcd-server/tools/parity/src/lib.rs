//! Differential test of two servers: a seed makes a program of requests, both servers get it, and
//! every response is compared.
//!
//! `program` is the text form of a program, `generate` makes one from a seed, `run` gives it to a
//! `pair` of servers, `compare` and `accepted` decide about differences, `shrink` cuts a failing
//! program down. The servers are known by their protocol alone.

mod accepted;
mod alarms;
mod compare;
mod generate;
mod inverted;
mod pair;
mod panics;
mod program;
mod run;
mod shrink;
mod side;
mod watch_stream;
mod watching;
mod wire;

pub use accepted::{ACCEPTED, Accepted, Treatment};
pub use generate::generate;
pub use pair::{Pair, PairSettings};
pub use program::{Program, ProgramError, Step};
pub use run::{Difference, Outcome, run};
pub use shrink::{Shrunk, shrink};
pub use wire::{Wire, WireError};
