//! The raft node and the rules around it.
//!
//! Rules held here, each learnt from a fault of raft-rs or of its users (numbers refer to nothing outside this list):
//! 1. What must be persisted is handed out once, in order; raft learns of it by [`Node::persisted`] only after it is durable.
//! 2. Messages that promise something (votes, acknowledgements) are handed out apart and leave after that.
//! 3. A committed entry is handed out exactly once, and only after it is durable here.
//! 4. Configuration changes travel as etcd encodes them; raft-rs is told of them by name, once apply has accepted them.
//! 5. Elections are drawn from a seed that the owner gives, so that a simulation repeats.

use crate::entry::{Entry, EntryKind, HardState};
use crate::tail::{Recovered, Tail, Voters};
use bytes::Bytes;
use raft::eraftpb::{self, ConfChangeType, MessageType};
use raft::{RawNode, StateRole};
use types::Fault;

/// How the node is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// This member.
    pub id: u64,
    /// Ticks without a leader after which this member campaigns.
    pub election_ticks: usize,
    /// Ticks between heartbeats.
    pub heartbeat_ticks: usize,
    /// Index of the last entry whose effects are in the state.
    pub applied: u64,
    /// Whether a member asks for support before it raises its term.
    pub pre_vote: bool,
}

/// Bytes of entries in one message to a follower.
const MESSAGE_BYTES_MAX: u64 = 1 << 20;
/// Messages on their way to one follower.
const INFLIGHT_MESSAGES_MAX: usize = 512;
/// Bytes of entries that a leader has appended but not committed; beyond it proposals are dropped, and the client is told to come back.
const UNCOMMITTED_BYTES_MAX: u64 = 256 << 20;

/// What this member is in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Follows a leader, or waits for one.
    Follower,
    /// Asks whether it would be elected.
    PreCandidate,
    /// Asks to be elected.
    Candidate,
    /// Leads.
    Leader,
}

/// Where the node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// What this member is.
    pub role: Role,
    /// Who leads; 0 when nobody is known to.
    pub leader: u64,
    /// The current term.
    pub term: u64,
    /// Entries up to here are committed.
    pub commit: u64,
}

/// A proposal that raft did not take: there is no leader, or too much is uncommitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("raft proposal dropped")]
pub struct Dropped;

/// What a configuration change does to the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfChangeKind {
    /// The member votes from now on.
    AddVoter,
    /// The member receives the log from now on.
    AddLearner,
    /// The member is gone.
    Remove,
    /// The group stays as it is: the change was refused by apply, or concerned addresses only.
    None,
}

/// What has to be done now.
#[derive(Debug, Default)]
pub struct Ready {
    /// Passed back to [`Node::persisted`] once everything to persist is durable.
    pub number: u64,
    /// To append to the log.
    pub entries: Vec<Entry>,
    /// To be made durable together with the entries, when it changed.
    pub hard_state: Option<HardState>,
    /// Whether entries or hard state must be durable before anything is promised. Without it nothing has to be reported back.
    pub must_sync: bool,
    /// To apply, in order.
    pub committed: Vec<Entry>,
    /// Reads that asked for an index: their context and the index to wait for.
    pub reads: Vec<(Vec<u8>, u64)>,
    /// Where the node stands now.
    pub status: Option<Status>,
}

