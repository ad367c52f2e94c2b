//! The raft node with everything that decides around it: the order of persisting and sending, reads
//! that wait for an index, snapshots to install, a log that hangs.

use crate::deferred_messages::DeferredMessages;
use crate::early_election::EarlyElection;
use crate::forwarded_messages::ForwardedMessages;
use crate::held_proposals::HeldProposals;
use crate::node_action::{NodeAction, NodeFault, Refusal, StalledLog};
use crate::node_input::{NodeInput, Proposal, ProposalKind};
use crate::own_requests::raise_alarm;
use bytes::Bytes;
use consensus::{
    ConfChangeDropped, ConfChangeKind, Entry, Keep, Node, ReadIndexQueue, Ready, Role, Route, Status, StepRefusal,
    forwarded_request,
};
use prost::Message as _;
use proto::etcdserverpb::{AlarmType, RequestHeader};
use proto::raftpb::Message;
use std::collections::VecDeque;
use std::time::Duration;
use types::{Fault, MonotonicTime};

/// The type of a forwarded proposal, as etcd numbers messages.
const PROPOSE: i32 = 2;

/// The settings of a raft node's surroundings.
#[derive(Clone, Copy, Debug)]
pub struct NodeSettings {
    /// This member.
    pub member_id: u64,
    /// Time without a leader after which a member campaigns; a log that is not synced for as long
    /// hangs.
    pub election_timeout: Duration,
    /// The same in ticks.
    pub election_ticks: usize,
    /// The applied entries that stay in memory.
    pub keep: Keep,
    /// `true` if an election is held as soon as the process of the leader is known to have ended. Needs
    /// pre-votes.
    pub early_elections: bool,
}

/// The raft node of a member and its surroundings. `W` identifies a waiting read, `S` is the state
/// of a snapshot that has arrived.
///
/// The owner calls [`Self::handle`] for each input that waits and then [`Self::advance`] once, and
/// carries out the actions of both in order.
#[derive(Debug)]
pub struct NodePipeline<W, S> {
    node: Node,
    settings: NodeSettings,
    reads: ReadIndexQueue<W>,
    deferred_messages: DeferredMessages,
    /// The state of the snapshot that was stepped in, until raft accepts it or not.
    offered: Option<S>,
    /// The ready whose snapshot is being installed, and the snapshot's index: no other ready is
    /// handed out meanwhile.
    installing: Option<(u64, u64)>,
    /// The newest ready that was handed out to be persisted.
    last_persist: u64,
    /// The time since which the log has had something to sync and has not reported; set again when
    /// that was reported.
    log_waits_since: Option<MonotonicTime>,
    /// The term of the leadership that was last handed out.
    leads: Option<u64>,
    /// This member was removed from the cluster: no leader confirms its reads any more.
    has_left: bool,
    held: HeldProposals,
    forwarded: ForwardedMessages,
    /// The first entries of terms that were handed out to be applied: index and term.
    term_starts: VecDeque<(u64, u64)>,
    /// The term of the last entry that was handed out to be applied.
    applying_term: u64,
    early_election: Option<EarlyElection>,
}

impl<W, S> NodePipeline<W, S> {
    /// Surrounds a node that has not run yet.
    pub fn new(node: Node, reads: ReadIndexQueue<W>, settings: NodeSettings) -> Self {
        Self {
            node,
            settings,
            reads,
            deferred_messages: DeferredMessages::default(),
            offered: None,
            installing: None,
            last_persist: 0,
            log_waits_since: None,
            leads: None,
            has_left: false,
            held: HeldProposals::default(),
            forwarded: ForwardedMessages::default(),
            term_starts: VecDeque::new(),
            applying_term: 0,
            early_election: None,
        }
    }

    /// Returns the node, to look at.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Returns the time since which the log has had something to sync and has not reported. `None`
    /// while nothing waits.
    pub fn log_waits_since(&self) -> Option<MonotonicTime> {
        self.log_waits_since
    }

    /// Adds a linearizable read. It is let go by [`NodeAction::Notify`], or failed by
    /// [`NodeAction::RefuseReads`].
    pub fn read_index(&mut self, read: W, actions: &mut Vec<NodeAction<W, S>>) {
        if self.has_left {
            actions.push(NodeAction::RefuseReads(vec![read]));
        } else {
            self.reads.push(read);
        }
    }

