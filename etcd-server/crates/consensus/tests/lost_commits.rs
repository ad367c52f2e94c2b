//! Members that were replaced by older copies of themselves: those that still have what was acknowledged must notice.

use crate::group::{Group, Member, config, voters};
use consensus::{HardState, Recovered, StepRefusal};
use proto::raftpb::Message;

/// A cluster of three of which all but `keeper` have lost their entries behind the first `kept`, and have gone on without it.
fn restored_without(keeper: u64, kept: usize, written_after: usize) -> Group {
    let (mut group, leader) = Group::led(&[1, 2, 3]);
    for _ in 0..5 {
        group.propose(leader, "acknowledged");
    }
    group.tick(2);
    group.cut.insert(keeper);
    let others: Vec<u64> = (1..=3).filter(|member| *member != keeper).collect();
    for &id in &others {
        let entries = group.members[&id].entries[..kept].to_vec();
        let term = entries.last().map_or(0, |entry| entry.term);
        let hard_state = HardState { term, vote: 0, commit: kept as u64 };
        let recovered = Recovered { entries, hard_state, voters: voters(&[1, 2, 3]), ..Recovered::default() };
        group.members.insert(id, Member::new(&config(id), &recovered));
    }
    let next = group.elect();
    for _ in 0..written_after {
        group.propose(next, "after the restore");
    }
    group.refused.clear();
    group.cut.clear();
    group.tick(5);
    group
}

#[test]
fn member_with_committed_entries_notices_their_loss() {
    for keeper in 1..=3 {
        // The others' log is shorter than, as long as, or longer than what was acknowledged.
        for (kept, written_after) in [(1, 0), (2, 1), (3, 2), (1, 10)] {
            let mut group = restored_without(keeper, kept, written_after);
            let lost = group.refused.iter().find(|refusal| matches!(refusal, StepRefusal::LostCommit { .. }));
            assert!(lost.is_some(), "member {keeper}, {kept} kept, {written_after} written: {:?}", group.refused);
            assert_eq!(group.members[&keeper].state.len(), 6, "the acknowledged entries are still there");
            assert!(group.member(keeper).node.ready().is_none(), "nothing of the other history is taken");
        }
    }
}

#[test]
fn shorter_log_of_a_new_leader_is_no_loss() {
    // Entries that were never committed may be replaced.
    let (mut group, leader) = Group::led(&[1, 2, 3]);
    group.propose(leader, "committed");
    let followers: Vec<u64> = (1..=3).filter(|member| *member != leader).collect();
    group.cut.insert(leader);
    group.propose(leader, "never committed");
    let next = group.elect();
    assert!(followers.contains(&next));
    group.propose(next, "in its place");
    group.cut.clear();
    group.tick(20);
    assert!(!group.refused.iter().any(|refusal| matches!(refusal, StepRefusal::LostCommit { .. })), "{:?}", group.refused);
    assert_eq!(group.members[&leader].state, group.members[&next].state);
}

#[test]
fn terms_far_ahead_are_refused() {
    let (group, leader) = Group::led(&[1, 2, 3]);
    let follower = 1 + leader % 3;
    let term = group.members[&follower].node.status().term;
    for kind in [3, 5, 8, 17] {
        for (ahead, taken) in [(1 << 30, true), ((1 << 30) + 1, false), ((1 << 62) - 1 - term, false)] {
            let mut group = Group::of(&[1, 2, 3]);
            let own = group.members[&1].node.status().term;
            let message = Message { r#type: kind, from: 2, to: 1, term: own + ahead, ..Message::default() };
            let stepped = group.member(1).node.step(message);
            let refused = matches!(stepped, Err(StepRefusal::TermTooFarAhead { .. }));
            assert_eq!(refused, !taken, "kind {kind}, {ahead} terms ahead: {stepped:?}");
            assert!(group.members[&1].node.status().term <= own + (1 << 30));
        }
    }
}
