//! The messages between the threads of a member, all in one place: the inputs of the raft thread, and
//! the commands of the log, apply and compactor threads.

use crate::install::Prepared;
use crate::node_task::Offered;
use crate::pending_proposals::{Caller, ReadIndexWaiter};
use consensus::{Entry, HardState, Progress, SnapshotMark};
use pipeline::{NodeInput, Proposal, ProposalKind};
use proto::raftpb::Message;
use tokio::sync::oneshot;

/// The inputs of the node thread.
#[derive(Debug)]
pub(crate) enum Input {
    /// Order this request and notify its sender.
    Propose { kind: ProposalKind, proposal: Proposal, reply: Caller },
    /// Notify when the state is at least as new as now.
    ReadIndex(ReadIndexWaiter),
    /// A message of another member, and its bytes in the message quota.
    Message { message: Box<Message>, bytes: usize },
    /// Another member's snapshot, prepared beside the present state. `taken` reports whether raft
    /// accepts it.
    Snapshot { message: Box<Message>, prepared: Box<Prepared>, taken: oneshot::Sender<bool> },
    /// Return the progress of the members.
    Progress(oneshot::Sender<Vec<Progress>>),
    /// Everything up to this ready is durable.
    Persisted(u64),
    /// An input that neither has a caller nor holds anything of this crate.
    Other(NodeInput<Offered>),
    /// Stop; the last input.
    Stop,
}

/// The commands of the log thread, in order.
#[derive(Debug)]
pub(crate) enum LogCommand {
    /// Make these durable and report the number.
    Persist { number: u64, entries: Vec<Entry>, hard_state: Option<HardState> },
    /// Entries up to here are known to be committed. They were handed out for persisting before.
    NoteCommit(u64),
    /// The state at `index` is in place; the log restarts behind it. Report the number when that is
    /// durable.
    Install { number: u64, index: u64, term: u64, hard_state: Option<HardState> },
    /// Entries up to here are durable in the state and are not needed.
    Truncate(u64),
    /// Stop; the last command.
    Stop,
}

/// The commands of the apply thread, in order.
#[derive(Debug)]
pub(crate) enum ApplyCommand {
    /// Apply these entries.
    Entries(Vec<Entry>),
    /// Notify these callers once entries up to `index` are applied.
    Notify { index: u64, waiting: Vec<ReadIndexWaiter> },
    /// Replace the state with this one.
    Install {
        number: u64,
        mark: SnapshotMark,
        prepared: Box<Prepared>,
        hard_state: Option<HardState>,
        taken: oneshot::Sender<bool>,
    },
    /// Drop this state, which is not needed, and report so.
    Discard { prepared: Box<Prepared>, taken: oneshot::Sender<bool> },
    /// This member became leader, or is no longer.
    Leadership(bool),
    /// Stop; the last command.
    Stop,
}

/// The commands of the compactor thread.
#[derive(Debug)]
pub(crate) enum CompactorCommand {
    /// History up to here became obsolete.
    Compacted(i64),
    /// Stop; the last command.
    Stop,
}
