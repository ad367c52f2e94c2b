//! Clients: one operation after another, at any member, and their conclusions from the responses.

use crate::check::{Checked, Violation, check};
use crate::oracle::Oracle;
use crate::plan::Plan;
use crate::process::Reply;
use crate::schedule::Time;
use crate::tally::{End, Tally};
use bytes::Bytes;
use fastrand::Rng;
use proto::authpb::permission::Type;
use proto::authpb::{Permission, UserAddOptions};
use proto::etcdserverpb::alarm_request::AlarmAction;
use proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{
    AlarmRequest, AlarmType, AuthDisableRequest, AuthEnableRequest, AuthRoleAddRequest, AuthRoleDeleteRequest,
    AuthRoleGetRequest, AuthRoleGrantPermissionRequest, AuthRoleListRequest, AuthRoleRevokePermissionRequest,
    AuthStatusRequest, AuthUserAddRequest, AuthUserChangePasswordRequest, AuthUserDeleteRequest, AuthUserGetRequest,
    AuthUserGrantRoleRequest, AuthUserListRequest, AuthUserRevokeRoleRequest, CompactionRequest, Compare,
    DeleteRangeRequest, InternalAuthenticateRequest, InternalRaftRequest, LeaseGrantRequest, LeaseRevokeRequest,
    PutRequest, RangeRequest, RequestHeader, RequestOp, TxnRequest,
};
use types::LeaseId;

/// A request to a member.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    Propose(Box<InternalRaftRequest>),
    Read { request: RangeRequest, linearizable: bool },
    KeepAlive(LeaseId),
}

/// Operations in a branch of a transaction at most.
const OPERATIONS_MAX: usize = 5;

/// Kinds of operations, for [`crate::plan::Plan::weights`].
pub(crate) const KINDS: usize = 14;

/// Kinds of operations that focused runs are made of: the numbers that [`Client::ask`] draws.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Put = 0,
    LinearizableRange = 2,
    LeaseGrant = 9,
    KeepAlive = 10,
}

/// An operation under way.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) number: u64,
    pub(crate) ask: Ask,
    /// The part of the log that any client knew when it was invoked.
    pub(crate) floor: u64,
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) operations: u64,
    pub(crate) current: Option<Operation>,
    /// Leases that were granted to it.
    leases: Vec<LeaseId>,
    /// The name that it authenticates with; empty for none.
    user: &'static str,
    /// The number of requests that switch authentication on and were applied.
    switched: usize,
    /// Operations by kind and by end.
    pub(crate) tally: Tally,
}

impl Client {
    pub(crate) fn new(user: &'static str) -> Self {
        Self { operations: 0, current: None, leases: Vec::new(), user, switched: 0, tally: Tally::default() }
    }

    /// The next operation that admission lets in.
    pub(crate) fn invoke(
        &mut self,
        random: &mut Rng,
        plan: &Plan,
        near: i64,
        id: usize,
        floor: u64,
    ) -> Checked<Operation> {
        self.operations += 1;
        let unique = (id as u64) << 32 | self.operations;
        let switching_on = switch_on(self.switched).filter(|_| plan.auth && id == 0);
        let mut ask = match switching_on {
            Some(request) => Ask::Propose(Box::new(request)),
            None => self.admitted(random, &plan.weights, near, unique)?,
        };
        if let Ask::Propose(request) = &mut ask {
            request.header = Some(RequestHeader { username: self.user.to_owned(), ..RequestHeader::default() });
        }
        let operation = Operation { number: self.operations, ask, floor };
        self.current = Some(operation.clone());
        Ok(operation)
    }

    /// Draws operations until one is admitted.
    fn admitted(&mut self, random: &mut Rng, weights: &[u32], near: i64, unique: u64) -> Checked<Ask> {
        loop {
            let mut ask = self.ask(random, weights, near, unique);
            if random.u8(..20) == 0 {
                spoil(&mut ask, random);
            }
            if is_admitted(&ask)? {
                return Ok(ask);
            }
        }
    }

