//! Bugs that can be planted, to see that they are found. Each is one that a real system had, or
//! could have had.

use crate::disk::Disk;
use apply::{Applied, ApplyError, RequestKind};
use bytes::Bytes;
use consensus::{Entry, EntryKind, HardState, Node, Role};
use fastrand::Rng;
use pipeline::ApplyAction;
use prost::Message as _;
use proto::etcdserverpb::alarm_request::AlarmAction;
use proto::etcdserverpb::{
    InternalRaftRequest, LeaseCheckpoint, LeaseCheckpointRequest, ResponseHeader, WatchResponse,
};
use schema::revision_record::{self, RevisionRecord};
use schema::{Batch as _, Cursor as _, MemoryBatch, MemoryStore, Table, View as _, meta};
use std::sync::Arc;
use types::{Event, MainRevision, Revision};

/// A bug that can be planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Bug {
    /// Votes and acknowledgements leave before they are durable.
    PromisesBeforeSync,
    /// The vote of a member is not persisted.
    VoteNotPersisted,
    /// Contexts of read indexes are used again: the response to an earlier request is taken for that
    /// to the newest.
    ReusedReadContexts,
    /// A member that believes to be leader answers linearizable reads at once.
    ReadWithoutIndex,
    /// The log is truncated up to the applied index, flushed or not.
    LogForgetsWhatIsApplied,
    /// A snapshot lacks the leases.
    SnapshotWithoutLeases,
    /// A snapshot lacks the users.
    SnapshotWithoutUsers,
    /// A keep-alive is answered without making sure that this member still leads.
    RenewalUnconfirmed,
    /// A keep-alive is answered once any leader is known, though another member is leader by then.
    RenewalByFormerLeader,
    /// Revokes of expired leases are forwarded to the present leader.
    ExpiryForwarded,
    /// A request is acknowledged when it is proposed.
    AcknowledgedBeforeApplied,
    /// A request that was lost with its member is reported as refused.
    UnknownToldAsRefused,
    /// One change in a thousand batches is lost on its way to the store.
    BatchNotWhole,
    /// The applied index is flushed with the state of the flush before.
    IndexWithoutState,
    /// A snapshot is sent a second time as it was the first time.
    OldSnapshotSent,
    /// The leader never hears whether a snapshot arrived.
    SnapshotNotReported,
    /// A member stops as soon as it has applied its own removal.
    RemovedMemberStopsAtOnce,
    /// Raft gets no report of applied membership changes.
    RaftNotToldOfChange,
    /// Watchers get changes before they can be read.
    EventsBeforeState,
    /// A read is answered when its index is known, applied or not.
    ReadBeforeItsIndex,
    /// The first entry after a restart is one that was applied already.
    EntryAppliedTwice,
    /// A new leader lets leases run out by the time that it granted them at, itself.
    LeasesNotExtended,
    /// Watchers start at the revision behind the one that they asked for.
    WatchStartsLate,
    /// Followers answer linearizable reads from their own state at once.
    FollowerReadsAtOnce,
    /// A restart takes the log to be empty behind the flushed index.
    LogNotReplayed,
    /// A crash takes the newest entry with it, synced or not.
    SyncedEntryLost,
    /// Progress is reported before the events that it covers.
    ProgressBeforeEvents,
    /// Compaction forgets that a key was deleted at the very revision that it keeps.
    CompactedDeletionLost,
    /// Watchers get a change twice.
    EventToldTwice,
    /// On all members alike: a put does not attach its key to its lease.
    PutIgnoresLease,
    /// On all members alike: the comparisons of a transaction are taken to hold.
    ComparesIgnored,
    /// On all members alike: a deletion of a range deletes its first key.
    RangeEndIgnored,
    /// On all members alike: a revoke leaves the lease and its keys.
    LeaseNotRevoked,
    /// On all members alike: an alarm is listed in place of being raised.
    AlarmNotRaised,
    /// On all members alike: every caller has the permissions of root.
    PermissionNotChecked,
    /// On all members alike: every put is refused for want of space.
    WritesRefused,
    /// Every renewal of a lease is refused.
    RenewalsRefused,
    /// The term of a member is not persisted.
    TermNotPersisted,
    /// The state is flushed with the applied index of the flush before: entries are applied twice
    /// after a crash (etcd 3.5.0 to 3.5.2 did so).
    StateWithoutIndex,
    /// A snapshot claims the index behind its state.
    SnapshotIndexTooHigh,
    /// A snapshot lacks the ids of removed members.
    SnapshotWithoutRemovedMembers,
    /// A restart loses the revision of authentication (etcd 3.4 before 3.4.4 did so).
    AuthRevisionLost,
    /// A restart loses the keys that are attached to leases.
    LeaseKeysLost,
    /// A restart loses the alarms.
    AlarmsLost,
    /// A restart loses the revision up to which history is compacted.
    CompactRevisionLost,
    /// The configuration of the raft group is not written with the state.
    ConfigurationNotWritten,
    /// A leader appends forwarded proposals that were meant for the leader of another term.
    FencesOfAnyTerm,
    /// A leader appends a message with proposals again when it arrives twice.
    RepeatedProposalsAppended,
    /// A follower that sends a message again gives it a new number.
    ForwardedAgainUnderNewNumber,
    /// A follower passes on the proposals of others.
    ProposalsPassedOn,
    /// Proposals are proposed again as soon as another leader is known.
    ProposedAgainTooEarly,
    /// The responses of a batch are given after proposals without a response were proposed again.
    ProposedAgainBeforeResponses,
    /// Watchers miss the last event of a transaction.
    LastEventOfTransactionLost,
}

