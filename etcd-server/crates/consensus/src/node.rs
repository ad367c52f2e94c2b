//! The raft node and the rules around it.
//!
//! Rules held here, each learnt from a fault of raft-rs or of its users (numbers refer to nothing
//! outside this list):
//! 1. Entries to persist are returned once, in order; raft is notified by [`Node::persisted`] only
//!    after they are durable.
//! 2. Messages that promise something (votes, acknowledgements) are returned apart and leave after
//!    that. So do those of a leader whose own vote is not durable yet: in a single-member cluster
//!    it becomes leader at once, and would be leader twice in one term if it crashed in between.
//! 3. A committed entry is returned exactly once, and only after it is durable here.
//! 4. Configuration changes travel as etcd encodes them; raft-rs gets them by name, once apply has
//!    accepted them.
//! 5. Elections are drawn from a seed that the owner gives, so that a simulation repeats.
//! 6. A member that applied its own removal is no leader, does not campaign and does not propose
//!    (raft-rs' leader would continue for ever without a vote), but still responds to the others:
//!    if they have not learned that the removal is committed, they may need its vote and its
//!    acknowledgement for it; of two members, the one that stays can do nothing without.
//! 7. A leader takes no proposals behind its own removal. Else it could end with a longer log than
//!    the remaining members, which would then never get the vote of rule 6.
//! 8. A membership change is returned only when it is durable here that it is committed. A member
//!    that lost this in a crash would use the old configuration again, and might wait for ever for
//!    a member that it has already refused as removed.
//! 9. No member campaigns while a snapshot is being installed, or alone with a log that is not
//!    durable: raft-rs panics on both.

mod changes;
mod config;
mod leadership;
mod proposals;

pub use changes::{ConfChangeDropped, ConfChangeKind};
pub use config::Config;
pub use proposals::{Dropped, Route};

use crate::durable_commits::DurableCommits;
use crate::entry::{self, Entry, EntryKind, HardState};
use crate::jitter::Jitter;
use crate::message;
use crate::message_validation::{self, MessageContext, StepRefusal};
use crate::raft_status::Status;
use crate::raft_storage::{Keep, RaftStorage, Recovered, SnapshotMark, Voters};
use crate::ready::Ready;
use crate::term_fence::{TakenMessages, TermFence};
use crate::waiting_changes::WaitingChanges;
use bytes::Bytes;
use changes::removes;
use config::check_recovered;
use leadership::role;
use proto::raftpb;
use raft::eraftpb::{self, MessageType};
use raft::{GetEntriesContext, ProgressState, RawNode, SnapshotStatus, StateRole};
use std::collections::{BTreeMap, BTreeSet};
use types::Fault;

/// Bytes of entries in one message to a follower.
const MESSAGE_BYTES_MAX: u64 = 1 << 20;
/// Messages on their way to one follower.
const INFLIGHT_MESSAGES_MAX: usize = 512;
/// Bytes of entries that a leader has appended but not committed; beyond it proposals are dropped,
/// and the client is asked to retry.
const UNCOMMITTED_BYTES_MAX: u64 = 256 << 20;

/// The error that no leader can respond now; [`Ready::ask_reads_again`] marks the time for a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no leader has a read index yet")]
pub struct NotYet;

