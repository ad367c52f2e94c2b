//! What a node hands out.

use crate::entry::{Entry, HardState};
use crate::standing::Status;
use crate::tail::SnapshotMark;
use proto::raftpb::Message;

/// What has to be done now. Readies are done in the order of their numbers, each part when the ones that it waits for are done:
///
/// | part | may be done |
/// |---|---|
/// | `messages` | at once |
/// | `snapshot` | when all entries handed out for applying are applied or given up |
/// | `entries`, `hard_state` | after `snapshot` |
/// | [`crate::Node::persisted`] | when the above of this ready and of all before it are durable; only needed with `must_sync` |
/// | `promises` | after that; they wait for earlier readies also when this one has nothing to persist |
/// | `committed`, `reads`, `status` | at once |
///
/// [`crate::Node::persisted`] is told before promises leave, so that no answer to them can be stepped earlier.
#[derive(Debug, Default)]
pub struct Ready {
    /// Passed back to [`crate::Node::persisted`] once everything to persist is durable.
    pub number: u64,
    /// To send, in order for each member. A `MsgSnap` among them is a mark: whoever sends it takes the state as it is now, at that index or
    /// a later one, writes its index, term and members into the message's metadata, and reports the end by
    /// [`crate::Node::report_snapshot`].
    pub messages: Vec<Message>,
    /// To send after everything up to this ready is durable: votes, acknowledgements.
    pub promises: Vec<Message>,
    /// A snapshot that was stepped in and taken: the state with this mark replaces the present one, and the log begins behind it, both
    /// durably, before anything else of this ready. [`crate::Node::persisted`] is told after that, and then
    /// [`crate::Node::applied`] with its index. A snapshot that was stepped and does not appear in the next ready was not needed.
    pub snapshot: Option<SnapshotMark>,
    /// To append to the log; the first replaces whatever is there at its index and behind.
    pub entries: Vec<Entry>,
    /// To be made durable together with the entries, when it changed.
    pub hard_state: Option<HardState>,
    /// Whether a snapshot, entries, a vote, or the commit of a change of the group must be made durable. Without it nothing has to be
    /// reported back.
    pub must_sync: bool,
    /// To apply, in order.
    pub committed: Vec<Entry>,
    /// Reads that asked for an index: their context and the index to wait for.
    pub reads: Vec<(Vec<u8>, u64)>,
    /// Reads that wait for an index may have been forgotten, by a change of the leader or because the leader could not answer yet: each is
    /// asked again, with a new context.
    pub ask_reads_again: bool,
    /// Where the node stands now, when that changed.
    pub status: Option<Status>,
}
