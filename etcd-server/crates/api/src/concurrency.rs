//! Common parts of Lock and Election: keys under a name, of which the oldest holds.
//!
//! Both are made of ordinary requests, as a client would make them, with the caller's identity.
//! Their failures have no status of their own in etcd: clients see the inner text as unknown.

use crate::Server;
use crate::identity::Caller;
use crate::status::{self, ToStatus as _};
use auth::{Identity, RequestClass};
use bytes::Bytes;
use proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{
    Compare, DeleteRangeRequest, LeaseGrantRequest, PutRequest, RangeRequest, RequestOp, ResponseHeader, TxnRequest,
};
use proto::mvccpb::KeyValue;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tonic::{Code, Status};

/// Time to live of the lease that a lock without one gets, in seconds.
const SESSION_TTL_SECONDS: i64 = 60;

/// A key that waits for its turn under a name.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) prefix: Bytes,
    pub(crate) key: Bytes,
    pub(crate) create_revision: i64,
    /// The value found when the key was there already.
    pub(crate) found: Option<KeyValue>,
    pub(crate) header: Option<ResponseHeader>,
}

/// Returns `status` as etcd's in-process client passes it on: as an error without a code, unless
/// the call itself has ended. grpc-go keeps the codes of those (status.FromContextError).
pub(crate) fn unknown(status: &Status) -> Status {
    if matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled) {
        return status.clone();
    }
    Status::unknown(status.message().to_owned())
}

/// The keys under a name.
pub(crate) fn prefix_of(name: &[u8]) -> Bytes {
    [name, b"/"].concat().into()
}

/// The first key behind all that start with `prefix`.
pub(crate) fn prefix_end(prefix: &[u8]) -> Bytes {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return end.into();
        }
    }
    Bytes::from_static(&[0])
}

/// A lease id as etcd writes it into a key: the sign before the digits.
fn hex(lease: i64) -> String {
    let sign = if lease < 0 { "-" } else { "" };
    format!("{sign}{:x}", lease.unsigned_abs())
}

pub(crate) fn created_at(key: Bytes, create_revision: i64) -> Compare {
    Compare {
        result: CompareResult::Equal.into(),
        target: CompareTarget::Create.into(),
        key,
        range_end: Bytes::new(),
        target_union: Some(TargetUnion::CreateRevision(create_revision)),
    }
}

pub(crate) fn operation(request: Request) -> RequestOp {
    RequestOp { request: Some(request) }
}

impl Server {
    /// The lease to use: the caller's, or a new one that only the caller can keep alive.
    pub(crate) async fn session_lease(&self, lease: i64, identity: &Identity) -> Result<i64, Status> {
        if lease != 0 {
            return Ok(lease);
        }
        // As for any lease: otherwise an anonymous caller could fill the member with leases of
        // failed locks.
        let permitted = self.published().auth().permit(identity, RequestClass::Authenticated);
        permitted.map_err(|refusal| unknown(&refusal.to_status()))?;
        let granted = self.lease_grant(LeaseGrantRequest { ttl: SESSION_TTL_SECONDS, id: 0 }, identity).await;
        granted.map(|granted| granted.id).map_err(|status| unknown(&status))
    }

    /// Puts a key under `name` for the lease, unless it is there already. Dropping the result
    /// removes the key, and so does a caller that goes away before the put is applied.
    pub(crate) async fn enter(
        &self,
        name: &[u8],
        lease: i64,
        value: Bytes,
        identity: &Identity,
    ) -> Result<Candidacy, Status> {
        let (server, identity, name) = (self.clone(), identity.clone(), Bytes::copy_from_slice(name));
        let (entered_tx, entered) = oneshot::channel();
        // The put is ordered whether or not its caller stays, so a task that outlives the call
        // takes the outcome.
        tokio::spawn(async move {
            let candidate = server.put_candidate(&name, lease, value, &identity).await;
            drop(entered_tx.send(candidate.map(|candidate| Candidacy { candidate, server: Some(server), identity })));
        });
        entered.await.unwrap_or_else(|_| Err(status::stopped()))
    }

