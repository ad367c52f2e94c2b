//! A gRPC service and a member with canned answers.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::FutureExt as _;
use futures::stream::{self, BoxStream, StreamExt as _};
use gateway::{Alarm, HealthRecord, Member, MemberFuture, Versions};
use proto::etcdserverpb::*;
use proto::mvccpb::KeyValue;
use rpc::etcdserverpb::kv_server::{Kv, KvServer};
use rpc::etcdserverpb::lease_server::{Lease, LeaseServer};
use rpc::etcdserverpb::maintenance_server::{Maintenance, MaintenanceServer};
use rpc::etcdserverpb::watch_server::{Watch, WatchServer};
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

type ResponseStream<T> = BoxStream<'static, Result<T, Status>>;

pub(crate) fn routes() -> Routes {
    Routes::new(KvServer::new(Canned))
        .add_service(WatchServer::new(Canned))
        .add_service(LeaseServer::new(Canned))
        .add_service(MaintenanceServer::new(Canned).max_decoding_message_size(1 << 22))
}

/// Snapshot pieces that were asked for, over all tests.
pub(crate) static SNAPSHOT_PIECES: AtomicUsize = AtomicUsize::new(0);

struct Canned;

fn header() -> Option<ResponseHeader> {
    Some(ResponseHeader {
        cluster_id: 13_985_637_432_575_640_401,
        member_id: 15_161_684_485_828_181_158,
        revision: 2,
        raft_term: 2,
    })
}

fn pair(key: &[u8], value: &[u8]) -> KeyValue {
    let (key, value) = (key.to_vec().into(), value.to_vec().into());
    KeyValue { key, value, create_revision: 2, mod_revision: 2, version: 1, lease: 0 }
}

/// All metadata, one `name=value` per line.
fn metadata_text<T>(request: &Request<T>) -> String {
    let headers = request.metadata().clone().into_headers();
    let mut lines: Vec<_> =
        headers.iter().map(|(name, value)| format!("{name}={}\n", value.to_str().unwrap())).collect();
    lines.sort();
    lines.concat()
}

#[tonic::async_trait]
impl Kv for Canned {
    async fn range(&self, request: Request<RangeRequest>) -> Result<Response<RangeResponse>, Status> {
        if request.metadata().get("authorization").is_some_and(|token| token == "bad") {
            return Err(Status::unauthenticated("etcdserver: invalid auth token"));
        }
        let metadata = metadata_text(&request);
        let range = request.into_inner();
        let kv = match range.key.as_ref() {
            b"" => return Err(Status::invalid_argument("etcdserver: key is not provided")),
            b"never" => std::future::pending().await,
            b"metadata" => pair(b"metadata", metadata.as_bytes()),
            b"a" => pair(b"a", b"b"),
            _ => return Ok(Response::new(RangeResponse { header: header(), ..RangeResponse::default() })),
        };
        if range.revision > 2 {
            return Err(Status::out_of_range("etcdserver: mvcc: required revision is a future revision"));
        }
        Ok(Response::new(RangeResponse { header: header(), kvs: vec![kv], more: false, count: 1 }))
    }

    async fn put(&self, _request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        Ok(Response::new(PutResponse { header: header(), prev_kv: None }))
    }

    async fn delete_range(
        &self,
        _request: Request<DeleteRangeRequest>,
    ) -> Result<Response<DeleteRangeResponse>, Status> {
        Ok(Response::new(DeleteRangeResponse { header: header(), ..DeleteRangeResponse::default() }))
    }

    async fn txn(&self, _request: Request<TxnRequest>) -> Result<Response<TxnResponse>, Status> {
        Ok(Response::new(TxnResponse { header: header(), succeeded: true, responses: Vec::new() }))
    }

    async fn compact(&self, _request: Request<CompactionRequest>) -> Result<Response<CompactionResponse>, Status> {
        Err(Status::out_of_range("etcdserver: mvcc: required revision has been compacted"))
    }

    type RangeStreamStream = ResponseStream<RangeStreamResponse>;

    async fn range_stream(&self, _request: Request<RangeRequest>) -> Result<Response<Self::RangeStreamStream>, Status> {
        Ok(Response::new(stream::empty().boxed()))
    }
}

#[tonic::async_trait]
impl Watch for Canned {
    type WatchStream = ResponseStream<WatchResponse>;

    /// Answers each create; goes on for ever after the last request.
    async fn watch(&self, request: Request<Streaming<WatchRequest>>) -> Result<Response<Self::WatchStream>, Status> {
        let responses = request.into_inner().map(|request| {
            let Some(watch_request::RequestUnion::CreateRequest(create)) = request?.request_union else {
                return Err(Status::invalid_argument("only creates are known here"));
            };
            Ok(WatchResponse { header: header(), watch_id: create.watch_id, created: true, ..WatchResponse::default() })
        });
        Ok(Response::new(responses.chain(stream::pending()).boxed()))
    }
}

#[tonic::async_trait]
impl Lease for Canned {
    async fn lease_grant(&self, request: Request<LeaseGrantRequest>) -> Result<Response<LeaseGrantResponse>, Status> {
        let LeaseGrantRequest { ttl, id } = request.into_inner();
        Ok(Response::new(LeaseGrantResponse { header: header(), id, ttl, error: String::new() }))
    }

    async fn lease_revoke(
        &self,
        _request: Request<LeaseRevokeRequest>,
    ) -> Result<Response<LeaseRevokeResponse>, Status> {
        Err(Status::not_found("etcdserver: requested lease not found"))
    }

