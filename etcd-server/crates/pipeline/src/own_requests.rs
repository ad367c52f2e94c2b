//! Requests that a member makes itself.

use lease::Checkpoint;
use proto::etcdserverpb::alarm_request::AlarmAction;
use proto::etcdserverpb::{
    AlarmRequest, AlarmType, InternalRaftRequest, LeaseCheckpoint, LeaseCheckpointRequest, LeaseRevokeRequest,
};
use types::LeaseId;

/// Returns the request that raises an alarm for a member; 0 stands for the cluster.
pub fn raise_alarm(kind: AlarmType, member_id: u64) -> InternalRaftRequest {
    let alarm = AlarmRequest { action: AlarmAction::Activate.into(), member_id, alarm: kind.into() };
    InternalRaftRequest { alarm: Some(alarm), ..InternalRaftRequest::default() }
}

/// Returns the request by which a leader revokes an expired lease. It is proposed as leader only:
/// a later leader extends the lease.
pub fn revoke_lease(lease: LeaseId) -> InternalRaftRequest {
    InternalRaftRequest { lease_revoke: Some(LeaseRevokeRequest { id: lease.0 }), ..InternalRaftRequest::default() }
}

/// Returns the request by which a leader records the remaining times of leases; `None` if nothing
/// is due.
pub fn checkpoint_leases(due: &[Checkpoint]) -> Option<InternalRaftRequest> {
    let checkpoints =
        due.iter().map(|due| LeaseCheckpoint { id: due.id.0, remaining_ttl: due.remaining_ttl_seconds }).collect();
    (!due.is_empty()).then(|| checkpoint(checkpoints))
}

/// Returns the request by which a leader takes back the checkpoints of renewed leases.
pub fn reset_checkpoints(leases: &[LeaseId]) -> InternalRaftRequest {
    checkpoint(leases.iter().map(|lease| LeaseCheckpoint { id: lease.0, remaining_ttl: 0 }).collect())
}

fn checkpoint(checkpoints: Vec<LeaseCheckpoint>) -> InternalRaftRequest {
    let lease_checkpoint = Some(LeaseCheckpointRequest { checkpoints });
    InternalRaftRequest { lease_checkpoint, ..InternalRaftRequest::default() }
}
