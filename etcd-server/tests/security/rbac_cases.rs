//! The calls of the matrix: every method, on keys in every relation to the granted ranges, and the
//! permissions that each needs.

use crate::calls::Call;
use crate::rbac_rule::{Access, Needs, Range};
use prost::Message;
use proto::authpb::{Permission, UserAddOptions, permission};
use proto::etcdserverpb::alarm_request::AlarmAction;
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::etcdserverpb::*;
use proto::v3electionpb::{CampaignRequest, LeaderKey, LeaderRequest, ProclaimRequest, ResignRequest};
use proto::v3lockpb::{LockRequest, UnlockRequest};

const KV: &str = "etcdserverpb.KV";
const LEASE: &str = "etcdserverpb.Lease";
const AUTH: &str = "etcdserverpb.Auth";
const MAINTENANCE: &str = "etcdserverpb.Maintenance";
const CLUSTER: &str = "etcdserverpb.Cluster";
const LOCK: &str = "v3lockpb.Lock";
const ELECTION: &str = "v3electionpb.Election";

/// The key of an election, so that permitted observers see something.
pub(crate) const OFFICE: &[u8] = b"c/office";

/// A lease of a case's own, and a number that no other case has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fresh {
    pub(crate) lease: i64,
    pub(crate) number: u64,
}

/// One call of the matrix.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) needs: Needs,
    /// `true` if its defect is reported before the caller is identified.
    pub(crate) malformed: bool,
    /// Keys on the case's own lease, by their first letter; nothing where no lease is needed.
    pub(crate) lease: Option<&'static [&'static str]>,
    /// `true` if a permitted call would change the data of other cases.
    pub(crate) only_refused: bool,
    /// One at a time: of two changes of members at once the second may be dropped without a word,
    /// as in etcd.
    pub(crate) alone: bool,
    service: &'static str,
    method: &'static str,
    request: Box<dyn Fn(Fresh) -> Vec<u8> + Send + Sync>,
}

impl Case {
    fn new(
        service: &'static str,
        method: &'static str,
        needs: Needs,
        request: impl Fn(Fresh) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let name = format!("{method} {needs:?}");
        Self {
            name,
            needs,
            malformed: false,
            lease: None,
            only_refused: false,
            alone: false,
            service,
            method,
            request: Box::new(request),
        }
    }

    fn of(service: &'static str, method: &'static str, needs: Needs, request: &impl Message) -> Self {
        let request = request.encode_to_vec();
        Self::new(service, method, needs, move |_| request.clone())
    }

    fn named(mut self, name: String) -> Self {
        self.name = name;
        self
    }

    /// Returns `true` if it relies on existing keys, so that it runs when no case deletes ranges
    /// any more.
    pub(crate) fn rests_on_keys(&self) -> bool {
        self.lease.is_some() || matches!(self.method, "Observe" | "LeaseLeases")
    }

    pub(crate) fn call(&self, fresh: Fresh) -> Call {
        Call { service: self.service, method: self.method, request: (self.request)(fresh) }
    }
}

/// [b, d) is granted.
const RELATIONS: [(&str, Range); 19] = [
    ("a key inside", (b"c", b"")),
    ("the left edge", (b"b", b"")),
    ("the last key", (b"c\xff", b"")),
    ("the right edge", (b"d", b"")),
    ("a key below", (b"a", b"")),
    ("a key above", (b"e", b"")),
    ("the whole", (b"b", b"d")),
    ("a prefix", (b"c", b"d")),
    ("over the left edge", (b"a", b"c")),
    ("over the right edge", (b"c", b"e")),
    ("one key too far", (b"b", b"d\0")),
    ("from a key on", (b"c", b"\0")),
    ("all keys", (b"\0", b"\0")),
    ("all keys, in short", (b"", b"\0")),
    ("the empty key", (b"", b"")),
    ("the NUL key", (b"\0", b"")),
    ("a 0xff key", (b"\xff", b"")),
    ("reversed, from outside", (b"d", b"b")),
    ("reversed, inside", (b"c", b"b")),
];

fn read((start, end): Range) -> RangeRequest {
    RangeRequest { key: start.into(), range_end: end.into(), ..RangeRequest::default() }
}

fn put(key: &'static [u8]) -> PutRequest {
    PutRequest { key: key.into(), value: "v".into(), ..PutRequest::default() }
}

