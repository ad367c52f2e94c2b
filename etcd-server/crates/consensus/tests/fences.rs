//! Proposals that hold for one term.

use crate::cluster::TestCluster;
use bytes::Bytes;
use consensus::{Route, StepRefusal};
use proto::raftpb::Message;

const PROPOSE: i32 = 2;

/// A cluster whose members honour fences, and its leader and a follower.
fn fencing() -> (TestCluster, u64, u64) {
    let (mut cluster, leader) = TestCluster::led(&[1, 2, 3]);
    for at in 1..=3 {
        (1..=3).for_each(|member| cluster.member(at).node.set_fencing(member, true));
    }
    (cluster, leader, 1 + leader % 3)
}

/// Has a member forward a proposal; returns the message in place of sending it.
fn forwarded(cluster: &mut TestCluster, at: u64, payload: &'static str) -> Message {
    cluster.member(at).node.propose([Bytes::from_static(payload.as_bytes())]).unwrap();
    let mut messages = Vec::new();
    while let Some(ready) = cluster.member(at).node.ready() {
        messages.extend(ready.messages);
    }
    messages.into_iter().find(|message| message.r#type == PROPOSE).unwrap()
}

/// Counts the entries with this payload that a member has applied.
fn applied(cluster: &TestCluster, at: u64, payload: &'static str) -> usize {
    cluster.members[&at].state.values().filter(|data| *data == payload).count()
}

#[test]
fn a_repeated_message_is_appended_once() {
    let (mut cluster, leader, follower) = fencing();
    let message = forwarded(&mut cluster, follower, "a");
    cluster.member(leader).node.step(message.clone()).unwrap();
    cluster.settle();
    assert_eq!(cluster.member(leader).node.step(message), Err(StepRefusal::Repeated));
    cluster.settle();
    assert_eq!(applied(&cluster, leader, "a"), 1);
}

#[test]
fn a_proposal_holds_for_its_term_alone() {
    let (mut cluster, leader, follower) = fencing();
    let message = forwarded(&mut cluster, follower, "a");
    let term = cluster.members[&leader].node.status().term;
    cluster.member(leader).node.step_down();
    // A member that does not lead passes it to nobody.
    assert_eq!(cluster.member(leader).node.step(message.clone()), Err(StepRefusal::OutOfTerm { term }));
    cluster.settle();
    let next = cluster.elect();
    // The leader of a later term does not take it, not even the same member again.
    let late = Message { to: next, from: 1 + next % 3, ..message };
    assert_eq!(cluster.member(next).node.step(late), Err(StepRefusal::OutOfTerm { term }));
    cluster.settle();
    assert_eq!(applied(&cluster, next, "a"), 0);
}

#[test]
fn proposals_to_a_member_without_fences_have_none() {
    let (mut cluster, leader, follower) = fencing();
    let term = cluster.members[&leader].node.status().term;
    assert_eq!(cluster.members[&follower].node.route(), Route::Fenced(term));
    cluster.member(follower).node.set_fencing(leader, false);
    assert_eq!(cluster.members[&follower].node.route(), Route::Unfenced(term));
    assert!(forwarded(&mut cluster, follower, "a").context.is_empty());
    cluster.member(follower).node.set_fencing(leader, true);
    assert!(!forwarded(&mut cluster, follower, "b").context.is_empty());
}

#[test]
fn an_unfenced_proposal_is_passed_on() {
    let (mut cluster, leader, follower) = fencing();
    cluster.member(follower).node.set_fencing(leader, false);
    let mut message = forwarded(&mut cluster, follower, "a");
    // It arrives at the third member, which forwards it with a fence of its own.
    let third = 6 - leader - follower;
    message.to = third;
    cluster.member(third).node.step(message).unwrap();
    cluster.settle();
    assert_eq!(applied(&cluster, leader, "a"), 1);
}

#[test]
fn a_context_that_is_no_fence_is_refused() {
    let (mut cluster, leader, follower) = fencing();
    let message = forwarded(&mut cluster, follower, "a");
    let mut contexts = vec![Bytes::from_static(b"x"), message.context.slice(1..), message.context.slice(..24)];
    contexts.push([&message.context[..], b"x"].concat().into());
    for context in contexts {
        let refused = cluster.member(leader).node.step(Message { context: context.clone(), ..message.clone() });
        assert!(matches!(refused, Err(StepRefusal::Malformed { .. })), "{context:?}: {refused:?}");
    }
    cluster.member(leader).node.step(message).unwrap();
}

#[test]
fn a_member_that_hands_over_or_leaves_takes_nothing() {
    let (mut cluster, leader, follower) = fencing();
    let open = cluster.members[&leader].node.route();
    cluster.cut.insert(follower);
    cluster.member(leader).node.transfer_leader(follower);
    assert!(cluster.members[&leader].node.refuses_proposals());
    assert_eq!(cluster.members[&leader].node.route(), Route::Closed);
    // The transfer is given up after an election timeout, and the term stays.
    cluster.tick(11);
    assert_eq!(cluster.members[&leader].node.route(), open);
}

#[test]
fn a_forgotten_leader_can_be_replaced_at_once() {
    let (mut cluster, leader, follower) = fencing();
    let third = 6 - leader - follower;
    cluster.cut.insert(leader);
    // One member alone cannot know that the leader has ended.
    assert!(cluster.member(follower).node.forget_leader());
    cluster.member(follower).node.campaign().unwrap();
    cluster.settle();
    assert_ne!(cluster.leader(), Some(follower));
    assert!(cluster.member(third).node.forget_leader());
    cluster.member(follower).node.campaign().unwrap();
    cluster.settle();
    assert!(cluster.members[&follower].leads());
    assert!(!cluster.member(follower).node.forget_leader(), "it is the leader itself");
}