/// The bug of a run, if any.
#[derive(Clone, Copy, Debug, Default)]
pub struct Planted(pub Option<Bug>);

impl Planted {
    pub(crate) fn has(&self, bug: Bug) -> bool {
        self.0 == Some(bug)
    }
}

impl Bug {
    /// Returns `true` if every member executes entries wrongly, each the same way.
    fn is_of_apply(self) -> bool {
        matches!(
            self,
            Self::PutIgnoresLease
                | Self::ComparesIgnored
                | Self::RangeEndIgnored
                | Self::LeaseNotRevoked
                | Self::AlarmNotRaised
                | Self::PermissionNotChecked
                | Self::WritesRefused
        )
    }

    /// Returns the number of initial members with which it shows, where the seed does not decide.
    pub fn members(self) -> Option<u64> {
        // Only in a cluster of two does the other one need the knowledge of the removed one.
        (self == Self::RemovedMemberStopsAtOnce).then_some(2)
    }
}

/// Every bug there is.
pub fn all() -> impl Iterator<Item = Bug> {
    <Bug as clap::ValueEnum>::value_variants().iter().copied()
}

pub(crate) fn spoil_snapshot(state: &mut MemoryStore, planted: &Planted) {
    if planted.has(Bug::SnapshotWithoutLeases) {
        empty(state, Table::Leases);
    }
    if planted.has(Bug::SnapshotWithoutUsers) {
        empty(state, Table::Users);
    }
    if planted.has(Bug::SnapshotWithoutRemovedMembers) {
        empty(state, Table::RemovedMembers);
    }
}

/// Returns `true` if a member overlooks the fence of a forwarded proposal.
pub(crate) fn drops_fence(node: &Node, context: &[u8], planted: &Planted) -> bool {
    let status = node.status();
    let leads = status.role == Role::Leader;
    // The term follows the format.
    let is_of_term = context.get(1..9) == Some(&status.term.to_be_bytes());
    match planted.0 {
        Some(Bug::FencesOfAnyTerm) => leads && !is_of_term,
        Some(Bug::RepeatedProposalsAppended) => leads && is_of_term,
        Some(Bug::ProposalsPassedOn) => !leads,
        _ => false,
    }
}

/// Spoils the fence of a message that is sent again. Its last field is the number of the message.
pub(crate) fn spoil_fence(context: &mut Bytes, planted: &Planted) {
    if let Some((number, rest)) = context.split_last().filter(|_| planted.has(Bug::ForwardedAgainUnderNewNumber)) {
        *context = [rest, &[number ^ 0x80]].concat().into();
    }
}

/// Spoils the order of the actions that follow a batch.
pub(crate) fn spoil_order(actions: &mut [ApplyAction], planted: &Planted) {
    let respond = actions.iter().position(|action| matches!(action, ApplyAction::Respond(_)));
    if let Some(respond) = respond.filter(|_| planted.has(Bug::ProposedAgainBeforeResponses)) {
        actions.swap(respond, respond + 1);
    }
}

/// Returns the index that a snapshot of a state claims.
pub(crate) fn spoil_snapshot_index(index: u64, planted: &Planted) -> u64 {
    index + u64::from(planted.has(Bug::SnapshotIndexTooHigh))
}

/// Returns the term and vote as they reach the log.
pub(crate) fn spoil_hard_state(hard_state: HardState, planted: &Planted) -> HardState {
    match planted.0 {
        Some(Bug::VoteNotPersisted) => HardState { vote: 0, ..hard_state },
        Some(Bug::TermNotPersisted) => HardState { term: 1, vote: 0, ..hard_state },
        _ => hard_state,
    }
}

fn empty(state: &mut MemoryStore, table: Table) {
    while let Some(key) = first(state, table) {
        state.delete(table, &key);
    }
}

fn first(state: &MemoryStore, table: Table) -> Option<Vec<u8>> {
    let mut cursor = state.cursor(table, None).ok()?;
    cursor.seek(&[]).ok()?;
    cursor.item().map(|(key, _)| key.to_vec())
}

/// Up to where a starting member takes its state to go.
pub(crate) fn found_applied(flushed: (u64, u64), planted: &Planted) -> (u64, u64) {
    if planted.has(Bug::EntryAppliedTwice) { (flushed.0.saturating_sub(1), flushed.1) } else { flushed }
}

pub(crate) fn spoil_batch(batch: &mut MemoryBatch, planted: &Planted, random: &mut Rng) {
    if planted.has(Bug::BatchNotWhole) && random.u16(..1000) == 0 && !batch.changes.is_empty() {
        batch.changes.swap_remove(random.usize(..batch.changes.len()));
    }
    if planted.has(Bug::ConfigurationNotWritten) {
        batch.changes.retain(|change| (change.0, &change.1[..]) != (Table::Meta, meta::CONF_STATE));
    }
}