fn delete((start, end): Range) -> DeleteRangeRequest {
    DeleteRangeRequest { key: start.into(), range_end: end.into(), ..DeleteRangeRequest::default() }
}

fn compare((start, end): Range) -> TxnRequest {
    let compare = Compare { key: start.into(), range_end: end.into(), ..Compare::default() };
    TxnRequest { compare: vec![compare], ..TxnRequest::default() }
}

fn watch((start, end): Range) -> WatchRequest {
    let create = WatchCreateRequest { key: start.into(), range_end: end.into(), ..WatchCreateRequest::default() };
    WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) }
}

const READ: Access = Access::Read;
const WRITE: Access = Access::Write;

fn keys(accesses: &[Access], range: Range) -> Needs {
    Needs::Keys(accesses.iter().map(|access| (*access, range)).collect())
}

fn ranges(cases: &mut Vec<Case>) {
    for (relation, range) in RELATIONS {
        let of = |method, needs: &[Access], request: Vec<u8>| {
            Case::new(KV, method, keys(needs, range), move |_| request.clone()).named(format!("{method} {relation}"))
        };
        let mut made = vec![
            of("Range", &[READ], read(range).encode_to_vec()),
            of("Range", &[READ], RangeRequest { serializable: true, count_only: true, ..read(range) }.encode_to_vec()),
            of("RangeStream", &[READ], read(range).encode_to_vec()),
            of("DeleteRange", &[WRITE], delete(range).encode_to_vec()),
            of("DeleteRange", &[WRITE, READ], DeleteRangeRequest { prev_kv: true, ..delete(range) }.encode_to_vec()),
            of("Txn", &[READ], compare(range).encode_to_vec()),
        ];
        made.iter_mut().for_each(|case| case.malformed = range.0.is_empty());
        made.push(
            Case::of("etcdserverpb.Watch", "Watch", keys(&[READ], range), &watch(range))
                .named(format!("Watch {relation}")),
        );
        cases.extend(made);
        if range.1.is_empty() {
            puts(cases, relation, range);
        }
    }
}

fn puts(cases: &mut Vec<Case>, relation: &str, range: Range) {
    let put = put(range.0);
    let requests = [
        (&[WRITE][..], put.clone()),
        (&[WRITE, READ], PutRequest { prev_kv: true, ..put.clone() }),
        (&[WRITE], PutRequest { ignore_value: true, value: "".into(), ..put }),
    ];
    for (needs, request) in requests {
        let mut case = Case::of(KV, "Put", keys(needs, range), &request).named(format!("Put {relation} {needs:?}"));
        case.malformed = range.0.is_empty();
        cases.push(case);
    }
}

/// The operation in a branch of a transaction, that in a branch of another, and so on.
fn nested(operation: Request, depth: usize, in_failure: bool) -> TxnRequest {
    let mut operation = operation;
    for _ in 1..depth {
        operation = Request::RequestTxn(branch(operation, in_failure));
    }
    branch(operation, in_failure)
}

/// Without a comparison the failure branch is never taken: it is checked all the same.
fn branch(operation: Request, in_failure: bool) -> TxnRequest {
    let operations = vec![RequestOp { request: Some(operation) }];
    if in_failure {
        TxnRequest { failure: operations, ..TxnRequest::default() }
    } else {
        TxnRequest { success: operations, ..TxnRequest::default() }
    }
}

fn transactions(cases: &mut Vec<Case>) {
    for range in [(&b"c5"[..], &b""[..]), (b"e", b"")] {
        let key = range.0;
        let operations = [
            (&[READ][..], Request::RequestRange(read(range))),
            (&[WRITE], Request::RequestPut(put(key))),
            (&[WRITE, READ], Request::RequestPut(PutRequest { prev_kv: true, ..put(key) })),
            (&[WRITE], Request::RequestDeleteRange(delete(range))),
            (&[WRITE, READ], Request::RequestDeleteRange(DeleteRangeRequest { prev_kv: true, ..delete(range) })),
            (&[READ], Request::RequestTxn(compare(range))),
        ];
        for (needs, operation) in operations {
            for depth in [1, 2, 4, 8] {
                for in_failure in [false, true] {
                    let request = nested(operation.clone(), depth, in_failure);
                    let name = format!("Txn of depth {depth}, failure {in_failure}: {operation:?}");
                    cases.push(Case::of(KV, "Txn", keys(needs, range), &request).named(name));
                }
            }
        }
    }
}

