//! The raft node with everything that decides around it: the order of persisting and sending, reads
//! that wait for an index, snapshots to install, a log that hangs.

use crate::deferred_messages::DeferredMessages;
use crate::node_action::{NodeAction, NodeFault, Refusal, StalledLog};
use crate::node_input::{NodeInput, Proposal};
use crate::own_requests::raise_alarm;
use bytes::Bytes;
use consensus::{
    ConfChangeDropped, ConfChangeKind, Keep, Node, ReadIndexQueue, Ready, Role, Status, StepRefusal, forwarded_request,
};
use prost::Message as _;
use proto::etcdserverpb::{AlarmType, RequestHeader};
use proto::raftpb::Message;
use std::time::Duration;
use types::{Fault, MonotonicTime};

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
            }
            NodeInput::Propose(proposals) => self.propose(proposals, actions),
            NodeInput::ProposeAsLeader(Proposal { id, data }) => {
                if self.node.propose_as_leader([data]).is_err() {
                    actions.push(NodeAction::Refuse { ids: vec![id], refusal: Refusal::NoLeader });
                }
            }
            NodeInput::ProposeConfChange(Proposal { id, data }) => {
                if let Err(dropped) = self.node.propose_conf_change(data) {
                    let refusal = match dropped {
                        ConfChangeDropped::TooMany => Refusal::TooManyRequests,
                        ConfChangeDropped::Dropped(_) => Refusal::NoLeader,
                    };
                    actions.push(NodeAction::Refuse { ids: vec![id], refusal });
                }
            }
            NodeInput::Message(message) => self.step(*message, actions)?,
            NodeInput::Snapshot { message, state } => self.offer(now, *message, state, actions)?,
            NodeInput::Unreachable(member) => self.node.report_unreachable(member),
            NodeInput::SnapshotSent { member, success } => self.node.report_snapshot(member, success),
            NodeInput::SnapshotBegun { member, mark } => self.node.snapshot_begun(member, mark),
            NodeInput::Transfer(member) => self.node.transfer_leader(member),
            NodeInput::BringElectionForward => self.bring_election_forward(),
            NodeInput::Persisted(number) => self.persisted(now, number, actions),
            NodeInput::Applied(index) => self.node.applied(index, self.settings.keep),
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

    fn propose(&mut self, proposals: Vec<Proposal>, actions: &mut Vec<NodeAction<W, S>>) {
        if proposals.is_empty() {
            return;
        }
        let (ids, requests): (Vec<u64>, Vec<Bytes>) =
            proposals.into_iter().map(|Proposal { id, data }| (id, data)).unzip();
        if self.node.propose(requests).is_err() {
            let has_leader = self.node.status().leader != 0;
            let refusal = if has_leader { Refusal::TooManyRequests } else { Refusal::NoLeader };
            actions.push(NodeAction::Refuse { ids, refusal });
        }
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
        self.node.persisted(number);
        self.log_waits_since = (number < self.last_persist).then_some(now);
        push_messages(self.deferred_messages.durable(number), actions);
        if let Some((_, index)) = self.installing.take_if(|(installing, _)| *installing <= number) {
            self.node.applied(index, self.settings.keep);
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
        // Raft accepts a snapshot only while it is being offered.
        if let Some((mark, state)) = snapshot.zip(self.offered.take()) {
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