    fn ask(&mut self, random: &mut Rng, weights: &[u32], near: i64, unique: u64) -> Ask {
        let total: u32 = weights.iter().sum();
        let mut ticket = if total == 0 { 0 } else { random.u32(..total) };
        let kind = weights.iter().position(|weight| {
            let hit = ticket < *weight;
            ticket = ticket.saturating_sub(*weight);
            hit
        });
        let request = InternalRaftRequest::default();
        let request = match kind.unwrap_or(0) {
            0 | 1 => InternalRaftRequest { put: Some(self.put(random, unique)), ..request },
            2 | 3 => return Ask::Read { request: range(random, near), linearizable: true },
            4 => return Ask::Read { request: range(random, near), linearizable: false },
            5 | 6 => InternalRaftRequest { txn: Some(self.txn(random, near, unique, 0)), ..request },
            7 => InternalRaftRequest { delete_range: Some(delete(random)), ..request },
            8 => {
                let revision = near - 10 + random.i64(0..15);
                InternalRaftRequest { compaction: Some(CompactionRequest { revision, physical: false }), ..request }
            }
            9 => {
                let grant = LeaseGrantRequest { ttl: random.i64(1..4), id: random.i64(1..40) };
                InternalRaftRequest { lease_grant: Some(grant), ..request }
            }
            10 => match random.choice(&self.leases) {
                Some(lease) if random.u8(..4) == 0 => {
                    InternalRaftRequest { lease_revoke: Some(LeaseRevokeRequest { id: lease.0 }), ..request }
                }
                Some(lease) => return Ask::KeepAlive(*lease),
                None => InternalRaftRequest { put: Some(self.put(random, unique)), ..request },
            },
            11 => return Ask::KeepAlive(LeaseId(random.i64(1..40))),
            12 => auth(random, request),
            _ => alarm(random, request),
        };
        Ask::Propose(Box::new(request))
    }

    fn put(&self, random: &mut Rng, unique: u64) -> PutRequest {
        let lease = if random.u8(..3) == 0 { random.choice(&self.leases).map_or(0, |lease| lease.0) } else { 0 };
        let ignore_value = random.u8(..20) == 0;
        let value = if ignore_value { Bytes::new() } else { Bytes::from(unique.to_be_bytes().to_vec()) };
        PutRequest { key: key(random), value, lease, prev_kv: random.bool(), ignore_value, ignore_lease: false }
    }

    fn txn(&self, random: &mut Rng, near: i64, unique: u64, depth: u8) -> TxnRequest {
        let compare = (0..random.usize(..3)).map(|_| compare(random, near)).collect();
        let mut taken = Vec::new();
        let mut branch = |random: &mut Rng| {
            (0..random.usize(..4)).filter_map(|_| self.operation(random, near, unique, depth, &mut taken)).collect()
        };
        TxnRequest { compare, success: branch(random), failure: branch(random) }
    }

    fn operation(
        &self,
        random: &mut Rng,
        near: i64,
        unique: u64,
        depth: u8,
        taken: &mut Vec<Bytes>,
    ) -> Option<RequestOp> {
        let request = match random.u8(..8) {
            0..4 => {
                let put = PutRequest {
                    lease: 0,
                    ignore_value: false,
                    value: Bytes::from(unique.to_be_bytes().to_vec()),
                    ..self.put(random, unique)
                };
                if taken.contains(&put.key) {
                    return None;
                }
                taken.push(put.key.clone());
                Request::RequestPut(put)
            }
            4 | 5 => Request::RequestRange(range(random, near)),
            6 if depth < 2 => Request::RequestTxn(self.txn(random, near, unique, depth + 1)),
            _ => {
                let delete = delete(random);
                taken.push(delete.key.clone());
                Request::RequestDeleteRange(delete)
            }
        };
        Some(RequestOp { request: Some(request) })
    }