/// Keys of a lease: all inside, one outside, all outside, none.
const LEASED: [&[&str]; 4] = [&["c"], &["c", "x"], &["x"], &[]];

/// The same access on each key of the lease. The keys themselves are `c/…` and `x/…`: in the place
/// of the single key `c` another stands.
fn on_lease(access: Access, letters: &[&str], also: &[(Access, Range)]) -> Needs {
    let all = letters
        .iter()
        .map(|letter| (access, if *letter == "c" { (&b"c5"[..], &b""[..]) } else { (&b"x"[..], &b""[..]) }));
    let all: Vec<_> = also.iter().copied().chain(all).collect();
    if all.is_empty() { Needs::AnyUser } else { Needs::Keys(all) }
}

fn leases(cases: &mut Vec<Case>) {
    let plain = |method, needs, request: &dyn Fn(i64) -> Vec<u8>| {
        let made = request(0);
        Case::new(LEASE, method, needs, move |_| made.clone())
    };
    cases.push(plain("LeaseGrant", Needs::AnyUser, &|_| LeaseGrantRequest { ttl: 60, id: 0 }.encode_to_vec()));
    cases.push(plain("LeaseRevoke", Needs::AnyUser, &|_| LeaseRevokeRequest { id: 999 }.encode_to_vec()));
    cases.push(plain("LeaseKeepAlive", Needs::AnyUser, &|_| LeaseKeepAliveRequest { id: 999 }.encode_to_vec()));
    cases.push(plain("LeaseTimeToLive", Needs::AnyUser, &|_| {
        LeaseTimeToLiveRequest { id: 999, keys: true }.encode_to_vec()
    }));
    // Some lease always has a key that only root may read: that of the election, and those of the
    // cases around.
    cases.push(plain("LeaseLeases", keys(&[READ], (b"x", b"")), &|_| LeaseLeasesRequest {}.encode_to_vec()));
    for letters in LEASED {
        let own_lease = |service, method, needs, request: fn(i64) -> Vec<u8>| {
            let mut case = Case::new(service, method, needs, move |fresh| request(fresh.lease))
                .named(format!("{method} of {letters:?}"));
            case.lease = Some(letters);
            case
        };
        let put_leased = |lease| PutRequest { lease, ..put(b"c") };
        cases.push(own_lease(LEASE, "LeaseRevoke", on_lease(WRITE, letters, &[]), |id| {
            LeaseRevokeRequest { id }.encode_to_vec()
        }));
        cases.push(own_lease(LEASE, "LeaseKeepAlive", on_lease(WRITE, letters, &[]), |id| {
            LeaseKeepAliveRequest { id }.encode_to_vec()
        }));
        cases.push(own_lease(LEASE, "LeaseTimeToLive", Needs::AnyUser, |id| {
            LeaseTimeToLiveRequest { id, keys: false }.encode_to_vec()
        }));
        cases.push(own_lease(LEASE, "LeaseTimeToLive", on_lease(READ, letters, &[]), |id| {
            LeaseTimeToLiveRequest { id, keys: true }.encode_to_vec()
        }));
        let needs = on_lease(WRITE, letters, &[(WRITE, (b"c", b""))]);
        let mut leased = Case::new(KV, "Put", needs.clone(), move |fresh| put_leased(fresh.lease).encode_to_vec());
        leased.lease = Some(letters);
        cases.push(leased);
        for (depth, in_failure) in [(1, false), (1, true), (3, true)] {
            let request = move |fresh: Fresh| {
                nested(Request::RequestPut(put_leased(fresh.lease)), depth, in_failure).encode_to_vec()
            };
            let mut case = Case::new(KV, "Txn", needs.clone(), request)
                .named(format!("Txn of depth {depth}: put on a lease of {letters:?}"));
            case.lease = Some(letters);
            cases.push(case);
        }
    }
}

