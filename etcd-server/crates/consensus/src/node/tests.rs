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