/// The raft node of this member.
pub struct Node {
    raw: RawNode<RaftStorage>,
    jitter: Jitter,
    /// The election timeout that holds, and the term and role that it was drawn for.
    timeout: (usize, u64, StateRole),
    /// Term and vote as they were last handed out, and the ready by which they become durable while
    /// they are not.
    vote: (u64, u64),
    unsettled_vote: Option<u64>,
    commits: DurableCommits,
    /// Changes of the members that wait until the one before them is applied.
    waiting_changes: WaitingChanges,
    /// While this member leads: up to where its log may hold its own removal, not applied yet.
    own_removal: Option<u64>,
    last_status: Option<Status>,
    /// Leader and term, and `true` if an entry of that term is committed, when reads were last
    /// notified.
    last_lead: (u64, u64, bool),
    ticks: u64,
    /// The tick at which each member last acknowledged something to this leader.
    heard: BTreeMap<u64, u64>,
    removed: bool,
    /// Members that honour the fences of proposals.
    fencing: BTreeSet<u64>,
    /// The fence of the last message with proposals that this member forwarded.
    last_fence: TermFence,
    taken_messages: TakenMessages,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl Node {
    /// Starts from the recovered log and state. A member that is about to join starts without any.
    ///
    /// # Panics
    /// If raft starts behind another entry than the last applied one.
    pub fn new(config: &Config, recovered: &Recovered) -> Result<Self, Fault> {
        let mut recovered = recovered.clone();
        let durable_commit = recovered.hard_state.commit;
        // Applied entries were committed, even if the hard state does not show it (raft-rs panics
        // otherwise).
        recovered.hard_state.commit = recovered.hard_state.commit.max(config.applied);
        let raft_storage = RaftStorage::new(&recovered, config.applied);
        check_recovered(config, &recovered, &raft_storage)?;
        let raft_config = raft::Config {
            id: config.id,
            election_tick: config.election_ticks,
            heartbeat_tick: config.heartbeat_ticks,
            applied: config.applied,
            max_size_per_msg: MESSAGE_BYTES_MAX,
            max_inflight_msgs: INFLIGHT_MESSAGES_MAX,
            check_quorum: true,
            pre_vote: config.pre_vote,
            max_uncommitted_size: UNCOMMITTED_BYTES_MAX,
            ..raft::Config::default()
        };
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let raw =
            RawNode::new(&raft_config, raft_storage, &logger).map_err(|error| Fault::store("start raft", error))?;
        let mut jitter = Jitter::new(config.seed, config.id);
        let timeout = (jitter.timeout(config.election_ticks), raw.raft.term, raw.raft.state);
        let vote = (raw.raft.term, raw.raft.vote);
        let applied = raw.raft.raft_log.applied;
        assert!(
            applied == config.applied,
            "raft starts behind entry {applied}, and entry {} is applied",
            config.applied
        );
        let mut node = Self {
            raw,
            jitter,
            timeout,
            vote,
            unsettled_vote: None,
            commits: DurableCommits::new(durable_commit, config.applied),
            waiting_changes: WaitingChanges::default(),
            own_removal: None,
            last_status: None,
            last_lead: (0, 0, false),
            ticks: 0,
            heard: BTreeMap::new(),
            removed: false,
            fencing: BTreeSet::new(),
            last_fence: TermFence { term: 0, process: config.process, number: 0 },
            taken_messages: TakenMessages::default(),
        };
        node.settle();
        Ok(node)
    }

    /// One tick of time has passed.
    pub fn tick(&mut self) {
        self.ticks += 1;
        let leads = self.raw.raft.state == StateRole::Leader;
        // A removed member does not campaign, but its clock has to run: while it follows a leader
        // that it has not heard of for less than an election timeout, it grants no vote.
        let ticks = if self.removed { !leads && !self.raw.raft.promotable() } else { leads || self.may_campaign() };
        if ticks {
            self.raw.tick();
            self.settle();
        }
        self.propose_waiting_change();
    }

    /// Campaigns without waiting for a timeout: in a single-member cluster, which has no other member
    /// to wait for, or because the leader has ended. No effect while it must not.
    pub fn campaign(&mut self) -> Result<(), Fault> {
        if self.removed || !self.may_campaign() || !self.raw.raft.promotable() {
            return Ok(());
        }
        self.raw.campaign().map_err(|error| Fault::store("campaign", error))?;
        self.settle();
        Ok(())
    }

    /// Takes a message of another member, or refuses it without any effect.
    ///
    /// A `MsgSnap` is stepped when its state has arrived whole and was checked; see
    /// [`Ready::snapshot`].
    pub fn step(&mut self, mut message: raftpb::Message) -> Result<(), StepRefusal> {
        let kind = message_validation::check(&message, &self.message_context(message.from))?;
        self.check_single_leader(kind, &message)?;
        if kind == MessageType::MsgAppend {
            self.check_committed(&message)?;
        }
        let fence = if kind == MessageType::MsgPropose { self.open_fence(&mut message)? } else { None };
        let sender = message.from;
        if kind == MessageType::MsgPropose && self.raw.raft.state == StateRole::Leader {
            let entries = message.entries.len();
            self.keep_changes(&mut message, fence.is_some())?;
            if message.entries.len() < entries {
                // Changes that wait are proposed once, whatever becomes of the other entries.
                self.note_taken(sender, fence);
            }
            if message.entries.is_empty() {
                return Ok(());
            }
        }
        let number = message.r#type;
        let acknowledges = matches!(kind, MessageType::MsgAppendResponse | MessageType::MsgHeartbeatResponse);
        if acknowledges && self.raw.raft.state == StateRole::Leader && message.term == self.raw.raft.term {
            self.heard.insert(message.from, self.ticks);
        }
        let removes_self = kind == MessageType::MsgPropose
            && message.entries.iter().any(|entry| entry.r#type != 0 && removes(&entry.data, self.raw.raft.id));
        let taken = self.raw.step(message::to_raft(kind, message));
        self.settle();
        self.note_own_removal(removes_self && taken.is_ok());
        if taken.is_ok() {
            self.note_taken(sender, fence);
        }
        taken.map_err(|error| {
            if error == raft::Error::ProposalDropped {
                StepRefusal::Dropped
            } else {
                StepRefusal::Malformed { kind: number, what: "raft does not take it" }
            }
        })
    }

    /// Requests an index up to which a linearizable read must wait. `context` is a fresh one of
    /// [`crate::ReadContexts`]. The response may get lost on the way: the caller repeats the
    /// request after a while, with another context.
    pub fn read_index(&mut self, context: Vec<u8>) -> Result<(), NotYet> {
        let raft = &self.raw.raft;
        let leads = raft.state == StateRole::Leader;
        if self.removed || raft.leader_id == raft::INVALID_ID || (leads && !raft.commit_to_current_term()) {
            return Err(NotYet);
        }
        self.raw.read_index(context);
        Ok(())
    }

    /// Everything of the ready with this number, and of those before it, is durable.
    pub fn persisted(&mut self, number: u64) {
        self.raw.on_persist_ready(number);
        self.unsettled_vote = self.unsettled_vote.filter(|&unsettled| unsettled > number);
        self.commits.persisted(number);
    }

    /// Entries up to `index` are applied, or a snapshot with this index is installed. Older entries
    /// stay in memory as far as `keep` says.
    ///
    /// # Panics
    /// If the entry is not committed and durable here.
    pub fn applied(&mut self, index: u64, keep: Keep) {
        if index <= self.raw.raft.raft_log.applied {
            return;
        }
        let log = &self.raw.raft.raft_log;
        assert!(index <= log.committed.min(log.persisted), "entry {index} is applied, but not committed and durable");
        self.raw.mut_store().apply(index);
        self.raw.advance_apply_to(index);
        let applied = self.raw.raft.raft_log.applied;
        assert!(applied == index, "entry {index} is applied, and raft knows of {applied}");
        let needed = self.needed_behind_snapshots();
        self.raw.mut_store().forget(keep, needed);
        self.own_removal = self.own_removal.filter(|&removal| removal > index);
        self.propose_waiting_change();
    }

    /// Checks that no other member leads in the term that this member leads in.
    fn check_single_leader(&self, kind: MessageType, message: &raftpb::Message) -> Result<(), StepRefusal> {
        let is_from_leader =
            matches!(kind, MessageType::MsgAppend | MessageType::MsgHeartbeat | MessageType::MsgSnapshot);
        let raft = &self.raw.raft;
        if is_from_leader && raft.state == StateRole::Leader && message.term == raft.term && message.from != raft.id {
            return Err(StepRefusal::SecondLeader { from: message.from, term: raft.term });
        }
        Ok(())
    }

    /// Checks that a leader's message does not contradict an entry that is committed here. Every
    /// leader has all committed entries, unless a majority of the members were replaced by older
    /// copies of themselves: then acknowledged writes are lost. Members that lost their votes may
    /// even elect a second leader in the same term, so entries of equal terms are compared, too.
    fn check_committed(&self, message: &raftpb::Message) -> Result<(), StepRefusal> {
        let log = &self.raw.raft.raft_log;
        if message.term < self.raw.raft.term || message.index >= log.committed {
            return Ok(());
        }
        let lost = |index, ours, theirs| StepRefusal::LostCommit { from: message.from, index, ours, theirs };
        // Entries that are not in memory any more were compared when they were there; index 0 comes
        // before all entries.
        let before = log.term(message.index).unwrap_or(0);
        if before != 0 && before != message.log_term {
            return Err(lost(message.index, before, message.log_term));
        }
        for sent in message.entries.iter().take_while(|entry| entry.index <= log.committed) {
            let Ok(ours) = log.slice(sent.index, sent.index + 1, None, GetEntriesContext::empty(false)) else {
                continue;
            };
            let Some(ours) = ours.into_iter().next() else { continue };
            let term = ours.term;
            if term != sent.term || entry::content(ours).1 != sent.data {
                return Err(lost(sent.index, term, sent.term));
            }
        }
        Ok(())
    }

    /// Returns the index above which entries are needed by followers that are being sent a
    /// snapshot, or have it and not yet the entries behind: if these were truncated meanwhile, each
    /// snapshot would be followed by the next one, for as long as there are writes.
    fn needed_behind_snapshots(&self) -> u64 {
        let raft = &self.raw.raft;
        if raft.state != StateRole::Leader {
            return u64::MAX;
        }
        let timeout = u64::try_from(raft.election_timeout()).unwrap_or(u64::MAX);
        let heard = |member: &u64| self.heard.get(member).is_some_and(|heard| self.ticks - heard <= timeout);
        let needed =
            raft.prs().iter().filter(|(member, _)| **member != raft.id).filter_map(|(member, progress)| match progress
                .state
            {
                ProgressState::Snapshot => Some(progress.pending_snapshot),
                ProgressState::Probe if heard(member) => Some(progress.next_idx.saturating_sub(1)),
                ProgressState::Probe | ProgressState::Replicate => None,
            });
        needed.min().unwrap_or(u64::MAX)
    }

    /// The last message to this member did not get through.
    pub fn report_unreachable(&mut self, member: u64) {
        self.raw.report_unreachable(member);
    }

    /// Records that `member` may have the beginning of this snapshot, and resumes it at the next
    /// transfer; `None` clears the record.
    pub fn snapshot_begun(&mut self, member: u64, mark: Option<SnapshotMark>) {
        self.raw.mut_store().set_begun(member, mark);
    }

    /// Reports that the snapshot for this member arrived (`ok`) or failed. Call it once for each
    /// `MsgSnap`, or the member gets nothing more.
    pub fn report_snapshot(&mut self, member: u64, ok: bool) {
        let status = if ok { SnapshotStatus::Finish } else { SnapshotStatus::Failure };
        self.raw.report_snapshot(member, status);
    }

    /// Returns the work to be done now, if any.
    ///
    /// # Panics
    /// If raft breaks a rule that this node relies on: terms and commit indexes never go back, a
    /// vote stays, entries follow each other, and a committed entry comes once.
    pub fn ready(&mut self) -> Option<Ready> {
        if !self.raw.has_ready() {
            let committed = self.commits.release();
            return (!committed.is_empty()).then(|| Ready { committed, ..Ready::default() });
        }
        let mut raft_ready = self.raw.ready();
        let number = raft_ready.number();
        let entries = raft_ready.take_entries();
        let mut hard_state = raft_ready.hs().map(HardState::from_raft);
        let mut must_sync = raft_ready.must_sync();
        if let Some(hard_state) = hard_state {
            let HardState { term, vote, .. } = hard_state;
            let (last_term, last_vote) = std::mem::replace(&mut self.vote, (term, vote));
            assert!(term >= last_term, "the term goes back from {last_term} to {term}");
            assert!(
                term > last_term || last_vote == raft::INVALID_ID || vote == last_vote,
                "the vote of term {term} for {last_vote:x} becomes one for {vote:x}"
            );
            if (term, vote) != (last_term, last_vote) {
                self.unsettled_vote = Some(number);
            }
        }
        self.commits.hold(raft_ready.take_committed_entries().into_iter().map(Entry::from_raft));
        let committed = self.commits.release();
        if self.commits.must_sync() {
            hard_state = Some(HardState::from_raft(&self.raw.raft.hard_state()));
            must_sync = true;
        }
        if let Some(hard_state) = hard_state.filter(|_| must_sync) {
            self.commits.handed_out(number, hard_state.commit);
        }
        let snapshot = (!raft_ready.snapshot().is_empty()).then(|| mark(raft_ready.snapshot()));
        let (messages, deferred_messages) =
            self.sort_messages(raft_ready.take_messages(), raft_ready.take_persisted_messages());
        let ready = Ready {
            number,
            messages,
            deferred_messages,
            snapshot,
            hard_state,
            must_sync,
            committed,
            reads: raft_ready.take_read_states().into_iter().map(|read| (read.request_ctx, read.index)).collect(),
            ask_reads_again: self.reads_forgotten(),
            status: None,
            entries: Vec::new(),
        };
        if let Some(mark) = &ready.snapshot {
            self.commits.forget(mark.index);
            self.raw.mut_store().reset(mark);
        }
        self.raw.mut_store().append(&entries);
        self.raw.advance_append_async(raft_ready);
        let status = self.status();
        let changed = self.last_status.replace(status) != Some(status);
        Some(Ready {
            entries: entries.into_iter().map(Entry::from_raft).collect(),
            status: changed.then_some(status),
            ..ready
        })
    }

    /// Separates messages that may leave at once from those that promise something.
    fn sort_messages(
        &self,
        at_once: Vec<eraftpb::Message>,
        mut deferred_messages: Vec<eraftpb::Message>,
    ) -> (Vec<raftpb::Message>, Vec<raftpb::Message>) {
        let mut messages = Vec::new();
        if self.unsettled_vote.is_some() {
            deferred_messages.splice(0..0, at_once);
        } else {
            messages = at_once;
        }
        // Messages that a follower only forwards to the leader need not wait for its disk.
        let passed_on = |message: &mut eraftpb::Message| {
            matches!(message.get_msg_type(), MessageType::MsgPropose | MessageType::MsgReadIndex)
        };
        messages.extend(deferred_messages.extract_if(.., passed_on));
        (
            messages.into_iter().map(message::from_raft).collect(),
            deferred_messages.into_iter().map(message::from_raft).collect(),
        )
    }

    /// Returns `true` if the leader changed since the last call, or became able to respond.
    fn reads_forgotten(&mut self) -> bool {
        let raft = &self.raw.raft;
        let lead = (raft.leader_id, raft.term, raft.commit_to_current_term());
        std::mem::replace(&mut self.last_lead, lead) != lead && lead.0 != raft::INVALID_ID
    }

    /// Returns `true` if a snapshot was accepted and is not reported as installed yet.
    fn installing(&self) -> bool {
        let log = &self.raw.raft.raft_log;
        log.applied + 1 < log.first_index()
    }

    fn all_persisted(&self) -> bool {
        let log = &self.raw.raft.raft_log;
        log.persisted == log.last_index()
    }

    fn may_campaign(&self) -> bool {
        let alone = self.raw.raft.prs().is_singleton();
        !self.installing() && (!alone || self.all_persisted())
    }

    fn message_context(&self, from: u64) -> MessageContext {
        let raft = &self.raw.raft;
        let committed = raft.raft_log.committed;
        MessageContext {
            id: raft.id,
            term: raft.term,
            role: role(raft.state, false),
            leader: raft.leader_id,
            last_index: raft.raft_log.last_index(),
            committed: (committed, raft.raft_log.term(committed).unwrap_or(0)),
            installing: self.installing(),
            all_persisted: self.all_persisted(),
            leaving: self.own_removal.is_some(),
            matched: raft.prs().get(from).map(|progress| progress.matched),
        }
    }

    /// Restores the invariants after anything that may have changed role or term: raft-rs draws
    /// election timeouts from the thread's randomness, and ours replace them. Acknowledgements
    /// belong to one leadership.
    fn settle(&mut self) {
        let raft = &mut self.raw.raft;
        let (_, term, state) = self.timeout;
        assert!(raft.term >= term, "the term goes back from {term} to {}", raft.term);
        let (log, last) = (&raft.raft_log, raft.raft_log.last_index());
        assert!(log.applied <= log.committed, "entry {} is applied, but {} committed", log.applied, log.committed);
        assert!(log.committed <= last, "entry {} is committed, but the log ends at {last}", log.committed);
        assert!(log.persisted <= last, "entry {} is durable, but the log ends at {last}", log.persisted);
        if raft.state == StateRole::Leader {
            assert!(raft.leader_id == raft.id, "{:x} leads, and follows {:x}", raft.id, raft.leader_id);
            assert!(raft.promotable(), "{:x} leads, and is no voter", raft.id);
        }
        if (term, state) != (raft.term, raft.state) {
            self.timeout = (self.jitter.timeout(raft.election_timeout()), raft.term, raft.state);
            self.heard.clear();
            let own = raft.id;
            let removal = raft.store().unapplied_changes().find(|(_, change)| removes(change, own));
            self.own_removal = removal.map(|(index, _)| index).filter(|_| raft.state == StateRole::Leader);
            if raft.state != StateRole::Leader {
                self.waiting_changes.drop_fenced();
            }
        }
        assert!(
            self.own_removal.is_none() || raft.state == StateRole::Leader,
            "a member that does not lead holds its own removal back, at entry {:?}",
            self.own_removal
        );
        raft.set_randomized_election_timeout(self.timeout.0);
    }
}

fn mark(snapshot: &eraftpb::Snapshot) -> SnapshotMark {
    let metadata = snapshot.get_metadata();
    SnapshotMark { index: metadata.index, term: metadata.term, voters: Voters::from_raft(metadata.get_conf_state()) }
}

fn entry(kind: EntryKind, data: Bytes) -> eraftpb::Entry {
    Entry { term: 0, index: 0, kind, data }.to_raft()
}

#[cfg(test)]
mod tests;
