//! A cluster whose threads are queues that a script works off step by step.

use apply::State;
use consensus::{
    ConfChangeKind, Config, Entry, EntryKind, HardState, Keep, Node, ReadContexts, ReadIndexQueue, Recovered, Voters,
};
use membership::{ConfChange, Member as Record, Version};
use pipeline::{
    ApplyAction, ApplyPipeline, ApplySettings, EntryHooks, NodeAction, NodeFault, NodeInput, NodePipeline,
    NodeSettings, PendingTable, Proposal, ProposalKind,
};
use prost::Message as _;
use proto::etcdserverpb::{InternalRaftRequest, PutRequest, RequestHeader};
use proto::raftpb::{ConfState, Message};
use schema::{MemoryBatch, MemoryStore, Table, View as _, meta};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use types::{MemberId, MonotonicTime};

const ELECTION_TICKS: usize = 10;
const TICK: Duration = Duration::from_millis(100);

/// No measurement, and a quota that is never used up.
pub(crate) struct Unhooked;

impl EntryHooks for Unhooked {
    fn stored_bytes(&mut self, _index: u64) -> u64 {
        0
    }

    fn executed(&mut self, _: &Entry, _: &apply::Applied, _: apply::MembershipChange, _: &State) {}
}

/// Work of the log thread.
enum Log {
    Persist(u64),
    NoteCommit,
    Install(u64),
}

/// Work of the apply thread.
enum Apply {
    Entries(Vec<Entry>),
    Notify(u64, Vec<String>),
    Install(u64, (u64, u64), MemoryStore),
    Leadership(Option<u64>),
}

struct Member {
    node: NodePipeline<String, MemoryStore>,
    apply: ApplyPipeline<String>,
    store: MemoryStore,
    log: VecDeque<Log>,
    commands: VecDeque<Apply>,
    pending: PendingTable<u64>,
}

#[derive(Default)]
pub(crate) struct Stage {
    members: BTreeMap<u64, Member>,
    network: VecDeque<(Message, Option<MemoryStore>)>,
    /// Copies of messages that arrive late.
    copies: Vec<(Message, Option<MemoryStore>)>,
    now: MonotonicTime,
}

pub(crate) fn settings() -> apply::Settings {
    apply::Settings {
        quota_bytes: None,
        minimum_lease_ttl_seconds: 1,
        own_version: Version::new(3, 7, 1),
        keeps_checkpoints: true,
    }
}

fn record(id: u64) -> Record {
    let peer_urls = vec![format!("http://127.0.0.1:{id}")];
    Record { id: MemberId(id), peer_urls, is_learner: false, name: format!("m{id}"), client_urls: Vec::new() }
}

fn conf_state(store: &MemoryStore) -> ConfState {
    store
        .get(Table::Meta, meta::CONF_STATE)
        .unwrap()
        .map_or_else(ConfState::default, |stored| ConfState::decode(stored).unwrap())
}

/// Returns the encoded put of `key` under the id of a request.
pub(crate) fn put(id: u64, key: &str) -> Vec<u8> {
    let put = PutRequest { key: key.to_owned().into(), value: "x".into(), ..PutRequest::default() };
    let header = Some(RequestHeader { id, ..RequestHeader::default() });
    InternalRaftRequest { header, put: Some(put), ..InternalRaftRequest::default() }.encode_to_vec()
}

fn kind(message: &Message) -> &'static str {
    match message.r#type {
        2 => "propose",
        3 => "append",
        4 => "append response",
        5 => "vote",
        6 => "vote response",
        7 => "snapshot",
        8 => "heartbeat",
        9 => "heartbeat response",
        14 => "campaign now",
        15 => "read index",
        16 => "read index response",
        17 => "pre-vote",
        18 => "pre-vote response",
        _ => "other",
    }
}