    /// Drops the reads that `waits` returns `false` for: their callers have gone.
    pub fn retain_reads(&mut self, waits: impl FnMut(&W) -> bool) {
        self.reads.retain(waits);
    }

    /// Returns the way of a proposal that is handed in now.
    pub fn route(&self) -> Route {
        if self.held.is_empty() { self.node.route() } else { Route::Closed }
    }

    /// Returns the number of proposals that are held until a leader takes them.
    pub fn held_proposals(&self) -> usize {
        self.held.len()
    }

    /// Drops the proposals that `waits` returns `false` for, held or forwarded: they have their
    /// responses, or their callers have gone.
    pub fn retain_proposals(&mut self, mut waits: impl FnMut(u64) -> bool) {
        self.held.retain(&mut waits);
        self.forwarded.retain(waits);
    }

    /// Returns the time at which [`Self::advance`] is to be called though there is no input.
    pub fn wake_at(&self) -> Option<MonotonicTime> {
        self.early_election.as_ref().map(EarlyElection::next)
    }

    /// Takes an input.
    ///
    /// # Errors
    /// The member cannot continue: its log or the cluster's has lost entries.
    pub fn handle(
        &mut self,
        now: MonotonicTime,
        input: NodeInput<S>,
        actions: &mut Vec<NodeAction<W, S>>,
    ) -> Result<(), NodeFault> {
        match input {
            NodeInput::Tick => {
                self.node.tick();
                self.look_at_log(now, actions);
                self.reads.tick();
                self.forward_again(actions);
            }
            NodeInput::Propose(proposals) => self.propose_or_hold(ProposalKind::Request, proposals, actions),
            NodeInput::ProposeAsLeader(Proposal { id, data }) => {
                if self.node.propose_as_leader([data]).is_err() {
                    actions.push(NodeAction::Refuse { ids: vec![id], refusal: Refusal::NoLeader });
                }
            }
            NodeInput::ProposeConfChange(proposal) => {
                self.propose_or_hold(ProposalKind::ConfChange, vec![proposal], actions);
            }
            NodeInput::Fencing { member, honours } => self.node.set_fencing(member, honours),
            NodeInput::Gone(member) => self.gone(now, member, actions),
            NodeInput::Message(message) if self.must_wait(&message) => self.held.push_message(*message),
            NodeInput::Message(message) => self.step(*message, actions)?,
            NodeInput::Snapshot { message, state } => self.offer(now, *message, state, actions)?,
            NodeInput::Unreachable(member) => {
                self.node.report_unreachable(member);
                if self.node.status().leader == member {
                    self.forwarded.leader_unreachable();
                }
            }
            NodeInput::SnapshotSent { member, success } => self.node.report_snapshot(member, success),
            NodeInput::SnapshotBegun { member, mark } => self.node.snapshot_begun(member, mark),
            NodeInput::Transfer(member) => self.node.transfer_leader(member),
            NodeInput::BringElectionForward => self.bring_election_forward(),
            NodeInput::Persisted(number) => self.persisted(now, number, actions),
            NodeInput::Applied(index) => self.applied(index, actions),
            NodeInput::ConfChanged { kind, member } => {
                self.node.conf_changed(kind, member)?;
                actions.push(NodeAction::ConfigurationChanged);
                if kind == ConfChangeKind::Remove && member == self.settings.member_id {
                    self.has_left = true;
                    actions.push(NodeAction::RefuseReads(self.reads.drain()));
                }
            }
        }
        Ok(())
    }

    /// Requests read indexes for the reads that wait, and hands out all that the node has ready.
    ///
    /// # Errors
    /// The member cannot continue.
    pub fn advance(&mut self, now: MonotonicTime, actions: &mut Vec<NodeAction<W, S>>) -> Result<(), NodeFault> {
        self.elect_early(now)?;
        self.release_messages(actions)?;
        self.release_held(actions);
        self.reads.ask(&mut self.node);
        self.hand_out(now, actions);
        while self.installing.is_none() && self.campaign_if_alone()? {
            self.hand_out(now, actions);
        }
        Ok(())
    }

