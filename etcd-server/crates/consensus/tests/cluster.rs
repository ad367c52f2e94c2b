//! A cluster in memory: messages arrive at once and in order, unless a member is cut off; disks are
//! instant.

use bytes::Bytes;
use consensus::{
    ConfChangeKind, Config, Entry, EntryKind, HardState, Keep, Node, Recovered, Role, SnapshotMark, StepRefusal, Voters,
};
use prost::Message as _;
use proto::raftpb::{ConfChange, ConfChangeType, ConfState, Message};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub(crate) const SNAPSHOT: i32 = 7;
const ELECTION_TICKS: usize = 10;

pub(crate) struct Member {
    pub(crate) node: Node,
    /// The log as it is on disk.
    pub(crate) entries: Vec<Entry>,
    pub(crate) hard_state: HardState,
    pub(crate) before: (u64, u64),
    /// Payloads applied, by index: the state.
    pub(crate) state: BTreeMap<u64, Bytes>,
    pub(crate) applied: (u64, u64),
    pub(crate) reads: Vec<(Vec<u8>, u64)>,
    pub(crate) asked_again: usize,
    pub(crate) installed: Vec<SnapshotMark>,
}

pub(crate) struct TestCluster {
    pub(crate) members: BTreeMap<u64, Member>,
    /// Members without any connection.
    pub(crate) cut: BTreeSet<u64>,
    pub(crate) keep: Keep,
    pub(crate) refused: Vec<StepRefusal>,
    /// Messages on their way; a test may hold them up.
    pub(crate) wire: VecDeque<Message>,
}

pub(crate) fn voters(ids: &[u64]) -> Voters {
    Voters { voters: ids.to_vec(), learners: Vec::new() }
}

pub(crate) fn config(id: u64) -> Config {
    Config { id, election_ticks: ELECTION_TICKS, heartbeat_ticks: 1, applied: 0, pre_vote: true, seed: 7, process: 1 }
}

impl Member {
    pub(crate) fn new(config: &Config, recovered: &Recovered) -> Self {
        Self {
            node: Node::new(config, recovered).unwrap(),
            entries: recovered.entries.clone(),
            hard_state: recovered.hard_state,
            before: (0, 0),
            state: BTreeMap::new(),
            applied: (0, 0),
            reads: Vec::new(),
            asked_again: 0,
            installed: Vec::new(),
        }
    }

    pub(crate) fn leads(&self) -> bool {
        self.node.status().role == Role::Leader
    }
}

impl TestCluster {
    /// Voters that know each other from the start.
    pub(crate) fn of(ids: &[u64]) -> Self {
        let recovered = Recovered { voters: voters(ids), ..Recovered::default() };
        let members = ids.iter().map(|&id| (id, Member::new(&config(id), &recovered))).collect();
        let keep = Keep::at_most(1000, 1 << 20);
        Self { members, cut: BTreeSet::new(), keep, refused: Vec::new(), wire: VecDeque::new() }
    }

    /// With a leader, and everything settled.
    pub(crate) fn led(ids: &[u64]) -> (Self, u64) {
        let mut cluster = Self::of(ids);
        let leader = cluster.elect();
        (cluster, leader)
    }

    pub(crate) fn member(&mut self, id: u64) -> &mut Member {
        self.members.get_mut(&id).unwrap()
    }

    pub(crate) fn join(&mut self, id: u64) {
        self.members.insert(id, Member::new(&config(id), &Recovered::default()));
    }

    /// The leader with the newest term, among those that are not cut off.
    pub(crate) fn leader(&self) -> Option<u64> {
        let leads = self.members.iter().filter(|(id, member)| !self.cut.contains(id) && member.leads());
        leads.max_by_key(|(_, member)| member.node.status().term).map(|(id, _)| *id)
    }

    pub(crate) fn elect(&mut self) -> u64 {
        for _ in 0..100 {
            self.tick(1);
            if let Some(leader) = self.leader() {
                return leader;
            }
        }
        panic!("nobody was elected");
    }

    pub(crate) fn tick(&mut self, times: usize) {
        for _ in 0..times {
            let ids: Vec<_> = self.members.keys().copied().collect();
            for id in ids {
                self.member(id).node.tick();
                self.settle();
            }
        }
    }

    pub(crate) fn propose(&mut self, at: u64, payload: &'static str) {
        self.member(at).node.propose([Bytes::from_static(payload.as_bytes())]).unwrap();
        self.settle();
    }

