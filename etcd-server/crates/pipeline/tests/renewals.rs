//! Rounds of keep-alives.

use lease::{Change, Expiry, ExpirySettings};
use pipeline::{KeepAliveRound, Renewed};
use std::time::Duration;
use types::{LeaseId, MonotonicTime};

const TERM: u64 = 4;
const LEASE: LeaseId = LeaseId(1);
const NOW: MonotonicTime = MonotonicTime(1_000);

fn leader_with(changes: &[Change]) -> Expiry {
    let mut expiry = Expiry::follow(std::iter::empty(), ExpirySettings::default());
    expiry.promote(MonotonicTime(0), Duration::ZERO);
    changes.iter().for_each(|change| expiry.follow_change(*change, MonotonicTime(0)));
    expiry
}

fn granted() -> Change {
    Change::Granted { id: LEASE, ttl_seconds: 10 }
}

#[test]
fn lease_lives_if_one_leader_led_throughout() {
    let mut expiry = leader_with(&[granted()]);
    let mut round = KeepAliveRound::begin(TERM, &mut expiry, &[LEASE], NOW);
    assert!(round.needs_barrier());
    assert_eq!(round.renewed(), 1);
    assert_eq!(round.behind_barrier(&expiry), []);
    assert_eq!(round.finish(Some(TERM)), [Renewed::Lives { ttl_seconds: 10 }]);
    for other in [None, Some(TERM + 1)] {
        assert_eq!(round.finish(other), [Renewed::Again], "{other:?} leads at the end");
    }
}

#[test]
fn nothing_is_promised_before_the_barrier() {
    let mut expiry = leader_with(&[granted()]);
    let round = KeepAliveRound::begin(TERM, &mut expiry, &[LEASE], NOW);
    assert_eq!(round.finish(Some(TERM)), [Renewed::Again]);
}

#[test]
fn lease_that_was_revoked_meanwhile_is_renewed_again() {
    let mut expiry = leader_with(&[granted()]);
    let mut round = KeepAliveRound::begin(TERM, &mut expiry, &[LEASE], NOW);
    expiry.follow_change(Change::Revoked { id: LEASE }, NOW);
    assert_eq!(round.behind_barrier(&expiry), []);
    assert_eq!(round.finish(Some(TERM)), [Renewed::Again]);
}

#[test]
fn checkpoint_of_an_earlier_leader_is_taken_back() {
    let mut expiry = leader_with(&[granted()]);
    let mut round = KeepAliveRound::begin(TERM, &mut expiry, &[LEASE], NOW);
    expiry.follow_change(Change::Checkpointed { id: LEASE, remaining_ttl_seconds: 3 }, NOW);
    assert_eq!(round.behind_barrier(&expiry), [LEASE]);
}

#[test]
fn own_checkpoint_is_taken_back() {
    let mut expiry = leader_with(&[granted(), Change::Checkpointed { id: LEASE, remaining_ttl_seconds: 3 }]);
    let mut round = KeepAliveRound::begin(TERM, &mut expiry, &[LEASE], NOW);
    expiry.follow_change(Change::Checkpointed { id: LEASE, remaining_ttl_seconds: 0 }, NOW);
    assert_eq!(round.behind_barrier(&expiry), [LEASE], "the entry that set it may come again from a later leader");
}

#[test]
fn unknown_lease_is_not_found_behind_the_barrier_alone() {
    let mut expiry = leader_with(&[]);
    let mut round = KeepAliveRound::begin(TERM, &mut expiry, &[LEASE], NOW);
    assert!(round.needs_barrier());
    assert_eq!(round.renewed(), 0);
    round.behind_barrier(&expiry);
    assert_eq!(round.finish(Some(TERM)), [Renewed::NotFound]);
    // Its grant was on the way.
    expiry.follow_change(granted(), NOW);
    round.behind_barrier(&expiry);
    assert_eq!(round.finish(Some(TERM)), [Renewed::Again]);
}

#[test]
fn expired_lease_waits_for_its_revoke_without_a_barrier() {
    let mut expiry = leader_with(&[granted()]);
    let late = MonotonicTime(20_000);
    let mut round = KeepAliveRound::begin(TERM, &mut expiry, &[LEASE], late);
    assert!(!round.needs_barrier());
    assert_eq!(round.behind_barrier(&expiry), []);
    assert_eq!(round.finish(Some(TERM)), [Renewed::Again]);
}

#[test]
fn outcomes_keep_the_order_of_leases() {
    let mut expiry = leader_with(&[granted()]);
    let leases = [LeaseId(9), LEASE, LeaseId(8)];
    let mut round = KeepAliveRound::begin(TERM, &mut expiry, &leases, NOW);
    round.behind_barrier(&expiry);
    let lives = Renewed::Lives { ttl_seconds: 10 };
    assert_eq!(round.finish(Some(TERM)), [Renewed::NotFound, lives, Renewed::NotFound]);
}
