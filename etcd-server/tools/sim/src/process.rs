//! A running member: the node and its surroundings, with the threads of the replica as queues that
//! are worked off later.
//!
//! Its decisions are the real ones; it replaces the replica's threads, channels and timers.

use crate::applying::ApplyItem;
use crate::check::{Checked, Violation, check};
use crate::disk::{Disk, Write};
use crate::oracle::{Oracle, settings};
use crate::plan::{ELECTION_TICKS, Plan, TICK, spread};
use crate::planted::{Bug, Planted};
use crate::schedule::{MILLISECOND, Time};
use apply::State;
use consensus::{
    Config, HardState, Keep, Node, ReadContexts, ReadIndexQueue, Ready, Recovered, Role, SnapshotMark, StepRefusal,
    Voters,
};
use fastrand::Rng;
use lease::{Expiry, ExpirySettings};
use mvcc::compaction::Removal;
use prost::Message as _;
use proto::etcdserverpb::{RangeRequest, WatchResponse};
use proto::raftpb::{ConfState, Message};
use schema::{MemoryBatch, MemoryStore, Table, View as _, meta};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use types::{LeaseId, MonotonicTime};
use watch::{Settings, StreamId, WatcherHub};

/// Something that a process does later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Tick,
    Synced,
    /// The state of a snapshot has taken the place of the old one.
    Switched,
    /// The log begins behind it.
    Installed,
    Apply,
    Duty,
    Watch,
}

/// A waiting caller and its operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) client: usize,
    pub(crate) operation: u64,
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

/// A lease that was renewed by a leader.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Renewed {
    pub(crate) lease: LeaseId,
    /// When it was renewed.
    pub(crate) at: Time,
    /// The term that the leader led in.
    pub(crate) term: u64,
}

/// The work behind a read index.
#[derive(Clone, Debug)]
pub(crate) enum Behind {
    Read(RangeRequest),
    /// The lease was renewed here: it counts once this member is known to have led all the while.
    Renewed(Renewed),
    /// The lease was not known yet.
    Renew(LeaseId),
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

struct Persist {
    number: u64,
    write: Write,
    must_sync: bool,
    deferred_messages: Vec<Message>,
    install: Option<(SnapshotMark, Arc<MemoryStore>)>,
}

pub(crate) struct Process {
    pub(crate) id: u64,
    pub(crate) life: u64,
    /// Milliseconds of its clock per second.
    pub(crate) rate: u64,
    pub(crate) node: Node,
    pub(crate) read_index_queue: ReadIndexQueue<Waiting>,
    pub(crate) store: MemoryStore,
    pub(crate) state: State,
    pub(crate) expiry: Expiry,
    pub(crate) hub: WatcherHub,
    pub(crate) applied: (u64, u64),
    log_queue: VecDeque<Persist>,
    syncing: Vec<Persist>,
    sync_begun: Option<Time>,
    pub(crate) hung_until: Time,
    pub(crate) slow_until: Time,
    pub(crate) apply_queue: VecDeque<ApplyItem>,
    pub(crate) applying: bool,
    pub(crate) notifies: Vec<(u64, Vec<Waiting>)>,
    pub(crate) waiters: BTreeMap<u64, Ticket>,
    arrived: BTreeMap<u64, Arc<MemoryStore>>,
    pub(crate) removal: Option<Removal>,
    pub(crate) requests: u64,
    /// The term in which its clock of leases began to run.
    pub(crate) promoted: Option<u64>,
    /// Renewals that wait for a checkpoint to be taken back.
    pub(crate) renewals: BTreeMap<u64, Renewed>,
    /// For a planted bug: the first snapshot that was sent.
    sent_first: Option<((u64, u64), MemoryStore)>,
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
        let log = &cx.disk.log;
        let recovered = Recovered {
            hard_state: log.hard_state,
            before_index: log.before.0,
            before_term: log.before.1,
            entries: log.entries.clone(),
            voters: voters(&store)?,
        };
        let config = Config {
            id,
            election_ticks: ELECTION_TICKS,
            heartbeat_ticks: 1,
            applied: crate::planted::found_applied(cx.disk.flushed, cx.planted).0,
            pre_vote: cx.plan.pre_vote,
            seed,
        };
        let node = Node::new(&config, &recovered)?;
        let point = state.keys.read_point();
        let expiry = Expiry::follow(state.leases.leases(), lease_settings());
        let mut process = Self {
            id,
            life,
            rate,
            node,
            read_index_queue: ReadIndexQueue::new(ReadContexts::new(id, life), 20),
            hub: WatcherHub::new(watch_settings(), point.current, point.compacted),
            store,
            state,
            expiry,
            applied: crate::planted::found_applied(cx.disk.flushed, cx.planted),
            log_queue: VecDeque::new(),
            syncing: Vec::new(),
            sync_begun: None,
            hung_until: 0,
            slow_until: 0,
            apply_queue: VecDeque::new(),
            applying: false,
            notifies: Vec::new(),
            waiters: BTreeMap::new(),
            arrived: BTreeMap::new(),
            removal: None,
            requests: 0,
            promoted: None,
            renewals: BTreeMap::new(),
            sent_first: None,
            unread: Vec::new(),
        };
        if process.applied.0 > 0 {
            cx.oracle.check_state(process.applied.0, &process.state, &process.store)?;
        }
        cx.out.later.extend([
            (process.tick_length(), Task::Tick),
            (cx.plan.duty_pause, Task::Duty),
            (MILLISECOND, Task::Watch),
        ]);
        process.work(cx)?;
        Ok(process)
    }