    async fn put_candidate(
        &self,
        name: &[u8],
        lease: i64,
        value: Bytes,
        identity: &Identity,
    ) -> Result<Candidate, Status> {
        let prefix = prefix_of(name);
        let key = Bytes::from([&prefix[..], hex(lease).as_bytes()].concat());
        let put = PutRequest { key: key.clone(), value, lease, ..PutRequest::default() };
        let get = RangeRequest { key: key.clone(), ..RangeRequest::default() };
        let request = TxnRequest {
            compare: vec![created_at(key.clone(), 0)],
            success: vec![operation(Request::RequestPut(put))],
            failure: vec![operation(Request::RequestRange(get))],
        };
        let response = self.txn(request, Caller::Known(identity)).await.map_err(|status| unknown(&status))?;
        let revision = response.header.as_ref().map_or(0, |header| header.revision);
        let found = response.responses.into_iter().find_map(|response| match response.response {
            Some(proto::etcdserverpb::response_op::Response::ResponseRange(range)) => range.kvs.into_iter().next(),
            _ => None,
        });
        let create_revision = found.as_ref().map_or(revision, |kv| kv.create_revision);
        Ok(Candidate { prefix, key, create_revision, found, header: response.header })
    }

    /// Returns once no older key is under the name. Waits for the newest of the older keys, so that
    /// a deletion wakes one candidate only (etcd: client/v3/concurrency/key.go, waitDeletes).
    pub(crate) async fn wait_for_turn(&self, candidate: &Candidate, identity: &Identity) -> Result<(), Status> {
        loop {
            let newest_older = RangeRequest {
                key: candidate.prefix.clone(),
                range_end: prefix_end(&candidate.prefix),
                max_create_revision: candidate.create_revision - 1,
                sort_order: SortOrder::Descend.into(),
                sort_target: SortTarget::Create.into(),
                limit: 1,
                keys_only: true,
                ..RangeRequest::default()
            };
            let found = self.range(newest_older, Caller::Known(identity)).await.map_err(|status| unknown(&status))?;
            let Some(older) = found.kvs.into_iter().next() else { return Ok(()) };
            let read_at = found.header.map_or(0, |header| header.revision);
            self.wait_for_deletion(older.key, read_at + 1).await.map_err(|status| unknown(&status))?;
        }
    }

    /// The oldest key under a name.
    pub(crate) async fn oldest(
        &self,
        prefix: &Bytes,
        identity: &Identity,
    ) -> Result<(Option<ResponseHeader>, Option<KeyValue>), Status> {
        let request = RangeRequest {
            key: prefix.clone(),
            range_end: prefix_end(prefix),
            limit: 1,
            sort_order: SortOrder::Ascend.into(),
            sort_target: SortTarget::Create.into(),
            ..RangeRequest::default()
        };
        let response = self.range(request, Caller::Known(identity)).await.map_err(|status| unknown(&status))?;
        Ok((response.header, response.kvs.into_iter().next()))
    }

    /// The key as it is now.
    pub(crate) async fn lookup(
        &self,
        key: &Bytes,
        identity: &Identity,
    ) -> Result<(Option<ResponseHeader>, Option<KeyValue>), Status> {
        let request = RangeRequest { key: key.clone(), ..RangeRequest::default() };
        let response = self.range(request, Caller::Known(identity)).await.map_err(|status| unknown(&status))?;
        Ok((response.header, response.kvs.into_iter().next()))
    }
}

/// A candidate's key for as long as its caller waits: dropping it removes the key.
#[derive(Debug)]
pub(crate) struct Candidacy {
    candidate: Candidate,
    /// `None` once the key stays.
    server: Option<Server>,
    identity: Identity,
}

impl Candidacy {
    pub(crate) fn candidate(&self) -> &Candidate {
        &self.candidate
    }

    /// Leaves the key where it is.
    pub(crate) fn keep(mut self) {
        self.server = None;
    }
}

impl Drop for Candidacy {
    fn drop(&mut self) {
        let Some(server) = self.server.take() else { return };
        // While the process ends there is no runtime any more; the key then ends with its lease.
        let Ok(runtime) = Handle::try_current() else { return };
        let (key, create_revision) = (self.candidate.key.clone(), self.candidate.create_revision);
        let identity = std::mem::take(&mut self.identity);
        drop(runtime.spawn(async move {
            let delete = DeleteRangeRequest { key: key.clone(), ..DeleteRangeRequest::default() };
            // Only this candidate's key: a later one may have been created under the same name and
            // lease.
            let request = TxnRequest {
                compare: vec![created_at(key, create_revision)],
                success: vec![operation(Request::RequestDeleteRange(delete))],
                failure: Vec::new(),
            };
            if let Err(status) = server.txn(request, Caller::Known(&identity)).await {
                tracing::warn!(error = status.message(), "failed to remove the key of a candidate that left");
            }
        }));
    }
}
