//! Indexes for linearizable reads.

use crate::cluster::TestCluster;
use consensus::{NotYet, ReadContexts, ReadIndexQueue};

#[test]
fn a_read_at_any_member_gets_an_index_that_holds_what_was_acknowledged_before() {
    let (mut cluster, leader) = TestCluster::led(&[1, 2, 3]);
    for at in 1..=3 {
        cluster.propose(leader, "x");
        let committed = cluster.members[&leader].node.status().commit;
        let (number, context) = ReadContexts::new(at, 1).fresh();
        assert_eq!(number, 1);
        cluster.member(at).node.read_index(context.clone()).unwrap();
        cluster.settle();
        assert_eq!(cluster.members[&at].reads, [(context, committed)]);
    }
}

#[test]
fn a_read_asked_again_after_a_change_of_leader_is_not_answered_with_the_old_index() {
    let (mut cluster, old) = TestCluster::led(&[1, 2, 3]);
    let mut contexts = ReadContexts::new(old, 1);
    let (_, first) = contexts.fresh();
    cluster.cut.insert(old);
    cluster.member(old).node.read_index(first).unwrap();
    cluster.settle();
    let new = cluster.elect();
    cluster.propose(new, "newer than the old leader knows");
    let committed = cluster.members[&new].node.status().commit;
    // The old leader does not know yet, asks again, and comes back.
    let (_, second) = contexts.fresh();
    let asked = cluster.member(old).node.read_index(second);
    cluster.cut.clear();
    cluster.settle();
    cluster.tick(5);
    let before = cluster.members[&old].reads.clone();
    assert!(before.iter().all(|(_, index)| *index >= committed), "a stale read: {before:?}, {asked:?}");
    assert!(cluster.members[&old].asked_again > 0);
    let (_, third) = contexts.fresh();
    cluster.member(old).node.read_index(third.clone()).unwrap();
    cluster.settle();
    assert_eq!(cluster.members[&old].reads.last(), Some(&(third, committed)));
}

#[test]
fn a_new_leader_says_that_it_cannot_answer_yet_and_then_that_it_can() {
    let mut cluster = TestCluster::of(&[1]);
    let member = cluster.member(1);
    let mut contexts = ReadContexts::new(1, 1);
    assert_eq!(member.node.read_index(contexts.fresh().1), Err(NotYet));
    member.node.campaign().unwrap();
    assert!(member.leads());
    assert_eq!(member.node.read_index(contexts.fresh().1), Err(NotYet));
    let ready = member.node.ready().unwrap();
    let asked_before = ready.ask_reads_again;
    member.node.persisted(ready.number);
    assert!(member.node.read_index(contexts.fresh().1).is_ok());
    let ready = member.node.ready().unwrap();
    assert!(asked_before && ready.ask_reads_again);
    assert_eq!(ready.reads.len(), 1);
}

#[test]
fn barriers_are_asked_together_and_again_with_a_new_context() {
    let (mut cluster, leader) = TestCluster::led(&[1, 2, 3]);
    let follower = 1 + leader % 3;
    let mut read_index_queue = ReadIndexQueue::new(ReadContexts::new(follower, 1), 3);
    read_index_queue.push("first");
    read_index_queue.push("second");
    let node = &mut cluster.member(follower).node;
    read_index_queue.ask(node);
    let lost = node.ready().unwrap().messages.remove(0).entries[0].data.to_vec();
    for _ in 0..3 {
        read_index_queue.tick();
    }
    read_index_queue.retain(|name| *name != "second");
    read_index_queue.push("third");
    read_index_queue.ask(node);
    assert!(read_index_queue.answered(&lost).is_empty(), "its readers wait for another answer");
    cluster.settle();
    let (context, _) = cluster.member(follower).reads.pop().unwrap();
    assert_eq!(read_index_queue.answered(&context), ["first", "third"]);
    assert!(read_index_queue.is_empty());
}

#[test]
fn all_reads_leave_a_queue_that_can_serve_none() {
    let (mut cluster, leader) = TestCluster::led(&[1, 2, 3]);
    let mut queue = ReadIndexQueue::new(ReadContexts::new(leader, 1), 3);
    queue.push("requested");
    queue.ask(&mut cluster.member(leader).node);
    queue.push("waiting");
    let mut left = queue.drain();
    left.sort_unstable();
    assert_eq!(left, ["requested", "waiting"]);
    assert!(queue.is_empty());
    // The response that was under way finds no read.
    cluster.settle();
    let (context, _) = cluster.member(leader).reads.pop().unwrap();
    assert!(queue.answered(&context).is_empty());
}

#[test]
fn reads_are_not_repeated_under_one_leader() {
    let (mut cluster, leader) = TestCluster::led(&[1, 2, 3]);
    cluster.tick(2);
    let repeated =
        |cluster: &TestCluster| cluster.members.values().map(|member| member.asked_again).collect::<Vec<_>>();
    let before = repeated(&cluster);
    assert!(before.iter().all(|times| *times > 0), "every member has heard of its leader");
    cluster.propose(leader, "x");
    cluster.tick(3);
    assert_eq!(repeated(&cluster), before);
}
