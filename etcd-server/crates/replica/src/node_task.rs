//! The raft thread: feeds the node pipeline with the inputs that wait, and carries out its actions.

use crate::clock::Clock;
use crate::install::Prepared;
use crate::message_quota::MessageQuota;
use crate::messages::{ApplyCommand, Input, LogCommand};
use crate::outbound::Outbound;
use crate::pending_proposals::{Caller, PendingProposals, ReadIndexWaiter};
use crate::published::Published;
use crate::raft_lines;
use crate::{Observer, RequestError};
use consensus::{Role, Status, StepRefusal};
use pipeline::{NodeAction, NodeFault, NodeInput, NodePipeline, Proposal, ProposalKind, Refusal, StalledLog};
use proto::raftpb::Message;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use types::Fault;

/// Inputs taken together, so that ticks are never late for long.
const INPUTS_PER_ROUND: usize = 4096;
/// Time for an alarm to reach the leader before this member stops.
const ALARM_TIME: Duration = Duration::from_secs(1);

/// A snapshot's state and the channel that reports whether it was installed.
pub(crate) type Offered = (Box<Prepared>, oneshot::Sender<bool>);

pub(crate) struct NodeTask {
    pub(crate) pipeline: NodePipeline<ReadIndexWaiter, Offered>,
    /// Empty between two inputs; kept for its memory.
    pub(crate) actions: Vec<NodeAction<ReadIndexWaiter, Offered>>,
    pub(crate) member_id: u64,
    pub(crate) tick: Duration,
    pub(crate) clock: Clock,
    pub(crate) inputs: Receiver<Input>,
    pub(crate) message_quota: Arc<MessageQuota>,
    pub(crate) log: Sender<LogCommand>,
    pub(crate) apply: Sender<ApplyCommand>,
    pub(crate) outbound: Arc<dyn Outbound>,
    pub(crate) published: Arc<Published>,
    pub(crate) pending_proposals: Arc<PendingProposals>,
    pub(crate) observer: Arc<dyn Observer>,
}

impl NodeTask {
    /// Runs until the stop command.
    pub(crate) fn run(mut self) -> Result<(), Fault> {
        let ended = self.run_rounds();
        ended.map_err(|NodeFault { fault, alarm }| {
            if let Some(alarm) = alarm {
                self.send_alarm(*alarm, &fault);
            }
            fault
        })
    }

