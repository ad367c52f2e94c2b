//! The metrics page of a running daemon: requests of clients move the series that etcd documents
//! for them, by the right amount.
#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

mod broken_off;
mod every_metric;
mod life_cycle_log;
mod slow_requests;
mod traces;

use proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{
    AlarmRequest, CompactionRequest, Compare, DefragmentRequest, DeleteRangeRequest, HashKvRequest, HashRequest,
    LeaseGrantRequest, LeaseKeepAliveRequest, LeaseRevokeRequest, PutRequest, RangeRequest, RequestOp, SnapshotRequest,
    TxnRequest,
};
use proto::healthpb::HealthCheckRequest;
use rpc::etcdserverpb::kv_client::KvClient;
use rpc::etcdserverpb::lease_client::LeaseClient;
use rpc::etcdserverpb::maintenance_client::MaintenanceClient;
use rpc::healthpb::health_client::HealthClient;
use std::collections::BTreeMap;
use testbed::{Server, Settings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

/// Values by series, labels included.
struct Page(BTreeMap<String, f64>);

impl Page {
    async fn of(address: &str) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        assert!(response.starts_with("HTTP/1.0 200"), "{response}");
        let (_, page) = response.split_once("\r\n\r\n").unwrap();
        let lines = page.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        Self(
            lines
                .map(|line| line.rsplit_once(' ').unwrap())
                .map(|(series, value)| (series.to_owned(), value.parse().unwrap()))
                .collect(),
        )
    }

    fn value(&self, series: &str) -> f64 {
        self.0.get(series).copied().unwrap_or(0.0)
    }

    fn call(&self, family: &str, kind: &str, service: &str, method: &str) -> f64 {
        let series = [
            format!(
                "{family}{{grpc_method=\"{method}\",grpc_service=\"etcdserverpb.{service}\",grpc_type=\"{kind}\"}}"
            ),
            format!(
                "{family}{{grpc_type=\"{kind}\",grpc_service=\"etcdserverpb.{service}\",grpc_method=\"{method}\"}}"
            ),
        ];
        series.iter().map(|series| self.value(series)).sum()
    }

    /// Returns the value for any order of the labels.
    fn handled(&self, method: &str, code: &str) -> f64 {
        let labels = [format!("grpc_method=\"{method}\""), format!("grpc_code=\"{code}\"")];
        let is_meant = |series: &str| {
            series.starts_with("grpc_server_handled_total{") && labels.iter().all(|label| series.contains(label))
        };
        self.0.iter().filter(|(series, _)| is_meant(series)).map(|(_, value)| value).sum()
    }
}

struct Daemon {
    server: Server,
    metrics_address: String,
    channel: Channel,
}

impl Daemon {
    async fn start(flags: &[&str]) -> Self {
        let [port] = testbed::free_ports().unwrap();
        let mut settings = Settings::new(env!("CARGO_BIN_EXE_etcd-server"));
        settings.flags = vec!["--listen-metrics-urls".to_owned(), format!("http://127.0.0.1:{port}")];
        settings.flags.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let server = Server::start(settings).await.unwrap();
        let channel = Endpoint::from_shared(server.endpoint()).unwrap().connect().await.unwrap();
        Self { server, metrics_address: format!("127.0.0.1:{port}"), channel }
    }

    async fn page(&self) -> Page {
        Page::of(self.server.endpoint().strip_prefix("http://").unwrap()).await
    }

    fn kv(&self) -> KvClient<Channel> {
        KvClient::new(self.channel.clone())
    }

    fn lease(&self) -> LeaseClient<Channel> {
        LeaseClient::new(self.channel.clone())
    }

    fn maintenance(&self) -> MaintenanceClient<Channel> {
        MaintenanceClient::new(self.channel.clone())
    }
}

fn put(key: &str, value: &str) -> PutRequest {
    PutRequest { key: key.to_owned().into(), value: value.to_owned().into(), ..PutRequest::default() }
}