/// Spoils a compaction: a watcher from its revision on is owed a deletion there, and does not get
/// it.
pub(crate) fn spoil_compacted(store: &mut MemoryStore, compacted: MainRevision, planted: &Planted) {
    let key = revision_record::encode_key(Revision::new(compacted, 0));
    let stored = store.get(Table::Revisions, &key).ok().flatten();
    let is_deletion =
        stored.is_some_and(|stored| RevisionRecord::decode(&stored).is_ok_and(RevisionRecord::is_tombstone));
    if planted.has(Bug::CompactedDeletionLost) && is_deletion {
        store.delete(Table::Revisions, &key);
    }
}

/// Returns an entry as every member alike misreads it.
pub(crate) fn spoil_entry(entry: &Entry, planted: &Planted) -> Entry {
    let is_request = entry.kind == EntryKind::Normal && !entry.data.is_empty();
    if !is_request || !planted.0.is_some_and(Bug::is_of_apply) {
        return entry.clone();
    }
    let Ok(mut request) = InternalRaftRequest::decode(entry.data.clone()) else { return entry.clone() };
    if let (true, Some(put)) = (planted.has(Bug::PutIgnoresLease), &mut request.put) {
        put.lease = 0;
    }
    if let (true, Some(txn)) = (planted.has(Bug::ComparesIgnored), &mut request.txn) {
        txn.compare.clear();
    }
    if let (true, Some(delete)) = (planted.has(Bug::RangeEndIgnored), &mut request.delete_range) {
        delete.range_end = Bytes::new();
    }
    if planted.has(Bug::LeaseNotRevoked)
        && let Some(revoke) = request.lease_revoke.take()
    {
        request.lease_checkpoint =
            Some(LeaseCheckpointRequest { checkpoints: vec![LeaseCheckpoint { id: revoke.id, remaining_ttl: 0 }] });
    }
    if let (true, Some(alarm)) = (planted.has(Bug::AlarmNotRaised), &mut request.alarm) {
        alarm.action = AlarmAction::Get.into();
    }
    if let (true, Some(header)) = (planted.has(Bug::PermissionNotChecked), &mut request.header) {
        "root".clone_into(&mut header.username);
        header.auth_revision = u64::MAX;
    }
    Entry { data: request.encode_to_vec().into(), ..entry.clone() }
}

/// Returns the outcome of an entry as every member alike gets it wrong.
pub(crate) fn spoil_outcome(mut applied: Applied, planted: &Planted) -> Applied {
    if planted.has(Bug::WritesRefused) && applied.kind == Some(RequestKind::Put) {
        applied.outcome = Err(ApplyError::NoSpace);
    }
    applied
}

/// Returns the number of events of a batch that watchers get.
pub(crate) fn spoil_events(events: &[Event], planted: &Planted) -> usize {
    let is_transaction =
        events.last_chunk().is_some_and(|[before, last]: &[Event; 2]| before.revision.main == last.revision.main);
    events.len() - usize::from(is_transaction && planted.has(Bug::LastEventOfTransactionLost))
}

/// Returns the spoilt responses to a watcher in place of a response.
pub(crate) fn spoil_watch(response: WatchResponse, planted: &Planted) -> Vec<WatchResponse> {
    let last = response.events.last().and_then(|event| event.kv.as_ref()).map_or(0, |kv| kv.mod_revision);
    if last > 0 && planted.has(Bug::ProgressBeforeEvents) {
        let header = ResponseHeader { revision: last, ..ResponseHeader::default() };
        let progress = WatchResponse { header: Some(header), watch_id: response.watch_id, ..WatchResponse::default() };
        return vec![progress, response];
    }
    if last > 0 && planted.has(Bug::EventToldTwice) {
        return vec![response.clone(), response];
    }
    vec![response]
}

/// Spoils what a member finds on its disk after a crash.
pub(crate) fn spoil_disk(disk: &mut Disk, planted: &Planted) {
    match planted.0 {
        Some(Bug::AuthRevisionLost) => Arc::make_mut(&mut disk.state).delete(Table::Meta, b"authRevision"),
        Some(Bug::CompactRevisionLost) => Arc::make_mut(&mut disk.state).delete(Table::Meta, meta::COMPACT_REVISION),
        Some(Bug::LeaseKeysLost) => empty(Arc::make_mut(&mut disk.state), Table::LeaseKeys),
        Some(Bug::AlarmsLost) => empty(Arc::make_mut(&mut disk.state), Table::Alarms),
        _ => {}
    }
    if planted.has(Bug::LogNotReplayed) {
        disk.log.entries.retain(|entry| entry.index <= disk.flushed.0);
        disk.log.hard_state.commit = disk.log.hard_state.commit.min(disk.flushed.0);
    }
    if planted.has(Bug::SyncedEntryLost) {
        disk.log.entries.pop();
        disk.log.hard_state.commit = disk.log.hard_state.commit.min(disk.log.last());
    }
}