fn describe(message: &Message) -> String {
    let Message { from, to, term, index, entries, reject, .. } = message;
    let rejected = if *reject { ", rejected" } else { "" };
    match entries.len() {
        0 => format!("{from}->{to} {} (term {term}, index {index}{rejected})", kind(message)),
        count => format!("{from}->{to} {} (term {term}, behind {index}, {count} entries)", kind(message)),
    }
}

fn heartbeat() -> Message {
    Message { r#type: 8, ..Message::default() }
}

/// Returns the proposal of an alarm as text.
fn describe_alarm(message: &Message) -> String {
    let request = InternalRaftRequest::decode(message.entries[0].data.clone()).unwrap();
    let alarm = request.alarm.unwrap();
    let kind = alarm.alarm().as_str_name();
    assert_eq!(request.header.unwrap().id, 0, "no client waits for the alarm");
    format!("send {}\nalarm {kind} for member {}", describe(message), alarm.member_id)
}

impl Member {
    fn new(id: u64, cluster: u64) -> Self {
        let entries = (1..=cluster).map(|member| {
            let data = ConfChange::Add(record(member)).to_raft(0).encode_to_vec().into();
            Entry { term: 1, index: member, kind: EntryKind::ConfChange, data }
        });
        let recovered = Recovered {
            hard_state: HardState { term: 1, vote: 0, commit: cluster },
            before_index: 0,
            before_term: 0,
            entries: entries.collect(),
            voters: Voters::default(),
        };
        let config = Config {
            id,
            election_ticks: ELECTION_TICKS,
            heartbeat_ticks: 1,
            applied: 0,
            pre_vote: true,
            seed: id,
            process: 1,
        };
        let node = Node::new(&config, &recovered).unwrap();
        let node_settings = NodeSettings {
            member_id: id,
            election_timeout: TICK * 10,
            election_ticks: ELECTION_TICKS,
            keep: Keep::at_most(2, 1 << 20),
            early_elections: true,
        };
        let apply_settings = ApplySettings { member_id: MemberId(id), max_learners: 1, entries_per_batch: 4 };
        let store = MemoryStore::new();
        let state = State::load(&store, settings(), &mut MemoryBatch::default()).unwrap();
        Self {
            node: NodePipeline::new(node, ReadIndexQueue::new(ReadContexts::new(id, 1), 5), node_settings),
            apply: ApplyPipeline::new(state, (0, 0), apply_settings),
            store,
            log: VecDeque::new(),
            commands: VecDeque::new(),
            pending: PendingTable::default(),
        }
    }
}

impl Stage {
    /// Runs one command: its first word names it, a number after it the member.
    pub(crate) fn run(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        let id = || words[1].parse::<u64>().unwrap();
        let number = |at: usize| words.get(at).map_or(1, |word| word.parse::<u64>().unwrap());
        let proposal = |data: Vec<u8>, id| Proposal { id, data: data.into() };
        match words[0] {
            "cluster" => {
                self.members = (1..=id()).map(|member| (member, Member::new(member, id()))).collect();
                (1..=id()).map(|member| self.advance(member)).collect()
            }
            "tick" => (0..number(2)).map(|_| self.tick(id())).collect(),
            "put" => self.propose(id(), ProposalKind::Request, proposal(put(number(3), words[2]), number(3))),
            "put-as-leader" => {
                self.propose(id(), ProposalKind::OfTheLeader, proposal(put(number(3), words[2]), number(3)))
            }
            "remove" => {
                let data = ConfChange::Remove(MemberId(number(2))).to_raft(number(3)).encode_to_vec();
                self.propose(id(), ProposalKind::ConfChange, proposal(data, number(3)))
            }
            "fencing" => (1..=number(1))
                .flat_map(|at| (1..=number(1)).map(move |member| (at, member)))
                .map(|(at, member)| self.input(at, NodeInput::Fencing { member, honours: true }))
                .collect(),
            "gone" => self.input(id(), NodeInput::Gone(number(2))),
            "unreachable" => self.input(id(), NodeInput::Unreachable(number(2))),
            "wait" => {
                self.now = self.now.after(Duration::from_millis(number(2)));
                self.advance(id())
            }
            "pending" => format!("{:?}\n", self.members[&id()].pending.routes()),
            "removals" => {
                let outputs: Vec<String> =
                    (0..number(3)).map(|_| self.run(&format!("remove 1 {}", words[2]))).collect();
                let refused = |output: &&String| output.starts_with("refuse");
                outputs.iter().find(refused).map_or_else(String::new, Clone::clone)
            }
            "read" => self.read(id(), words[2]),
            "give-up" => {
                let member = self.members.get_mut(&id()).unwrap();
                member.node.retain_reads(|read| read != words[2]);
                String::new()
            }
            "transfer" => self.input(id(), NodeInput::Transfer(number(2))),
            "hasten" => self.input(id(), NodeInput::BringElectionForward),
            "deliver" => self.deliver(number(1), number(2)),
            "repeat" => self.repeat(number(1), number(2)),
            "copy" => {
                self.copies = self.passing(number(1), number(2));
                String::new()
            }
            "late" => self.arrive_late(),
            "contradict" => self.input(id(), NodeInput::Message(Box::new(self.contradiction(id(), number(2))))),
            "heartbeat" => {
                let term = self.members[&id()].node.node().status().term;
                let message = Message { from: number(2), to: id(), term, commit: number(3), ..heartbeat() };
                self.input(id(), NodeInput::Message(Box::new(message)))
            }
            "lose" => {
                let before = self.network.len();
                self.network.retain(|(message, _)| (message.from, message.to) != (number(1), number(2)));
                format!("lost {}\n", before - self.network.len())
            }
            "sync" => self.sync(id()),
            "apply" => self.apply(id()),
            "settle" => self.settle(words.get(1).and_then(|word| word.strip_prefix("without=")?.parse().ok())),
            "status" => self.status(id()),
            unknown => panic!("unknown command {unknown}"),
        }
    }

    /// Returns an append in which `leader` replaces the last entry that is committed at `id`.
    fn contradiction(&self, id: u64, leader: u64) -> Message {
        let status = self.members[&id].node.node().status();
        let (index, term) = (status.commit, status.term + 1);
        let entry = proto::raftpb::Entry { term, index, ..proto::raftpb::Entry::default() };
        let (log_term, entries) = (1, vec![entry]);
        Message { r#type: 3, from: leader, to: id, term, index: index - 1, log_term, entries, ..Message::default() }
    }

    fn status(&self, id: u64) -> String {
        let member = &self.members[&id];
        let status = member.node.node().status();
        let waits = if member.node.log_waits_since().is_some() { ", log not synced" } else { "" };
        format!(
            "{:?}, term {}, leader {}, applied {}{waits}\n",
            status.role,
            status.term,
            status.leader,
            member.apply.applied().0
        )
    }

    fn propose(&mut self, at: u64, kind: ProposalKind, proposal: Proposal) -> String {
        let member = self.members.get_mut(&at).unwrap();
        let (id, route) = (proposal.id, member.node.route());
        if member.pending.contains(id) {
            member.pending.sent(&[id], route);
        } else {
            member.pending.insert(kind, &proposal, route, id);
        }
        let input = match kind {
            ProposalKind::Request => NodeInput::Propose(vec![proposal]),
            ProposalKind::OfTheLeader => NodeInput::ProposeAsLeader(proposal),
            ProposalKind::ConfChange => NodeInput::ProposeConfChange(proposal),
        };
        self.input(at, input)
    }

    fn tick(&mut self, id: u64) -> String {
        self.now = self.now.after(TICK);
        let member = self.members.get_mut(&id).unwrap();
        member.node.retain_proposals(|id| member.pending.contains(id));
        self.input(id, NodeInput::Tick)
    }

    fn input(&mut self, id: u64, input: NodeInput<MemoryStore>) -> String {
        let mut actions = Vec::new();
        let handled = self.members.get_mut(&id).unwrap().node.handle(self.now, input, &mut actions);
        let text = self.carry_out(id, actions);
        match handled {
            Ok(()) => text + &self.advance(id),
            Err(NodeFault { fault, alarm }) => {
                let fault = fault.to_string();
                let reason = fault.split(", because").next().unwrap_or_default();
                let alarm = alarm.map_or_else(|| "no alarm".to_owned(), |message| describe_alarm(&message));
                format!("{text}stop: {reason}\n{alarm}\n")
            }
        }
    }

    fn read(&mut self, id: u64, name: &str) -> String {
        let mut actions = Vec::new();
        self.members.get_mut(&id).unwrap().node.read_index(name.to_owned(), &mut actions);
        self.carry_out(id, actions) + &self.advance(id)
    }

    fn advance(&mut self, id: u64) -> String {
        let mut actions = Vec::new();
        self.members.get_mut(&id).unwrap().node.advance(self.now, &mut actions).map_err(|fault| fault.fault).unwrap();
        self.carry_out(id, actions)
    }

    /// Hands work to the queues of the member, and returns it as text.
    #[expect(clippy::too_many_lines, reason = "an arm for each action")]
    fn carry_out(&mut self, id: u64, actions: Vec<NodeAction<String, MemoryStore>>) -> String {
        let mut text = String::new();
        for action in actions {
            let member = self.members.get_mut(&id).unwrap();
            text += &match action {
                NodeAction::ForwardAgain(messages) => {
                    let text = messages.iter().map(|message| format!("again {}\n", describe(message))).collect();
                    self.network.extend(messages.into_iter().map(|message| (message, None)));
                    text
                }
                NodeAction::Send(messages) => {
                    let described = messages.iter().map(|message| format!("send {}\n", describe(message))).collect();
                    for mut message in messages {
                        let state = message.snapshot.as_mut().map(|snapshot| {
                            let metadata = snapshot.metadata.get_or_insert_default();
                            (metadata.index, metadata.term) = member.apply.applied();
                            metadata.conf_state = Some(conf_state(&member.store));
                            member.store.clone()
                        });
                        self.network.push_back((message, state));
                    }
                    described
                }
                NodeAction::Persist { number, entries, hard_state } => {
                    let text = format!("persist {} entries, {}\n", entries.len(), describe_hard_state(hard_state));
                    member.log.push_back(Log::Persist(number));
                    text
                }
                NodeAction::NoteCommit(index) => {
                    member.log.push_back(Log::NoteCommit);
                    format!("note commit {index}\n")
                }
                NodeAction::Apply(entries) => {
                    let text = format!("apply {:?}\n", entries.iter().map(|entry| entry.index).collect::<Vec<_>>());
                    member.commands.push_back(Apply::Entries(entries));
                    text
                }
                NodeAction::Notify { index, waiting } => {
                    let text = format!("let {waiting:?} go at {index}\n");
                    member.commands.push_back(Apply::Notify(index, waiting));
                    text
                }
                NodeAction::Install { number, mark, state, hard_state } => {
                    let text = format!("install snapshot at {}, {}\n", mark.index, describe_hard_state(hard_state));
                    member.commands.push_back(Apply::Install(number, (mark.index, mark.term), state));
                    text
                }
                NodeAction::Discard(_) => "discard snapshot\n".to_owned(),
                NodeAction::Leadership(term) => {
                    member.commands.push_back(Apply::Leadership(term));
                    format!("leadership {term:?}\n")
                }
                NodeAction::Proposed { ids, route } => {
                    member.pending.sent(&ids, route);
                    format!("propose {ids:?}: {route:?}\n")
                }
                NodeAction::TermBegun(term) => self.propose_lost(id, term),
                NodeAction::OutcomesUnknown => format!("outcomes unknown: {:?}\n", member.pending.replaced()),
                NodeAction::Refuse { ids, refusal } => {
                    let refused: Vec<u64> = ids.into_iter().filter(|id| member.pending.remove(*id).is_some()).collect();
                    format!("refuse {refused:?}: {refusal:?}\n")
                }
                NodeAction::LeaderGone(leader) => format!("leader {leader} is gone\n"),
                NodeAction::RefuseReads(reads) => format!("refuse reads {reads:?}\n"),
                NodeAction::Status(status) => {
                    format!("{:?} of term {}, leader {}\n", status.role, status.term, status.leader)
                }
                NodeAction::ReadsRepeated => "repeat reads\n".to_owned(),
                NodeAction::ConfigurationChanged => {
                    format!("voters {:?}\n", member.node.node().voters().voters)
                }
                NodeAction::LogStalled(consequence) => format!("log stalled: {consequence:?}\n"),
                NodeAction::MessageRefused { from, refusal, .. } => format!("refuse message of {from}: {refusal}\n"),
            };
        }
        text
    }

    /// An entry of `term` is applied: proposes again what was lost before.
    fn propose_lost(&mut self, id: u64, term: u64) -> String {
        let lost = self.members.get_mut(&id).unwrap().pending.term_begun(term, |_| true);
        let refused: String = lost.of_the_leader.iter().map(|id| format!("refuse [{id}]: NoLeader\n")).collect();
        let again: String = lost.again.into_iter().map(|(kind, proposal)| self.propose(id, kind, proposal)).collect();
        format!("term {term} begun\n{refused}{again}")
    }

    /// Returns copies of the messages between two members that are under way.
    fn passing(&self, from: u64, to: u64) -> Vec<(Message, Option<MemoryStore>)> {
        let passing = |(message, _): &&(Message, _)| (message.from, message.to) == (from, to);
        self.network.iter().filter(passing).cloned().collect()
    }

    fn repeat(&mut self, from: u64, to: u64) -> String {
        self.network.extend(self.passing(from, to));
        String::new()
    }

    fn arrive_late(&mut self) -> String {
        std::mem::take(&mut self.copies).into_iter().map(|(message, state)| self.arrive(message, state)).collect()
    }

    fn deliver(&mut self, from: u64, to: u64) -> String {
        let (passing, rest) = self.network.drain(..).partition(|(message, _)| (message.from, message.to) == (from, to));
        self.network = rest;
        let passing: VecDeque<(Message, Option<MemoryStore>)> = passing;
        passing.into_iter().map(|(message, state)| self.arrive(message, state)).collect()
    }

    fn arrive(&mut self, message: Message, state: Option<MemoryStore>) -> String {
        let (from, to, message) = (message.from, message.to, Box::new(message));
        let is_snapshot = state.is_some();
        let input = match state {
            Some(state) => NodeInput::Snapshot { message, state },
            None => NodeInput::Message(message),
        };
        let text = self.input(to, input);
        if is_snapshot {
            return text + &self.input(from, NodeInput::SnapshotSent { member: to, success: true });
        }
        text
    }

    /// The log thread does all that waits.
    fn sync(&mut self, id: u64) -> String {
        let mut newest = None;
        for work in std::mem::take(&mut self.members.get_mut(&id).unwrap().log) {
            newest = match work {
                Log::Persist(number) | Log::Install(number) => Some(number),
                Log::NoteCommit => newest,
            };
        }
        newest.map_or_else(String::new, |number| self.input(id, NodeInput::Persisted(number)))
    }

    /// The apply thread does all that waits.
    fn apply(&mut self, id: u64) -> String {
        let mut text = String::new();
        for command in std::mem::take(&mut self.members.get_mut(&id).unwrap().commands) {
            let member = self.members.get_mut(&id).unwrap();
            match command {
                Apply::Entries(entries) => member.apply.take(entries),
                Apply::Notify(index, waiting) => member.apply.wait(index, waiting),
                Apply::Leadership(term) => text += &format!("leases follow leadership {term:?}\n"),
                Apply::Install(number, applied, state) => {
                    text += &self.apply_all(id);
                    let member = self.members.get_mut(&id).unwrap();
                    member.store = state;
                    let state = State::load(&member.store, settings(), &mut MemoryBatch::default()).unwrap();
                    member.apply.replace(state, applied);
                    member.log.push_back(Log::Install(number));
                    text += &format!("state is that at {}\n", applied.0);
                }
            }
        }
        text += &self.apply_all(id);
        let due: Vec<_> = self.members.get_mut(&id).unwrap().apply.due_reads().collect();
        if !due.is_empty() {
            text += &format!("reads go: {due:?}\n");
        }
        text
    }

    fn apply_all(&mut self, id: u64) -> String {
        let mut text = String::new();
        while let Some(entries) = self.members.get_mut(&id).unwrap().apply.next_batch() {
            let member = self.members.get_mut(&id).unwrap();
            let mut batch = MemoryBatch::default();
            let results = member.apply.execute(&member.store, &mut batch, &entries, &mut Unhooked).unwrap();
            batch.write(&mut member.store);
            for action in member.apply.written(results) {
                text += &self.follow(id, action);
            }
        }
        text
    }

    fn follow(&mut self, id: u64, action: ApplyAction) -> String {
        match action {
            ApplyAction::Publish { index, .. } => format!("publish {index}\n"),
            ApplyAction::Events(events) if events.is_empty() => String::new(),
            ApplyAction::Events(events) => format!("{} events\n", events.len()),
            ApplyAction::Tokens(effect) => format!("{effect:?}\n"),
            ApplyAction::Compacted(revision) => format!("compacted {revision}\n"),
            ApplyAction::RaiseNoSpace => "raise NOSPACE\n".to_owned(),
            ApplyAction::ConfChanged { kind, member } => {
                let text = format!("report {} {member}\n", name_of(kind));
                text + &self.input(id, NodeInput::ConfChanged { kind, member })
            }
            ApplyAction::Applied(index) => {
                format!("report applied {index}\n{}", self.input(id, NodeInput::Applied(index)))
            }
            ApplyAction::Respond(responses) if responses.is_empty() => String::new(),
            ApplyAction::Respond(responses) => {
                let pending = &mut self.members.get_mut(&id).unwrap().pending;
                for (id, _) in &responses {
                    pending.remove(*id);
                }
                let responses = responses
                    .iter()
                    .map(|(id, outcome)| format!("{id} {}", if outcome.is_ok() { "ok" } else { "refused" }));
                format!("respond {}\n", responses.collect::<Vec<_>>().join(", "))
            }
            ApplyAction::Removed => "this member has left\n".to_owned(),
        }
    }

    /// Does all work and delivers all messages until nothing is left; of one member, if asked for,
    /// messages are lost and no work is done.
    fn settle(&mut self, without: Option<u64>) -> String {
        for _ in 0..1000 {
            let ids: Vec<_> = self.members.keys().copied().filter(|id| Some(*id) != without).collect();
            let has_work = |stage: &Self| {
                !stage.network.is_empty()
                    || ids.iter().any(|id| !stage.members[id].log.is_empty() || !stage.members[id].commands.is_empty())
            };
            if !has_work(self) {
                let status = |id: &u64| format!("{id}: {}", self.status(*id));
                return ids.iter().map(status).collect();
            }
            for id in &ids {
                self.sync(*id);
                self.apply(*id);
            }
            while let Some((message, state)) = self.network.pop_front() {
                if Some(message.to) != without && Some(message.from) != without {
                    self.arrive(message, state);
                }
            }
        }
        panic!("the cluster does not settle");
    }
}

fn name_of(kind: ConfChangeKind) -> &'static str {
    match kind {
        ConfChangeKind::None => "no change",
        ConfChangeKind::AddVoter => "new voter",
        ConfChangeKind::AddLearner => "new learner",
        ConfChangeKind::Remove => "removal of",
    }
}

fn describe_hard_state(hard_state: Option<HardState>) -> String {
    hard_state.map_or_else(
        || "hard state unchanged".to_owned(),
        |HardState { term, vote, commit }| format!("term {term}, vote {vote}, commit {commit}"),
    )
}
