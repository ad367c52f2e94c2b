//! The node thread: the only owner of the raft node. Takes inputs, hands out what must be logged and applied.

use crate::apply_task::ApplyCommand;
use crate::log_task::LogCommand;
use crate::published::Published;
use crate::waiters::{Barrier, Reply, Waiters};
use crate::{Observer, Refused};
use bytes::Bytes;
use consensus::{ConfChangeKind, Keep, Node, Ready, Role, Status};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use types::Fault;

/// Proposals taken together, so that ticks are never late for long.
const INPUTS_PER_ROUND: usize = 4096;
/// Entries that stay in memory behind the applied index, for followers that are close behind.
const KEPT: Keep = Keep { entries: 1000, bytes: 64 << 20 };
/// Ticks after which a read index that was not answered is asked for again, with a context of its own.
const READ_RETRY_TICKS: u32 = 5;

/// What the node thread is told.
#[derive(Debug)]
pub(crate) enum Input {
    /// Order this request and tell its sender.
    Propose { id: u64, data: Bytes, reply: oneshot::Sender<Reply> },
    /// Order this change of the group.
    ProposeConfChange { id: u64, data: Bytes, reply: oneshot::Sender<Reply> },
    /// Tell when the state is at least as new as now.
    Barrier(Barrier),
    /// Everything up to this ready is durable.
    Persisted(u64),
    /// Entries up to here are applied.
    Applied(u64),
    /// Apply has decided on the configuration change at this index, before `Applied` of that index.
    ConfChanged { kind: ConfChangeKind, member: u64 },
    /// No more of anything.
    Stop,
}

pub(crate) struct NodeTask {
    pub(crate) node: Node,
    pub(crate) member_id: u64,
    pub(crate) tick: Duration,
    pub(crate) incarnation: u64,
    pub(crate) inputs: Receiver<Input>,
    pub(crate) log: Sender<LogCommand>,
    pub(crate) apply: Sender<ApplyCommand>,
    pub(crate) published: Arc<Published>,
    pub(crate) waiters: Arc<Waiters>,
    pub(crate) observer: Arc<dyn Observer>,
}

/// Barriers that wait for an index, by the context they asked with.
#[derive(Default)]
struct Reads {
    waiting: Vec<Barrier>,
    asked: BTreeMap<u64, Vec<Barrier>>,
    counter: u64,
    ticks: u32,
}

