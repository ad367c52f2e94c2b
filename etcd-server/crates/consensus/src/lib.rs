//! Raft behind rules: one module owns the raft node and holds the rules that keep it safe.
//!
//! [`Node`] takes inputs (ticks, proposals, messages, reports of persisted and applied entries) and
//! returns a [`Ready`]: entries to persist, messages to send and entries to apply now. It does no
//! I/O, knows no clock and waits for nothing. Messages and entries are etcd's (`raftpb`), kinds are
//! mapped to and from raft-rs by name, because the two number them differently.
#![forbid(unsafe_code)]

mod durable_commits;
mod entry;
mod jitter;
mod message;
mod message_validation;
mod node;
mod raft_status;
mod raft_storage;
mod read_contexts;
mod read_index_queue;
mod ready;
mod term_fence;
mod waiting_changes;

pub use entry::{Entry, EntryKind, HardState};
pub use message::forwarded_request;
pub use message_validation::StepRefusal;
pub use node::{ConfChangeDropped, ConfChangeKind, Config, Dropped, Node, NotYet, Route};
pub use raft_status::{Progress, Role, Status, successor};
pub use raft_storage::{Keep, Recovered, SnapshotMark, Voters};
pub use read_contexts::ReadContexts;
pub use read_index_queue::ReadIndexQueue;
pub use ready::Ready;