fn get(key: &str) -> RangeRequest {
    RangeRequest { key: key.to_owned().into(), ..RangeRequest::default() }
}

#[track_caller]
fn grew(before: &Page, after: &Page, series: &str, by: f64) {
    assert_eq!(after.value(series) - before.value(series), by, "{series}");
}

#[tokio::test]
async fn calls_on_keys_are_counted_one_by_one() {
    let daemon = Daemon::start(&[]).await;
    let before = daemon.page().await;
    for number in 0..3 {
        daemon.kv().put(put("key", &number.to_string())).await.unwrap();
    }
    daemon.kv().range(get("key")).await.unwrap();
    assert_eq!(daemon.kv().range(get("")).await.unwrap_err().code(), Code::InvalidArgument);
    daemon
        .kv()
        .delete_range(DeleteRangeRequest { key: "other".into(), ..DeleteRangeRequest::default() })
        .await
        .unwrap();
    let after = daemon.page().await;
    assert_eq!(after.handled("Put", "OK") - before.handled("Put", "OK"), 3.0);
    assert_eq!(after.handled("Range", "InvalidArgument"), 1.0);
    assert_eq!(after.handled("Range", "OK") - before.handled("Range", "OK"), 1.0);
    for family in ["grpc_server_started_total", "grpc_server_msg_received_total", "grpc_server_msg_sent_total"] {
        assert_eq!(
            after.call(family, "unary", "KV", "Put") - before.call(family, "unary", "KV", "Put"),
            3.0,
            "{family}"
        );
    }
    grew(&before, &after, "etcd_mvcc_put_total", 3.0);
    grew(&before, &after, "etcd_mvcc_range_total", 1.0);
    grew(&before, &after, "etcd_mvcc_delete_total", 1.0);
    grew(&before, &after, "etcd_debugging_mvcc_total_put_size_in_bytes", 12.0);
    grew(&before, &after, "etcd_debugging_mvcc_current_revision", 3.0);
    grew(&before, &after, "etcd_debugging_mvcc_keys_total", 1.0);
    grew(&before, &after, "etcd_server_apply_duration_seconds_count{op=\"Put\",success=\"true\",version=\"v3\"}", 3.0);
    grew(&before, &after, "etcd_server_request_duration_seconds_count{success=\"true\",type=\"Put\"}", 3.0);
    // A request that is refused before it is a read counts as none.
    grew(&before, &after, "etcd_server_request_duration_seconds_count{success=\"false\",type=\"Range\"}", 0.0);
    grew(&before, &after, "etcd_server_proposals_applied_total", 4.0);
    // Six requests of which the largest is a put of a key and a digit, in two fields of two bytes
    // of prefix each.
    let received = "etcd_network_client_grpc_received_bytes_total";
    assert_eq!(after.value(received) - before.value(received), 3.0 * 8.0 + 5.0 + 0.0 + 7.0);
}

#[tokio::test]
async fn transactions_count_the_operations_of_the_branch_taken() {
    let daemon = Daemon::start(&[]).await;
    let operation = |request| RequestOp { request: Some(request) };
    let before = daemon.page().await;
    let puts = vec![operation(Request::RequestPut(put("a", "1"))), operation(Request::RequestPut(put("b", "22")))];
    daemon.kv().txn(TxnRequest { success: puts.clone(), ..TxnRequest::default() }).await.unwrap();
    let never = Compare {
        result: CompareResult::Greater.into(),
        target: CompareTarget::Version.into(),
        key: "a".into(),
        target_union: Some(TargetUnion::Version(9)),
        ..Compare::default()
    };
    let reads = vec![operation(Request::RequestRange(get("a")))];
    daemon.kv().txn(TxnRequest { compare: vec![never], success: puts, failure: reads.clone() }).await.unwrap();
    daemon.kv().txn(TxnRequest { success: reads, ..TxnRequest::default() }).await.unwrap();
    let after = daemon.page().await;
    grew(&before, &after, "etcd_mvcc_put_total", 2.0);
    grew(&before, &after, "etcd_mvcc_range_total", 2.0);
    grew(&before, &after, "etcd_mvcc_txn_total", 1.0);
    grew(&before, &after, "etcd_debugging_mvcc_total_put_size_in_bytes", 5.0);
    grew(&before, &after, "etcd_server_request_duration_seconds_count{success=\"true\",type=\"Txn\"}", 2.0);
    grew(&before, &after, "etcd_server_request_duration_seconds_count{success=\"true\",type=\"ReadonlyTxn\"}", 1.0);
}

