//! A running member: the pipelines of the daemon, and their surroundings with the daemon's threads as
//! queues that are worked off later.

use crate::applying::{ApplyCommand, Install};
use crate::check::{Checked, Violation, check};
use crate::disk::Disk;
use crate::log_thread::LogThread;
use crate::oracle::{Oracle, settings};
use crate::plan::{ELECTION_TICKS, Plan, TICK, spread};
use crate::planted::{Bug, Planted};
use crate::renewing::PendingRenewal;
use crate::schedule::{MILLISECOND, Time};
use apply::State;
use bytes::Bytes;
use consensus::{Config, Keep, Node, ReadContexts, ReadIndexQueue, Recovered, Role, Status, StepRefusal, Voters};
use fastrand::Rng;
use lease::{Expiry, ExpirySettings};
use mvcc::compaction::Removal;
use pipeline::{
    ApplyPipeline, ApplySettings, NodeAction, NodeFault, NodeInput, NodePipeline, NodeSettings, PendingTable, Proposal,
    ProposalKind,
};
use prost::Message as _;
use proto::etcdserverpb::{RangeRequest, WatchResponse};
use proto::raftpb::{ConfState, Entry, Message};
use schema::{MemoryBatch, MemoryStore, Table, View as _, meta};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use types::{LeaseId, MemberId, MonotonicTime};
use watch::{Settings, StreamId, WatcherHub};

/// Ticks after which a read index that was not answered is requested again.
const READ_RETRY_TICKS: u64 = 20;

/// Types of messages, as etcd numbers them.
const PROPOSE: i32 = 2;
const READ_INDEX: i32 = 15;
const READ_INDEX_RESPONSE: i32 = 16;

/// Something that a process does later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Tick,
    Synced,
    Apply,
    /// The state of a snapshot has taken the place of the old one.
    Switched,
    Duty,
    Watch,
    /// The node pipeline asked to be called.
    Wake,
}

/// A waiting caller and its operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) client: usize,
    pub(crate) operation: u64,
    /// The client has gone by then.
    pub(crate) until: Time,
}

impl Ticket {
    /// Returns the ticket of a request of the member itself.
    pub(crate) fn own(now: Time) -> Self {
        Self { client: usize::MAX, operation: 0, until: now + 5 * crate::schedule::SECOND }
    }
}

/// The response to a client.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Its request was applied here as this entry.
    Applied(u64),
    /// The result of a read, and the applied part of the log.
    Read { applied: u64, found: Result<proto::etcdserverpb::RangeResponse, mvcc::MvccError> },
    /// Its lease has its full time since.
    Renewed { lease: LeaseId, at: Time },
    /// There is no such lease.
    NoLease,
    /// It was not taken.
    Refused,
    /// No response, or no member.
    Unknown,
}

/// A caller that waits for a read index.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) ticket: Ticket,
    pub(crate) what: Behind,
}

/// The work behind a read index.
#[derive(Clone, Debug)]
pub(crate) enum Behind {
    Read(RangeRequest),
    Renewal(PendingRenewal),
}

/// The effects of a process on the world.
#[derive(Default)]
pub(crate) struct Outbox {
    pub(crate) messages: Vec<(Message, Option<Arc<MemoryStore>>)>,
    pub(crate) later: Vec<(Time, Task)>,
    pub(crate) told: Vec<(Ticket, Reply)>,
    pub(crate) watched: Vec<(StreamId, WatchResponse)>,
    /// The process ends for good.
    pub(crate) stopped: bool,
}

/// The surroundings of a process.
pub(crate) struct Context<'a> {
    pub(crate) now: Time,
    pub(crate) random: &'a mut Rng,
    pub(crate) plan: &'a Plan,
    pub(crate) oracle: &'a mut Oracle,
    pub(crate) disk: &'a mut Disk,
    pub(crate) planted: &'a Planted,
    pub(crate) out: Outbox,
}

/// The time without a leader after which a member campaigns.
pub(crate) const ELECTION_TIMEOUT: Duration = Duration::from_micros(TICK * ELECTION_TICKS as u64);

/// The state of a snapshot.
pub(crate) type Snapshot = Arc<MemoryStore>;

