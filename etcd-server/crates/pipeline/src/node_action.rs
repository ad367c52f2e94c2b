//! The actions that the raft node asks for.

use consensus::{Entry, HardState, Route, SnapshotMark, Status, StepRefusal};
use proto::raftpb::Message;
use types::Fault;

/// The reason why a proposal was not taken. It was not and will not be ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// This member does not lead.
    NoLeader,
    /// Too much is proposed and not committed, or held until there is a leader.
    TooManyRequests,
}

/// The consequence of a log that has not been synced for an election timeout, at a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StalledLog {
    /// Leadership is being transferred to this member.
    Transferring(u64),
    /// No other member responds: this member steps down.
    NoSuccessor,
    /// The transfer has not succeeded within another election timeout: this member steps down.
    TransferFailed,
}

/// An action that [`crate::NodePipeline`] asks for. Actions are carried out in order, each when the
/// condition in its description holds; those handed to a queue keep their order there. `W`
/// identifies a waiting read, `S` the state of a snapshot.
#[derive(Debug)]
pub enum NodeAction<W, S> {
    /// Send these messages now: everything that they promise is durable. A `MsgSnap` among them is
    /// a mark: the sender adds the state as it is now and reports with
    /// [`crate::NodeInput::SnapshotSent`].
    Send(Vec<Message>),
    /// Send these messages again, with proposals that have had no response for a while.
    ForwardAgain(Vec<Message>),
    /// Append these to the log and sync it, after every earlier `Persist` and `Install`; then
    /// report [`crate::NodeInput::Persisted`] with the number. The first entry replaces those at
    /// its index and behind.
    Persist {
        /// For the report.
        number: u64,
        /// In order; may be empty.
        entries: Vec<Entry>,
        /// Term, vote and commit index, if they changed.
        hard_state: Option<HardState>,
    },
    /// Entries up to here are known to be committed, which may be written with the next sync. All
    /// of them are in earlier `Persist` actions.
    NoteCommit(u64),
    /// Apply these entries, after the earlier ones. They are durable here and on a quorum.
    Apply(Vec<Entry>),
    /// Let these reads go once entries up to `index` are applied.
    Notify {
        /// The read index.
        index: u64,
        /// The reads; never empty.
        waiting: Vec<W>,
    },
    /// Make this state the member's own, after all entries of earlier `Apply` actions: durably,
    /// then for readers; then restart the log behind it, durably; then report
    /// [`crate::NodeInput::Persisted`] with the number. Nothing else is persisted meanwhile.
    Install {
        /// For the report.
        number: u64,
        /// Index, term and members of the snapshot.
        mark: SnapshotMark,
        /// Its state.
        state: S,
        /// Written with the new log.
        hard_state: Option<HardState>,
    },
    /// Drop this state: raft does not need it.
    Discard(S),
    /// This member leads in this term, or no longer leads. Takes effect behind the entries of
    /// earlier `Apply` actions: leases of a leader begin then.
    Leadership(Option<u64>),
    /// Proposals that were held go this way now. To be recorded before any later action.
    Proposed {
        /// Their ids.
        ids: Vec<u64>,
        /// Their way.
        route: Route,
    },
    /// An entry of this term is applied. Proposals of the member's own clients that were sent to the
    /// leader of an earlier term and have no response were lost with it: see
    /// [`crate::PendingTable::term_begun`]. The responses of all entries up to that one were given
    /// before.
    TermBegun(u64),
    /// A snapshot is in place of the state: proposals that were sent before may be in it, and get no
    /// response.
    OutcomesUnknown,
    /// The process of the leader has ended; an election is held early.
    LeaderGone(u64),
    /// Fail these proposals.
    Refuse {
        /// Their ids.
        ids: Vec<u64>,
        /// The reason.
        refusal: Refusal,
    },
    /// Fail these reads: this member has left the cluster.
    RefuseReads(Vec<W>),
    /// The status has changed.
    Status(Status),
    /// Reads that wait for an index are requested again, because the leader has changed.
    ReadsRepeated,
    /// The configuration has changed.
    ConfigurationChanged,
    /// The log does not respond.
    LogStalled(StalledLog),
    /// A message was refused and had no effect.
    MessageRefused {
        /// Its sender.
        from: u64,
        /// Its type, as etcd numbers them.
        kind: i32,
        /// The reason.
        refusal: StepRefusal,
    },
}

/// The reason why this member cannot continue. No action is carried out any more, except to send
/// the alarm.
#[derive(Debug)]
pub struct NodeFault {
    /// The reason.
    pub fault: Fault,
    /// The proposal of a CORRUPT alarm for this member, to be sent before the process ends.
    pub alarm: Option<Box<Message>>,
}

impl From<Fault> for NodeFault {
    fn from(fault: Fault) -> Self {
        Self { fault, alarm: None }
    }
}