    /// Passes all ticks of an election timeout but two. The drawn timeout is at least as long as
    /// that, so this alone starts no election.
    fn bring_election_forward(&mut self) {
        if self.node.status().leader == 0 {
            (2..self.settings.election_ticks).for_each(|_| self.node.tick());
        }
    }

    /// Proposes, or holds what no leader takes now. Held proposals go first.
    fn propose_or_hold(&mut self, kind: ProposalKind, proposals: Vec<Proposal>, actions: &mut Vec<NodeAction<W, S>>) {
        if self.route() != Route::Closed {
            self.propose(kind, proposals, actions);
            return;
        }
        let refused = proposals.into_iter().filter_map(|proposal| self.held.push(kind, proposal).err());
        let ids: Vec<u64> = refused.map(|proposal| proposal.id).collect();
        if !ids.is_empty() {
            actions.push(NodeAction::Refuse { ids, refusal: Refusal::TooManyRequests });
        }
    }

    fn propose(&mut self, kind: ProposalKind, proposals: Vec<Proposal>, actions: &mut Vec<NodeAction<W, S>>) {
        if proposals.is_empty() {
            return;
        }
        let (ids, requests): (Vec<u64>, Vec<Bytes>) =
            proposals.into_iter().map(|Proposal { id, data }| (id, data)).unzip();
        if kind != ProposalKind::ConfChange {
            match self.node.propose(requests) {
                Ok(forwarded) => self.note_forwarded(ids, forwarded),
                Err(_) => actions.push(NodeAction::Refuse { ids, refusal: Refusal::TooManyRequests }),
            }
            return;
        }
        for (id, change) in ids.into_iter().zip(requests) {
            let refusal = match self.node.propose_conf_change(change) {
                Ok(forwarded) => {
                    self.note_forwarded(vec![id], forwarded);
                    continue;
                }
                Err(ConfChangeDropped::TooMany) => Refusal::TooManyRequests,
                Err(ConfChangeDropped::Dropped(_)) => Refusal::NoLeader,
            };
            actions.push(NodeAction::Refuse { ids: vec![id], refusal });
        }
    }

    fn note_forwarded(&mut self, ids: Vec<u64>, forwarded: Option<Message>) {
        if let Some(message) = forwarded {
            self.forwarded.push(self.node.status().term, ids, message);
        }
    }

    /// Sends the leader again what it may not have got.
    fn forward_again(&mut self, actions: &mut Vec<NodeAction<W, S>>) {
        let fenced = matches!(self.node.route(), Route::Fenced(_));
        let Status { leader, term, .. } = self.node.status();
        let again = self.forwarded.tick(fenced.then_some((leader, term)));
        if !again.is_empty() {
            actions.push(NodeAction::ForwardAgain(again));
        }
    }

    /// Hands the held proposals to the leader, once there is one that takes them.
    fn release_held(&mut self, actions: &mut Vec<NodeAction<W, S>>) {
        loop {
            let route = self.node.route();
            if route == Route::Closed {
                return;
            }
            let Some((kind, proposals)) = self.held.take() else { return };
            let ids = proposals.iter().map(|proposal| proposal.id).collect();
            actions.push(NodeAction::Proposed { ids, route });
            self.propose(kind, proposals, actions);
        }
    }

    /// Returns `true` for a forwarded proposal while this leader takes none: its sender learns of
    /// nothing as long as the term stays, and proposes it again in the next one.
    fn must_wait(&self, message: &Message) -> bool {
        message.r#type == PROPOSE
            && !message.context.is_empty()
            && self.node.status().role == Role::Leader
            && self.node.refuses_proposals()
    }

    fn release_messages(&mut self, actions: &mut Vec<NodeAction<W, S>>) -> Result<(), NodeFault> {
        if self.node.status().role == Role::Leader && self.node.refuses_proposals() {
            return Ok(());
        }
        for message in self.held.take_messages() {
            self.step(message, actions)?;
        }
        Ok(())
    }

    /// Entries up to `index` are applied, and their responses given.
    fn applied(&mut self, index: u64, actions: &mut Vec<NodeAction<W, S>>) {
        self.node.applied(index, self.settings.keep);
        let mut begun = None;
        while self.term_starts.front().is_some_and(|(start, _)| *start <= index) {
            begun = self.term_starts.pop_front().map(|(_, term)| term);
        }
        actions.extend(begun.map(NodeAction::TermBegun));
    }