pub(crate) struct Process {
    pub(crate) id: u64,
    pub(crate) life: u64,
    /// Milliseconds of its clock per second.
    rate: u64,
    pub(crate) pipeline: NodePipeline<Waiting, Snapshot>,
    pub(crate) apply: ApplyPipeline<Waiting>,
    pub(crate) store: MemoryStore,
    pub(crate) expiry: Expiry,
    pub(crate) hub: WatcherHub,
    pub(crate) log: LogThread,
    pub(crate) hung_until: Time,
    pub(crate) slow_until: Time,
    /// The commands of the apply thread, in order.
    pub(crate) apply_queue: VecDeque<ApplyCommand>,
    /// The apply thread has work under way.
    pub(crate) applying: bool,
    /// The snapshot that the apply thread is installing.
    pub(crate) switching: Option<Install>,
    /// Requests that are proposed and not applied.
    pub(crate) pending: PendingTable<Ticket>,
    /// When the node pipeline is called again without an input.
    wakes_at: Option<MonotonicTime>,
    pub(crate) removal: Option<Removal>,
    requests: u64,
    /// Renewals that wait for a checkpoint to be taken back, by the id of that request.
    pub(crate) renewals: BTreeMap<u64, PendingRenewal>,
    /// For a planted bug: the first snapshot that was sent.
    sent_first: Option<((u64, u64), MemoryStore)>,
    /// For a planted bug: the context of the newest request for a read index.
    newest_context: Vec<Entry>,
    /// Streams whose clients have not read yet.
    pub(crate) unread: Vec<StreamId>,
}

impl Process {
    pub(crate) fn start(id: u64, life: u64, rate: u64, seed: u64, cx: &mut Context<'_>) -> Checked<Self> {
        cx.disk.recover()?;
        let mut store = MemoryStore::clone(&cx.disk.state);
        let mut batch = MemoryBatch::default();
        let state = State::load(&store, settings(), &mut batch)?;
        batch.write(&mut store);
        let applied = crate::planted::found_applied(cx.disk.flushed, cx.planted);
        let pipeline = Self::node(id, life, seed, applied.0, &store, cx)?;
        let apply_settings = ApplySettings {
            member_id: MemberId(id),
            max_learners: cx.oracle.learners_max,
            entries_per_batch: cx.plan.batch_entries,
        };
        let point = state.keys.read_point();
        let expiry = Expiry::follow(state.leases.leases(), lease_settings());
        let mut process = Self {
            id,
            life,
            rate,
            pipeline,
            apply: ApplyPipeline::new(state, applied, apply_settings),
            hub: WatcherHub::new(watch_settings(), point.current, point.compacted),
            store,
            expiry,
            log: LogThread::default(),
            hung_until: 0,
            slow_until: 0,
            apply_queue: VecDeque::new(),
            applying: false,
            switching: None,
            pending: PendingTable::default(),
            wakes_at: None,
            removal: None,
            requests: 0,
            renewals: BTreeMap::new(),
            sent_first: None,
            newest_context: Vec::new(),
            unread: Vec::new(),
        };
        if applied.0 > 0 {
            cx.oracle.check_state(applied.0, process.state(), &process.store)?;
        }
        cx.out.later.extend([
            (process.tick_length(), Task::Tick),
            (cx.plan.duty_pause, Task::Duty),
            (MILLISECOND, Task::Watch),
        ]);
        if cx.plan.fencing {
            for member in 1..=crate::faults::MEMBERS_EVER_MAX {
                process.input(NodeInput::Fencing { member, honours: true }, cx)?;
            }
        }
        process.work(cx)?;
        Ok(process)
    }

    /// Makes the raft node of a member from its disk.
    fn node(
        id: u64,
        life: u64,
        seed: u64,
        applied: u64,
        store: &MemoryStore,
        cx: &Context<'_>,
    ) -> Checked<NodePipeline<Waiting, Snapshot>> {
        let log = &cx.disk.log;
        let recovered = Recovered {
            hard_state: log.hard_state,
            before_index: log.before.0,
            before_term: log.before.1,
            entries: log.entries.clone(),
            voters: voters(store)?,
        };
        let config = Config {
            id,
            election_ticks: ELECTION_TICKS,
            heartbeat_ticks: 1,
            applied,
            pre_vote: cx.plan.pre_vote,
            seed,
            process: life,
        };
        let reads = ReadIndexQueue::new(ReadContexts::new(id, life), READ_RETRY_TICKS);
        let node_settings = NodeSettings {
            member_id: id,
            election_timeout: ELECTION_TIMEOUT,
            election_ticks: ELECTION_TICKS,
            keep: Keep::at_most(cx.plan.kept_entries, 1 << 20),
            early_elections: cx.plan.pre_vote,
        };
        Ok(NodePipeline::new(Node::new(&config, &recovered)?, reads, node_settings))
    }

