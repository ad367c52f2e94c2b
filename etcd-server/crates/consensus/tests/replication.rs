//! Electing, replicating, handing over, and catching up.

use crate::cluster::{Member, TestCluster, config, voters};
use bytes::Bytes;
use consensus::{Dropped, HardState, Keep, Recovered, Role};

fn payloads(member: &Member) -> Vec<&[u8]> {
    member.state.values().map(|payload| &payload[..]).filter(|payload| !payload.is_empty()).collect()
}

#[test]
fn three_members_elect_one_and_apply_the_same() {
    let (mut cluster, leader) = TestCluster::led(&[1, 2, 3]);
    cluster.propose(leader, "a");
    let follower = 1 + leader % 3;
    cluster.propose(follower, "forwarded");
    cluster.tick(1);
    for member in cluster.members.values() {
        assert_eq!(payloads(member), [&b"a"[..], b"forwarded"]);
        assert_eq!(member.node.status().leader, leader);
    }
    assert!(cluster.refused.is_empty());
}

#[test]
fn a_leader_that_is_cut_off_is_replaced_and_its_uncommitted_entries_with_it() {
    let (mut cluster, old) = TestCluster::led(&[1, 2, 3]);
    cluster.cut.insert(old);
    cluster.propose(old, "lost");
    let new = cluster.elect();
    assert_ne!(new, old);
    cluster.propose(new, "kept");
    cluster.tick(20);
    assert!(!cluster.members[&old].leads(), "it noticed that nobody answers");
    cluster.cut.clear();
    cluster.tick(30);
    let states: Vec<_> = cluster.members.values().map(payloads).collect();
    assert!(states.iter().all(|state| *state == [b"kept"]), "{states:?}");
}

#[test]
fn the_same_seed_gives_the_same_elections() {
    let run = || {
        let (mut cluster, leader) = TestCluster::led(&[1, 2, 3, 4, 5]);
        let mut leaders = vec![leader];
        for _ in 0..5 {
            cluster.cut = [leaders[leaders.len() - 1]].into();
            leaders.push(cluster.elect());
        }
        leaders
    };
    assert_eq!(run(), run());
}

#[test]
fn a_leader_hands_over_to_a_member_that_answers() {
    let (mut cluster, leader) = TestCluster::led(&[1, 2, 3]);
    let silent = 1 + leader % 3;
    cluster.cut.insert(silent);
    cluster.tick(15);
    let to = cluster.member(leader).node.transfer_leadership().unwrap();
    assert_ne!(to, silent);
    cluster.settle();
    assert_eq!(cluster.leader(), Some(to));
    cluster.member(to).node.step_down();
    assert_eq!(cluster.members[&to].node.status().role, Role::Follower);
}

/// A follower that is cut off while so many entries are made; the log keeps fewer.
fn misses(cluster: &mut TestCluster, leader: u64, keep: Keep, entries: usize) -> u64 {
    cluster.keep = keep;
    let away = 1 + leader % 3;
    cluster.cut.insert(away);
    for _ in 0..entries {
        cluster.propose(leader, "x");
    }
    away
}

#[test]
fn a_follower_far_behind_is_sent_a_snapshot_and_goes_on_from_there() {
    let (mut cluster, leader) = TestCluster::led(&[1, 2, 3]);
    let away = misses(&mut cluster, leader, Keep::at_most(3, 1 << 20), 50);
    cluster.cut.clear();
    cluster.tick(5);
    cluster.propose(leader, "y");
    cluster.tick(5);
    let (away, leader) = (&cluster.members[&away], &cluster.members[&leader]);
    assert_eq!(away.installed.len(), 1);
    assert_eq!(away.installed[0].voters, voters(&[1, 2, 3]));
    assert_eq!((&away.state, away.applied), (&leader.state, leader.applied));
    assert!(leader.node.progress().iter().all(|progress| !progress.snapshot && progress.recently_active));
    assert!(cluster.refused.is_empty());
}

#[test]
fn a_snapshot_that_did_not_arrive_is_sent_again() {
    let (mut cluster, leader) = TestCluster::led(&[1, 2, 3]);
    let away = misses(&mut cluster, leader, Keep::at_most(0, 0), 5);
    // The leader learns that it is back, and it goes away before the snapshot comes.
    cluster.cut.clear();
    cluster.member(leader).node.tick();
    while cluster.wire.iter().all(|message| message.r#type != crate::cluster::SNAPSHOT) {
        let Some(message) = cluster.wire.pop_front() else {
            assert!(cluster.work_all(), "no snapshot was sent");
            continue;
        };
        cluster.deliver(message);
    }
    cluster.cut.insert(away);
    cluster.settle();
    cluster.cut.clear();
    cluster.tick(5);
    assert_eq!(cluster.members[&away].state, cluster.members[&leader].state);
}

#[test]
fn what_comes_behind_a_snapshot_is_kept_until_it_was_sent() {
    let (mut cluster, leader) = TestCluster::led(&[1, 2, 3]);
    let away = misses(&mut cluster, leader, Keep::at_most(3, 1 << 20), 50);
    cluster.cut.clear();
    cluster.member(leader).node.tick();
    while cluster.members[&away].installed.is_empty() {
        match cluster.wire.pop_front() {
            Some(message) => cluster.deliver(message),
            None => assert!(cluster.work_all(), "no snapshot was sent"),
        }
        cluster.work_all();
    }
    // More than is kept is written before the leader hears of it again.
    cluster.cut.insert(away);
    for _ in 0..50 {
        cluster.propose(leader, "y");
    }
    cluster.cut.clear();
    cluster.tick(5);
    assert_eq!(cluster.members[&away].state, cluster.members[&leader].state);
    assert_eq!(cluster.members[&away].installed.len(), 1);
}