    /// Takes a response. It must agree with the one history, and contain everything that was known
    /// before.
    pub(crate) fn answered(
        &mut self,
        operation: &Operation,
        told: &Reply,
        oracle: &mut Oracle,
        known: &mut u64,
    ) -> Checked {
        match (told, &operation.ask) {
            (Reply::Applied(index), Ask::Propose(request)) => {
                check(*index > operation.floor, || {
                    format!("{request:?} became entry {index}, but entry {} was known before it", operation.floor)
                })?;
                self.check_own(request, *index, oracle)?;
                self.take_lease(request, *index, oracle)?;
                // Without a response it is sent again.
                self.switched += usize::from(self.is_switching_on(request));
                *known = (*known).max(*index);
            }
            (Reply::Read { applied, found }, Ask::Read { request, linearizable }) => {
                let floor = operation.floor;
                check(!linearizable || *applied >= floor, || {
                    format!("a stale read: {request:?} saw entry {applied} after entry {floor} was known")
                })?;
                oracle.check_read(request, *applied, found)?;
                if *linearizable {
                    *known = (*known).max(*applied);
                }
            }
            (Reply::Renewed { lease, at }, Ask::KeepAlive(_)) => oracle.renewed(*lease, *at)?,
            (Reply::NoLease, Ask::KeepAlive(lease)) => {
                oracle.check_unknown_lease(*lease, operation.floor)?;
                self.leases.retain(|own| own != lease);
            }
            (Reply::Refused | Reply::Unknown, _) => {}
            (told, ask) => return Err(Violation(format!("{ask:?} was answered {told:?}"))),
        }
        self.tally.count(&operation.ask, end_of(told, oracle)?);
        Ok(())
    }

    /// Checks that the acknowledged entry is the client's own request.
    fn check_own(&self, request: &InternalRaftRequest, index: u64, oracle: &Oracle) -> Checked {
        let ordered = oracle.request(index).map(|mut ordered| {
            // The member adds the id and the auth revision.
            let username = ordered.header.take().unwrap_or_default().username;
            InternalRaftRequest { header: Some(RequestHeader { username, ..RequestHeader::default() }), ..ordered }
        });
        check(ordered.as_ref() == Some(request), || {
            format!("{request:?} was told to be entry {index}, which is {ordered:?}")
        })
    }

    fn is_switching_on(&self, request: &InternalRaftRequest) -> bool {
        let next = switch_on(self.switched);
        next.is_some_and(|next| InternalRaftRequest { header: request.header.clone(), ..next } == *request)
    }

    fn take_lease(&mut self, request: &InternalRaftRequest, index: u64, oracle: &Oracle) -> Checked {
        if let (Some(grant), Ok(_)) = (&request.lease_grant, &oracle.verdict(index)?.response) {
            self.leases.push(LeaseId(grant.id));
        }
        Ok(())
    }
}

/// Returns `true` if admission lets an operation in, which the model must do alike.
fn is_admitted(ask: &Ask) -> Checked<bool> {
    let (told, expected) = match ask {
        Ask::Propose(request) => {
            let put = request.put.as_ref().map_or(Ok(()), admission::check_put);
            let delete = request.delete_range.as_ref().map_or(Ok(()), admission::check_delete_range);
            let txn = request.txn.as_ref().map_or(Ok(()), |txn| admission::check_txn(txn, OPERATIONS_MAX));
            let (cost, due) = (apply::quota_cost(request), model::cost(request));
            check(cost == due, || format!("{request:?} may cost {cost} bytes, and should {due}"))?;
            (put.and(delete).and(txn), model::defect(request, OPERATIONS_MAX))
        }
        Ask::Read { request, .. } => {
            let wrapped = InternalRaftRequest { range: Some(request.clone()), ..InternalRaftRequest::default() };
            (admission::check_range(request), model::defect(&wrapped, OPERATIONS_MAX))
        }
        Ask::KeepAlive(_) => (Ok(()), None),
    };
    let told = told.err().map(|defect| defect.to_string());
    check(told.as_deref() == expected, || {
        format!("the defect of {ask:?} is told as {told:?}, and should be {expected:?}")
    })?;
    Ok(told.is_none())
}