/// The raft node of this member.
pub struct Node {
    raw: RawNode<Tail>,
    last_status: Option<Status>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl Node {
    /// Starts from what was recovered.
    pub fn new(config: &Config, recovered: &Recovered) -> Result<Self, Fault> {
        let mut recovered = recovered.clone();
        // Entries that were applied were committed, whatever the hard state got to know of it (raft-rs panics otherwise).
        recovered.hard_state.commit = recovered.hard_state.commit.max(config.applied);
        let tail = Tail::new(&recovered);
        if recovered.hard_state.commit > tail.last() {
            return Err(Fault::corrupt(
                "raft log",
                format_args!("ends at entry {}, but entry {} was committed", tail.last(), recovered.hard_state.commit),
            ));
        }
        let raft_config = raft::Config {
            id: config.id,
            election_tick: config.election_ticks,
            heartbeat_tick: config.heartbeat_ticks,
            applied: config.applied,
            max_size_per_msg: MESSAGE_BYTES_MAX,
            max_inflight_msgs: INFLIGHT_MESSAGES_MAX,
            check_quorum: true,
            pre_vote: config.pre_vote,
            max_uncommitted_size: UNCOMMITTED_BYTES_MAX,
            ..raft::Config::default()
        };
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let raw = RawNode::new(&raft_config, tail, &logger).map_err(|error| Fault::store("start raft", error))?;
        Ok(Self { raw, last_status: None })
    }

    /// One tick of time has passed.
    pub fn tick(&mut self) {
        self.raw.tick();
    }

    /// Asks to be elected without waiting for a timeout: for a group of one, which has nobody to wait for.
    pub fn campaign(&mut self) -> Result<(), Fault> {
        self.raw.campaign().map_err(|error| Fault::store("campaign", error))
    }

    /// Proposes requests, in order and together. All of them are dropped or none.
    pub fn propose(&mut self, requests: impl IntoIterator<Item = Bytes>) -> Result<(), Dropped> {
        let entries = requests.into_iter().map(|data| entry(EntryKind::Normal, data)).collect();
        self.step_proposal(entries)
    }

    /// Proposes an encoded `raftpb.ConfChange`.
    pub fn propose_conf_change(&mut self, change: Bytes) -> Result<(), Dropped> {
        self.step_proposal(vec![entry(EntryKind::ConfChange, change)])
    }

    /// Asks for an index up to which a linearizable read must wait. `context` is never used twice.
    pub fn read_index(&mut self, context: Vec<u8>) {
        self.raw.read_index(context);
    }

    /// Everything of the ready with this number, and of those before it, is durable.
    pub fn persisted(&mut self, number: u64) {
        self.raw.on_persist_ready(number);
    }

    /// Entries up to `index` are applied; older ones need not be kept in memory except the last `keep`.
    pub fn applied(&mut self, index: u64, keep: u64) {
        self.raw.advance_apply_to(index);
        self.raw.mut_store().forget(index.saturating_sub(keep));
    }

    /// Apply has decided on a configuration change. Returns the configuration from now on.
    pub fn conf_changed(&mut self, kind: ConfChangeKind, member: u64) -> Result<Voters, Fault> {
        let mut change = eraftpb::ConfChange::default();
        let (change_type, node) = match kind {
            ConfChangeKind::AddVoter => (ConfChangeType::AddNode, member),
            ConfChangeKind::AddLearner => (ConfChangeType::AddLearnerNode, member),
            ConfChangeKind::Remove => (ConfChangeType::RemoveNode, member),
            // raft-rs takes a change of nobody as one that is done.
            ConfChangeKind::None => (ConfChangeType::AddNode, raft::INVALID_ID),
        };
        change.set_change_type(change_type);
        change.node_id = node;
        let state = self.raw.apply_conf_change(&change).map_err(|error| Fault::store("change the raft group", error))?;
        Ok(Voters::from_raft(&state))
    }

    /// Who votes and who learns.
    pub fn voters(&self) -> Voters {
        Voters::from_raft(&self.raw.raft.prs().conf().to_conf_state())
    }

    /// Where the node stands.
    pub fn status(&self) -> Status {
        let raft = &self.raw.raft;
        let role = match raft.state {
            StateRole::Follower => Role::Follower,
            StateRole::PreCandidate => Role::PreCandidate,
            StateRole::Candidate => Role::Candidate,
            StateRole::Leader => Role::Leader,
        };
        Status { role, leader: raft.leader_id, term: raft.term, commit: raft.raft_log.committed }
    }

    /// Whether this node leads a group of one and has applied an entry of its own term: then all that was ever acknowledged is
    /// applied, and nobody else can acknowledge anything. A leader that only just began may still have an earlier log to apply.
    pub fn leads_alone(&self) -> bool {
        let raft = &self.raw.raft;
        raft.state == StateRole::Leader && raft.apply_to_current_term() && self.voters().voters == [raft.id]
    }

    /// What has to be done now, if anything.
    pub fn ready(&mut self) -> Option<Ready> {
        if !self.raw.has_ready() {
            return None;
        }
        let mut raft_ready = self.raw.ready();
        let entries = raft_ready.take_entries();
        let ready = Ready {
            number: raft_ready.number(),
            hard_state: raft_ready.hs().map(HardState::from_raft),
            must_sync: raft_ready.must_sync(),
            committed: raft_ready.take_committed_entries().into_iter().map(Entry::from_raft).collect(),
            reads: raft_ready.take_read_states().into_iter().map(|read| (read.request_ctx, read.index)).collect(),
            status: None,
            entries: Vec::new(),
        };
        self.raw.mut_store().append(&entries);
        self.raw.advance_append_async(raft_ready);
        let status = self.status();
        let changed = self.last_status.replace(status) != Some(status);
        Some(Ready { entries: entries.into_iter().map(Entry::from_raft).collect(), status: changed.then_some(status), ..ready })
    }

    fn step_proposal(&mut self, entries: Vec<eraftpb::Entry>) -> Result<(), Dropped> {
        let mut message = eraftpb::Message::default();
        message.set_msg_type(MessageType::MsgPropose);
        message.from = self.raw.raft.id;
        message.set_entries(entries.into());
        self.raw.raft.step(message).map_err(|_| Dropped)
    }
}

fn entry(kind: EntryKind, data: Bytes) -> eraftpb::Entry {
    Entry { term: 0, index: 0, kind, data }.to_raft()
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message as _;

    /// A group of one that persists and applies at once.
    struct Lone {
        node: Node,
        applied: Vec<Entry>,
        persisted: Vec<Entry>,
    }

    impl Lone {
        fn start() -> Self {
            let bootstrap = proto::raftpb::ConfChange { node_id: 1, ..Default::default() };
            let first = Entry { term: 1, index: 1, kind: EntryKind::ConfChange, data: bootstrap.encode_to_vec().into() };
            let recovered =
                Recovered { hard_state: HardState { term: 1, vote: 0, commit: 1 }, entries: vec![first], ..Recovered::default() };
            let node = Node::new(&config(0), &recovered).unwrap();
            let mut lone = Self { node, applied: Vec::new(), persisted: Vec::new() };
            lone.run();
            lone
        }

        fn run(&mut self) {
            while let Some(ready) = self.node.ready() {
                self.persisted.extend(ready.entries.clone());
                if ready.must_sync {
                    self.node.persisted(ready.number);
                }
                for entry in ready.committed {
                    if entry.kind == EntryKind::ConfChange {
                        self.node.conf_changed(ConfChangeKind::AddVoter, 1).unwrap();
                    }
                    self.node.applied(entry.index, 0);
                    if entry.kind == EntryKind::ConfChange {
                        self.node.campaign().unwrap();
                    }
                    self.applied.push(entry);
                }
            }
        }
    }

    fn config(applied: u64) -> Config {
        Config { id: 1, election_ticks: 10, heartbeat_ticks: 1, applied, pre_vote: true }
    }

    #[test]
    fn a_founding_member_elects_itself_and_applies_what_it_proposes() {
        let mut lone = Lone::start();
        assert_eq!(lone.node.status().role, Role::Leader);
        lone.node.propose([Bytes::from_static(b"a"), Bytes::from_static(b"b")]).unwrap();
        lone.run();
        let applied: Vec<_> = lone.applied.iter().map(|entry| (entry.index, &entry.data[..])).collect();
        assert_eq!(applied[1..], [(2, &b""[..]), (3, b"a"), (4, b"b")]);
        assert_eq!(lone.persisted.len(), 3);
    }

    #[test]
    fn nothing_is_committed_before_it_is_durable() {
        let mut lone = Lone::start();
        lone.node.propose([Bytes::from_static(b"a")]).unwrap();
        let ready = lone.node.ready().unwrap();
        assert!(ready.must_sync && ready.committed.is_empty() && ready.entries.len() == 1);
        assert!(lone.node.ready().is_none());
        lone.node.persisted(ready.number);
        assert_eq!(lone.node.ready().unwrap().committed.len(), 1);
    }

    #[test]
    fn a_restarted_leader_leads_alone_only_once_it_has_applied_its_log() {
        let mut lone = Lone::start();
        assert!(lone.node.leads_alone());
        lone.node.propose([Bytes::from_static(b"a")]).unwrap();
        lone.run();
        let mut entries = vec![lone.applied[0].clone()];
        entries.append(&mut lone.persisted);
        let recovered = Recovered {
            hard_state: HardState { term: 2, vote: 1, commit: 3 },
            entries,
            voters: Voters { voters: vec![1], learners: Vec::new() },
            ..Recovered::default()
        };
        let mut node = Node::new(&config(1), &recovered).unwrap();
        let mut committed = 0;
        node.campaign().unwrap();
        while let Some(ready) = node.ready() {
            committed = ready.committed.last().map_or(committed, |entry| entry.index);
            if ready.must_sync {
                node.persisted(ready.number);
            }
            if ready.status.is_some_and(|status| status.role == Role::Leader) {
                assert!(!node.leads_alone(), "entries 2 and 3 are not applied yet");
            }
        }
        node.applied(3, 0);
        assert!(!node.leads_alone(), "an entry of this term is not applied yet");
        node.applied(committed, 0);
        assert!(node.leads_alone());
    }

    #[test]
    fn a_log_shorter_than_what_was_committed_is_damage() {
        let recovered = Recovered { hard_state: HardState { term: 1, vote: 1, commit: 7 }, ..Recovered::default() };
        assert!(Node::new(&config(0), &recovered).is_err());
    }
}