    /// One tick of this member's clock, in simulated time.
    pub(crate) fn tick_length(&self) -> Time {
        TICK * 1000 / self.rate
    }

    /// This member's own clock.
    pub(crate) fn moment(&self, now: Time) -> MonotonicTime {
        MonotonicTime(now * self.rate / 1_000_000)
    }

    pub(crate) fn election_timeout(&self) -> Duration {
        Duration::from_micros(TICK * ELECTION_TICKS as u64)
    }

    pub(crate) fn leads(&self) -> bool {
        self.node.status().role == Role::Leader
    }

    /// The term that this member leads in, if it leads.
    pub(crate) fn leading_term(&self) -> Option<u64> {
        self.leads().then(|| self.node.status().term)
    }

    /// Does a task when its time has come.
    pub(crate) fn act(&mut self, doing: Task, cx: &mut Context<'_>) -> Checked {
        match doing {
            Task::Tick => {
                self.node.tick();
                self.read_index_queue.tick();
                if cx.planted.has(Bug::ReusedReadContexts) && cx.random.u8(..10) == 0 {
                    self.ask_with_used_contexts();
                }
                self.give_up_leading_on_a_hung_disk(cx);
                cx.out.later.push((self.tick_length(), Task::Tick));
            }
            Task::Synced => self.synced(cx),
            Task::Switched => self.switched(cx)?,
            Task::Installed => self.installed(cx)?,
            Task::Apply => self.apply_next(cx)?,
            Task::Duty => self.duty(cx)?,
            Task::Watch => self.watch_pass(cx)?,
        }
        self.work(cx)
    }

    /// A message has arrived, a snapshot with its state.
    pub(crate) fn step(
        &mut self,
        message: &Message,
        snapshot: Option<Arc<MemoryStore>>,
        cx: &mut Context<'_>,
    ) -> Checked {
        if let Some(snapshot) = snapshot {
            let metadata = message.snapshot.as_ref().and_then(|snapshot| snapshot.metadata.as_ref());
            let index = metadata.map_or(0, |metadata| metadata.index);
            self.arrived.insert(index, snapshot);
        }
        let stepped = self.node.step(message.clone());
        match stepped {
            Ok(()) | Err(StepRefusal::Dropped | StepRefusal::NotAMember { .. }) => {}
            // A supposed leader may take the sender for the leader, and return its message.
            Err(StepRefusal::Sender { from }) if from == self.id => {}
            Err(StepRefusal::Outdated { .. } | StepRefusal::TooEarly { .. } | StepRefusal::NotTheLeader { .. }) => {}
            Err(refusal) => {
                return Err(Violation(format!("member {} refuses an honest message: {refusal}: {message:?}", self.id)));
            }
        }
        self.work(cx)?;
        self.arrived.clear();
        Ok(())
    }

