//! The requests that a member makes itself, as every member reads them in the log.

use lease::Checkpoint;
use pipeline::{checkpoint_leases, raise_alarm, reset_checkpoints, revoke_lease};
use proto::etcdserverpb::alarm_request::AlarmAction;
use proto::etcdserverpb::{AlarmType, InternalRaftRequest};
use types::LeaseId;

/// Returns the leases of a checkpoint with their remaining seconds.
fn remaining(request: InternalRaftRequest) -> Vec<(i64, i64)> {
    let checkpoints = request.lease_checkpoint.unwrap().checkpoints;
    checkpoints.into_iter().map(|checkpoint| (checkpoint.id, checkpoint.remaining_ttl)).collect()
}

#[test]
fn alarm_is_raised_for_one_member() {
    for kind in [AlarmType::Nospace, AlarmType::Corrupt] {
        let alarm = raise_alarm(kind, 7).alarm.unwrap();
        assert_eq!((alarm.action(), alarm.alarm(), alarm.member_id), (AlarmAction::Activate, kind, 7));
    }
}

#[test]
fn expired_lease_is_revoked_by_its_id() {
    assert_eq!(revoke_lease(LeaseId(5)).lease_revoke.unwrap().id, 5);
}

#[test]
fn checkpoints_carry_the_remaining_seconds() {
    let due = [(LeaseId(5), 300), (LeaseId(6), 1)];
    let due = due.map(|(id, remaining_ttl_seconds)| Checkpoint { id, remaining_ttl_seconds });
    assert_eq!(remaining(checkpoint_leases(&due).unwrap()), [(5, 300), (6, 1)]);
    assert_eq!(checkpoint_leases(&[]), None, "an entry without a checkpoint would be of no use");
}

#[test]
fn checkpoint_of_zero_seconds_restores_the_full_time() {
    // As in etcd: a remaining time of zero stands for the granted one.
    assert_eq!(remaining(reset_checkpoints(&[LeaseId(5), LeaseId(6)])), [(5, 0), (6, 0)]);
}
