//! Whole requests: the rules that attacks on etcd have gone around, at every depth of a
//! transaction.

use auth::{AuthError, AuthStore, DropTokens, Identity};
use bytes::Bytes;
use proto::authpb::{Permission, permission};
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::*;
use schema::MemoryStore;
use types::LeaseId;

/// `ann` may read [r, s), write [w, x), and both on [b, c); lease 7 holds the key `foreign`, lease
/// 8 the key `b1`.
fn store() -> AuthStore {
    let batch = &mut MemoryStore::new();
    let mut store = AuthStore::load(&MemoryStore::new(), batch).unwrap();
    for name in ["root", "ann"] {
        store.user_add(&AuthUserAddRequest { name: name.into(), ..Default::default() }, batch).unwrap();
    }
    store.role_add(&AuthRoleAddRequest { name: "some".into() }, batch).unwrap();
    let grants = [
        ("r", "s", permission::Type::Read),
        ("w", "x", permission::Type::Write),
        ("b", "c", permission::Type::Readwrite),
    ];
    for (key, range_end, perm_type) in grants {
        let perm = Some(Permission { perm_type: perm_type.into(), key: key.into(), range_end: range_end.into() });
        store.role_grant_permission(&AuthRoleGrantPermissionRequest { name: "some".into(), perm }, batch).unwrap();
    }
    for (user, role) in [("root", "root"), ("ann", "some")] {
        store.user_grant_role(&AuthUserGrantRoleRequest { user: user.into(), role: role.into() }, batch).unwrap();
    }
    store.auth_enable(batch).unwrap();
    store
}

fn lease_keys(lease: LeaseId) -> Result<Vec<Bytes>, AuthError> {
    Ok(match lease.0 {
        7 => vec!["b1".into(), "foreign".into()],
        8 => vec!["b1".into()],
        _ => vec![],
    })
}

fn put(key: &'static str, lease: i64, prev_kv: bool) -> Request {
    Request::RequestPut(PutRequest { key: key.into(), lease, prev_kv, ..Default::default() })
}

fn range(key: &'static str, range_end: &'static str) -> Request {
    Request::RequestRange(RangeRequest { key: key.into(), range_end: range_end.into(), ..Default::default() })
}

fn delete(key: &'static str, range_end: &'static str, prev_kv: bool) -> Request {
    Request::RequestDeleteRange(DeleteRangeRequest { key: key.into(), range_end: range_end.into(), prev_kv })
}

fn compare(key: &'static str, range_end: &'static str) -> Request {
    let compare = vec![Compare { key: key.into(), range_end: range_end.into(), ..Default::default() }];
    Request::RequestTxn(TxnRequest { compare, ..Default::default() })
}

/// Each operation, and whether `ann` may ask for it.
fn operations() -> Vec<(Request, bool)> {
    vec![
        (range("r1", ""), true),
        (range("r", "s"), true),
        (range("r", "s\0"), false),
        (range("r", "\0"), false),
        (range("\0", "\0"), false),
        (range("w1", ""), false),
        (put("w1", 0, false), true),
        (put("w1", 0, true), false),
        (put("b1", 0, true), true),
        (put("r1", 0, false), false),
        (put("w1", 7, false), false),
        (put("w1", 8, false), true),
        (put("w1", 9, false), true),
        (delete("w", "x", false), true),
        (delete("w", "x", true), false),
        (delete("b", "c", true), true),
        (delete("w", "\0", false), false),
        (delete("r", "s", false), false),
        (compare("r1", ""), true),
        (compare("r", "\0"), false),
        (compare("w1", ""), false),
    ]
}

fn check(store: &AuthStore, identity: &Identity, request: Request) -> Result<(), AuthError> {
    let txn = TxnRequest { success: vec![RequestOp { request: Some(request) }], ..Default::default() };
    store.check_txn(identity, &txn, &mut lease_keys)
}

#[test]
fn every_operation_is_checked_in_both_branches_down_to_depth_eight() {
    let store = store();
    let ann = Identity::new("ann", store.auth_revision());
    for (operation, allowed) in operations() {
        for depth in 0..8 {
            for branches in 0..1_u32 << depth {
                let nested = (0..depth).fold(operation.clone(), |inner, level| wrap(inner, branches >> level & 1 == 1));
                let expected = if allowed { Ok(()) } else { Err(AuthError::PermissionDenied) };
                assert_eq!(
                    check(&store, &ann, nested),
                    expected,
                    "{operation:?} at depth {depth}, branches {branches:b}"
                );
            }
        }
    }
}