/// Changes an operation so that it may be invalid.
fn spoil(ask: &mut Ask, random: &mut Rng) {
    match ask {
        Ask::Propose(request) => {
            if let Some(put) = &mut request.put {
                spoil_put(put, random);
            }
            if let Some(delete) = &mut request.delete_range {
                delete.key.clear();
            }
            if let Some(txn) = &mut request.txn {
                spoil_txn(txn, random);
            }
        }
        Ask::Read { request, .. } => spoil_range(request, random),
        Ask::KeepAlive(_) => {}
    }
}

fn spoil_put(put: &mut PutRequest, random: &mut Rng) {
    match random.u8(..3) {
        0 => put.key.clear(),
        1 => put.ignore_value = true,
        _ => put.ignore_lease = true,
    }
}

fn spoil_range(range: &mut RangeRequest, random: &mut Rng) {
    match random.u8(..8) {
        0 => range.key.clear(),
        1 => range.sort_order = 3,
        2 => range.sort_target = -1,
        _ => (range.sort_order, range.sort_target) = (random.i32(..3), random.i32(..5)),
    }
}

fn spoil_txn(txn: &mut TxnRequest, random: &mut Rng) {
    let branch = if random.bool() { &mut txn.success } else { &mut txn.failure };
    match random.u8(..6) {
        0 => branch.extend(vec![RequestOp::default(); OPERATIONS_MAX]),
        1 => branch.push(RequestOp::default()),
        2 => txn.compare.iter_mut().for_each(|compare| compare.key.clear()),
        // Changes that may meet others of the same key.
        3 => branch.push(RequestOp { request: Some(Request::RequestDeleteRange(delete(random))) }),
        _ => {
            let mut put = PutRequest { key: key(random), value: Bytes::from_static(b"x"), ..PutRequest::default() };
            if random.u8(..4) == 0 {
                spoil_put(&mut put, random);
            }
            let put = vec![RequestOp { request: Some(Request::RequestPut(put)) }];
            let nested = TxnRequest { success: put.clone(), ..TxnRequest::default() };
            let nested = RequestOp { request: Some(Request::RequestTxn(nested)) };
            branch.extend(if random.bool() { put } else { vec![nested] });
        }
    }
}

fn key(random: &mut Rng) -> Bytes {
    Bytes::from(format!("k{}", random.u8(..12)))
}

fn span(random: &mut Rng) -> (Bytes, Bytes) {
    match random.u8(..6) {
        0 => (Bytes::from_static(b"k"), Bytes::from_static(b"l")),
        1 => (Bytes::from_static(b"\0"), Bytes::from_static(b"\0")),
        2 => (key(random), key(random)),
        _ => (key(random), Bytes::new()),
    }
}

fn range(random: &mut Rng, near: i64) -> RangeRequest {
    let (key, range_end) = span(random);
    let revision = if random.u8(..5) == 0 { near - random.i64(0..30) } else { 0 };
    let limit = if random.u8(..5) == 0 { random.i64(1..5) } else { 0 };
    RangeRequest {
        key,
        range_end,
        limit,
        revision,
        count_only: random.u8(..10) == 0,
        keys_only: random.u8(..10) == 0,
        ..RangeRequest::default()
    }
}

fn delete(random: &mut Rng) -> DeleteRangeRequest {
    let (key, range_end) = span(random);
    DeleteRangeRequest { key, range_end, prev_kv: random.bool() }
}

fn compare(random: &mut Rng, near: i64) -> Compare {
    let result = *random
        .choice(&[CompareResult::Equal, CompareResult::Greater, CompareResult::Less, CompareResult::NotEqual])
        .unwrap_or(&CompareResult::Equal);
    let (target, union) = match random.u8(..4) {
        0 => (CompareTarget::Version, TargetUnion::Version(random.i64(0..4))),
        1 => (
            CompareTarget::Create,
            TargetUnion::CreateRevision(if random.bool() { 0 } else { near - random.i64(0..20) }),
        ),
        2 => (CompareTarget::Mod, TargetUnion::ModRevision(near - random.i64(0..20))),
        _ => (CompareTarget::Value, TargetUnion::Value(Bytes::from(random.u64(..1 << 34).to_be_bytes().to_vec()))),
    };
    Compare {
        result: result.into(),
        target: target.into(),
        key: key(random),
        range_end: Bytes::new(),
        target_union: Some(union),
    }
}

