//! The world: members, network, clients and faults, driven event by event.

use crate::check::{Checked, Violation, check};
use crate::client::{Ask, Client, PATIENCE};
use crate::disk::{Disk, Write};
use crate::ending::Prober;
use crate::event::Event;
use crate::network::Network;
use crate::oracle::Oracle;
use crate::plan::{DRIFT_MAX, Plan, spread};
use crate::planted::{Bug, Planted};
use crate::process::{Behind, Context, Outbox, Process, Reply, Task, Ticket, Waiting};
use crate::schedule::{MILLISECOND, SECOND, Schedule, Time};
use crate::tally::Tally;
use crate::watching::{Attached, Watcher};
use consensus::{Entry, EntryKind, HardState};
use fastrand::Rng;
use membership::{ConfChange, Member as Record};
use pipeline::{NodeInput, Proposal, ProposalKind};
use prost::Message as _;
use proto::etcdserverpb::{RequestHeader, WatchCreateRequest, WatchResponse};
use proto::raftpb::Message;
use schema::MemoryStore;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;
use types::MemberId;
use watch::StreamId;

/// The type of a vote, as etcd numbers messages.
const VOTE_RESPONSE: i32 = 6;

/// Learners at a time.
const LEARNERS_MAX: usize = 2;

/// The names of clients while authentication is on; one has none.
const USERS: [&str; 4] = ["root", "root", "u1", ""];

pub(crate) struct Member {
    pub(crate) disk: Disk,
    pub(crate) process: Option<Box<Process>>,
    pub(crate) lives: u64,
    pub(crate) rate: u64,
    pub(crate) paused_until: Time,
    /// It will never run again: removed, or its data is gone.
    pub(crate) gone: bool,
    pub(crate) fail_sync: bool,
}

pub(crate) struct World {
    pub(crate) now: Time,
    pub(crate) seed: u64,
    pub(crate) random: Rng,
    pub(crate) plan: Plan,
    pub(crate) planted: Planted,
    pub(crate) schedule: Schedule<Event>,
    pub(crate) members: BTreeMap<u64, Member>,
    pub(crate) network: Network,
    pub(crate) oracle: Oracle,
    pub(crate) clients: Vec<Client>,
    pub(crate) watchers: Vec<Watcher>,
    streams: u64,
    /// The part of the log that some client knows.
    pub(crate) known: u64,
    pub(crate) faults_over: bool,
    /// `true` if the members got more time at the end.
    pub(crate) postponed: bool,
    /// The clients of the end.
    pub(crate) probed: BTreeMap<usize, Prober>,
    pub(crate) next_member: u64,
    trace: DefaultHasher,
    pub(crate) tracing: bool,
    pub(crate) events: u64,
}

impl World {
    pub(crate) fn new(seed: u64, plan: Plan, random: Rng, planted: Planted, tracing: bool) -> Checked<Self> {
        let mut oracle = Oracle::new(LEARNERS_MAX);
        oracle.drift = if plan.drift { DRIFT_MAX } else { 0 };
        oracle.fencing = plan.fencing;
        let clients =
            (0..plan.clients).map(|id| Client::new(if plan.auth { USERS[id % USERS.len()] } else { "" })).collect();
        let mut world = Self {
            now: 0,
            seed,
            random,
            planted,
            schedule: Schedule::new(),
            members: BTreeMap::new(),
            network: Network::default(),
            oracle,
            clients,
            watchers: Vec::new(),
            streams: 0,
            known: 0,
            faults_over: false,
            postponed: false,
            probed: BTreeMap::new(),
            next_member: plan.initial_members + 1,
            trace: DefaultHasher::new(),
            tracing,
            events: 0,
            plan,
        };
        world.found();
        Ok(world)
    }

    /// Creates the initial members, which begin with one entry for each, committed by agreement.
    fn found(&mut self) {
        let initial_members = 1..=self.plan.initial_members;
        let entries: Vec<_> = initial_members
            .clone()
            .map(|id| {
                let data = ConfChange::Add(record(id, false)).to_raft(0).encode_to_vec();
                Entry { term: 1, index: id, kind: EntryKind::ConfChange, data: data.into() }
            })
            .collect();
        for id in initial_members {
            let mut member = self.make_member();
            let hard_state = HardState { term: 1, vote: 0, commit: self.plan.initial_members };
            let entries = entries.clone();
            member.disk.write(Write { entries, hard_state: Some(hard_state), commit: None });
            member.disk.sync();
            self.members.insert(id, member);
            self.schedule.at(0, Event::Start { member: id });
        }
        for client in 0..self.plan.clients {
            self.schedule.at(100 * MILLISECOND, Event::Invoke { client });
        }
        for watcher in 0..self.plan.watchers {
            self.watchers.push(Watcher::new(&mut self.random));
            self.schedule.at(100 * MILLISECOND, Event::Watcher { watcher });
        }
        if !self.plan.faults.is_empty() {
            self.schedule.at(300 * MILLISECOND, Event::Fault);
        }
        self.schedule.at(500 * MILLISECOND, Event::Operator);
        self.schedule.at(self.plan.faults_until, Event::Settle);
    }

