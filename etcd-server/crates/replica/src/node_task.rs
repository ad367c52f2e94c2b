//! The node thread: the only owner of the raft node. Takes inputs, and passes on entries to log,
//! entries to apply and messages to send.

use crate::deferred_messages::DeferredMessages;
use crate::install::Prepared;
use crate::message_quota::MessageQuota;
use crate::messages::{ApplyCommand, Input, LogCommand};
use crate::outbound::Outbound;
use crate::pending_proposals::{PendingProposals, ReadIndexWaiter, Reply};
use crate::published::Published;
use crate::raft_lines;
use crate::{Observer, RequestError};
use bytes::Bytes;
use consensus::{
    ConfChangeDropped, ConfChangeKind, Keep, Node, ReadContexts, ReadIndexQueue, Ready, Role, Status, StepRefusal,
};
use prost::Message as _;
use proto::etcdserverpb::{AlarmRequest, AlarmType, InternalRaftRequest, RequestHeader, alarm_request::AlarmAction};
use proto::raftpb::Message;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use types::Fault;

/// Inputs taken together, so that ticks are never late for long.
const INPUTS_PER_ROUND: usize = 4096;
/// Ticks after which a read index that was not answered is asked for again.
const READ_RETRY_TICKS: u64 = 5;
/// Time for an alarm to reach the leader before this member stops.
const ALARM_TIME: Duration = Duration::from_secs(1);

pub(crate) struct NodeTask {
    pub(crate) node: Node,
    pub(crate) member_id: u64,
    pub(crate) tick: Duration,
    pub(crate) election_timeout: Duration,
    pub(crate) keep: Keep,
    pub(crate) incarnation: u64,
    pub(crate) inputs: Receiver<Input>,
    pub(crate) message_quota: Arc<MessageQuota>,
    pub(crate) log: Sender<LogCommand>,
    pub(crate) apply: Sender<ApplyCommand>,
    pub(crate) outbound: Arc<dyn Outbound>,
    pub(crate) published: Arc<Published>,
    pub(crate) pending_proposals: Arc<PendingProposals>,
    pub(crate) observer: Arc<dyn Observer>,
}

/// The data that the thread keeps between rounds.
struct Round {
    read_index_queue: ReadIndexQueue<ReadIndexWaiter>,
    deferred_messages: DeferredMessages,
    /// The snapshot that was stepped in, until raft takes it or not.
    offered: Option<(Box<Prepared>, oneshot::Sender<bool>)>,
    /// The ready whose snapshot is being installed, and its index: nothing else is handed out
    /// meanwhile.
    installing: Option<(u64, u64)>,
    /// The newest ready that was handed out to be made durable.
    unsynced: u64,
    /// The time since which the log has not reported anything, though it should; logged once in an
    /// election timeout.
    waits_for_log: Option<Instant>,
    /// This member was removed from the cluster: no leader confirms its reads any more.
    has_left: bool,
}

/// Fails a linearizable read of a member that has left the cluster.
fn refuse_read(waiting: ReadIndexWaiter) {
    drop(waiting.send(Err(RequestError::Stopped)));
}

