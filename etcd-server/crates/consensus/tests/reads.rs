//! Indexes for linearizable reads.

use crate::group::Group;
use consensus::{Barriers, NotYet, ReadContexts};

#[test]
fn a_read_at_any_member_gets_an_index_that_holds_what_was_acknowledged_before() {
    let (mut group, leader) = Group::led(&[1, 2, 3]);
    for at in 1..=3 {
        group.propose(leader, "x");
        let committed = group.members[&leader].node.status().commit;
        let (number, context) = ReadContexts::new(at, 1).fresh();
        assert_eq!(number, 1);
        group.member(at).node.read_index(context.clone()).unwrap();
        group.settle();
        assert_eq!(group.members[&at].reads, [(context, committed)]);
    }
}

#[test]
fn a_read_asked_again_after_a_change_of_leader_is_not_answered_with_the_old_index() {
    let (mut group, old) = Group::led(&[1, 2, 3]);
    let mut contexts = ReadContexts::new(old, 1);
    let (_, first) = contexts.fresh();
    group.cut.insert(old);
    group.member(old).node.read_index(first).unwrap();
    group.settle();
    let new = group.elect();
    group.propose(new, "newer than the old leader knows");
    let committed = group.members[&new].node.status().commit;
    // The old leader does not know yet, asks again, and comes back.
    let (_, second) = contexts.fresh();
    let asked = group.member(old).node.read_index(second);
    group.cut.clear();
    group.settle();
    group.tick(5);
    let before = group.members[&old].reads.clone();
    assert!(before.iter().all(|(_, index)| *index >= committed), "a stale read: {before:?}, {asked:?}");
    assert!(group.members[&old].asked_again > 0);
    let (_, third) = contexts.fresh();
    group.member(old).node.read_index(third.clone()).unwrap();
    group.settle();
    assert_eq!(group.members[&old].reads.last(), Some(&(third, committed)));
}

#[test]
fn a_new_leader_says_that_it_cannot_answer_yet_and_then_that_it_can() {
    let mut group = Group::of(&[1]);
    let member = group.member(1);
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
    let (mut group, leader) = Group::led(&[1, 2, 3]);
    let follower = 1 + leader % 3;
    let mut barriers = Barriers::new(ReadContexts::new(follower, 1), 3);
    barriers.push("first");
    barriers.push("second");
    let node = &mut group.member(follower).node;
    barriers.ask(node);
    let lost = node.ready().unwrap().messages.remove(0).entries[0].data.to_vec();
    for _ in 0..3 {
        barriers.tick();
    }
    barriers.retain(|name| *name != "second");
    barriers.push("third");
    barriers.ask(node);
    assert!(barriers.answered(&lost).is_empty(), "its readers wait for another answer");
    group.settle();
    let (context, _) = group.member(follower).reads.pop().unwrap();
    assert_eq!(barriers.answered(&context), ["first", "third"]);
    assert!(barriers.is_empty());
}
