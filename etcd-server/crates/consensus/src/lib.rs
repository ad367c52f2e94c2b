//! The guard around raft: one module owns the raft node and holds the rules that keep it safe.
//!
//! [`Node`] takes inputs (ticks, proposals, messages, what was persisted and applied) and hands out a [`Ready`]: what must be persisted,
//! sent and applied now. It does no I/O, knows no clock and waits for nothing. Entries are etcd's (`raftpb`), kinds are mapped to and
//! from raft-rs by name, because the two number them differently.
#![forbid(unsafe_code)]

mod entry;
mod node;
mod tail;

pub use entry::{Entry, EntryKind, HardState};
pub use node::{ConfChangeKind, Config, Dropped, Node, Ready, Role, Status};
pub use tail::{Recovered, Voters};