fn locks(cases: &mut Vec<Case>) {
    for (letter, range) in [("c", (&b"c5"[..], &b""[..])), ("x", (b"x", b""))] {
        let both = || keys(&[READ, WRITE], range);
        let name = move |fresh: Fresh| format!("{letter}/{}", fresh.number).into_bytes();
        let leader = move |fresh: Fresh| {
            Some(LeaderKey {
                name: name(fresh).into(),
                key: [&name(fresh)[..], b"/1"].concat().into(),
                rev: 1,
                lease: 0,
            })
        };
        cases.push(Case::new(LOCK, "Lock", both(), move |fresh| {
            LockRequest { name: name(fresh).into(), lease: 0 }.encode_to_vec()
        }));
        cases.push(Case::new(LOCK, "Unlock", keys(&[WRITE], range), move |fresh| {
            UnlockRequest { key: name(fresh).into() }.encode_to_vec()
        }));
        cases.push(Case::new(ELECTION, "Campaign", both(), move |fresh| {
            CampaignRequest { name: name(fresh).into(), lease: 0, value: "v".into() }.encode_to_vec()
        }));
        cases.push(Case::new(ELECTION, "Proclaim", both(), move |fresh| {
            ProclaimRequest { leader: leader(fresh), value: "v".into() }.encode_to_vec()
        }));
        cases.push(Case::new(ELECTION, "Leader", keys(&[READ], range), move |fresh| {
            LeaderRequest { name: name(fresh).into() }.encode_to_vec()
        }));
        cases.push(Case::new(ELECTION, "Resign", both(), move |fresh| {
            ResignRequest { leader: leader(fresh) }.encode_to_vec()
        }));
    }
    cases.push(Case::of(ELECTION, "Observe", keys(&[READ], (b"c5", b"")), &LeaderRequest { name: OFFICE.into() }));
}

fn maintenance(cases: &mut Vec<Case>) {
    let alarm =
        |action: AlarmAction| AlarmRequest { action: action.into(), member_id: 77, alarm: AlarmType::None.into() };
    let of = |method, needs, request: Vec<u8>| Case::new(MAINTENANCE, method, needs, move |_| request.clone());
    cases.extend([
        of("Status", Needs::AnyUser, StatusRequest {}.encode_to_vec()),
        of("Alarm", Needs::AnyUser, alarm(AlarmAction::Get).encode_to_vec()),
        of("Alarm", Needs::Root, alarm(AlarmAction::Activate).encode_to_vec()),
        of("Alarm", Needs::Root, alarm(AlarmAction::Deactivate).encode_to_vec()),
        of("Defragment", Needs::Root, DefragmentRequest {}.encode_to_vec()),
        of("Hash", Needs::Root, HashRequest {}.encode_to_vec()),
        of("HashKV", Needs::Root, HashKvRequest { revision: 0 }.encode_to_vec()),
        of("Snapshot", Needs::Root, SnapshotRequest {}.encode_to_vec()),
        of("MoveLeader", Needs::Root, MoveLeaderRequest { target_id: 1 }.encode_to_vec()),
        of("Downgrade", Needs::Root, DowngradeRequest { action: 0, version: "x".to_owned() }.encode_to_vec()),
        Case::of(KV, "Compact", Needs::Root, &CompactionRequest { revision: i64::MAX, physical: false }),
        Case::of(CLUSTER, "MemberList", Needs::AnyUser, &MemberListRequest { linearizable: true }),
        Case::of(CLUSTER, "MemberList", Needs::AnyUser, &MemberListRequest { linearizable: false }),
        Case::of(CLUSTER, "MemberPromote", Needs::Root, &MemberPromoteRequest { id: 1 }),
        Case::of(
            "grpc.health.v1.Health",
            "Check",
            Needs::Nothing,
            &proto::healthpb::HealthCheckRequest { service: String::new() },
        ),
    ]);
    let request = MemberAddRequest { peer_ur_ls: vec!["http://127.0.0.1:1".to_owned()], is_learner: true };
    let mut add = Case::of(CLUSTER, "MemberAdd", Needs::Root, &request);
    add.only_refused = true;
    let mut remove = Case::of(CLUSTER, "MemberRemove", Needs::Root, &MemberRemoveRequest { id: 1 });
    let request = MemberUpdateRequest { id: 1, peer_ur_ls: vec!["http://127.0.0.1:1".to_owned()] };
    let mut update = Case::of(CLUSTER, "MemberUpdate", Needs::Root, &request);
    (remove.alone, update.alone) = (true, true);
    cases.extend([add, remove, update]);
}

