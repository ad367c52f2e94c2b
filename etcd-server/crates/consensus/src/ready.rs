//! The outputs of a node.

use crate::entry::{Entry, HardState};
use crate::raft_status::Status;
use crate::raft_storage::SnapshotMark;
use proto::raftpb::Message;

/// The work to be done now. Readies are done in the order of their numbers, each part when the ones
/// that it waits for are done:
///
/// | part | may be done |
/// |---|---|
/// | `messages` | at once |
/// | `snapshot` | when all entries handed out for applying are applied or given up |
/// | `entries`, `hard_state` | after `snapshot` |
/// | [`crate::Node::persisted`] | when the above of this ready and of all before it are durable; only needed with `must_sync` |
/// | `deferred_messages` | after that; they wait for earlier readies also when this one has nothing to persist |
/// | `committed`, `reads`, `status` | at once |
///
/// [`crate::Node::persisted`] is called before promises leave, so that no response to them can be
/// stepped earlier.
#[derive(Debug, Default)]
pub struct Ready {
    /// Passed back to [`crate::Node::persisted`] once everything to persist is durable.
    pub number: u64,
    /// Messages to send, in order for each member. A `MsgSnap` among them is a mark: the sender
    /// takes the state as it is now, at that index or a later one, writes its index, term and
    /// members into the message's metadata, and reports the end by
    /// [`crate::Node::report_snapshot`].
    pub messages: Vec<Message>,
    /// To send after everything up to this ready is durable: votes, acknowledgements.
    pub deferred_messages: Vec<Message>,
    /// A snapshot that was stepped in and accepted: the state with this mark replaces the present
    /// one, and the log begins behind it, both durably, before anything else of this ready. Call
    /// [`crate::Node::persisted`] after that, and then [`crate::Node::applied`] with its index. A
    /// snapshot that was stepped and does not appear in the next ready was not needed.
    pub snapshot: Option<SnapshotMark>,
    /// Entries to append to the log; the first replaces those at its index and behind.
    pub entries: Vec<Entry>,
    /// To be made durable together with the entries, when it changed.
    pub hard_state: Option<HardState>,
    /// `true` if a snapshot, entries, a vote, or the commit of a membership change must be made
    /// durable. Otherwise no report is needed.
    pub must_sync: bool,
    /// To apply, in order.
    pub committed: Vec<Entry>,
    /// Reads that asked for an index: their context and the index to wait for.
    pub reads: Vec<(Vec<u8>, u64)>,
    /// Reads that wait for an index may have been forgotten, by a change of the leader or because
    /// the leader could not answer yet: each is asked again, with a new context.
    pub ask_reads_again: bool,
    /// The status of the node, if it changed.
    pub status: Option<Status>,
}