    fn note_terms(&mut self, committed: &[Entry]) {
        for entry in committed {
            if entry.term > self.applying_term {
                self.applying_term = entry.term;
                if let Some((index, term)) = self.term_starts.back() {
                    let follows = *index < entry.index && *term < entry.term;
                    assert!(follows, "term {} begins at entry {} behind term {term}", entry.term, entry.index);
                }
                self.term_starts.push_back((entry.index, entry.term));
            }
        }
    }

    /// The process of a member has ended. If it was the leader, it is not followed any more.
    fn gone(&mut self, now: MonotonicTime, member: u64, actions: &mut Vec<NodeAction<W, S>>) {
        let status = self.node.status();
        if self.settings.early_elections && status.leader == member && self.node.forget_leader() {
            let mut voters = self.node.voters().voters;
            voters.retain(|voter| *voter != member);
            voters.sort_unstable();
            self.early_election = Some(EarlyElection::new(now, status.term, self.settings.member_id, &voters));
            actions.push(NodeAction::LeaderGone(member));
        }
    }

    fn elect_early(&mut self, now: MonotonicTime) -> Result<(), NodeFault> {
        let status = self.node.status();
        let Some(election) = &mut self.early_election else { return Ok(()) };
        if status.leader != 0 {
            self.early_election = None;
        } else if election.is_due(now, status.term) {
            let has_more = election.asked(now);
            self.node.campaign()?;
            if !has_more {
                self.early_election = None;
            }
        }
        Ok(())
    }

