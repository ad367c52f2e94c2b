//! Requests that wait for their outcome while leaders change.

use consensus::Route;
use pipeline::{PendingTable, Proposal, ProposalKind};

/// A table with requests: id and way.
fn table(requests: &[(u64, ProposalKind, Route)]) -> PendingTable<u64> {
    let mut table = PendingTable::default();
    for (id, kind, route) in requests {
        table.insert(*kind, &Proposal { id: *id, data: vec![1].into() }, *route, *id);
    }
    table
}

fn ids(again: Vec<(ProposalKind, Proposal)>) -> Vec<u64> {
    again.into_iter().map(|(_, proposal)| proposal.id).collect()
}

#[test]
fn only_fenced_requests_of_earlier_terms_are_lost() {
    let mut table = table(&[
        (5, ProposalKind::Request, Route::Fenced(1)),
        (2, ProposalKind::ConfChange, Route::Fenced(2)),
        (3, ProposalKind::Request, Route::Fenced(3)),
        (4, ProposalKind::Request, Route::Unfenced(2)),
        (1, ProposalKind::Request, Route::Closed),
        (6, ProposalKind::OfTheLeader, Route::Fenced(2)),
    ]);
    let lost = table.term_begun(3, |_| true);
    assert_eq!(ids(lost.again), [2, 5], "in the order of their ids");
    assert_eq!(lost.of_the_leader, [6]);
    // Those that are proposed again wait for their new way.
    let ways = [
        (1, Some(Route::Closed)),
        (2, Some(Route::Closed)),
        (3, Some(Route::Fenced(3))),
        (4, None),
        (5, Some(Route::Closed)),
    ];
    assert_eq!(table.routes(), ways);
    assert!(table.term_begun(3, |_| true).again.is_empty(), "once");
    table.sent(&[2, 5], Route::Fenced(3));
    assert_eq!(ids(table.term_begun(4, |_| true).again), [2, 3, 5]);
}

#[test]
fn requests_without_a_caller_are_not_proposed_again() {
    let mut table =
        table(&[(1, ProposalKind::Request, Route::Fenced(1)), (2, ProposalKind::Request, Route::Fenced(1))]);
    assert_eq!(ids(table.term_begun(2, |caller| *caller == 2).again), [2]);
    assert!(!table.contains(1) && table.contains(2));
    assert!(table.tick(|_| false).is_empty(), "nobody is told of the outcome");
    assert!(table.is_empty());
}

#[test]
fn an_unfenced_request_has_time_to_come_through() {
    let mut table =
        table(&[(1, ProposalKind::Request, Route::Unfenced(1)), (2, ProposalKind::Request, Route::Unfenced(1))]);
    assert!(table.term_begun(2, |_| true).again.is_empty());
    for _ in 0..9 {
        assert!(table.tick(|_| true).is_empty());
    }
    // The next leader appended it after all.
    assert_eq!(table.remove(1), Some(1));
    // A later leader does not lengthen the time.
    table.term_begun(3, |_| true);
    assert_eq!(table.tick(|_| true), [2]);
    assert_eq!(table.len(), 0);
}

#[test]
fn a_snapshot_leaves_held_requests() {
    let mut table = table(&[
        (3, ProposalKind::Request, Route::Fenced(1)),
        (1, ProposalKind::Request, Route::Unfenced(1)),
        (2, ProposalKind::Request, Route::Closed),
    ]);
    assert_eq!(table.replaced(), [1, 3]);
    assert_eq!(table.routes(), [(2, Some(Route::Closed))]);
    assert_eq!(table.drain(), [2]);
}

#[test]
#[should_panic(expected = "used twice")]
fn an_id_is_used_once() {
    drop(table(&[(1, ProposalKind::Request, Route::Closed), (1, ProposalKind::Request, Route::Closed)]));
}
