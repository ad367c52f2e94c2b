//! The progress of the members in their leader's view.

use crate::cluster::TestCluster;
use consensus::{ConfChangeDropped, Dropped, Keep, Progress};
use proto::raftpb::ConfChangeType;

fn progress_of(cluster: &TestCluster, leader: u64, member: u64) -> Progress {
    let progress = cluster.members[&leader].node.progress();
    *progress.iter().find(|progress| progress.member == member).unwrap()
}

#[test]
fn leader_sees_how_far_each_member_is() {
    let (mut cluster, leader) = TestCluster::led(&[1, 2, 3]);
    // The new member gets a snapshot, which names the members.
    cluster.keep = Keep::at_most(0, 0);
    cluster.change(leader, ConfChangeType::ConfChangeAddLearnerNode, 4);
    cluster.join(4);
    cluster.propose(leader, "a");
    cluster.tick(2);
    let commit = cluster.members[&leader].node.status().commit;
    let progress = cluster.members[&leader].node.progress();
    assert_eq!(progress.iter().map(|progress| progress.member).collect::<Vec<_>>(), [1, 2, 3, 4]);
    for progress in progress {
        assert_eq!((progress.matched, progress.next), (commit, commit + 1), "{progress:?}");
        assert_eq!((progress.learner, progress.snapshot), (progress.member == 4, false), "{progress:?}");
        assert!(progress.recently_active, "{progress:?}");
    }
    assert!(cluster.members[&(1 + leader % 3)].node.progress().is_empty(), "a follower has no view");
}

#[test]
fn member_is_active_for_an_election_timeout_after_a_response() {
    let (mut cluster, leader) = TestCluster::led(&[1, 2, 3]);
    let (silent, other) = (1 + leader % 3, 1 + (leader + 1) % 3);
    cluster.tick(1);
    cluster.cut.insert(silent);
    let heard = progress_of(&cluster, leader, silent).silent_ticks.unwrap();
    cluster.tick(10 - usize::try_from(heard).unwrap());
    let progress = progress_of(&cluster, leader, silent);
    assert_eq!((progress.silent_ticks, progress.recently_active), (Some(10), true));
    cluster.tick(1);
    let progress = progress_of(&cluster, leader, silent);
    assert_eq!((progress.silent_ticks, progress.recently_active), (Some(11), false));
    assert!(progress_of(&cluster, leader, other).recently_active);
    assert_eq!(progress_of(&cluster, leader, leader).silent_ticks, Some(0));
    assert_eq!(cluster.member(leader).node.transfer_leadership(), Some(other));
}

#[test]
fn responses_to_an_earlier_leadership_do_not_count() {
    let (mut cluster, leader) = TestCluster::led(&[1, 2, 3]);
    let (silent, other) = (1 + leader % 3, 1 + (leader + 1) % 3);
    cluster.tick(1);
    cluster.cut.insert(silent);
    cluster.member(leader).node.step_down();
    assert!(cluster.members[&leader].node.progress().is_empty());
    assert_eq!(cluster.member(leader).node.propose(["a".into()]), Err(Dropped));
    let change = cluster.member(leader).node.propose_conf_change("".into());
    assert_eq!(change, Err(ConfChangeDropped::Dropped(Dropped)));
    // It is elected again, by the other member.
    if cluster.elect() == other {
        cluster.member(other).node.transfer_leader(leader);
        cluster.settle();
    }
    assert!(cluster.members[&leader].leads());
    let progress = progress_of(&cluster, leader, silent);
    assert_eq!((progress.matched, progress.silent_ticks, progress.recently_active), (0, None, false));
    assert!(progress_of(&cluster, leader, other).recently_active);
}
