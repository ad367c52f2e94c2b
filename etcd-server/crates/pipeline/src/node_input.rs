//! The inputs of the raft node.

use bytes::Bytes;
use consensus::{ConfChangeKind, SnapshotMark};
use proto::raftpb::Message;

/// A request to be ordered: an encoded `InternalRaftRequest` or `ConfChange`.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// The id by which its caller is found. The caller is registered before the proposal is handed
    /// in, so that no outcome can come too early.
    pub id: u64,
    /// The content of the entry.
    pub data: Bytes,
}

/// The kind of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProposalKind {
    /// An `InternalRaftRequest`.
    Request,
    /// The same, of a leader itself: one that a later leader must not inherit.
    OfTheLeader,
    /// A `ConfChange`.
    ConfChange,
}

/// An input of [`crate::NodePipeline`]. `S` is the state of a snapshot that has arrived.
#[derive(Debug)]
pub enum NodeInput<S> {
    /// One tick of this member's clock has passed.
    Tick,
    /// Order these requests; a follower forwards them to the leader. While there is none, or it takes
    /// no proposals, they are held. All are taken, or none.
    Propose(Vec<Proposal>),
    /// Order this request if this member is leader: one that a later leader must not inherit.
    ProposeAsLeader(Proposal),
    /// Order this configuration change, as a request.
    ProposeConfChange(Proposal),
    /// A message of another member, without a snapshot.
    Message(Box<Message>),
    /// A message with a snapshot whose state has arrived, complete and durable beside the present
    /// one.
    Snapshot {
        /// The `MsgSnap`.
        message: Box<Message>,
        /// Its state.
        state: S,
    },
    /// Whether this member honours the fences of proposals: it appends them in the term that they
    /// were sent in or not at all. So do members of this program, and a real etcd does not.
    Fencing {
        /// The member.
        member: u64,
        /// It does.
        honours: bool,
    },
    /// The process of this member has ended: its connections are closed, and its address refuses
    /// new ones.
    Gone(u64),
    /// A message to this member could not be sent.
    Unreachable(u64),
    /// The snapshot for a member was sent, or failed.
    SnapshotSent {
        /// The receiver.
        member: u64,
        /// `true` if the receiver has it.
        success: bool,
    },
    /// A member may have the beginning of a snapshot, or `None`: not any more.
    SnapshotBegun {
        /// The receiver.
        member: u64,
        /// The snapshot.
        mark: Option<SnapshotMark>,
    },
    /// Transfer leadership to this member.
    Transfer(u64),
    /// Let the election timeout be almost over.
    BringElectionForward,
    /// Everything up to the [`crate::NodeAction::Persist`] or [`crate::NodeAction::Install`] with
    /// this number is durable.
    Persisted(u64),
    /// Entries up to this index are applied.
    Applied(u64),
    /// Apply has accepted a configuration change; comes before `Applied` of its index.
    ConfChanged {
        /// The change.
        kind: ConfChangeKind,
        /// The member that it concerns.
        member: u64,
    },
}
