//! Changes of the group.

use crate::cluster::TestCluster;
use bytes::Bytes;
use consensus::{ConfChangeDropped, Keep, Role, StepRefusal};
use prost::Message as _;
use proto::raftpb::{ConfChange, ConfChangeType, ConfState, Entry, Message, Snapshot, SnapshotMetadata};

pub(crate) fn snapshot(from: u64, to: u64, index: u64, term: u64, voters: &[u64]) -> Message {
    let conf_state = ConfState { voters: voters.to_vec(), ..ConfState::default() };
    let metadata = SnapshotMetadata { conf_state: Some(conf_state), index, term };
    let snapshot = Snapshot { data: Bytes::new(), metadata: Some(metadata) };
    Message { r#type: 7, from, to, term, snapshot: Some(snapshot), ..Message::default() }
}

#[test]
fn a_learner_joins_catches_up_and_is_promoted() {
    let (mut cluster, leader) = TestCluster::led(&[1, 2, 3]);
    cluster.keep = Keep::at_most(2, 1 << 20);
    for _ in 0..10 {
        cluster.propose(leader, "x");
    }
    cluster.join(4);
    assert!(!cluster.members[&4].node.is_member());
    cluster.change(leader, ConfChangeType::ConfChangeAddLearnerNode, 4);
    cluster.tick(5);
    assert_eq!(cluster.members[&4].node.status().role, Role::Learner);
    assert_eq!(cluster.members[&4].installed.len(), 1);
    assert_eq!(cluster.members[&4].state, cluster.members[&leader].state);
    let progress = cluster.members[&leader].node.progress();
    assert!(progress.iter().any(|progress| progress.member == 4 && progress.learner && progress.recently_active));
    cluster.propose(4, "from the learner");
    cluster.change(leader, ConfChangeType::ConfChangeAddNode, 4);
    cluster.tick(2);
    assert_eq!(cluster.members[&4].node.voters().voters, [1, 2, 3, 4]);
    assert_eq!(cluster.members[&4].node.status().role, Role::Follower);
    cluster.member(leader).node.transfer_leader(4);
    cluster.settle();
    assert_eq!(cluster.leader(), Some(4));
}

#[test]
fn a_joiner_gets_the_whole_log_when_the_leader_has_it() {
    let (mut cluster, leader) = TestCluster::led(&[1]);
    cluster.propose(leader, "a");
    cluster.join(2);
    cluster.change(leader, ConfChangeType::ConfChangeAddNode, 2);
    cluster.tick(3);
    assert_eq!(cluster.members[&2].state, cluster.members[&1].state);
    assert!(cluster.members[&2].installed.is_empty() && cluster.members[&2].node.is_member());
}

#[test]
fn a_leader_that_is_removed_leads_nobody_any_more() {
    let (mut cluster, leader) = TestCluster::led(&[1, 2, 3]);
    cluster.change(leader, ConfChangeType::ConfChangeRemoveNode, leader);
    let removed = &cluster.members[&leader].node;
    assert!(!removed.is_member() && removed.status().role == Role::Follower);
    cluster.tick(30);
    let new = cluster.leader().unwrap();
    assert_ne!(new, leader);
    cluster.propose(new, "a");
    assert_eq!(cluster.members[&new].node.voters().voters.len(), 2);
    assert!(cluster.member(leader).node.propose([Bytes::from_static(b"b")]).is_err());
}

#[test]
fn a_group_of_two_survives_the_removal_of_its_leader_that_only_the_leader_heard_of() {
    let (mut cluster, leader) = TestCluster::led(&[1, 2]);
    let stays = 3 - leader;
    let change = ConfChange {
        id: 1,
        r#type: ConfChangeType::ConfChangeRemoveNode.into(),
        node_id: leader,
        ..ConfChange::default()
    };
    cluster.member(leader).node.propose_conf_change(change.encode_to_vec().into()).unwrap();
    while cluster.members[&leader].node.is_member() {
        cluster.work_all();
        let Some(message) = cluster.wire.pop_front() else { continue };
        cluster.deliver(message);
    }
    cluster.wire.clear();
    assert!(cluster.members[&stays].node.voters().voters.contains(&leader), "it has not heard");
    for _ in 0..60 {
        cluster.tick(1);
    }
    assert_eq!(cluster.leader(), Some(stays));
    cluster.propose(stays, "a");
    assert_eq!(cluster.members[&stays].node.voters().voters, [stays]);
}

#[test]
fn a_leader_takes_no_proposals_behind_its_own_removal() {
    let (mut cluster, leader) = TestCluster::led(&[1, 2, 3]);
    let change = ConfChange {
        id: 1,
        r#type: ConfChangeType::ConfChangeRemoveNode.into(),
        node_id: leader,
        ..ConfChange::default()
    };
    let follower = 1 + leader % 3;
    cluster.member(leader).node.propose_conf_change(change.encode_to_vec().into()).unwrap();
    assert!(cluster.member(leader).node.propose([Bytes::from_static(b"a")]).is_err());
    cluster.member(follower).node.propose([Bytes::from_static(b"b")]).unwrap();
    cluster.settle();
    assert!(cluster.refused.contains(&StepRefusal::Dropped));
    assert!(!cluster.members[&leader].node.is_member());
}

#[test]
fn a_change_is_applied_only_when_it_is_durable_that_it_is_committed() {
    let (mut cluster, leader) = TestCluster::led(&[1]);
    let change = ConfChange {
        id: 1,
        r#type: ConfChangeType::ConfChangeAddLearnerNode.into(),
        node_id: 2,
        ..ConfChange::default()
    };
    let node = &mut cluster.member(leader).node;
    node.propose_conf_change(change.encode_to_vec().into()).unwrap();
    node.propose([Bytes::from_static(b"behind it")]).unwrap();
    let appended = node.ready().unwrap();
    let index = appended.entries[0].index;
    assert!(node.ready().is_none());
    node.persisted(appended.number);
    let committed = node.ready().unwrap();
    assert!(committed.must_sync && committed.committed.is_empty());
    assert_eq!(committed.hard_state.map(|state| state.commit), Some(index + 1));
    assert!(node.ready().is_none());
    node.persisted(committed.number);
    let indexes: Vec<_> = node.ready().unwrap().committed.iter().map(|entry| entry.index).collect();
    assert_eq!(indexes, [index, index + 1]);
}

#[test]
fn the_last_member_can_end_its_group() {
    let (mut cluster, leader) = TestCluster::led(&[1]);
    cluster.change(leader, ConfChangeType::ConfChangeRemoveNode, leader);
    assert!(!cluster.members[&leader].node.is_member());
    cluster.tick(50);
}

fn add_learner(member: u64) -> Bytes {
    let change = ConfChange {
        id: 1,
        r#type: ConfChangeType::ConfChangeAddLearnerNode.into(),
        node_id: member,
        ..ConfChange::default()
    };
    change.encode_to_vec().into()
}

#[test]
fn changes_wait_until_the_one_before_is_applied() {
    let (mut cluster, leader) = TestCluster::led(&[1, 2, 3]);
    let follower = 1 + leader % 3;
    // One pending, one waiting at the leader, two forwarded.
    for (at, added) in [(leader, 4), (leader, 5), (follower, 6), (follower, 7)] {
        cluster.member(at).node.propose_conf_change(add_learner(added)).unwrap();
    }
    cluster.settle();
    assert_eq!(cluster.refused, []);
    for member in 1..=3 {
        assert_eq!(cluster.members[&member].node.voters().learners, [4, 5, 6, 7], "member {member}");
    }
}

#[test]
fn changes_that_were_forwarded_together_are_proposed_apart() {
    let (mut cluster, leader) = TestCluster::led(&[1, 2, 3]);
    let follower = 1 + leader % 3;
    let entry = |data: Bytes, kind| Entry { r#type: kind, data, ..Entry::default() };
    let entries = vec![entry(add_learner(4), 1), entry(Bytes::from_static(b"a"), 0), entry(add_learner(5), 1)];
    let message = Message { r#type: 2, from: follower, to: leader, entries, ..Message::default() };
    cluster.member(leader).node.step(message).unwrap();
    cluster.settle();
    assert_eq!(cluster.members[&follower].node.voters().learners, [4, 5]);
    assert!(cluster.members[&follower].state.values().any(|data| data == "a"));
}

#[test]
fn too_many_waiting_changes_are_refused() {
    let (mut cluster, leader) = TestCluster::led(&[1, 2, 3]);
    let node = &mut cluster.member(leader).node;
    let refused =
        (4..1000).find_map(|member| node.propose_conf_change(add_learner(member)).err().map(|error| (member, error)));
    assert_eq!(refused, Some((69, ConfChangeDropped::TooMany)), "one is pending and 64 wait");
}

#[test]
fn only_unfenced_waiting_changes_reach_the_next_leader() {
    let (mut cluster, leader) = TestCluster::led(&[1, 2, 3]);
    let follower = 1 + leader % 3;
    let entries = vec![Entry { r#type: 1, data: add_learner(6), ..Entry::default() }];
    let unfenced = Message { r#type: 2, from: follower, to: leader, entries, ..Message::default() };
    let node = &mut cluster.member(leader).node;
    node.propose_conf_change(add_learner(4)).unwrap();
    node.propose_conf_change(add_learner(5)).unwrap();
    // A member without fences, such as a real etcd, does not propose its change again.
    node.step(unfenced).unwrap();
    // Its appended entries are replicated by the next leader; the waiting ones are not in any log.
    node.step_down();
    cluster.settle();
    let next = cluster.elect();
    cluster.tick(2);
    assert_eq!(cluster.members[&next].node.voters().learners, [4, 6]);
}

#[test]
fn waiting_changes_expire() {
    let (mut cluster, leader) = TestCluster::led(&[1, 2, 3]);
    let followers: Vec<u64> = (1..=3).filter(|member| *member != leader).collect();
    cluster.member(leader).node.propose_conf_change(add_learner(4)).unwrap();
    cluster.member(leader).node.propose_conf_change(add_learner(5)).unwrap();
    cluster.cut.extend(&followers);
    cluster.settle();
    // The client has given up by the time that the leader is connected again.
    cluster.tick(100);
    cluster.cut.clear();
    cluster.elect();
    cluster.tick(20);
    assert!(!cluster.members[&leader].node.voters().learners.contains(&5));
}

#[test]
fn a_snapshot_from_before_a_change_is_not_muddled_by_it() {
    let (mut cluster, leader) = TestCluster::led(&[1, 2, 3]);
    let follower = 1 + leader % 3;
    let term = cluster.members[&leader].node.status().term;
    let node = &mut cluster.member(follower).node;
    node.step(snapshot(leader, follower, 50, term, &[1, 2, 3, 9])).unwrap();
    // Apply is still busy with a change from before the snapshot.
    let voters = node.conf_changed(consensus::ConfChangeKind::AddVoter, 8).unwrap();
    assert_eq!(voters.voters, [1, 2, 3, 9]);
}