    fn run_rounds(&mut self) -> Result<(), NodeFault> {
        let mut next_tick = Instant::now() + self.tick;
        self.advance()?;
        loop {
            let wait = self.wait(next_tick);
            let first = match self.inputs.recv_timeout(wait) {
                Ok(input) => Some(input),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            if !self.take_inputs(first)? {
                return Ok(());
            }
            let now = Instant::now();
            if now >= next_tick {
                self.look_at_heartbeats(next_tick, now);
                self.pipeline.retain_reads(|waiting| !waiting.is_closed());
                self.published.leader_changes.outcomes_unknown(self.pending_proposals.tick());
                self.pipeline.retain_proposals(|id| self.pending_proposals.waits(id));
                self.handle(NodeInput::Tick)?;
                // After a pause of the process the ticks that were missed are not made up for: they
                // would start an election.
                next_tick = now + self.tick;
            }
            self.advance()?;
        }
    }

    /// Returns the time until the next tick, or until the pipeline wants to be called.
    fn wait(&self, next_tick: Instant) -> Duration {
        let tick = next_tick.saturating_duration_since(Instant::now());
        self.pipeline.wake_at().map_or(tick, |at| tick.min(at.since(self.clock.now())))
    }

    /// Proposes requests whose callers are registered.
    fn propose(&mut self, kind: ProposalKind, proposals: Vec<Proposal>) -> Result<(), NodeFault> {
        if kind == ProposalKind::Request {
            return self.handle(NodeInput::Propose(proposals));
        }
        proposals.into_iter().try_for_each(|proposal| {
            self.handle(match kind {
                ProposalKind::Request | ProposalKind::OfTheLeader => NodeInput::ProposeAsLeader(proposal),
                ProposalKind::ConfChange => NodeInput::ProposeConfChange(proposal),
            })
        })
    }

    fn handle(&mut self, input: NodeInput<Offered>) -> Result<(), NodeFault> {
        self.pipeline.handle(self.clock.now(), input, &mut self.actions)?;
        self.carry_out()
    }

    fn advance(&mut self) -> Result<(), NodeFault> {
        self.pipeline.advance(self.clock.now(), &mut self.actions)?;
        self.carry_out()?;
        self.published.leader_changes.set_held(self.pipeline.held_proposals());
        self.published.leads_alone.store(self.pipeline.node().leads_alone(), Ordering::Release);
        Ok(())
    }

    /// Takes the inputs that wait, proposals together. Returns `false` on the stop command.
    fn take_inputs(&mut self, first: Option<Input>) -> Result<bool, NodeFault> {
        let mut requests = Vec::new();
        let mut runs = true;
        let mut next = first;
        for _ in 0..INPUTS_PER_ROUND {
            let Some(input) = next.take().or_else(|| self.inputs.try_recv().ok()) else { break };
            match input {
                // No caller is left: the deadline of the call has passed, or its client has gone
                // away.
                Input::Propose { reply, .. } if reply.is_closed() => {}
                Input::Propose { kind: ProposalKind::Request, proposal, reply } => requests.push((proposal, reply)),
                Input::Propose { kind, proposal, reply } => self.take_request(kind, [(proposal, reply)])?,
                Input::ReadIndex(reply) => {
                    self.pipeline.read_index(reply, &mut self.actions);
                    self.carry_out()?;
                }
                Input::Message { message, bytes } => {
                    self.message_quota.leave(bytes);
                    self.handle(NodeInput::Message(message))?;
                }
                Input::Snapshot { message, prepared, taken } => {
                    self.handle(NodeInput::Snapshot { message, state: (prepared, taken) })?;
                }
                Input::Persisted(number) => {
                    self.handle(NodeInput::Persisted(number))?;
                    *self.published.log_waits_since.lock() = self.pipeline.log_waits_since().map(|_| Instant::now());
                }
                Input::Other(input) => self.handle(input)?,
                Input::Progress(reply) => drop(reply.send(self.pipeline.node().progress())),
                Input::Stop => runs = false,
            }
        }
        self.take_request(ProposalKind::Request, requests)?;
        Ok(runs)
    }

    fn take_request(
        &mut self,
        kind: ProposalKind,
        requests: impl IntoIterator<Item = (Proposal, Caller)>,
    ) -> Result<(), NodeFault> {
        let proposals = self.pending_proposals.register(kind, self.pipeline.route(), requests);
        self.propose(kind, proposals)
    }

    /// A tick sends the heartbeats, so a tick that is late by more than an interval makes them
    /// late.
    fn look_at_heartbeats(&self, due: Instant, now: Instant) {
        let late = now.saturating_duration_since(due);
        let node = self.pipeline.node();
        if late > self.tick && node.status().role == Role::Leader && node.voters().voters.len() > 1 {
            self.observer.heartbeats_late(late.saturating_sub(self.tick));
        }
    }

    fn carry_out(&mut self) -> Result<(), NodeFault> {
        let mut actions = std::mem::take(&mut self.actions);
        for action in actions.drain(..) {
            self.carry_out_one(action)?;
        }
        self.actions = actions;
        Ok(())
    }

    /// Proposes again what was lost with the leaders of the terms before this one.
    fn propose_lost(&mut self, term: u64) -> Result<(), NodeFault> {
        let again = self.pending_proposals.term_begun(term, self.pipeline.route());
        if again.is_empty() {
            return Ok(());
        }
        tracing::info!(term, proposals = again.len(), "proposing again what was lost with the previous leader");
        self.published.leader_changes.again(again.len());
        let (requests, changes): (Vec<_>, Vec<_>) =
            again.into_iter().partition(|(kind, _)| *kind == ProposalKind::Request);
        self.propose(ProposalKind::Request, requests.into_iter().map(|(_, proposal)| proposal).collect())?;
        changes.into_iter().try_for_each(|(kind, proposal)| self.propose(kind, vec![proposal]))
    }

    /// Threads that do not take commands any more have stopped with the member, or reported a
    /// fault.
    fn carry_out_one(&mut self, action: NodeAction<ReadIndexWaiter, Offered>) -> Result<(), NodeFault> {
        match action {
            NodeAction::Send(messages) => self.outbound.send(messages),
            NodeAction::ForwardAgain(messages) => {
                self.published.leader_changes.note_forwarded_again(messages.len());
                self.outbound.send(messages);
            }
            NodeAction::Persist { number, entries, hard_state } => {
                self.published.log_waits_since.lock().get_or_insert_with(Instant::now);
                drop(self.log.send(LogCommand::Persist { number, entries, hard_state }));
            }
            NodeAction::NoteCommit(index) => drop(self.log.send(LogCommand::NoteCommit(index))),
            NodeAction::Apply(entries) => drop(self.apply.send(ApplyCommand::Entries(entries))),
            NodeAction::Notify { index, waiting } => drop(self.apply.send(ApplyCommand::Notify { index, waiting })),
            NodeAction::Install { number, mark, state: (prepared, taken), hard_state } => {
                drop(self.apply.send(ApplyCommand::Install { number, mark, prepared, hard_state, taken }));
            }
            NodeAction::Discard((prepared, taken)) => {
                drop(self.apply.send(ApplyCommand::Discard { prepared, taken }));
            }
            NodeAction::Leadership(term) => drop(self.apply.send(ApplyCommand::Leadership(term.is_some()))),
            NodeAction::TermBegun(term) => self.propose_lost(term)?,
            NodeAction::Proposed { ids, route } => {
                self.pending_proposals.sent(&ids, route);
                self.published.leader_changes.held_sent(ids.len());
            }
            NodeAction::OutcomesUnknown => {
                self.published.leader_changes.outcomes_unknown(self.pending_proposals.replaced());
            }
            NodeAction::LeaderGone(leader) => {
                self.published.leader_changes.leader_ended();
                let leader = types::MemberId(leader);
                tracing::warn!(%leader, "the process of the leader has ended: holding an election");
            }
            NodeAction::Refuse { ids, refusal } => {
                let refused = match refusal {
                    Refusal::NoLeader => RequestError::NoLeader,
                    Refusal::TooManyRequests => RequestError::TooManyRequests,
                };
                self.pending_proposals.response(ids.into_iter().map(|id| (id, Err(refused.clone()))).collect());
            }
            NodeAction::RefuseReads(reads) => {
                reads.into_iter().for_each(|read| drop(read.send(Err(RequestError::Stopped))));
            }
            NodeAction::Status(status) => self.publish(status),
            NodeAction::ReadsRepeated => self.observer.read_index_failed(),
            NodeAction::ConfigurationChanged => {
                raft_lines::log_configuration(self.member_id, &self.pipeline.node().voters());
            }
            NodeAction::LogStalled(consequence) => log_stalled(consequence),
            NodeAction::MessageRefused { from, kind, refusal } => self.message_refused(from, kind, &refusal),
        }
        Ok(())
    }

    fn message_refused(&self, from: u64, kind: i32, refusal: &StepRefusal) {
        if matches!(refusal, StepRefusal::Repeated | StepRefusal::OutOfTerm { .. }) {
            self.published.leader_changes.refused_repeated();
        }
        let remote_peer_id = types::MemberId(from);
        if matches!(refusal, StepRefusal::TermTooFarAhead { .. }) {
            tracing::error!(%remote_peer_id, kind, error = %refusal, "refused a raft message");
        } else {
            tracing::debug!(%remote_peer_id, kind, %refusal, "refused a raft message");
        }
        self.observer.message_refused();
    }

    /// Has the leader raise the CORRUPT alarm for this member, which is about to stop. This thread
    /// waits while the request is on its way, so that no read is confirmed by a leader whose data
    /// contradicts this member's.
    fn send_alarm(&self, alarm: Message, fault: &Fault) {
        let remote_peer_id = types::MemberId(alarm.to);
        tracing::error!(%remote_peer_id, error = %fault, "the cluster has lost committed entries: raising the CORRUPT alarm");
        self.outbound.send(vec![alarm]);
        std::thread::sleep(ALARM_TIME);
    }

    fn publish(&self, status: Status) {
        let before = self.published.status.load_full();
        assert!(before.term <= status.term, "term {} is published behind {}", status.term, before.term);
        assert!(before.commit <= status.commit, "commit {} is published behind {}", status.commit, before.commit);
        assert!(
            status.applied <= status.commit,
            "entry {} is applied, and {} are committed",
            status.applied,
            status.commit
        );
        self.published.status.store(Arc::new(status));
        raft_lines::log_changes(self.member_id, &before, &status);
        if let Some(change) = self.published.leader_changes.follow(&before, &status, Instant::now()) {
            change.log();
        }
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
    }
}

fn log_stalled(consequence: StalledLog) {
    match consequence {
        StalledLog::Transferring(to) => {
            tracing::error!(to = %types::MemberId(to), "the raft log has not been synced for an election timeout: transferring leadership");
        }
        StalledLog::NoSuccessor => tracing::error!(
            "the raft log has not been synced for an election timeout, and no other member responds: stepping down"
        ),
        StalledLog::TransferFailed => {
            tracing::error!("the raft log has not been synced for two election timeouts: stepping down");
        }
    }
}
