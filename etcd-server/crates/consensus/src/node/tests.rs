use super::*;
use crate::Role;
use prost::Message as _;

const KEEP: Keep = Keep::at_most(0, 0);

/// A single-member cluster that persists and applies at once.
struct Lone {
    node: Node,
    applied: Vec<Entry>,
    persisted: Vec<Entry>,
}

impl Lone {
    fn start() -> Self {
        let bootstrap = proto::raftpb::ConfChange { node_id: 1, ..Default::default() };
        let first = Entry { term: 1, index: 1, kind: EntryKind::ConfChange, data: bootstrap.encode_to_vec().into() };
        let recovered = Recovered {
            hard_state: HardState { term: 1, vote: 0, commit: 1 },
            entries: vec![first],
            ..Recovered::default()
        };
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
                self.node.applied(entry.index, KEEP);
                if entry.kind == EntryKind::ConfChange {
                    self.node.campaign().unwrap();
                }
                self.applied.push(entry);
            }
        }
    }
}

fn config(applied: u64) -> Config {
    Config { id: 1, election_ticks: 10, heartbeat_ticks: 1, applied, pre_vote: true, seed: 1, process: 1 }
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
    node.applied(3, KEEP);
    assert!(!node.leads_alone(), "an entry of this term is not applied yet");
    node.applied(committed, KEEP);
    assert!(node.leads_alone());
}

#[test]
fn a_log_shorter_than_what_was_committed_is_damage() {
    let recovered = Recovered { hard_state: HardState { term: 1, vote: 1, commit: 7 }, ..Recovered::default() };
    assert!(Node::new(&config(0), &recovered).is_err());
}

#[test]
fn lone_member_campaigns_only_with_a_durable_log() {
    let mut lone = Lone::start();
    lone.node.propose([Bytes::from_static(b"a")]).unwrap();
    let ready = lone.node.ready().unwrap();
    lone.node.step_down();
    lone.node.campaign().unwrap();
    assert_eq!(lone.node.status().role, Role::Follower, "entry 3 is not durable");
    lone.node.persisted(ready.number);
    lone.node.campaign().unwrap();
    assert_eq!(lone.node.status().role, Role::Leader);
}

#[test]
fn removed_member_does_not_campaign() {
    let mut lone = Lone::start();
    lone.node.conf_changed(ConfChangeKind::Remove, 1).unwrap();
    lone.node.step_down();
    lone.node.campaign().unwrap();
    assert_eq!(lone.node.status().role, Role::Follower);
}

/// Returns the entry of this index in the log of [`follower`].
fn logged(index: u64) -> raftpb::Entry {
    let term = if index > 8 { 5 } else { 4 };
    raftpb::Entry { term, index, data: Bytes::from(format!("entry {index}")), ..raftpb::Entry::default() }
}

/// Returns a follower in term 5. Its log in memory begins behind entry 3; entry 8 is committed, and
/// entry 10 is the last.
fn follower() -> Node {
    let entry = |index| {
        let raftpb::Entry { term, data, .. } = logged(index);
        Entry { term, index, kind: EntryKind::Normal, data }
    };
    let recovered = Recovered {
        hard_state: HardState { term: 5, vote: 0, commit: 8 },
        before_index: 3,
        before_term: 4,
        entries: (4..=10).map(entry).collect(),
        voters: Voters { voters: vec![1, 2, 3], learners: Vec::new() },
    };
    Node::new(&config(3), &recovered).unwrap()
}

/// Steps an append of member 2 into a follower. The entries follow the one of `index` and
/// `log_term`.
fn append(term: u64, index: u64, log_term: u64, entries: Vec<raftpb::Entry>) -> Result<(), StepRefusal> {
    let message = raftpb::Message { r#type: 3, from: 2, to: 1, term, index, log_term, entries, ..Default::default() };
    follower().step(message)
}

#[test]
fn append_that_repeats_committed_entries_is_taken() {
    assert_eq!(append(6, 5, 4, vec![logged(6), logged(7)]), Ok(()));
    assert_eq!(append(6, 7, 4, vec![logged(8), logged(9), logged(10)]), Ok(()));
    // Entries that are not in memory any more were compared when they were there.
    assert_eq!(append(6, 2, 4, vec![logged(3), logged(4)]), Ok(()));
    assert_eq!(append(6, 0, 0, vec![logged(1), logged(2)]), Ok(()));
    // What is not committed may be replaced.
    assert_eq!(append(6, 8, 4, vec![raftpb::Entry { term: 6, ..logged(9) }]), Ok(()));
    assert_eq!(append(6, 9, 6, Vec::new()), Ok(()));
}

#[test]
fn append_that_contradicts_a_committed_entry_shows_loss() {
    let lost = |index, theirs| Err(StepRefusal::LostCommit { from: 2, index, ours: 4, theirs });
    // The entry before, one of the entries, and one of the same term.
    assert_eq!(append(6, 5, 3, Vec::new()), lost(5, 3));
    assert_eq!(append(6, 7, 4, vec![raftpb::Entry { term: 6, ..logged(8) }]), lost(8, 6));
    let other = raftpb::Entry { data: Bytes::from_static(b"another"), ..logged(7) };
    assert_eq!(append(6, 5, 4, vec![logged(6), other.clone()]), lost(7, 4));
    assert_eq!(append(5, 5, 4, vec![logged(6), other.clone()]), lost(7, 4));
    // A leader of an earlier term has been replaced since.
    assert_eq!(append(4, 5, 4, vec![logged(6), other]), Ok(()));
}