#[tokio::test]
async fn messages_of_streams_are_counted_and_their_ends() {
    let daemon = Daemon::start(&[]).await;
    let id = daemon.lease().lease_grant(LeaseGrantRequest { ttl: 1000, id: 0 }).await.unwrap().into_inner().id;
    let renewals = futures::stream::iter(std::iter::repeat_n(LeaseKeepAliveRequest { id }, 3));
    let mut responses = daemon.lease().lease_keep_alive(renewals).await.unwrap().into_inner();
    while responses.message().await.unwrap().is_some() {}
    let mut backup = daemon.maintenance().snapshot(SnapshotRequest {}).await.unwrap().into_inner();
    let mut parts = 0.0;
    while backup.message().await.unwrap().is_some() {
        parts += 1.0;
    }
    daemon.lease().lease_revoke(LeaseRevokeRequest { id }).await.unwrap();
    let after = daemon.page().await;
    let (received, sent) = ("grpc_server_msg_received_total", "grpc_server_msg_sent_total");
    assert_eq!(after.call(received, "bidi_stream", "Lease", "LeaseKeepAlive"), 3.0);
    assert_eq!(after.call(sent, "bidi_stream", "Lease", "LeaseKeepAlive"), 3.0);
    assert_eq!(after.handled("LeaseKeepAlive", "OK"), 1.0);
    assert_eq!(after.call(sent, "server_stream", "Maintenance", "Snapshot"), parts);
    assert_eq!(after.handled("Snapshot", "OK"), 1.0);
    for (series, value) in [
        ("etcd_debugging_lease_granted_total", 1.0),
        ("etcd_debugging_lease_renewed_total", 3.0),
        ("etcd_debugging_lease_revoked_total", 1.0),
        ("etcd_debugging_lease_ttl_total_sum", 1000.0),
        ("etcd_disk_backend_snapshot_duration_seconds_count", 1.0),
    ] {
        assert_eq!(after.value(series), value, "{series}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_its_stream_canceled_it() {
    let daemon = Daemon::start(&[]).await;
    let mut states =
        HealthClient::new(daemon.channel.clone()).watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    states.message().await.unwrap();
    drop(states);
    // The reset is in flight; the client gets no notification of its arrival.
    while daemon.page().await.handled("Watch", "Canceled") < 1.0 {
        daemon.kv().range(get("key")).await.unwrap();
    }
}

#[tokio::test]
async fn what_the_disk_does_and_maintenance_show() {
    let daemon = Daemon::start(&[]).await;
    let before = daemon.page().await;
    for value in ["1", "2", "3"] {
        daemon.kv().put(put("key", value)).await.unwrap();
    }
    daemon.kv().compact(CompactionRequest { revision: 4, physical: true }).await.unwrap();
    daemon.maintenance().defragment(DefragmentRequest {}).await.unwrap();
    daemon.maintenance().hash(HashRequest {}).await.unwrap();
    daemon.maintenance().hash_kv(HashKvRequest { revision: 0 }).await.unwrap();
    let nospace = AlarmRequest { action: 1, member_id: 0, alarm: 1 };
    daemon.maintenance().alarm(nospace).await.unwrap();
    let after = daemon.page().await;
    grew(&before, &after, "etcd_debugging_mvcc_db_compaction_keys_total", 2.0);
    grew(&before, &after, "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds_count", 1.0);
    grew(&before, &after, "etcd_disk_backend_defrag_duration_seconds_count", 1.0);
    grew(&before, &after, "etcd_mvcc_hash_duration_seconds_count", 1.0);
    grew(&before, &after, "etcd_mvcc_hash_rev_duration_seconds_count", 1.0);
    assert_eq!(after.value("etcd_debugging_mvcc_compact_revision"), 4.0);
    assert_eq!(after.value("etcd_disk_defrag_inflight"), 0.0);
    assert!(after.0.iter().any(|(series, value)| series.contains("alarm_type=\"NOSPACE\"") && *value == 1.0));
    for series in [
        "etcd_disk_wal_fsync_duration_seconds_count",
        "etcd_disk_wal_write_bytes_total",
        "etcd_disk_backend_commit_duration_seconds_count",
    ] {
        assert!(after.value(series) > before.value(series), "{series}");
    }
}

#[tokio::test]
async fn the_state_is_shown_on_both_ports() {
    let daemon = Daemon::start(&[]).await;
    for page in [daemon.page().await, Page::of(&daemon.metrics_address).await] {
        for (series, value) in [
            ("etcd_server_has_leader", 1.0),
            ("etcd_server_is_leader", 1.0),
            ("etcd_server_leader_changes_seen_total", 1.0),
            ("etcd_server_proposals_pending", 0.0),
            ("etcd_server_proposals_failed_total", 0.0),
            ("etcd_server_quota_backend_bytes", 2_147_483_648.0),
            ("etcd_cluster_version{cluster_version=\"3.7\"}", 1.0),
            ("etcd_server_version{server_version=\"3.7.1\"}", 1.0),
            ("etcd_server_alarms{alarm=\"NOSPACE\"}", 0.0),
            ("etcd_server_alarms{alarm=\"CORRUPT\"}", 0.0),
        ] {
            assert_eq!(page.0.get(series), Some(&value), "{series}");
        }
        assert!(page.value("process_resident_memory_bytes") > 0.0);
    }
}

#[tokio::test]
async fn slow_applies_are_counted() {
    let daemon = Daemon::start(&["--warning-apply-duration", "1ns"]).await;
    daemon.kv().put(put("key", "value")).await.unwrap();
    assert!(daemon.page().await.value("etcd_server_slow_apply_total") > 0.0);
}

#[tokio::test]
async fn streams_and_watchers_are_shown_while_they_live() {
    use proto::etcdserverpb::watch_request::RequestUnion;
    use proto::etcdserverpb::{WatchCreateRequest, WatchRequest};
    use rpc::etcdserverpb::watch_client::WatchClient;
    const SERIES: [&str; 3] = [
        "etcd_debugging_mvcc_watch_stream_total",
        "etcd_debugging_mvcc_watcher_total",
        "etcd_debugging_mvcc_slow_watcher_total",
    ];
    let daemon = Daemon::start(&[]).await;
    let shown = async || {
        let page = daemon.page().await;
        SERIES.map(|series| page.value(series))
    };
    assert_eq!(shown().await, [0.0, 0.0, 0.0]);
    let create = |key: &str| {
        let create = WatchCreateRequest { key: key.to_owned().into(), ..WatchCreateRequest::default() };
        WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) }
    };
    let (asking, requests) = tokio::sync::mpsc::channel(2);
    for key in ["a", "b"] {
        asking.send(create(key)).await.unwrap();
    }
    let requests = tokio_stream::wrappers::ReceiverStream::new(requests);
    let mut responses = WatchClient::new(daemon.channel.clone()).watch(requests).await.unwrap().into_inner();
    for _ in 0..2 {
        assert!(responses.message().await.unwrap().unwrap().created);
    }
    // The page shows the last report of the watch thread, which comes a moment after its response.
    while shown().await != [1.0, 2.0, 0.0] {}
    drop((asking, responses));
    while shown().await != [0.0, 0.0, 0.0] {}
}