/// Returns how an operation ended.
fn end_of(told: &Reply, oracle: &Oracle) -> Checked<End> {
    Ok(match told {
        Reply::Applied(index) if oracle.verdict(*index)?.response.is_err() => End::Refused,
        Reply::Applied(_) | Reply::Renewed { .. } | Reply::Read { found: Ok(_), .. } => End::Succeeded,
        Reply::Read { found: Err(_), .. } | Reply::NoLease => End::Refused,
        Reply::Refused => End::NotTaken,
        Reply::Unknown => End::Unknown,
    })
}

fn user_add(name: &str) -> InternalRaftRequest {
    // Some have no password, and cannot log in.
    let options = Some(UserAddOptions { no_password: name == "u5" });
    let add = AuthUserAddRequest {
        name: name.to_owned(),
        hashed_password: "aGFzaA==".to_owned(),
        options,
        ..AuthUserAddRequest::default()
    };
    InternalRaftRequest { auth_user_add: Some(add), ..InternalRaftRequest::default() }
}

fn user_grant(user: &str, role: &str) -> InternalRaftRequest {
    let grant = AuthUserGrantRoleRequest { user: user.to_owned(), role: role.to_owned() };
    InternalRaftRequest { auth_user_grant_role: Some(grant), ..InternalRaftRequest::default() }
}

fn role_add(name: &str) -> InternalRaftRequest {
    InternalRaftRequest {
        auth_role_add: Some(AuthRoleAddRequest { name: name.to_owned() }),
        ..InternalRaftRequest::default()
    }
}

fn role_grant(name: &str, key: Bytes, range_end: Bytes) -> InternalRaftRequest {
    let perm = Some(Permission { perm_type: Type::Readwrite.into(), key, range_end });
    let grant = AuthRoleGrantPermissionRequest { name: name.to_owned(), perm };
    InternalRaftRequest { auth_role_grant_permission: Some(grant), ..InternalRaftRequest::default() }
}

/// Returns one of the requests that switch authentication on, by its position.
fn switch_on(position: usize) -> Option<InternalRaftRequest> {
    let none = InternalRaftRequest::default();
    let requests = [
        user_add("root"),
        user_grant("root", "root"),
        role_add("r1"),
        role_grant("r1", Bytes::from_static(b"k1"), Bytes::from_static(b"k6")),
        user_add("u1"),
        user_grant("u1", "r1"),
        InternalRaftRequest { auth_enable: Some(AuthEnableRequest {}), ..none },
    ];
    requests.into_iter().nth(position)
}

fn auth(random: &mut Rng, request: InternalRaftRequest) -> InternalRaftRequest {
    let (user, role) = (format!("u{}", random.u8(..6)), format!("r{}", random.u8(..4)));
    match random.u8(..20) {
        0 | 1 => role_add(&role),
        2 | 3 => user_add(&user),
        4 | 5 => user_grant(&user, &role),
        6 => role_grant(&role, key(random), Bytes::new()),
        7 => InternalRaftRequest { auth_user_delete: Some(AuthUserDeleteRequest { name: user }), ..request },
        8 => InternalRaftRequest {
            auth_user_revoke_role: Some(AuthUserRevokeRoleRequest { name: user, role }),
            ..request
        },
        9 => InternalRaftRequest { auth_role_delete: Some(AuthRoleDeleteRequest { role }), ..request },
        10 => InternalRaftRequest { auth_user_get: Some(AuthUserGetRequest { name: user }), ..request },
        11 => InternalRaftRequest { auth_role_get: Some(AuthRoleGetRequest { role }), ..request },
        12 => InternalRaftRequest { auth_user_list: Some(AuthUserListRequest {}), ..request },
        13 => InternalRaftRequest { auth_role_list: Some(AuthRoleListRequest {}), ..request },
        14 => InternalRaftRequest { auth_status: Some(AuthStatusRequest {}), ..request },
        15 => {
            let revoke = AuthRoleRevokePermissionRequest { role, key: key(random), range_end: Bytes::new() };
            InternalRaftRequest { auth_role_revoke_permission: Some(revoke), ..request }
        }
        16 => {
            let hashed_password = "aGFzaDI=".to_owned();
            let change = AuthUserChangePasswordRequest { name: user, hashed_password, ..Default::default() };
            InternalRaftRequest { auth_user_change_password: Some(change), ..request }
        }
        // Seldom off, so that permissions matter most of the time.
        17 if random.u8(..4) == 0 => InternalRaftRequest { auth_disable: Some(AuthDisableRequest {}), ..request },
        17 => InternalRaftRequest { auth_enable: Some(AuthEnableRequest {}), ..request },
        _ => {
            let login = InternalAuthenticateRequest {
                name: user,
                simple_token: if random.bool() { "letters".to_owned() } else { String::new() },
                ..Default::default()
            };
            InternalRaftRequest { authenticate: Some(login), ..request }
        }
    }
}