    pub(crate) fn make_member(&mut self) -> Member {
        let rate = if self.plan.drift { 1000 - DRIFT_MAX + self.random.u64(..=2 * DRIFT_MAX) } else { 1000 };
        Member { disk: Disk::default(), process: None, lives: 0, rate, paused_until: 0, gone: false, fail_sync: false }
    }

    /// Runs to the end. Returns a number that stands for everything that happened.
    pub(crate) fn run(&mut self) -> Checked<u64> {
        while let Some((at, event)) = self.schedule.pop() {
            self.now = at;
            self.events += 1;
            if let Some(member) = event.member()
                && let Some(paused_until) =
                    self.members.get(&member).map(|member| member.paused_until).filter(|until| *until > at)
            {
                self.schedule.at(paused_until, event);
                continue;
            }
            self.note(&event);
            if matches!(event, Event::End) {
                if self.postpone_end() {
                    continue;
                }
                return Ok(self.trace.finish());
            }
            self.happen(event)?;
            self.check_durable()?;
        }
        Err(Violation("nothing happens any more".to_owned()))
    }

    fn note(&mut self, event: &Event) {
        (self.now, event.name(), event.member(), self.oracle.committed()).hash(&mut self.trace);
        if self.tracing {
            #[expect(clippy::print_stdout, reason = "this is what was asked for")]
            {
                println!("{:>9.3} ms {}", Duration::from_micros(self.now).as_secs_f64() * 1000.0, event.describe());
            }
        }
    }

    fn happen(&mut self, event: Event) -> Checked {
        match event {
            Event::Do { member, life, doing } => self.act(member, life, doing),
            Event::Message { message, epoch, snapshot } => self.arrive(message, epoch, snapshot),
            Event::SnapshotEnd { .. } if self.planted.has(Bug::SnapshotNotReported) => Ok(()),
            Event::SnapshotEnd { member, life, to, ok } => self.with(member, life, |process, cx| {
                process.input(NodeInput::SnapshotSent { member: to, success: ok }, cx)?;
                process.work(cx)
            }),
            Event::Start { member } => self.start(member),
            Event::Ask { member, ticket, ask } => self.ask(member, ticket, ask),
            Event::Reply { ticket, told } => self.told(ticket, &told),
            Event::Invoke { client } => self.invoke(client),
            Event::GiveUp { ticket } => self.told(ticket, &Reply::Unknown),
            Event::Watcher { watcher } => self.attach(watcher),
            Event::Fault => self.fault(),
            Event::Gone { member, gone } => {
                let Some(life) = self.life(member) else { return Ok(()) };
                self.with(member, life, |process, cx| {
                    process.input(NodeInput::Gone(gone), cx)?;
                    process.work(cx)
                })
            }
            Event::Blink { member } => {
                self.blink(member);
                Ok(())
            }
            Event::Heal => {
                self.network.blocked.clear();
                Ok(())
            }
            Event::Operator => self.operate(),
            Event::Settle => self.settle(),
            Event::Probe { member } => self.probe(member),
            Event::End => Ok(()),
        }
    }