    fn step(&mut self, message: Message, actions: &mut Vec<NodeAction<W, S>>) -> Result<(), NodeFault> {
        let (from, kind) = (message.from, message.r#type);
        match self.node.step(message) {
            Ok(()) => Ok(()),
            Err(lost @ StepRefusal::LostLog { .. }) => Err(Fault::corrupt("raft log", lost).into()),
            Err(lost @ (StepRefusal::LostCommit { .. } | StepRefusal::SecondLeader { .. })) => Err(NodeFault {
                alarm: Some(Box::new(self.corrupt_alarm(from))),
                fault: Fault::corrupt("cluster", lost),
            }),
            Err(refusal) => {
                actions.push(NodeAction::MessageRefused { from, kind, refusal });
                Ok(())
            }
        }
    }

    /// Returns the message that has `leader` raise the CORRUPT alarm for this member.
    fn corrupt_alarm(&self, leader: u64) -> Message {
        let member_id = self.settings.member_id;
        let mut request = raise_alarm(AlarmType::Corrupt, member_id);
        // No client waits for it.
        request.header = Some(RequestHeader::default());
        forwarded_request(member_id, leader, request.encode_to_vec().into())
    }

    /// Steps a snapshot in; the next ready shows whether raft accepts it. One is looked at at a
    /// time.
    fn offer(
        &mut self,
        now: MonotonicTime,
        message: Message,
        state: S,
        actions: &mut Vec<NodeAction<W, S>>,
    ) -> Result<(), NodeFault> {
        if self.installing.is_some() || self.offered.is_some() {
            actions.push(NodeAction::Discard(state));
            return Ok(());
        }
        self.offered = Some(state);
        self.step(message, actions)?;
        self.hand_out(now, actions);
        actions.extend(self.offered.take().map(NodeAction::Discard));
        Ok(())
    }

    /// The node hears of it before promises leave, so that no response to them comes earlier.
    fn persisted(&mut self, now: MonotonicTime, number: u64, actions: &mut Vec<NodeAction<W, S>>) {
        assert!(number > 0, "a ready that has nothing to persist is not reported");
        self.node.persisted(number);
        self.log_waits_since = (number < self.last_persist).then_some(now);
        push_messages(self.deferred_messages.durable(number), actions);
        if let Some((_, index)) = self.installing.take_if(|(installing, _)| *installing <= number) {
            self.node.applied(index, self.settings.keep);
            actions.push(NodeAction::OutcomesUnknown);
        }
    }

    /// A leader whose log hangs gives leadership to a member whose log does not: its heartbeats
    /// would keep the others quiet for ever.
    fn look_at_log(&mut self, now: MonotonicTime, actions: &mut Vec<NodeAction<W, S>>) {
        let hangs = self.log_waits_since.is_some_and(|since| now.since(since) >= self.settings.election_timeout);
        if !hangs || self.node.status().role != Role::Leader || self.node.voters().voters.len() < 2 {
            return;
        }
        self.log_waits_since = Some(now);
        let consequence = if self.node.status().transferee.is_some() {
            self.node.step_down();
            StalledLog::TransferFailed
        } else if let Some(to) = self.node.transfer_leadership() {
            StalledLog::Transferring(to)
        } else {
            self.node.step_down();
            StalledLog::NoSuccessor
        };
        actions.push(NodeAction::LogStalled(consequence));
    }

    /// Campaigns in a single-member cluster, which need not wait for an election timeout. Returns
    /// `true` if this member became the leader by it; raft refuses to campaign while a
    /// configuration change is committed but not applied.
    fn campaign_if_alone(&mut self) -> Result<bool, Fault> {
        let alone = self.node.voters().voters == [self.settings.member_id];
        if !alone || self.node.status().role != Role::Follower {
            return Ok(false);
        }
        self.node.campaign()?;
        Ok(self.node.status().role == Role::Leader)
    }

    fn hand_out(&mut self, now: MonotonicTime, actions: &mut Vec<NodeAction<W, S>>) {
        // The newest commit index that is not persisted together with something else.
        let mut noted = None;
        while self.installing.is_none()
            && let Some(ready) = self.node.ready()
        {
            let hard_state = ready.hard_state.filter(|_| !ready.must_sync && ready.snapshot.is_none());
            noted = hard_state.map(|hard_state| hard_state.commit).or(noted);
            self.take(now, ready, actions);
        }
        actions.extend(noted.map(NodeAction::NoteCommit));
    }

    fn take(&mut self, now: MonotonicTime, ready: Ready, actions: &mut Vec<NodeAction<W, S>>) {
        let Ready {
            number,
            messages,
            deferred_messages,
            snapshot,
            entries,
            hard_state,
            must_sync,
            committed,
            reads,
            ask_reads_again,
            status,
        } = ready;
        push_messages(messages, actions);
        assert!(self.installing.is_none(), "ready {number} is taken while {:?} is installed", self.installing);
        assert!(number > self.last_persist || !must_sync, "ready {number} follows ready {}", self.last_persist);
        if let Some(mark) = snapshot {
            assert!(must_sync, "the snapshot at {} is persisted", mark.index);
            let state = self.offered.take().expect("raft accepts a snapshot only while it is being offered");
            self.applying_term = self.applying_term.max(mark.term);
            self.installing = Some((number, mark.index));
            actions.push(NodeAction::Install { number, mark, state, hard_state });
        } else if must_sync {
            self.last_persist = number;
            self.log_waits_since.get_or_insert(now);
            actions.push(NodeAction::Persist { number, entries, hard_state });
        }
        push_messages(self.deferred_messages.take(number, must_sync, deferred_messages), actions);
        if let Some(status) = status {
            self.publish(status, actions);
        }
        if !committed.is_empty() {
            self.note_terms(&committed);
            actions.push(NodeAction::Apply(committed));
        }
        for (context, index) in reads {
            let waiting = self.reads.answered(&context);
            if !waiting.is_empty() {
                actions.push(NodeAction::Notify { index, waiting });
            }
        }
        if ask_reads_again {
            if !self.reads.is_empty() {
                actions.push(NodeAction::ReadsRepeated);
            }
            self.reads.again();
        }
    }

    fn publish(&mut self, status: Status, actions: &mut Vec<NodeAction<W, S>>) {
        actions.push(NodeAction::Status(status));
        let leads = (status.role == Role::Leader).then_some(status.term);
        if self.leads != leads {
            if let (Some(before), Some(now)) = (self.leads, leads) {
                assert!(before < now, "this member leads in term {now} behind term {before}");
            }
            self.leads = leads;
            actions.push(NodeAction::Leadership(leads));
        }
    }
}

fn push_messages<W, S>(messages: Vec<Message>, actions: &mut Vec<NodeAction<W, S>>) {
    if !messages.is_empty() {
        actions.push(NodeAction::Send(messages));
    }
}