#[test]
fn nobody_campaigns_while_a_snapshot_is_installed() {
    let (mut cluster, leader) = TestCluster::led(&[1, 2, 3]);
    cluster.keep = Keep::at_most(0, 0);
    let away = 1 + leader % 3;
    cluster.cut.insert(away);
    cluster.propose(leader, "x");
    cluster.propose(leader, "y");
    let (index, term) = cluster.members[&leader].applied;
    let node = &mut cluster.member(away).node;
    node.step(crate::members::snapshot(leader, away, index, term, &[1, 2, 3])).unwrap();
    let ready = node.ready().unwrap();
    assert_eq!(ready.snapshot.as_ref().map(|mark| mark.index), Some(index));
    assert!(ready.must_sync && ready.committed.is_empty());
    assert!(!ready.deferred_messages.is_empty() && ready.messages.is_empty());
    for _ in 0..100 {
        node.tick();
    }
    assert!(node.ready().is_none());
    node.persisted(ready.number);
    node.applied(index, Keep::at_most(0, 0));
    for _ in 0..100 {
        node.tick();
    }
    assert_eq!(node.status().role, Role::PreCandidate);
}

#[test]
fn followers_promise_only_behind_what_is_not_durable() {
    let (mut cluster, leader) = TestCluster::led(&[1, 2, 3]);
    let follower = 1 + leader % 3;
    cluster.member(leader).node.propose([Bytes::from_static(b"a")]).unwrap();
    let append = cluster
        .member(leader)
        .node
        .ready()
        .unwrap()
        .messages
        .into_iter()
        .find(|message| message.to == follower)
        .unwrap();
    let node = &mut cluster.member(follower).node;
    node.step(append).unwrap();
    node.propose([Bytes::from_static(b"b")]).unwrap();
    let ready = node.ready().unwrap();
    assert!(ready.must_sync && ready.entries.len() == 1 && ready.committed.is_empty());
    assert_eq!(
        ready.deferred_messages.iter().map(|message| message.r#type).collect::<Vec<_>>(),
        [4],
        "the acknowledgement waits"
    );
    assert_eq!(ready.messages.iter().map(|message| message.r#type).collect::<Vec<_>>(), [2], "the proposal does not");
}

#[test]
fn a_lone_leader_tells_learners_nothing_before_its_vote_is_durable() {
    let recovered = Recovered {
        hard_state: HardState { term: 1, vote: 0, commit: 0 },
        voters: consensus::Voters { voters: vec![1], learners: vec![2] },
        ..Recovered::default()
    };
    let mut member = Member::new(&config(1), &recovered);
    member.node.campaign().unwrap();
    let first = member.node.ready().unwrap();
    assert!(member.leads() && first.must_sync && first.messages.is_empty() && !first.deferred_messages.is_empty());
    member.node.propose([Bytes::from_static(b"a")]).unwrap();
    assert!(member.node.ready().is_none_or(|second| second.messages.is_empty()));
    member.node.persisted(first.number);
    for _ in 0..3 {
        member.node.tick();
    }
    assert!(!member.node.ready().unwrap().messages.is_empty());
}

#[test]
fn a_member_whose_data_is_gone_is_told_so() {
    let (mut cluster, leader) = TestCluster::led(&[1, 2, 3]);
    cluster.propose(leader, "a");
    let wiped = 1 + leader % 3;
    let recovered = Recovered { voters: voters(&[1, 2, 3]), ..Recovered::default() };
    cluster.members.insert(wiped, Member::new(&config(wiped), &recovered));
    cluster.tick(2);
    let texts: Vec<_> = cluster.refused.iter().map(ToString::to_string).collect();
    assert!(texts.iter().any(|text| text.contains("its data was lost or replaced by an older copy")), "{texts:?}");
}

#[test]
fn request_forwarded_outside_of_the_node_is_applied() {
    let (mut cluster, leader) = TestCluster::led(&[1, 2, 3]);
    let follower = 1 + leader % 3;
    let message = consensus::forwarded_request(follower, leader, "forwarded".into());
    cluster.member(leader).node.step(message).unwrap();
    cluster.settle();
    cluster.tick(1);
    for member in cluster.members.values() {
        assert_eq!(payloads(member).last(), Some(&&b"forwarded"[..]));
    }
}

#[test]
fn leaders_own_requests_are_never_forwarded() {
    let (mut cluster, leader) = TestCluster::led(&[1, 2, 3]);
    let follower = 1 + leader % 3;
    assert_eq!(cluster.member(follower).node.propose_as_leader(["a".into()]), Err(Dropped));
    cluster.settle();
    assert!(payloads(&cluster.members[&leader]).is_empty());
    cluster.member(leader).node.propose_as_leader(["b".into()]).unwrap();
    cluster.settle();
    assert_eq!(payloads(&cluster.members[&leader]), [b"b"]);
}