impl NodeTask {
    /// Runs until the stop command.
    pub(crate) fn run(mut self) -> Result<(), Fault> {
        let mut next_tick = Instant::now() + self.tick;
        let contexts = ReadContexts::new(self.member_id, self.incarnation);
        let mut round = Round {
            read_index_queue: ReadIndexQueue::new(contexts, READ_RETRY_TICKS),
            deferred_messages: DeferredMessages::default(),
            offered: None,
            installing: None,
            unsynced: 0,
            waits_for_log: None,
            has_left: false,
        };
        self.handle_ready(&mut round)?;
        loop {
            let wait = next_tick.saturating_duration_since(Instant::now());
            let first = match self.inputs.recv_timeout(wait) {
                Ok(input) => Some(input),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            if !self.take_inputs(first, &mut round)? {
                return Ok(());
            }
            let now = Instant::now();
            if now >= next_tick {
                self.node.tick();
                self.look_at_heartbeats(next_tick, now);
                self.look_at_log(&mut round);
                round.read_index_queue.tick();
                round.read_index_queue.retain(|waiting| !waiting.is_closed());
                // After a pause of the process the ticks that were missed are not made up for: they
                // would start an election.
                next_tick = now + self.tick;
            }
            round.read_index_queue.ask(&mut self.node);
            self.handle_ready(&mut round)?;
        }
    }

    /// Passes all ticks of an election timeout but two. The timeout is at least as long as that, so
    /// this alone starts no election.
    fn bring_election_forward(&mut self) {
        if self.node.status().leader != 0 {
            return;
        }
        let ticks = self.election_timeout.as_nanos() / self.tick.as_nanos().max(1);
        (2..ticks).for_each(|_| self.node.tick());
    }

    /// Takes the waiting inputs, proposals together. Returns `false` on the stop command.
    fn take_inputs(&mut self, first: Option<Input>, round: &mut Round) -> Result<bool, Fault> {
        let (mut proposals, mut senders) = (Vec::new(), Vec::new());
        let mut going_on = true;
        let mut next = first;
        for _ in 0..INPUTS_PER_ROUND {
            let Some(input) = next.take().or_else(|| self.inputs.try_recv().ok()) else { break };
            match input {
                // No caller is left: the deadline of the call has passed, or its client has gone
                // away.
                Input::Propose { reply, .. } if reply.is_closed() => {}
                Input::Propose { id, data, reply } => {
                    proposals.push(data);
                    senders.push((id, reply));
                }
                Input::Stop => going_on = false,
                other @ (Input::ProposeAsLeader { .. }
                | Input::ProposeConfChange { .. }
                | Input::ReadIndex(_)
                | Input::Message { .. }
                | Input::Snapshot { .. }
                | Input::Unreachable(_)
                | Input::SnapshotSent { .. }
                | Input::SnapshotBegun { .. }
                | Input::Transfer(_)
                | Input::BringElectionForward
                | Input::Progress(_)
                | Input::Persisted(_)
                | Input::Applied(_)
                | Input::ConfChanged { .. }) => self.take_input(other, round)?,
            }
        }
        self.propose(proposals, senders);
        Ok(going_on)
    }

    fn take_input(&mut self, input: Input, round: &mut Round) -> Result<(), Fault> {
        match input {
            Input::ProposeConfChange { id, data, reply } => {
                self.pending_proposals.register([(id, reply)]);
                if let Err(dropped) = self.node.propose_conf_change(data) {
                    let refused = match dropped {
                        ConfChangeDropped::TooMany => RequestError::TooManyRequests,
                        ConfChangeDropped::Dropped(_) => RequestError::NoLeader,
                    };
                    self.pending_proposals.response(vec![(id, Err(refused))]);
                }
            }
            Input::ProposeAsLeader { id, data, reply } => {
                self.pending_proposals.register([(id, reply)]);
                if self.node.propose_as_leader([data]).is_err() {
                    self.pending_proposals.response(vec![(id, Err(RequestError::NoLeader))]);
                }
            }
            Input::ReadIndex(reply) if round.has_left => refuse_read(reply),
            Input::ReadIndex(reply) => round.read_index_queue.push(reply),
            Input::Message { message, bytes } => {
                self.message_quota.leave(bytes);
                self.step(*message)?;
            }
            Input::Snapshot { message, prepared, taken } => self.offer(*message, prepared, taken, round)?,
            Input::Unreachable(member) => self.node.report_unreachable(member),
            Input::SnapshotSent { member, success } => self.node.report_snapshot(member, success),
            Input::SnapshotBegun { member, mark } => self.node.snapshot_begun(member, mark),
            Input::Transfer(member) => self.node.transfer_leader(member),
            Input::BringElectionForward => self.bring_election_forward(),
            Input::Progress(reply) => drop(reply.send(self.node.progress())),
            Input::Persisted(number) => {
                self.node.persisted(number);
                round.waits_for_log = (number < round.unsynced).then(Instant::now);
                *self.published.log_waits_since.lock() = round.waits_for_log;
                let deferred_messages = round.deferred_messages.durable(number);
                self.send(deferred_messages);
                if let Some((_, index)) = round.installing.take_if(|(installing, _)| *installing <= number) {
                    self.node.applied(index, self.keep);
                }
            }
            Input::Applied(index) => self.node.applied(index, self.keep),
            Input::ConfChanged { kind, member } => {
                self.node.conf_changed(kind, member)?;
                raft_lines::log_configuration(self.member_id, &self.node.voters());
                if kind == ConfChangeKind::Remove && member == self.member_id {
                    round.has_left = true;
                    round.read_index_queue.drain().into_iter().for_each(refuse_read);
                }
            }
            Input::Propose { .. } | Input::Stop => {}
        }
        Ok(())
    }

    /// A tick sends the heartbeats, so a tick that is late by more than an interval makes them
    /// late.
    fn look_at_heartbeats(&self, due: Instant, now: Instant) {
        let late = now.saturating_duration_since(due);
        if late > self.tick && self.node.status().role == Role::Leader && self.node.voters().voters.len() > 1 {
            let exceeded = late.saturating_sub(self.tick);
            self.observer.heartbeats_late(exceeded);
        }
    }

    /// A leader whose disk hangs gives leadership to a member whose disk does not: its heartbeats
    /// would keep the others quiet for ever.
    fn look_at_log(&mut self, round: &mut Round) {
        let hangs = round.waits_for_log.is_some_and(|since| since.elapsed() >= self.election_timeout);
        if !hangs || self.node.status().role != Role::Leader || self.node.voters().voters.len() < 2 {
            return;
        }
        round.waits_for_log = Some(Instant::now());
        if self.node.status().transferee.is_some() {
            tracing::error!("the raft log has not been synced for two election timeouts: stepping down");
            self.node.step_down();
        } else if let Some(to) = self.node.transfer_leadership() {
            tracing::error!(to = %types::MemberId(to), "the raft log has not been synced for an election timeout: handing leadership over");
        } else {
            tracing::error!(
                "the raft log has not been synced for an election timeout, and no other member responds: stepping down"
            );
            self.node.step_down();
        }
    }

    fn step(&mut self, message: Message) -> Result<(), Fault> {
        let (from, kind) = (message.from, message.r#type);
        match self.node.step(message) {
            Ok(()) => Ok(()),
            Err(lost @ StepRefusal::LostLog { .. }) => Err(Fault::corrupt("raft log", lost)),
            Err(lost @ (StepRefusal::LostCommit { .. } | StepRefusal::SecondLeader { .. })) => {
                self.report_lost_commit(from, &lost);
                Err(Fault::corrupt("cluster", lost))
            }
            Err(forged @ StepRefusal::TermTooFarAhead { .. }) => {
                tracing::error!(remote_peer_id = %types::MemberId(from), kind, error = %forged, "refused a raft message");
                self.observer.message_refused();
                Ok(())
            }
            Err(refusal) => {
                tracing::debug!(remote_peer_id = %types::MemberId(from), kind, %refusal, "refused a raft message");
                self.observer.message_refused();
                Ok(())
            }
        }
    }

    /// Has the leader raise the CORRUPT alarm for this member, which is about to stop. This thread
    /// waits while the request is on its way, so that no read is confirmed by a leader whose data
    /// contradicts this member's.
    fn report_lost_commit(&self, leader: u64, lost: &StepRefusal) {
        tracing::error!(remote_peer_id = %types::MemberId(leader), error = %lost, "the cluster has lost committed entries: raising the CORRUPT alarm");
        let alarm = AlarmRequest {
            action: AlarmAction::Activate.into(),
            member_id: self.member_id,
            alarm: AlarmType::Corrupt.into(),
        };
        // No client waits for it.
        let header = Some(RequestHeader::default());
        let request = InternalRaftRequest { header, alarm: Some(alarm), ..InternalRaftRequest::default() };
        self.send(vec![consensus::forwarded_request(self.member_id, leader, request.encode_to_vec().into())]);
        std::thread::sleep(ALARM_TIME);
    }

    /// Raft takes a snapshot or not; which one shows in the next ready. One is looked at at a time.
    fn offer(
        &mut self,
        message: Message,
        prepared: Box<Prepared>,
        taken: oneshot::Sender<bool>,
        round: &mut Round,
    ) -> Result<(), Fault> {
        if round.installing.is_some() || round.offered.is_some() {
            taken.send(false).ok();
            return Ok(());
        }
        round.offered = Some((prepared, taken));
        self.step(message)?;
        self.hand_out(round);
        if let Some((unused, taken)) = round.offered.take() {
            taken.send(false).ok();
            drop(self.apply.send(ApplyCommand::Discard(unused)));
        }
        Ok(())
    }

    fn propose(&mut self, proposals: Vec<Bytes>, senders: Vec<(u64, oneshot::Sender<Reply>)>) {
        if proposals.is_empty() {
            return;
        }
        let ids: Vec<u64> = senders.iter().map(|(id, _)| *id).collect();
        self.pending_proposals.register(senders);
        if self.node.propose(proposals).is_err() {
            let refused =
                if self.node.status().leader == 0 { RequestError::NoLeader } else { RequestError::TooManyRequests };
            self.pending_proposals.response(ids.into_iter().map(|id| (id, Err(refused.clone()))).collect());
        }
    }

    /// Campaigns in a single-member cluster, which need not wait for an election timeout. Returns
    /// `true` if this member became the leader by it; raft refuses to campaign while a
    /// configuration change is committed but not applied.
    fn campaign_if_alone(&mut self) -> Result<bool, Fault> {
        let alone = self.node.voters().voters == [self.member_id];
        if !alone || self.node.status().role != Role::Follower {
            return Ok(false);
        }
        self.node.campaign()?;
        Ok(self.node.status().role == Role::Leader)
    }

    fn handle_ready(&mut self, round: &mut Round) -> Result<(), Fault> {
        self.hand_out(round);
        while round.installing.is_none() && self.campaign_if_alone()? {
            self.hand_out(round);
        }
        self.published.leads_alone.store(self.node.leads_alone(), Ordering::Release);
        Ok(())
    }

    fn hand_out(&mut self, round: &mut Round) {
        // The commit index that is known and not written to the log together with something else.
        let mut noted = None;
        while round.installing.is_none()
            && let Some(ready) = self.node.ready()
        {
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
            let commit = hard_state.filter(|_| !must_sync && snapshot.is_none()).map(|hard_state| hard_state.commit);
            noted = commit.or(noted);
            self.send(messages);
            // Raft takes a snapshot only while it is being offered.
            if let Some((mark, (prepared, taken))) = snapshot.zip(round.offered.take()) {
                round.installing = Some((number, mark.index));
                drop(self.apply.send(ApplyCommand::Install { number, mark, prepared, hard_state, taken }));
            } else if must_sync {
                round.unsynced = number;
                round.waits_for_log.get_or_insert_with(Instant::now);
                self.published.log_waits_since.lock().get_or_insert_with(Instant::now);
                drop(self.log.send(LogCommand::Persist { number, entries, hard_state }));
            }
            let free = round.deferred_messages.take(number, must_sync, deferred_messages);
            self.send(free);
            if let Some(status) = status {
                self.publish(status);
            }
            if !committed.is_empty() {
                drop(self.apply.send(ApplyCommand::Entries(committed)));
            }
            for (context, index) in reads {
                let waiting = round.read_index_queue.answered(&context);
                if !waiting.is_empty() {
                    drop(self.apply.send(ApplyCommand::Notify { index, waiting }));
                }
            }
            if ask_reads_again {
                // The leader changed while they waited, which is what etcd counts; they are
                // requested again and do not fail.
                if !round.read_index_queue.is_empty() {
                    self.observer.read_index_failed();
                }
                round.read_index_queue.again();
            }
        }
        if let Some(commit) = noted {
            drop(self.log.send(LogCommand::NoteCommit(commit)));
        }
    }

    fn send(&self, messages: Vec<Message>) {
        if !messages.is_empty() {
            self.outbound.send(messages);
        }
    }

    fn publish(&self, status: Status) {
        let before = self.published.status.swap(Arc::new(status));
        raft_lines::log_changes(self.member_id, &before, &status);
        if before.leader != status.leader && status.leader != 0 {
            *self.published.leader_since.lock() = Some(Instant::now());
            self.observer.leader_changed();
        }
        if before.role != status.role || before.leader != status.leader {
            tracing::info!(
                local_member_id = %types::MemberId(self.member_id),
                term = status.term,
                leader = %types::MemberId(status.leader),
                role = ?status.role,
                "raft role changed"
            );
        }
        let leader_epoch = |status: &Status| (status.role == Role::Leader).then_some(status.term);
        if leader_epoch(&before) != leader_epoch(&status) {
            drop(self.apply.send(ApplyCommand::Leadership(status.role == Role::Leader)));
        }
    }
}