/// Alarms are raised seldom: they stop most other operations until they are cleared.
fn alarm(random: &mut Rng, request: InternalRaftRequest) -> InternalRaftRequest {
    let action = match random.u8(..20) {
        0 => AlarmAction::Activate,
        1..6 => AlarmAction::Get,
        _ => AlarmAction::Deactivate,
    };
    let kind = if random.u8(..4) == 0 { AlarmType::Corrupt } else { AlarmType::Nospace };
    let alarm = AlarmRequest { action: action.into(), member_id: random.u64(1..4), alarm: kind.into() };
    InternalRaftRequest { alarm: Some(alarm), ..request }
}

/// Returns the request that clears an alarm.
pub(crate) fn clear_alarm(member_id: u64, kind: i32) -> InternalRaftRequest {
    let alarm = AlarmRequest { action: AlarmAction::Deactivate.into(), member_id, alarm: kind };
    InternalRaftRequest { alarm: Some(alarm), ..InternalRaftRequest::default() }
}

/// Returns the proposal of a request by the administrator.
pub(crate) fn by_root(request: InternalRaftRequest) -> Ask {
    let header = Some(RequestHeader { username: "root".to_owned(), ..RequestHeader::default() });
    Ask::Propose(Box::new(InternalRaftRequest { header, ..request }))
}

/// For the end: requests that must succeed, one of each kind.
pub(crate) fn probes(now: Time, member: u64) -> Vec<Ask> {
    let none = InternalRaftRequest::default;
    let name = Bytes::from(format!("probe{member}"));
    // No client has a lease of this id.
    let lease = 1000 + member.cast_signed();
    let value = Bytes::from(now.to_be_bytes().to_vec());
    let put = PutRequest { key: name.clone(), value, lease, ..PutRequest::default() };
    let delete = DeleteRangeRequest { key: name.clone(), ..DeleteRangeRequest::default() };
    let txn = TxnRequest {
        success: vec![RequestOp { request: Some(Request::RequestPut(put.clone())) }],
        ..TxnRequest::default()
    };
    let read = RangeRequest { key: name, ..RangeRequest::default() };
    vec![
        by_root(InternalRaftRequest { lease_grant: Some(LeaseGrantRequest { ttl: 600, id: lease }), ..none() }),
        by_root(InternalRaftRequest { put: Some(put), ..none() }),
        Ask::Read { request: read, linearizable: true },
        Ask::KeepAlive(LeaseId(lease)),
        by_root(InternalRaftRequest { txn: Some(txn), ..none() }),
        by_root(InternalRaftRequest { delete_range: Some(delete), ..none() }),
        by_root(InternalRaftRequest { lease_revoke: Some(LeaseRevokeRequest { id: lease }), ..none() }),
        by_root(InternalRaftRequest { auth_status: Some(AuthStatusRequest {}), ..none() }),
    ]
}

/// When an operation is given up, in simulated time.
pub(crate) const PATIENCE: Time = crate::schedule::SECOND;