    /// Does all that the node asks for.
    pub(crate) fn work(&mut self, cx: &mut Context<'_>) -> Checked {
        loop {
            self.read_index_queue.ask(&mut self.node);
            while let Some(ready) = self.node.ready() {
                self.take(ready, cx)?;
            }
            let alone = self.node.voters().voters == [self.id] && self.node.status().role == Role::Follower;
            if alone {
                self.node.campaign()?;
                if self.leads() {
                    continue;
                }
            }
            break;
        }
        self.sync_next(cx);
        if !self.applying && !self.apply_queue.is_empty() {
            self.applying = true;
            cx.out.later.push((spread(cx.random, cx.plan.apply), Task::Apply));
        }
        Ok(())
    }

    fn take(&mut self, ready: Ready, cx: &mut Context<'_>) -> Checked {
        if let Some(status) = &ready.status {
            cx.oracle.raft_status(self.id, status)?;
            if self.expiry.is_leading() != (status.role == Role::Leader) || status.role == Role::Leader {
                self.apply_queue
                    .push_back(ApplyItem::Leadership { leads: status.role == Role::Leader, term: status.term });
            }
        }
        if ready.ask_reads_again {
            self.read_index_queue.again();
        }
        for message in ready.messages {
            self.send(message, cx)?;
        }
        let install = ready.snapshot.map(|mark| self.begin_install(mark)).transpose()?;
        if !ready.committed.is_empty() {
            self.apply_queue.push_back(ApplyItem::Entries(ready.committed));
        }
        for (context, index) in ready.reads {
            let waiting = self.read_index_queue.answered(&context);
            self.apply_queue.push_back(ApplyItem::Notify { index, waiting });
        }
        let mut deferred_messages = ready.deferred_messages;
        if cx.planted.has(Bug::PromisesBeforeSync) {
            for message in std::mem::take(&mut deferred_messages) {
                self.send(message, cx)?;
            }
        }
        if ready.must_sync || !deferred_messages.is_empty() {
            let hard_state = ready.hard_state.map(|state| {
                if cx.planted.has(Bug::VoteNotPersisted) { HardState { vote: 0, ..state } } else { state }
            });
            let write = Write { entries: ready.entries, hard_state };
            self.log_queue.push_back(Persist {
                number: ready.number,
                write,
                must_sync: ready.must_sync,
                deferred_messages,
                install,
            });
        }
        Ok(())
    }

    /// A snapshot among the messages is only a mark: the state goes with it as it is now.
    fn send(&mut self, mut message: Message, cx: &mut Context<'_>) -> Checked {
        let Some(snapshot) = message.snapshot.as_mut() else {
            cx.out.messages.push((message, None));
            return Ok(());
        };
        let metadata = snapshot.metadata.get_or_insert_default();
        let (mut index, mut term) = self.applied;
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
        (metadata.index, metadata.term) = (index, term);
        cx.out.messages.push((message, Some(Arc::new(state))));
        Ok(())
    }

    fn begin_install(&mut self, mark: SnapshotMark) -> Checked<(SnapshotMark, Arc<MemoryStore>)> {
        let state = self.arrived.remove(&mark.index);
        let state = state
            .ok_or_else(|| Violation(format!("a snapshot at {} is to be installed that never came", mark.index)))?;
        // Entries that were not applied yet are in the snapshot.
        self.apply_queue.retain(|item| !matches!(item, ApplyItem::Entries(_)));
        Ok((mark, state))
    }