    /// Lets a process run, and carries out its effects.
    pub(crate) fn with(
        &mut self,
        id: u64,
        life: u64,
        run: impl FnOnce(&mut Process, &mut Context<'_>) -> Checked,
    ) -> Checked {
        let Some(member) = self.members.get_mut(&id) else { return Ok(()) };
        let Some(process) = member.process.as_mut().filter(|process| process.life == life) else { return Ok(()) };
        let mut cx = Context {
            now: self.now,
            random: &mut self.random,
            plan: &self.plan,
            oracle: &mut self.oracle,
            disk: &mut member.disk,
            planted: &self.planted,
            out: Outbox::default(),
        };
        run(process, &mut cx)?;
        let out = cx.out;
        self.send_out(id, life, out)
    }

    fn send_out(&mut self, id: u64, life: u64, out: Outbox) -> Checked {
        for (message, snapshot) in out.messages {
            self.send(life, &message, snapshot.as_ref())?;
        }
        for (delay, doing) in out.later {
            self.schedule.at(self.now + delay, Event::Do { member: id, life, doing });
        }
        for (ticket, told) in out.told {
            let delay = 20 + self.random.u64(..MILLISECOND);
            self.schedule.at(self.now + delay, Event::Reply { ticket, told });
        }
        for (stream, response) in out.watched {
            self.watched(id, life, stream, &response)?;
        }
        if out.stopped {
            self.stop(id, true);
        }
        Ok(())
    }

    fn send(&mut self, life: u64, message: &Message, snapshot: Option<&Arc<MemoryStore>>) -> Checked {
        let (from, to) = (message.from, message.to);
        let epoch = self.network.epoch(from, to);
        let is_vote = message.r#type == VOTE_RESPONSE && !message.reject;
        if is_vote && self.plan.voters_blink && !self.faults_over && self.random.u8(..3) == 0 {
            let soon = self.random.u64(..2 * MILLISECOND);
            self.schedule.at(self.now + soon, Event::Blink { member: from });
        }
        // The connection for entries and the one for everything else.
        let bulk = message.r#type == 3;
        let mut arrivals = self.network.arrivals(&mut self.random, &self.plan, self.now, from, to, bulk);
        if snapshot.is_some() {
            let slow = spread(&mut self.random, 20 * self.plan.delay);
            arrivals.truncate(1);
            arrivals.iter_mut().for_each(|at| *at += slow);
            let ok = !arrivals.is_empty();
            let end = arrivals.first().copied().unwrap_or(self.now + slow) + 100;
            self.schedule.at(end, Event::SnapshotEnd { member: from, life, to, ok });
        } else if arrivals.is_empty() && self.random.u8(..4) == 0 {
            self.with(from, life, |process, cx| process.unreachable(to, cx))?;
        }
        for at in arrivals {
            self.schedule.at(at, Event::Message { message: message.clone(), epoch, snapshot: snapshot.cloned() });
        }
        Ok(())
    }

    fn arrive(&mut self, message: Message, epoch: u64, snapshot: Option<Arc<MemoryStore>>) -> Checked {
        let (from, to) = (message.from, message.to);
        if !self.network.passes(from, to) || self.network.epoch(from, to) != epoch {
            return Ok(());
        }
        let Some(process) = self.members.get(&to).and_then(|member| member.process.as_ref()) else { return Ok(()) };
        // The transport refuses removed members, with the reason: then they stop for good.
        if process.state().members.is_removed(MemberId(from)) {
            self.say(|| format!("{to} tells {from} that it was removed"));
            self.stop(from, true);
            return Ok(());
        }
        let life = process.life;
        self.with(to, life, |process, cx| process.step(message, snapshot, cx))
    }

    fn act(&mut self, id: u64, life: u64, doing: Task) -> Checked {
        if doing == Task::Synced
            && let Some(member) = self
                .members
                .get_mut(&id)
                .filter(|member| member.process.as_ref().is_some_and(|process| process.life == life))
            && std::mem::take(&mut member.fail_sync)
        {
            // A failed sync is final: no response is sent, and the content of the disk is unknown.
            self.crash(id);
            return Ok(());
        }
        self.with(id, life, |process, cx| process.act(doing, cx))
    }

    pub(crate) fn start(&mut self, id: u64) -> Checked {
        let Some(member) = self.members.get_mut(&id).filter(|member| member.process.is_none() && !member.gone) else {
            return Ok(());
        };
        member.lives += 1;
        let (life, rate) = (member.lives, member.rate);
        let mut cx = Context {
            now: self.now,
            random: &mut self.random,
            plan: &self.plan,
            oracle: &mut self.oracle,
            disk: &mut member.disk,
            planted: &self.planted,
            out: Outbox::default(),
        };
        let process = Process::start(id, life, rate, self.seed ^ life, &mut cx)?;
        let out = cx.out;
        member.process = Some(Box::new(process));
        self.send_out(id, life, out)
    }

    /// Kills a process or cuts its power: unsynced writes are lost in part, and it starts again
    /// after a while.
    pub(crate) fn crash(&mut self, id: u64) {
        // Often so soon that its lost data is still requested.
        let away =
            if self.random.bool() { self.random.u64(..30 * MILLISECOND) } else { spread(&mut self.random, SECOND) };
        self.crash_for(id, away);
    }

    /// Crashes a member that is back within some milliseconds.
    fn blink(&mut self, id: u64) {
        let away = self.random.u64(..3 * MILLISECOND);
        self.crash_for(id, away);
    }

    fn crash_for(&mut self, id: u64, away: Time) {
        self.stop(id, false);
        if let Some(member) = self.members.get_mut(&id) {
            member.disk.crash(&mut self.random);
            crate::planted::spoil_disk(&mut member.disk, &self.planted);
            self.schedule.at(self.now + away, Event::Start { member: id });
        }
    }

    /// Stops a member: its waiting callers get no response, or an error.
    pub(crate) fn stop(&mut self, id: u64, for_good: bool) {
        let Some(member) = self.members.get_mut(&id) else { return };
        member.gone |= for_good;
        let Some(mut process) = member.process.take() else { return };
        if self.planted.has(Bug::UnknownToldAsRefused) {
            let requests: Vec<u64> = process.pending.routes().into_iter().map(|(id, _)| id).collect();
            self.oracle.refused.extend(requests);
            for ticket in process.pending.drain() {
                self.schedule.at(self.now + 1, Event::Reply { ticket, told: Reply::Refused });
            }
        }
        // Its connections end, and a new one is refused, unless it is back by then.
        for other in self.members.keys().copied().filter(|other| *other != id).collect::<Vec<_>>() {
            let noticed = self.network.passes(id, other) && self.random.u8(..4) > 0;
            let delay = 50 + self.random.u64(..3 * MILLISECOND);
            if noticed {
                self.schedule.at(self.now + delay, Event::Gone { member: other, gone: id });
            }
        }
        for watcher in self.watchers.iter_mut().filter(|watcher| watcher.attached.is_some_and(|at| at.member == id)) {
            watcher.detach();
        }
    }

    fn ask(&mut self, id: u64, ticket: Ticket, ask: Ask) -> Checked {
        let Some(life) = self.members.get(&id).and_then(|member| member.process.as_ref()).map(|process| process.life)
        else {
            self.schedule.at(self.now + 100, Event::Reply { ticket, told: Reply::Unknown });
            return Ok(());
        };
        self.with(id, life, |process, cx| {
            match ask {
                Ask::Propose(mut request) => {
                    let id = process.next_request();
                    let username = request.header.take().unwrap_or_default().username;
                    let auth_revision = if username.is_empty() { 0 } else { process.state().auth.auth_revision() };
                    request.header = Some(RequestHeader { id, username, auth_revision });
                    let data = request.encode_to_vec().into();
                    process.propose(ProposalKind::Request, Proposal { id, data }, ticket, cx)?;
                    if cx.planted.has(Bug::AcknowledgedBeforeApplied)
                        && process.leads()
                        && process.pending.remove(id).is_some()
                    {
                        let index = process.pipeline.node().status().commit + 1;
                        cx.out.told.push((ticket, Reply::Applied(index)));
                    }
                }
                Ask::Read { request, linearizable } => {
                    let at_once = (cx.planted.has(Bug::ReadWithoutIndex) && process.leads())
                        || (cx.planted.has(Bug::FollowerReadsAtOnce) && !process.leads());
                    let at_once = !linearizable || at_once;
                    if at_once {
                        process.read(ticket, &request, cx)?;
                    } else {
                        process.read_index(Waiting { ticket, what: Behind::Read(request) }, cx)?;
                    }
                }
                Ask::KeepAlive(lease) => process.renew(ticket, lease, cx)?,
            }
            process.work(cx)
        })
    }

    fn told(&mut self, ticket: Ticket, told: &Reply) -> Checked {
        let Some(client) = self.clients.get_mut(ticket.client) else { return Ok(()) };
        let Some(operation) = client.current.take_if(|operation| operation.number == ticket.operation) else {
            return Ok(());
        };
        client.answered(&operation, told, &mut self.oracle, &mut self.known)?;
        if ticket.client >= self.plan.clients {
            return self.probed(ticket, operation, told);
        }
        let pause = spread(&mut self.random, self.plan.think);
        self.schedule.at(self.now + pause, Event::Invoke { client: ticket.client });
        Ok(())
    }

    fn invoke(&mut self, id: usize) -> Checked {
        // A member far behind gets time to catch up: the log may be kept too short to do so under
        // load.
        if self.now > self.plan.faults_until + crate::ending::GRACE / 2 {
            return Ok(());
        }
        let near = self.oracle.model.keys.current;
        let (random, plan) = (&mut self.random, &self.plan);
        let Some(client) = self.clients.get_mut(id) else { return Ok(()) };
        let operation = client.invoke(random, plan, near, id, self.known)?;
        let member = self.any_member();
        self.submit(id, operation.number, member, operation.ask);
        Ok(())
    }

    pub(crate) fn submit(&mut self, client: usize, operation: u64, member: u64, ask: Ask) {
        self.submit_after(0, Ticket { client, operation, until: 0 }, member, ask);
    }

    pub(crate) fn submit_after(&mut self, pause: Time, ticket: Ticket, member: u64, ask: Ask) {
        let delay = pause + 20 + self.random.u64(..MILLISECOND);
        let ticket = Ticket { until: self.now + pause + PATIENCE, ..ticket };
        self.schedule.at(self.now + delay, Event::Ask { member, ticket, ask });
        self.schedule.at(self.now + pause + PATIENCE, Event::GiveUp { ticket });
    }

    fn any_member(&mut self) -> u64 {
        if self.plan.at_leader
            && let Some(leader) = self.leader()
        {
            return leader;
        }
        let ids: Vec<_> = self.members.iter().filter(|(_, member)| !member.gone).map(|(id, _)| *id).collect();
        *self.random.choice(&ids).unwrap_or(&1)
    }

    fn attach(&mut self, id: usize) -> Checked {
        self.schedule.at(self.now + spread(&mut self.random, 300 * MILLISECOND), Event::Watcher { watcher: id });
        let leave = !self.faults_over && self.random.u8(..5) == 0;
        let Some(watcher) = self.watchers.get_mut(id) else { return Ok(()) };
        if let Some(at) = watcher.attached {
            if !leave {
                return Ok(());
            }
            watcher.detach();
            self.with(at.member, at.life, |process, _| {
                process.hub.close_stream(at.stream);
                Ok(())
            })?;
        }
        let member = self.any_member();
        let Some(process) = self.members.get(&member).and_then(|member| member.process.as_ref()) else { return Ok(()) };
        self.streams += 1;
        let at = Attached { member, life: process.life, stream: StreamId(self.streams) };
        let (current, oracle) = (self.oracle.model.keys.current, &self.oracle);
        let Some(watcher) = self.watchers.get_mut(id) else { return Ok(()) };
        let request = watcher.attach(&mut self.random, at, current, oracle);
        self.say(|| format!("watcher {id} at {at:?}: {request:?}"));
        self.with(at.member, at.life, |process, cx| {
            process.hub.open_stream(at.stream, Duration::from_millis(50), process.moment(cx.now));
            let point = process.state().keys.read_point();
            let late = i64::from(cx.planted.has(Bug::WatchStartsLate));
            let request = WatchCreateRequest { start_revision: request.start_revision + late, ..request };
            process.hub.create(at.stream, &request, point.current, point.compacted);
            Ok(())
        })
    }

    fn watched(&mut self, member: u64, life: u64, stream: StreamId, response: &WatchResponse) -> Checked {
        let at = Attached { member, life, stream };
        self.say(|| format!("stream {stream:?} of {member} tells {response:?}"));
        let Some(watcher) = self.watchers.iter_mut().find(|watcher| watcher.attached == Some(at)) else {
            return Ok(());
        };
        if !watcher.receive(response, &self.oracle)? {
            watcher.detach();
            self.with(member, life, |process, _| {
                process.hub.close_stream(stream);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Checks that entries applied for the first time are durable on a quorum, in the log or in a
    /// snapshot.
    fn check_durable(&mut self) -> Checked {
        for (index, term) in std::mem::take(&mut self.oracle.newly_committed) {
            let voters = self.oracle.model.members.voters();
            let holds = |id: &&u64| {
                self.members
                    .get(id)
                    .is_some_and(|member| member.disk.flushed.0 >= index || member.disk.log.holds(index, term))
            };
            let holding = voters.iter().filter(holds).count();
            // The change of the group in this very entry may have added one voter that does not
            // have it, or taken one away that has.
            check(2 * (holding + 1) > voters.len(), || {
                format!("entry {index} is applied, and durable on {holding} of {} voters", voters.len())
            })?;
        }
        Ok(())
    }

    pub(crate) fn say(&self, what: impl FnOnce() -> String) {
        if self.tracing {
            #[expect(clippy::print_stdout, reason = "this is what was asked for")]
            {
                println!("             {}", what());
            }
        }
    }

    /// Returns the operations of clients by kind and by end, and the events delivered to watchers.
    pub(crate) fn tally(&self) -> (Tally, u64) {
        let mut tally = Tally::default();
        self.clients.iter().for_each(|client| tally.add(&client.tally));
        (tally, self.watchers.iter().map(|watcher| watcher.received).sum())
    }
}

pub(crate) fn record(id: u64, is_learner: bool) -> Record {
    let peer_urls = vec![format!("http://member-{id}:2380")];
    Record { id: MemberId(id), peer_urls, is_learner, name: format!("member-{id}"), client_urls: Vec::new() }
}