impl NodeTask {
    /// Runs until told to stop.
    pub(crate) fn run(mut self) -> Result<(), Fault> {
        let mut next_tick = Instant::now() + self.tick;
        let mut reads = Reads::default();
        self.handle_ready(&mut reads)?;
        loop {
            let wait = next_tick.saturating_duration_since(Instant::now());
            let first = match self.inputs.recv_timeout(wait) {
                Ok(input) => Some(input),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            if !self.take_inputs(first, &mut reads)? {
                return Ok(());
            }
            let now = Instant::now();
            if now >= next_tick {
                self.node.tick();
                self.retry_reads(&mut reads);
                // After a pause of the process the ticks that were missed are not made up for: they would start an election.
                next_tick = now + self.tick;
            }
            self.ask_for_reads(&mut reads);
            self.handle_ready(&mut reads)?;
        }
    }

    /// Takes what has come in, proposals together. Returns whether to go on.
    fn take_inputs(&mut self, first: Option<Input>, reads: &mut Reads) -> Result<bool, Fault> {
        let (mut proposals, mut senders) = (Vec::new(), Vec::new());
        let mut going_on = true;
        let more = self.inputs.try_iter().take(INPUTS_PER_ROUND);
        for input in first.into_iter().chain(more) {
            match input {
                Input::Propose { id, data, reply } => {
                    proposals.push(data);
                    senders.push((id, reply));
                }
                Input::ProposeConfChange { id, data, reply } => {
                    self.waiters.register([(id, reply)]);
                    if self.node.propose_conf_change(data).is_err() {
                        self.waiters.answer(vec![(id, Err(Refused::NoLeader))]);
                    }
                }
                Input::Barrier(reply) => reads.waiting.push(reply),
                Input::Persisted(number) => self.node.persisted(number),
                Input::Applied(index) => self.node.applied(index, KEPT),
                Input::ConfChanged { kind, member } => drop(self.node.conf_changed(kind, member)?),
                Input::Stop => going_on = false,
            }
        }
        self.propose(proposals, senders);
        Ok(going_on)
    }

    fn propose(&mut self, proposals: Vec<Bytes>, senders: Vec<(u64, oneshot::Sender<Reply>)>) {
        if proposals.is_empty() {
            return;
        }
        let ids: Vec<u64> = senders.iter().map(|(id, _)| *id).collect();
        self.waiters.register(senders);
        if self.node.propose(proposals).is_err() {
            let refused = if self.node.status().leader == 0 { Refused::NoLeader } else { Refused::TooManyRequests };
            self.waiters.answer(ids.into_iter().map(|id| (id, Err(refused.clone()))).collect());
        }
    }

    /// A group of one need not wait for an election timeout. Returns whether this member became the leader by it; raft refuses to
    /// campaign while a configuration change is committed but not applied.
    fn campaign_if_alone(&mut self) -> Result<bool, Fault> {
        let alone = self.node.voters().voters == [self.member_id];
        if !alone || self.node.status().role != Role::Follower {
            return Ok(false);
        }
        self.node.campaign()?;
        Ok(self.node.status().role == Role::Leader)
    }

    fn handle_ready(&mut self, reads: &mut Reads) -> Result<(), Fault> {
        self.hand_out(reads);
        while self.campaign_if_alone()? {
            self.hand_out(reads);
        }
        self.published.leads_alone.store(self.node.leads_alone(), Ordering::Release);
        Ok(())
    }

    fn hand_out(&mut self, reads: &mut Reads) {
        while let Some(ready) = self.node.ready() {
            let Ready { number, entries, hard_state, must_sync, committed, reads: answered, status, .. } = ready;
            if must_sync {
                drop(self.log.send(LogCommand::Persist { number, entries, hard_state }));
            }
            if let Some(status) = status {
                self.publish(status);
            }
            if !committed.is_empty() {
                drop(self.apply.send(ApplyCommand::Entries(committed)));
            }
            for (context, index) in answered {
                if let Some(waiting) = self.counter_of(&context).and_then(|counter| reads.asked.remove(&counter)) {
                    drop(self.apply.send(ApplyCommand::Notify { index, waiting }));
                }
            }
        }
    }

    fn publish(&self, status: Status) {
        let before = self.published.status.swap(Arc::new(status));
        if before.leader != status.leader && status.leader != 0 {
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
        if (before.role == Role::Leader) != (status.role == Role::Leader) {
            drop(self.apply.send(ApplyCommand::Leadership(status.role == Role::Leader)));
        }
    }

    /// Asks once for all barriers that came in.
    fn ask_for_reads(&mut self, reads: &mut Reads) {
        if reads.waiting.is_empty() || self.node.status().leader == 0 {
            return;
        }
        reads.counter += 1;
        if self.node.read_index(self.context(reads.counter)).is_ok() {
            reads.asked.insert(reads.counter, std::mem::take(&mut reads.waiting));
        }
    }

    /// raft-rs drops a read without a word when it cannot answer it yet, and must never see a context twice.
    fn retry_reads(&self, reads: &mut Reads) {
        reads.ticks += 1;
        if reads.ticks.is_multiple_of(READ_RETRY_TICKS) {
            let unanswered = std::mem::take(&mut reads.asked);
            reads.waiting.extend(unanswered.into_values().flatten());
        }
        reads.waiting.retain(|reply| !reply.is_closed());
    }

    fn context(&self, counter: u64) -> Vec<u8> {
        [self.member_id, self.incarnation, counter].map(u64::to_be_bytes).concat()
    }

    fn counter_of(&self, context: &[u8]) -> Option<u64> {
        let (own, counter) = context.split_last_chunk::<8>()?;
        let mine = [self.member_id, self.incarnation].map(u64::to_be_bytes).concat();
        (own == mine).then(|| u64::from_be_bytes(*counter))
    }
}