    pub(crate) fn state(&self) -> &State {
        self.apply.state()
    }

    /// One tick of this member's clock, in simulated time.
    pub(crate) fn tick_length(&self) -> Time {
        TICK * 1000 / self.rate
    }

    /// This member's own clock.
    pub(crate) fn moment(&self, now: Time) -> MonotonicTime {
        MonotonicTime(now * self.rate / 1_000_000)
    }

    pub(crate) fn leads(&self) -> bool {
        self.pipeline.node().status().role == Role::Leader
    }

    /// The term that this member leads in, if it leads.
    pub(crate) fn leading_term(&self) -> Option<u64> {
        self.leads().then(|| self.pipeline.node().status().term)
    }

    /// Does a task when its time has come.
    pub(crate) fn act(&mut self, doing: Task, cx: &mut Context<'_>) -> Checked {
        match doing {
            Task::Tick => {
                let now = cx.now;
                let unknown = self.pending.tick(|ticket| now < ticket.until);
                cx.out.told.extend(unknown.into_iter().map(|ticket| (ticket, Reply::Unknown)));
                let pending = &self.pending;
                self.pipeline.retain_proposals(|id| pending.contains(id));
                self.input(NodeInput::Tick, cx)?;
                cx.out.later.push((self.tick_length(), Task::Tick));
            }
            Task::Synced => self.synced(cx)?,
            Task::Apply => self.apply_next(cx)?,
            Task::Switched => self.switched(cx)?,
            Task::Duty => self.duty(cx)?,
            Task::Watch => self.watch_pass(cx)?,
            Task::Wake => self.wakes_at = None,
        }
        self.work(cx)
    }