fn wrap(inner: Request, in_failure: bool) -> Request {
    let harmless = vec![RequestOp { request: Some(range("r1", "")) }, RequestOp { request: None }];
    let inner = vec![RequestOp { request: Some(inner) }];
    let (success, failure) = if in_failure { (harmless, inner) } else { (inner, harmless) };
    Request::RequestTxn(TxnRequest { compare: vec![], success, failure })
}

#[test]
fn a_request_alone_is_judged_as_within_a_transaction() {
    let store = store();
    let ann = Identity::new("ann", store.auth_revision());
    for (operation, allowed) in operations() {
        let alone = match &operation {
            Request::RequestRange(range) => store.check_range(&ann, range),
            Request::RequestPut(put) => store.check_put(&ann, put, &mut lease_keys),
            Request::RequestDeleteRange(delete) => store.check_delete_range(&ann, delete),
            Request::RequestTxn(txn) => store.check_txn(&ann, txn, &mut lease_keys),
        };
        assert_eq!(alone.is_ok(), allowed, "{operation:?}");
    }
}

#[test]
fn root_may_do_everything_and_leases_are_not_read_for_it() {
    let store = store();
    let root = Identity::new("root", store.auth_revision());
    let mut no_reading = |_| -> Result<Vec<Bytes>, AuthError> { panic!("the lease's keys do not matter for root") };
    for (request, _) in operations() {
        let txn = TxnRequest { success: vec![RequestOp { request: Some(request) }], ..Default::default() };
        assert_eq!(store.check_txn(&root, &txn, &mut no_reading), Ok(()));
    }
}

#[test]
fn nobody_and_stale_identities_get_their_own_answers() {
    let store = store();
    let stale = Identity::new("ann", store.auth_revision() - 1);
    for (request, _) in operations() {
        assert_eq!(check(&store, &Identity::default(), request.clone()), Err(AuthError::UserEmpty));
        assert_eq!(check(&store, &stale, request), Err(AuthError::AuthOldRevision));
    }
    // etcd asks for nothing when there is nothing to do.
    assert_eq!(store.check_txn(&Identity::default(), &TxnRequest::default(), &mut lease_keys), Ok(()));
}

#[test]
fn everything_is_allowed_while_auth_is_off() {
    let mut store = store();
    assert_eq!(store.auth_disable(&mut MemoryStore::new()), DropTokens::Everybody);
    assert!(operations().into_iter().all(|(request, _)| check(&store, &Identity::default(), request).is_ok()));
}

#[test]
fn a_failed_read_of_lease_keys_is_the_callers_own_error() {
    #[derive(Debug, PartialEq)]
    enum Failure {
        Refused(AuthError),
        Broken,
    }
    impl From<AuthError> for Failure {
        fn from(refusal: AuthError) -> Self {
            Self::Refused(refusal)
        }
    }
    let store = store();
    let ann = Identity::new("ann", store.auth_revision());
    let request = |key: &'static str| PutRequest { key: key.into(), lease: 7, ..Default::default() };
    let mut broken = |_| Err(Failure::Broken);
    assert_eq!(store.check_put(&ann, &request("w1"), &mut broken), Err(Failure::Broken));
    assert_eq!(store.check_put(&ann, &request("r1"), &mut broken), Err(Failure::Refused(AuthError::PermissionDenied)));
}

#[test]
fn a_watch_is_judged_by_its_true_interval() {
    let store = store();
    let ann = Identity::new("ann", store.auth_revision());
    let watch = |key: &'static [u8], range_end: &'static [u8]| {
        let request = WatchCreateRequest { key: key.into(), range_end: range_end.into(), ..Default::default() };
        store.check_watch(&ann, &request).is_ok()
    };
    assert!(watch(b"r1", b"") && watch(b"r", b"s") && watch(b"r\xff", b"s"));
    let wider: [(&[u8], &[u8]); 7] =
        [(b"r", b"\0"), (b"r1", b"\0"), (b"", b""), (b"", b"\0"), (b"\0", b"\0"), (b"r", b"s\0"), (b"r\xff", b"\xff")];
    assert!(wider.iter().all(|(key, range_end)| !watch(key, range_end)));
}