/// Those that root may ask are refused by the state, so that nothing changes under the other cases.
fn users_and_roles(cases: &mut Vec<Case>) {
    let (ghost, options) = (|| "ghost".to_owned(), Some(UserAddOptions { no_password: true }));
    let perm =
        Some(Permission { perm_type: permission::Type::Readwrite.into(), key: "a".into(), range_end: "z".into() });
    let of = |method, needs, request: Vec<u8>| Case::new(AUTH, method, needs, move |_| request.clone());
    let mut disable = of("AuthDisable", Needs::Root, AuthDisableRequest {}.encode_to_vec());
    disable.only_refused = true;
    let login = AuthenticateRequest { name: ghost(), password: "none".to_owned() };
    let existing = AuthUserAddRequest { name: "root".to_owned(), options, ..AuthUserAddRequest::default() };
    let password = AuthUserChangePasswordRequest { name: ghost(), ..AuthUserChangePasswordRequest::default() };
    cases.extend([
        disable,
        of("AuthEnable", Needs::Root, AuthEnableRequest {}.encode_to_vec()),
        of("AuthStatus", Needs::ValidTokenIfAny, AuthStatusRequest {}.encode_to_vec()),
        of("Authenticate", Needs::Nothing, login.encode_to_vec()),
        of("UserAdd", Needs::Root, existing.encode_to_vec()),
        of("UserGet", Needs::User("both"), AuthUserGetRequest { name: "both".to_owned() }.encode_to_vec()),
        of("UserGet", Needs::User("root"), AuthUserGetRequest { name: "root".to_owned() }.encode_to_vec()),
        of("UserGet", Needs::User("ghost"), AuthUserGetRequest { name: ghost() }.encode_to_vec()),
        of("UserList", Needs::Root, AuthUserListRequest {}.encode_to_vec()),
        of("UserDelete", Needs::Root, AuthUserDeleteRequest { name: ghost() }.encode_to_vec()),
        of("UserChangePassword", Needs::Root, password.encode_to_vec()),
        of(
            "UserGrantRole",
            Needs::Root,
            AuthUserGrantRoleRequest { user: ghost(), role: "root".to_owned() }.encode_to_vec(),
        ),
        of(
            "UserRevokeRole",
            Needs::Root,
            AuthUserRevokeRoleRequest { name: ghost(), role: "root".to_owned() }.encode_to_vec(),
        ),
        of("RoleAdd", Needs::Root, AuthRoleAddRequest { name: "reader".to_owned() }.encode_to_vec()),
        of("RoleGet", Needs::Role("both"), AuthRoleGetRequest { role: "both".to_owned() }.encode_to_vec()),
        of("RoleGet", Needs::Role("root"), AuthRoleGetRequest { role: "root".to_owned() }.encode_to_vec()),
        of("RoleList", Needs::Root, AuthRoleListRequest {}.encode_to_vec()),
        of("RoleDelete", Needs::Root, AuthRoleDeleteRequest { role: ghost() }.encode_to_vec()),
        of("RoleGrantPermission", Needs::Root, AuthRoleGrantPermissionRequest { name: ghost(), perm }.encode_to_vec()),
        of(
            "RoleRevokePermission",
            Needs::Root,
            AuthRoleRevokePermissionRequest { role: ghost(), ..Default::default() }.encode_to_vec(),
        ),
    ]);
}

/// All of them.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    ranges(&mut cases);
    transactions(&mut cases);
    leases(&mut cases);
    locks(&mut cases);
    maintenance(&mut cases);
    users_and_roles(&mut cases);
    cases
}

/// A call of root's that prepares something.
pub(crate) fn preparation(service: &'static str, method: &'static str, request: &impl Message) -> Call {
    Call { service, method, request: request.encode_to_vec() }
}

/// Returns the calls that prepare a case's own lease: the lease, and a key of it for each letter.
pub(crate) fn lease_preparations(letters: &[&str], fresh: Fresh) -> Vec<Call> {
    let mut calls = vec![preparation(LEASE, "LeaseGrant", &LeaseGrantRequest { ttl: 3600, id: fresh.lease })];
    for letter in letters {
        let key = format!("{letter}/{}", fresh.number);
        let request = PutRequest { key: key.into(), lease: fresh.lease, ..PutRequest::default() };
        calls.push(preparation(KV, "Put", &request));
    }
    calls
}

/// Returns the common preparations: an election that is won, for observers; and leases, one of
/// which holds a key that only root may read.
pub(crate) fn common_preparations() -> Vec<Call> {
    let fresh = Fresh { lease: 1, number: 0 };
    let mut calls = lease_preparations(&["c", "x"], fresh);
    calls.push(preparation(
        ELECTION,
        "Campaign",
        &CampaignRequest { name: OFFICE.into(), lease: 1, value: "v".into() },
    ));
    calls
}