    /// A message has arrived, a snapshot with its state.
    pub(crate) fn step(&mut self, message: Message, snapshot: Option<Snapshot>, cx: &mut Context<'_>) -> Checked {
        let mut message = Box::new(message);
        if cx.planted.has(Bug::ReusedReadContexts) && message.r#type == READ_INDEX_RESPONSE {
            message.entries.clone_from(&self.newest_context);
        }
        if message.r#type == PROPOSE && crate::planted::drops_fence(self.pipeline.node(), &message.context, cx.planted)
        {
            message.context = Bytes::new();
        }
        let input = match snapshot {
            Some(state) => NodeInput::Snapshot { message, state },
            None => NodeInput::Message(message),
        };
        self.input(input, cx)?;
        self.work(cx)
    }

    /// A message to a member was lost, and this one noticed it.
    pub(crate) fn unreachable(&mut self, member: u64, cx: &mut Context<'_>) -> Checked {
        self.input(NodeInput::Unreachable(member), cx)
    }

    /// Gives the node an input, and does what it asks for.
    pub(crate) fn input(&mut self, input: NodeInput<Snapshot>, cx: &mut Context<'_>) -> Checked {
        let mut actions = Vec::new();
        self.pipeline.handle(self.moment(cx.now), input, &mut actions)?;
        self.carry_out(actions, cx)
    }

    /// Adds a read that waits for an index.
    pub(crate) fn read_index(&mut self, waiting: Waiting, cx: &mut Context<'_>) -> Checked {
        let mut actions = Vec::new();
        self.pipeline.read_index(waiting, &mut actions);
        self.carry_out(actions, cx)
    }

    /// Ends a round of the node, and wakes the threads that have work.
    pub(crate) fn work(&mut self, cx: &mut Context<'_>) -> Checked {
        let mut actions = Vec::new();
        self.pipeline.advance(self.moment(cx.now), &mut actions)?;
        self.carry_out(actions, cx)?;
        if let Some(at) = self.pipeline.wake_at()
            && self.wakes_at != Some(at)
        {
            self.wakes_at = Some(at);
            let delay = u64::try_from(at.since(self.moment(cx.now)).as_micros()).unwrap_or(u64::MAX);
            cx.out.later.push(((delay + MILLISECOND) * 1000 / self.rate, Task::Wake));
        }
        self.sync_next(cx);
        let has_work = !self.apply_queue.is_empty() || !self.apply.is_idle();
        if has_work && !self.applying {
            self.applying = true;
            cx.out.later.push((spread(cx.random, cx.plan.apply), Task::Apply));
        }
        Ok(())
    }

    fn carry_out(&mut self, actions: Vec<NodeAction<Waiting, Snapshot>>, cx: &mut Context<'_>) -> Checked {
        for action in actions {
            match action {
                NodeAction::Send(messages) => messages.into_iter().try_for_each(|message| self.send(message, cx))?,
                NodeAction::ForwardAgain(messages) => messages.into_iter().try_for_each(|mut message| {
                    crate::planted::spoil_fence(&mut message.context, cx.planted);
                    self.send(message, cx)
                })?,
                NodeAction::Persist { number, entries, hard_state } => {
                    self.log.persist(number, entries, hard_state, cx.planted);
                    if cx.planted.has(Bug::PromisesBeforeSync) {
                        self.input(NodeInput::Persisted(number), cx)?;
                    }
                }
                NodeAction::NoteCommit(index) => self.log.note_commit(index),
                NodeAction::Apply(entries) => self.apply_queue.push_back(ApplyCommand::Entries(entries)),
                NodeAction::Notify { index, waiting } => {
                    self.apply_queue.push_back(ApplyCommand::Notify { index, waiting });
                }
                NodeAction::Install { number, mark, state, hard_state } => {
                    let install = Install { number, mark, state, hard_state };
                    self.apply_queue.push_back(ApplyCommand::Install(install));
                }
                NodeAction::Leadership(term) => self.apply_queue.push_back(ApplyCommand::Leadership(term)),
                NodeAction::Proposed { ids, route } => self.pending.sent(&ids, route),
                NodeAction::TermBegun(term) => self.propose_lost(term, cx)?,
                NodeAction::OutcomesUnknown => {
                    let unknown = self.pending.replaced();
                    cx.out.told.extend(unknown.into_iter().map(|ticket| (ticket, Reply::Unknown)));
                }
                NodeAction::Refuse { ids, refusal: _ } => {
                    cx.oracle.refused.extend(&ids);
                    let tickets = ids.iter().filter_map(|id| self.pending.remove(*id));
                    cx.out.told.extend(tickets.map(|ticket| (ticket, Reply::Refused)));
                    ids.iter().for_each(|id| drop(self.renewals.remove(id)));
                }
                NodeAction::RefuseReads(reads) => {
                    cx.out.told.extend(reads.into_iter().map(|read| (read.ticket, Reply::Refused)));
                }
                NodeAction::Status(status) => self.status(&status, cx)?,
                NodeAction::MessageRefused { from, kind, refusal } => self.refused(from, kind, &refusal)?,
                NodeAction::Discard(_)
                | NodeAction::ReadsRepeated
                | NodeAction::ConfigurationChanged
                | NodeAction::LeaderGone(_)
                | NodeAction::LogStalled(_) => {}
            }
        }
        Ok(())
    }

    fn status(&mut self, status: &Status, cx: &mut Context<'_>) -> Checked {
        cx.oracle.raft_status(self.id, status)?;
        if cx.planted.has(Bug::ProposedAgainTooEarly) && status.leader != 0 {
            self.propose_lost(status.term, cx)?;
        }
        Ok(())
    }

    /// Registers a request and proposes it.
    pub(crate) fn propose(
        &mut self,
        kind: ProposalKind,
        proposal: Proposal,
        ticket: Ticket,
        cx: &mut Context<'_>,
    ) -> Checked {
        self.pending.insert(kind, &proposal, self.pipeline.route(), ticket);
        self.hand_in(kind, proposal, cx)
    }

    fn hand_in(&mut self, kind: ProposalKind, proposal: Proposal, cx: &mut Context<'_>) -> Checked {
        let input = match kind {
            ProposalKind::Request => NodeInput::Propose(vec![proposal]),
            ProposalKind::OfTheLeader => NodeInput::ProposeAsLeader(proposal),
            ProposalKind::ConfChange => NodeInput::ProposeConfChange(proposal),
        };
        self.input(input, cx)
    }

    /// Proposes again what was lost with the leaders of the terms before this one.
    fn propose_lost(&mut self, term: u64, cx: &mut Context<'_>) -> Checked {
        let now = cx.now;
        let lost = self.pending.term_begun(term, |ticket| now < ticket.until);
        cx.out.told.extend(lost.of_the_leader.into_iter().map(|ticket| (ticket, Reply::Unknown)));
        cx.oracle.proposed_again += lost.again.len() as u64;
        for (kind, proposal) in lost.again {
            self.pending.sent(&[proposal.id], self.pipeline.route());
            self.hand_in(kind, proposal, cx)?;
        }
        Ok(())
    }

    /// No message of an honest member may be refused, except for those that lost their sense on the
    /// way.
    fn refused(&self, from: u64, kind: i32, refusal: &StepRefusal) -> Checked {
        let is_honest = match refusal {
            StepRefusal::Dropped
            | StepRefusal::OutOfTerm { .. }
            | StepRefusal::Repeated
            | StepRefusal::NotAMember { .. }
            | StepRefusal::Outdated { .. }
            | StepRefusal::TooEarly { .. }
            | StepRefusal::NotTheLeader { .. } => true,
            // A supposed leader may take the sender for the leader, and return its message.
            StepRefusal::Sender { from } => *from == self.id,
            StepRefusal::NotForUs { .. }
            | StepRefusal::UnknownKind { .. }
            | StepRefusal::LocalKind { .. }
            | StepRefusal::Malformed { .. }
            | StepRefusal::TermTooFarAhead { .. }
            | StepRefusal::LostCommit { .. }
            | StepRefusal::SecondLeader { .. }
            | StepRefusal::LostLog { .. } => false,
        };
        check(is_honest, || {
            format!("member {} refuses an honest message of kind {kind} from {from}: {refusal}", self.id)
        })
    }

    /// A snapshot among the messages is only a mark: the state goes with it as it is now.
    fn send(&mut self, mut message: Message, cx: &mut Context<'_>) -> Checked {
        if message.r#type == READ_INDEX {
            self.newest_context.clone_from(&message.entries);
        }
        let Some(snapshot) = message.snapshot.as_mut() else {
            cx.out.messages.push((message, None));
            return Ok(());
        };
        let metadata = snapshot.metadata.get_or_insert_default();
        let (mut index, mut term) = self.apply.applied();
        check(metadata.index <= index, || {
            format!("a snapshot at {} is asked for, and {index} is applied", metadata.index)
        })?;
        let mut state = self.store.clone();
        crate::planted::spoil_snapshot(&mut state, cx.planted);
        if cx.planted.has(Bug::OldSnapshotSent) {
            let first = self.sent_first.get_or_insert(((index, term), state)).clone();
            ((index, term), state) = first;
        }
        let Voters { voters, learners } = voters(&state)?;
        metadata.conf_state = Some(ConfState { voters, learners, ..ConfState::default() });
        (metadata.index, metadata.term) = (crate::planted::spoil_snapshot_index(index, cx.planted), term);
        cx.out.messages.push((message, Some(Arc::new(state))));
        Ok(())
    }

    /// An id that no other request ever had.
    pub(crate) fn next_request(&mut self) -> u64 {
        self.requests += 1;
        (self.id << 48) | (self.life << 24) | self.requests
    }
}

impl From<NodeFault> for Violation {
    fn from(fault: NodeFault) -> Self {
        fault.fault.into()
    }
}

pub(crate) fn lease_settings() -> ExpirySettings {
    ExpirySettings {
        checkpoint_interval: Some(Duration::from_millis(500)),
        revoke_retry: Duration::from_secs(1),
        ..ExpirySettings::default()
    }
}

/// Small enough that streams run out of room.
fn watch_settings() -> Settings {
    Settings {
        stream_bytes_max: 4 << 10,
        total_bytes_max: 16 << 10,
        response_bytes_max: 1 << 10,
        retries_at_once: 2,
        fragment_bytes: 512,
    }
}

pub(crate) fn voters(store: &MemoryStore) -> Checked<Voters> {
    let Some(stored) = store.get(Table::Meta, meta::CONF_STATE)? else { return Ok(Voters::default()) };
    let conf_state = ConfState::decode(stored).map_err(|error| Violation(format!("raft configuration: {error}")))?;
    Ok(Voters { voters: conf_state.voters, learners: conf_state.learners })
}
