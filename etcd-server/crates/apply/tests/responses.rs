//! The revision of a response is that of its own entry, independent of the rest of the batch.

use crate::member::Member;
use proto::etcdserverpb::{
    self as pb, AlarmRequest, AuthRoleAddRequest, AuthRoleListRequest, AuthStatusRequest, AuthUserAddRequest,
    AuthUserListRequest, CompactionRequest, DeleteRangeRequest, InternalRaftRequest, LeaseCheckpoint,
    LeaseCheckpointRequest, LeaseGrantRequest, LeaseRevokeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
};

fn put(key: &str, lease: i64) -> InternalRaftRequest {
    let put = PutRequest { key: key.to_owned().into(), value: "v".into(), lease, ..PutRequest::default() };
    InternalRaftRequest { put: Some(put), ..InternalRaftRequest::default() }
}

fn delete(key: &str) -> InternalRaftRequest {
    let delete_range = Some(DeleteRangeRequest { key: key.to_owned().into(), ..DeleteRangeRequest::default() });
    InternalRaftRequest { delete_range, ..InternalRaftRequest::default() }
}

fn txn(operations: Vec<pb::request_op::Request>) -> InternalRaftRequest {
    let success = operations.into_iter().map(|request| RequestOp { request: Some(request) }).collect();
    InternalRaftRequest { txn: Some(TxnRequest { success, ..TxnRequest::default() }), ..InternalRaftRequest::default() }
}

/// Every request in turn, and by how much it moves the revision on.
fn requests() -> Vec<(&'static str, i64, InternalRaftRequest)> {
    let none = InternalRaftRequest::default;
    let operation = |key: &str| pb::request_op::Request::RequestPut(put(key, 0).put.unwrap());
    let range = pb::request_op::Request::RequestRange(RangeRequest { key: "a".into(), ..RangeRequest::default() });
    let grant = LeaseGrantRequest { id: 7, ttl: 60 };
    let checkpoint = LeaseCheckpointRequest { checkpoints: vec![LeaseCheckpoint { id: 7, remaining_ttl: 30 }] };
    let options = Some(proto::authpb::UserAddOptions { no_password: true });
    let user = AuthUserAddRequest { name: "u".into(), options, ..AuthUserAddRequest::default() };
    vec![
        ("put", 1, put("a", 0)),
        ("delete of a key", 1, delete("a")),
        ("delete of nothing", 0, delete("nothing")),
        ("transaction with two puts", 1, txn(vec![operation("b"), operation("c")])),
        ("transaction that reads", 0, txn(vec![range])),
        ("grant", 0, InternalRaftRequest { lease_grant: Some(grant), ..none() }),
        ("put with the lease", 1, put("leased", 7)),
        ("checkpoint", 0, InternalRaftRequest { lease_checkpoint: Some(checkpoint), ..none() }),
        (
            "revoke of a lease with a key",
            1,
            InternalRaftRequest { lease_revoke: Some(LeaseRevokeRequest { id: 7 }), ..none() },
        ),
        ("alarms", 0, InternalRaftRequest { alarm: Some(AlarmRequest::default()), ..none() }),
        ("authentication status", 0, InternalRaftRequest { auth_status: Some(AuthStatusRequest {}), ..none() }),
        ("user", 0, InternalRaftRequest { auth_user_add: Some(user), ..none() }),
        ("users", 0, InternalRaftRequest { auth_user_list: Some(AuthUserListRequest {}), ..none() }),
        ("role", 0, InternalRaftRequest { auth_role_add: Some(AuthRoleAddRequest { name: "r".into() }), ..none() }),
        ("roles", 0, InternalRaftRequest { auth_role_list: Some(AuthRoleListRequest {}), ..none() }),
        (
            "compaction",
            0,
            InternalRaftRequest { compaction: Some(CompactionRequest { revision: 2, physical: false }), ..none() },
        ),
        ("put of another client", 1, put("later", 0)),
    ]
}

#[test]
fn responses_carry_the_revision_of_their_entry() {
    // In one batch, as concurrent requests are applied, and in batches of one entry.
    for ends_each_batch in [false, true] {
        let (mut member, mut revision) = (Member::new(), 1);
        for (name, step, request) in requests() {
            revision += step;
            let ordered = member.respond(request).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
            assert_eq!(ordered.revision, revision, "{name}, batch ended after each: {ends_each_batch}");
            if ends_each_batch {
                member.end_batch();
            }
        }
        member.end_batch();
        assert_eq!(member.state.keys.current(), revision);
    }
}

#[test]
fn events_carry_the_revision_of_the_response() {
    let mut member = Member::new();
    for (name, step, request) in requests() {
        let applied = member.apply(request);
        assert_eq!(applied.events.is_empty(), step == 0, "{name}");
        let revision = applied.outcome.unwrap().revision;
        assert!(applied.events.iter().all(|event| event.revision.main == revision), "{name}: {:?}", applied.events);
    }
}
