//! Members that were replaced by older copies of themselves: those that still have acknowledged
//! entries must notice.

use crate::cluster::{Member, TestCluster, config, voters};
use consensus::{HardState, Recovered, StepRefusal};
use proto::raftpb::Message;

/// A cluster of three of which all but `keeper` are replaced by copies from after the first `kept`
/// entries, and have gone on without it. The entries behind those are of `lost_terms` later terms.
fn restored_without(keeper: u64, kept: usize, lost_terms: usize, written_after: usize) -> TestCluster {
    let (mut cluster, mut leader) = TestCluster::led(&[1, 2, 3]);
    while cluster.members[&keeper].entries.len() < kept {
        cluster.propose(leader, "in the copies");
    }
    for _ in 0..lost_terms {
        cluster.member(leader).node.step_down();
        leader = cluster.elect();
    }
    for _ in 0..5 {
        cluster.propose(leader, "acknowledged");
    }
    cluster.tick(2);
    cluster.cut.insert(keeper);
    let others: Vec<u64> = (1..=3).filter(|member| *member != keeper).collect();
    for &id in &others {
        let entries = cluster.members[&id].entries[..kept].to_vec();
        let term = entries.last().map_or(0, |entry| entry.term);
        let hard_state = HardState { term, vote: 0, commit: kept as u64 };
        let recovered = Recovered { entries, hard_state, voters: voters(&[1, 2, 3]), ..Recovered::default() };
        cluster.members.insert(id, Member::new(&config(id), &recovered));
    }
    let next = cluster.elect();
    for _ in 0..written_after {
        cluster.propose(next, "after the restore");
    }
    cluster.refused.clear();
    cluster.cut.clear();
    cluster
}

/// The first notice that a committed entry is lost, within `ticks`.
fn lost_commit_within(cluster: &mut TestCluster, ticks: usize) -> Option<StepRefusal> {
    for _ in 0..ticks {
        cluster.tick(1);
        let is_notice = |refusal: &&StepRefusal| {
            matches!(refusal, StepRefusal::LostCommit { .. } | StepRefusal::SecondLeader { .. })
        };
        if let Some(lost) = cluster.refused.iter().find(is_notice) {
            return Some(lost.clone());
        }
    }
    None
}

#[test]
fn member_with_committed_entries_notices_their_loss() {
    for keeper in 1..=3 {
        // The others' log is shorter than, as long as, or longer than the acknowledged one. With
        // one lost term, the members that lost their votes elect a second leader in that very term,
        // which the first one notices by a heartbeat.
        for (kept, lost_terms, written_after) in [(1, 0, 0), (2, 0, 1), (3, 0, 2), (1, 0, 10), (2, 1, 2), (2, 1, 20)] {
            let mut cluster = restored_without(keeper, kept, lost_terms, written_after);
            let case = format!("member {keeper}, {kept} kept, {lost_terms} terms lost, {written_after} written");
            // A member that led when it was cut off follows no leader before an election timeout
            // has passed without a majority.
            let lost = lost_commit_within(&mut cluster, 40);
            assert!(lost.is_some(), "{case}: {:?}", cluster.refused);
            let acknowledged = cluster.members[&keeper].state.values().filter(|data| **data == "acknowledged").count();
            assert_eq!(acknowledged, 5, "{case}: the acknowledged entries are still there");
            assert!(cluster.member(keeper).node.ready().is_none(), "nothing of the other history is taken");
        }
    }
}

#[test]
fn shorter_log_of_a_new_leader_is_no_loss() {
    // Entries that were never committed may be replaced.
    let (mut cluster, leader) = TestCluster::led(&[1, 2, 3]);
    cluster.propose(leader, "committed");
    let followers: Vec<u64> = (1..=3).filter(|member| *member != leader).collect();
    cluster.cut.insert(leader);
    cluster.propose(leader, "never committed");
    let next = cluster.elect();
    assert!(followers.contains(&next));
    cluster.propose(next, "in its place");
    cluster.cut.clear();
    cluster.tick(20);
    assert!(
        !cluster.refused.iter().any(|refusal| matches!(refusal, StepRefusal::LostCommit { .. })),
        "{:?}",
        cluster.refused
    );
    assert_eq!(cluster.members[&leader].state, cluster.members[&next].state);
}

#[test]
fn terms_far_ahead_are_refused() {
    let (cluster, leader) = TestCluster::led(&[1, 2, 3]);
    let follower = 1 + leader % 3;
    let term = cluster.members[&follower].node.status().term;
    for kind in [3, 5, 8, 17] {
        for (ahead, taken) in [(1 << 30, true), ((1 << 30) + 1, false), ((1 << 62) - 1 - term, false)] {
            let mut cluster = TestCluster::of(&[1, 2, 3]);
            let own = cluster.members[&1].node.status().term;
            let message = Message { r#type: kind, from: 2, to: 1, term: own + ahead, ..Message::default() };
            let stepped = cluster.member(1).node.step(message);
            let refused = matches!(stepped, Err(StepRefusal::TermTooFarAhead { .. }));
            assert_eq!(refused, !taken, "kind {kind}, {ahead} terms ahead: {stepped:?}");
            assert!(cluster.members[&1].node.status().term <= own + (1 << 30));
        }
    }
}