    type LeaseKeepAliveStream = ResponseStream<LeaseKeepAliveResponse>;

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<LeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        let responses = request.into_inner().map(|request| match request?.id {
            66 => Err(Status::unavailable("etcdserver: no leader")),
            id => Ok(LeaseKeepAliveResponse { header: header(), id, ttl: if id == 77 { 100 } else { 0 } }),
        });
        Ok(Response::new(responses.boxed()))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<LeaseTimeToLiveRequest>,
    ) -> Result<Response<LeaseTimeToLiveResponse>, Status> {
        let id = request.into_inner().id;
        Ok(Response::new(LeaseTimeToLiveResponse {
            header: header(),
            id,
            ttl: -1,
            ..LeaseTimeToLiveResponse::default()
        }))
    }

    async fn lease_leases(
        &self,
        _request: Request<LeaseLeasesRequest>,
    ) -> Result<Response<LeaseLeasesResponse>, Status> {
        Ok(Response::new(LeaseLeasesResponse { header: header(), leases: vec![LeaseStatus { id: 77 }] }))
    }
}

#[tonic::async_trait]
impl Maintenance for Canned {
    async fn alarm(&self, _request: Request<AlarmRequest>) -> Result<Response<AlarmResponse>, Status> {
        Ok(Response::new(AlarmResponse { header: header(), alarms: vec![AlarmMember { member_id: 0, alarm: 2 }] }))
    }

    async fn status(&self, _request: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        Err(Status::unknown("etcdserver: too many requests"))
    }

    async fn defragment(&self, _request: Request<DefragmentRequest>) -> Result<Response<DefragmentResponse>, Status> {
        Ok(Response::new(DefragmentResponse::default()))
    }

    async fn hash(&self, _request: Request<HashRequest>) -> Result<Response<HashResponse>, Status> {
        Ok(Response::new(HashResponse { header: header(), hash: 779_557_333 }))
    }

    async fn hash_kv(&self, _request: Request<HashKvRequest>) -> Result<Response<HashKvResponse>, Status> {
        Ok(Response::new(HashKvResponse::default()))
    }

    type SnapshotStream = ResponseStream<SnapshotResponse>;

    /// Endless.
    async fn snapshot(&self, request: Request<SnapshotRequest>) -> Result<Response<Self::SnapshotStream>, Status> {
        if request.metadata().get("authorization").is_some() {
            return Err(Status::unknown("auth: user name is empty"));
        }
        let piece = || {
            SNAPSHOT_PIECES.fetch_add(1, Ordering::SeqCst);
            Ok(SnapshotResponse { remaining_bytes: 1, blob: vec![7; 32 * 1024].into(), ..SnapshotResponse::default() })
        };
        Ok(Response::new(stream::repeat_with(piece).boxed()))
    }

    async fn move_leader(&self, _request: Request<MoveLeaderRequest>) -> Result<Response<MoveLeaderResponse>, Status> {
        Ok(Response::new(MoveLeaderResponse::default()))
    }

    async fn downgrade(&self, _request: Request<DowngradeRequest>) -> Result<Response<DowngradeResponse>, Status> {
        Ok(Response::new(DowngradeResponse::default()))
    }
}

/// A member whose every answer is a field.
pub(crate) struct FakeMember {
    pub(crate) alarms: Vec<i32>,
    pub(crate) leader: bool,
    pub(crate) learner: bool,
    pub(crate) auth: bool,
    /// The outcome of linearizable reads; `None` is never.
    pub(crate) read: Option<Result<(), String>>,
    pub(crate) records: Mutex<Vec<HealthRecord>>,
}

impl Default for FakeMember {
    fn default() -> FakeMember {
        FakeMember {
            alarms: Vec::new(),
            leader: true,
            learner: false,
            auth: false,
            read: Some(Ok(())),
            records: Mutex::default(),
        }
    }
}

impl Member for FakeMember {
    fn alarms(&self) -> Vec<Alarm> {
        self.alarms.iter().map(|alarm| Alarm { member_id: 1, alarm: *alarm }).collect()
    }

    fn has_leader(&self) -> bool {
        self.leader
    }

    fn is_learner(&self) -> bool {
        self.learner
    }

    fn auth_enabled(&self) -> bool {
        self.auth
    }

    fn read(&self, serializable: bool) -> MemberFuture<'_, Result<(), String>> {
        match &self.read {
            _ if serializable => futures::future::ready(Ok(())).boxed(),
            Some(outcome) => futures::future::ready(outcome.clone()).boxed(),
            None => futures::future::pending().boxed(),
        }
    }

    fn versions(&self) -> Versions {
        Versions { server: "3.7.1".to_owned(), cluster: Some("3.7.0".to_owned()), storage: None }
    }

    fn metrics_text(&self) -> MemberFuture<'_, String> {
        futures::future::ready("# TYPE etcd_server_has_leader gauge\netcd_server_has_leader 1\n".to_owned()).boxed()
    }

    fn debug_vars(&self) -> serde_json::Map<String, serde_json::Value> {
        let vars = serde_json::json!({"cmdline": ["etcd"], "raft.status": {"term": 2}});
        vars.as_object().unwrap().clone()
    }

    fn member_page(&self) -> serde_json::Value {
        serde_json::json!({"role": "follower"})
    }

    fn record_health(&self, record: HealthRecord) {
        self.records.lock().unwrap().push(record);
    }
}