    /// The log thread takes all that waits, or one snapshot.
    fn sync_next(&mut self, cx: &mut Context<'_>) {
        if !self.syncing.is_empty() || self.log_queue.is_empty() {
            return;
        }
        let plain = self.log_queue.iter().take_while(|persist| persist.install.is_none()).count();
        self.syncing.extend(self.log_queue.drain(..plain.max(1)));
        self.sync_begun = Some(cx.now);
        let slow = if cx.now < self.slow_until { 30 } else { 1 };
        let latency = 20 + spread(cx.random, cx.plan.sync) * slow;
        let latency = latency.max(self.hung_until.saturating_sub(cx.now));
        if plain == 0 {
            cx.out.later.push((latency * 2, Task::Switched));
            return;
        }
        for persist in &self.syncing {
            cx.disk.write(persist.write.clone());
        }
        cx.out.later.push((latency, Task::Synced));
    }

    fn synced(&mut self, cx: &mut Context<'_>) {
        cx.disk.sync();
        self.sync_begun = None;
        for persist in std::mem::take(&mut self.syncing) {
            if persist.must_sync {
                self.node.persisted(persist.number);
            }
            cx.out.messages.extend(persist.deferred_messages.into_iter().map(|message| (message, None)));
        }
    }

    fn switched(&mut self, cx: &mut Context<'_>) -> Checked {
        let install = self.syncing.first().and_then(|persist| persist.install.as_ref());
        let (mark, state) = install.ok_or_else(|| Violation("nothing to install".to_owned()))?;
        cx.disk.install(Arc::clone(state), (mark.index, mark.term));
        cx.out.later.push((20 + spread(cx.random, cx.plan.sync), Task::Installed));
        Ok(())
    }

    fn installed(&mut self, cx: &mut Context<'_>) -> Checked {
        let persist = self.syncing.pop().ok_or_else(|| Violation("nothing to install".to_owned()))?;
        let (mark, state) = persist.install.ok_or_else(|| Violation("nothing to install".to_owned()))?;
        self.sync_begun = None;
        cx.disk.restart_log((mark.index, mark.term), persist.write.hard_state);
        cx.disk.write(Write { entries: persist.write.entries, hard_state: None });
        cx.disk.sync();
        self.store = MemoryStore::clone(&state);
        self.state = State::load(&self.store, settings(), &mut MemoryBatch::default())?;
        self.applied = (mark.index, mark.term);
        cx.oracle.check_state(mark.index, &self.state, &self.store)?;
        self.expiry = Expiry::follow(self.state.leases.leases(), lease_settings());
        self.removal = None;
        self.hub.skipped_to(self.state.keys.current());
        self.hub.compacted(self.state.keys.compacted());
        self.node.persisted(persist.number);
        self.node.applied(mark.index, keep(cx.plan));
        cx.out.messages.extend(persist.deferred_messages.into_iter().map(|message| (message, None)));
        Ok(())
    }

    fn ask_with_used_contexts(&mut self) {
        let mut waiting = Vec::new();
        self.read_index_queue.retain(|read| {
            waiting.push(read.clone());
            false
        });
        self.read_index_queue = ReadIndexQueue::new(ReadContexts::new(self.id, self.life), 20);
        waiting.into_iter().for_each(|read| self.read_index_queue.push(read));
    }

    /// A leader whose disk does not come back cannot commit by itself any more, and should not keep
    /// others from it.
    fn give_up_leading_on_a_hung_disk(&mut self, cx: &Context<'_>) {
        let timeout = TICK * ELECTION_TICKS as u64;
        let hung = self.sync_begun.map_or(0, |begun| (cx.now - begun) / timeout);
        if !self.leads() || hung == 0 {
            return;
        }
        if hung == 1 && self.node.status().transferee.is_none() {
            self.node.transfer_leadership();
        } else if hung > 2 {
            self.node.step_down();
        }
    }

    /// An id that no other request ever had.
    pub(crate) fn next_request(&mut self) -> u64 {
        self.requests += 1;
        (self.id << 48) | (self.life << 24) | self.requests
    }

    /// A snapshot is taking the place of the state.
    pub(crate) fn is_installing(&self) -> bool {
        self.log_queue.iter().chain(&self.syncing).any(|persist| persist.install.is_some())
    }
}

pub(crate) fn keep(plan: &Plan) -> Keep {
    Keep::at_most(plan.kept_entries, 1 << 20)
}

fn lease_settings() -> ExpirySettings {
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