    pub(crate) fn change(&mut self, at: u64, kind: ConfChangeType, member: u64) {
        let change = ConfChange { id: 1, r#type: kind.into(), node_id: member, ..ConfChange::default() };
        self.member(at).node.propose_conf_change(change.encode_to_vec().into()).unwrap();
        self.settle();
    }

    /// Runs until no member has anything to do.
    pub(crate) fn settle(&mut self) {
        loop {
            let worked = self.work_all();
            let Some(message) = self.wire.pop_front() else {
                if worked {
                    continue;
                }
                return;
            };
            self.deliver(message);
        }
    }

    pub(crate) fn deliver(&mut self, mut message: Message) {
        let (to, from) = (message.to, message.from);
        let reached = !self.cut.contains(&to) && !self.cut.contains(&from) && self.members.contains_key(&to);
        if message.r#type == SNAPSHOT {
            if reached {
                self.fill(from, &mut message);
            }
            self.member(from).node.report_snapshot(to, reached);
        }
        if reached {
            let stepped = self.member(to).node.step(message);
            self.refused.extend(stepped.err());
        }
    }

    /// Fills a snapshot message as its sender does: the state as it is by now, and the metadata
    /// that belongs to it.
    fn fill(&mut self, from: u64, message: &mut Message) {
        let sender = self.member(from);
        let (index, term) = sender.applied;
        let Voters { voters, learners } = sender.node.voters();
        let metadata = message.snapshot.as_mut().unwrap().metadata.as_mut().unwrap();
        assert!(metadata.index <= index);
        metadata.conf_state = Some(ConfState { voters, learners, ..ConfState::default() });
        (metadata.index, metadata.term) = (index, term);
    }

    /// Lets all members do their work. Returns `true` if there was any.
    pub(crate) fn work_all(&mut self) -> bool {
        let ids: Vec<_> = self.members.keys().copied().collect();
        ids.into_iter().filter(|&id| self.work(id)).count() > 0
    }

    fn work(&mut self, id: u64) -> bool {
        let keep = self.keep;
        let mut worked = false;
        while let Some(ready) = self.member(id).node.ready() {
            worked = true;
            self.wire.extend(ready.messages);
            if let Some(mark) = &ready.snapshot {
                let (&source, _) = self.members.iter().find(|(_, member)| member.applied.0 == mark.index).unwrap();
                let state = self.member(source).state.clone();
                let member = self.member(id);
                (member.state, member.entries) = (state, Vec::new());
                (member.before, member.applied) = ((mark.index, mark.term), (mark.index, mark.term));
                member.installed.push(mark.clone());
            }
            let member = self.member(id);
            if let Some(first) = ready.entries.first() {
                member.entries.retain(|entry| entry.index < first.index);
            }
            member.entries.extend(ready.entries);
            member.hard_state = ready.hard_state.unwrap_or(member.hard_state);
            if ready.must_sync {
                member.node.persisted(ready.number);
            }
            if let Some(mark) = &ready.snapshot {
                member.node.applied(mark.index, keep);
            }
            for entry in ready.committed {
                member.apply(entry, keep);
            }
            member.reads.extend(ready.reads);
            member.asked_again += usize::from(ready.ask_reads_again);
            self.wire.extend(ready.deferred_messages);
        }
        worked
    }
}

impl Member {
    /// Does the work of one member, sends nothing, and takes every snapshot and every committed
    /// entry as applied.
    pub(crate) fn work_alone(&mut self) {
        let keep = Keep::at_most(10, 1000);
        while let Some(ready) = self.node.ready() {
            if ready.must_sync {
                self.node.persisted(ready.number);
            }
            if let Some(mark) = ready.snapshot {
                self.node.applied(mark.index, keep);
            }
            if let Some(last) = ready.committed.last() {
                self.node.applied(last.index, keep);
            }
        }
    }

    fn apply(&mut self, entry: Entry, keep: Keep) {
        assert_eq!(entry.index, self.applied.0 + 1);
        if entry.kind == EntryKind::ConfChange {
            let change = ConfChange::decode(entry.data.clone()).unwrap();
            let kind = match change.r#type() {
                ConfChangeType::ConfChangeAddNode => ConfChangeKind::AddVoter,
                ConfChangeType::ConfChangeAddLearnerNode => ConfChangeKind::AddLearner,
                ConfChangeType::ConfChangeRemoveNode => ConfChangeKind::Remove,
                ConfChangeType::ConfChangeUpdateNode => ConfChangeKind::None,
            };
            self.node.conf_changed(kind, change.node_id).unwrap();
        }
        self.applied = (entry.index, entry.term);
        self.node.applied(entry.index, keep);
        self.state.insert(entry.index, entry.data);
    }
}
