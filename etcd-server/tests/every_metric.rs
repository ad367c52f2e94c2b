//! No metric stands still: a cluster is driven through everything that etcd counts, and every
//! family of the page must change.

use crate::Page;
use proto::etcdserverpb::{
    AlarmRequest, AuthUserAddRequest, CompactionRequest, DefragmentRequest, DeleteRangeRequest, HashKvRequest,
    HashRequest, LeaseGrantRequest, LeaseKeepAliveRequest, LeaseRevokeRequest, MemberPromoteRequest, PutRequest,
    RangeRequest, RequestOp, SnapshotRequest, TxnRequest, WatchCreateRequest, WatchProgressRequest, WatchRequest,
    request_op, watch_request,
};
use rpc::etcdserverpb::auth_client::AuthClient;
use rpc::etcdserverpb::cluster_client::ClusterClient;
use rpc::etcdserverpb::lease_client::LeaseClient;
use rpc::etcdserverpb::maintenance_client::MaintenanceClient;
use rpc::etcdserverpb::watch_client::WatchClient;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use testbed::{Cluster, RawCodec, Server, Settings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

/// Families that do not change while a member runs, each with the reason.
const CONSTANT: &[(&str, &str)] = &[
    ("etcd_cluster_version", "set when the cluster is founded; the tests of downgrades change it"),
    ("etcd_server_build_info", "an identity"),
    ("etcd_server_feature_enabled", "a setting"),
    ("etcd_server_id", "an identity"),
    ("etcd_server_quota_backend_bytes", "a setting"),
    ("etcd_server_version", "an identity"),
    ("os_fd_limit", "a limit of the process"),
    ("process_max_fds", "a limit of the process"),
    ("process_start_time_seconds", "the start of the process"),
    ("process_virtual_memory_max_bytes", "a limit of the process"),
];

/// Families that depend on where a request is when a leader is lost, each with the test that drives it.
const ELSEWHERE: &[(&str, &str)] = &[
    ("etcd_server_proposals_deduplicated_total", "cluster::leader_changes"),
    ("etcd_server_proposals_forwarded_again_total", "cluster::leader_changes"),
    ("etcd_server_proposals_held", "cluster::leader_changes"),
    ("etcd_server_proposals_held_total", "cluster::leader_changes"),
    ("etcd_server_proposals_resumed_total", "cluster::leader_changes"),
    ("etcd_server_proposals_unknown_total", "pending_table of the crate pipeline"),
];

/// Gauges that are up for as long as a snapshot is sent, received or applied: milliseconds here,
/// which no scrape may fall into. They are looked for in several rounds, and not demanded.
const BRIEF: &[&str] = &[
    "etcd_network_snapshot_send_inflights_total",
    "etcd_network_snapshot_receive_inflights_total",
    "etcd_server_snapshot_apply_in_progress_total",
];

const PATIENCE: Duration = Duration::from_secs(60);
/// Number of attempts at values that depend on the moment of the scrape.
const ROUNDS_MAX: usize = 6;
const VALUE_BYTES: usize = 1 << 20;

/// Scrapes members all the time and remembers the families of which a series changed, appeared or
/// went away.
#[derive(Clone, Default)]
struct Watcher(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    families: BTreeSet<String>,
    changed: BTreeSet<String>,
    newest: BTreeMap<String, BTreeMap<String, f64>>,
}

impl Watcher {
    /// Watches `member` until the test ends. The first values of its process are the beginning.
    fn watch(&self, member: &Server) {
        let (seen, address) = (self.clone(), member.endpoint().replace("http://", ""));
        tokio::spawn(async move {
            loop {
                if let Some(page) = scrape(&address).await {
                    seen.note(&address, &page);
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
    }

    fn note(&self, address: &str, page: &str) {
        let mut seen = self.0.lock().unwrap();
        let families =
            page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect::<Vec<_>>();
        let series = page.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
        let series: BTreeMap<String, f64> =
            series.map(|(series, value)| (series.to_owned(), value.parse().unwrap())).collect();
        let known: BTreeSet<&str> = families.iter().map(|(name, _)| *name).collect();
        if let Some(before) = seen.newest.remove(address) {
            let changed = series.iter().filter(|(name, value)| before.get(*name) != Some(value)).map(|(name, _)| name);
            let gone = before.keys().filter(|name| !series.contains_key(*name));
            let changed: Vec<String> = changed.chain(gone).map(|series| family(series, &known).to_owned()).collect();
            seen.changed.extend(changed);
        }
        seen.families.extend(known.iter().map(|name| (*name).to_owned()));
        seen.newest.insert(address.to_owned(), series);
    }

    fn has_changed(&self, family: &str) -> bool {
        self.0.lock().unwrap().changed.contains(family)
    }

    /// The newest value of a series at a member; 0 when it is not shown.
    fn value(&self, member: &Server, series: &str) -> f64 {
        let seen = self.0.lock().unwrap();
        let page = seen.newest.get(&member.endpoint().replace("http://", ""));
        page.map_or(0.0, |page| page.iter().filter(|(name, _)| name.starts_with(series)).map(|(_, value)| value).sum())
    }

    async fn wait_for(&self, families: &[&str]) {
        for family in families {
            until(&format!("a change of {family}"), async || self.has_changed(family)).await;
        }
    }
}

/// The family of a series; `families` are those of its page.
fn family<'a>(series: &'a str, families: &BTreeSet<&str>) -> &'a str {
    let name = series.split('{').next().unwrap();
    let parts = ["_bucket", "_sum", "_count"].iter().filter_map(|suffix| name.strip_suffix(suffix));
    parts.into_iter().find(|name| families.contains(name)).unwrap_or(name)
}

/// Returns `true` as soon as something holds, `false` when it does not within `limit`.
async fn within(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while !holds() {
        if begun.elapsed() > limit {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    true
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "{what} within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Returns the page; `None` while the member does not serve.
async fn scrape(address: &str) -> Option<String> {
    let response = get(address, "/metrics").await?;
    response.starts_with("HTTP/1.1 200").then(|| response.split_once("\r\n\r\n").unwrap().1.to_owned())
}

async fn get(address: &str, path: &str) -> Option<String> {
    send(address, &[format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes()]).await
}

async fn send(address: &str, parts: &[&[u8]]) -> Option<String> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        for part in parts {
            stream.write_all(part).await.ok()?;
        }
        let mut response = Vec::new();
        stream.read_to_end(&mut response).await.ok()?;
        Some(String::from_utf8_lossy(&response).into_owned())
    };
    tokio::time::timeout(Duration::from_secs(10), exchange).await.ok()?
}

fn settings() -> Settings {
    let mut settings = Settings::new(env!("CARGO_BIN_EXE_etcd-server"));
    let flags = "--heartbeat-interval 100 --election-timeout 1500 --metrics extensive --snapshot-catchup-entries 5 --warning-apply-duration 1ns \
        --log-level error";
    settings.flags = flags.split_whitespace().map(str::to_owned).collect();
    settings
}

fn put(key: impl Into<String>, value: Vec<u8>) -> PutRequest {
    PutRequest { key: key.into().into(), value: value.into(), ..PutRequest::default() }
}

async fn write(cluster: &Cluster, via: usize, prefix: &str, values: usize) {
    let mut kv = cluster.kv(via).await.unwrap();
    for number in 0..values {
        kv.put(put(format!("{prefix}/{number}"), vec![b'v'; VALUE_BYTES])).await.unwrap();
    }
}

/// Every kind of request on keys, leases, users and alarms.
async fn requests(cluster: &Cluster, via: usize, watcher: &Watcher) {
    let channel = cluster.channel(via).await.unwrap();
    let mut kv = cluster.kv(via).await.unwrap();
    kv.put(put("key", b"value".to_vec())).await.unwrap();
    kv.range(RangeRequest { key: "key".into(), ..RangeRequest::default() }).await.unwrap();
    kv.range(RangeRequest::default()).await.unwrap_err();
    kv.delete_range(DeleteRangeRequest { key: "key".into(), ..DeleteRangeRequest::default() }).await.unwrap();
    let put_in_txn = |key: &str| RequestOp { request: Some(request_op::Request::RequestPut(put(key, b"1".to_vec()))) };
    kv.txn(TxnRequest { success: vec![put_in_txn("a"), put_in_txn("b")], ..TxnRequest::default() }).await.unwrap();
    let revision = kv.put(put("key", b"2".to_vec())).await.unwrap().into_inner().header.unwrap().revision;
    kv.compact(CompactionRequest { revision, physical: true }).await.unwrap();

    let mut lease = LeaseClient::new(channel.clone());
    lease.lease_grant(LeaseGrantRequest { id: 7, ttl: 300 }).await.unwrap();
    let renewals = tokio_stream::iter([LeaseKeepAliveRequest { id: 7 }]);
    lease.lease_keep_alive(renewals).await.unwrap().into_inner().message().await.unwrap();
    lease.lease_revoke(LeaseRevokeRequest { id: 7 }).await.unwrap();
    lease.lease_grant(LeaseGrantRequest { id: 8, ttl: 1 }).await.unwrap();

    AuthClient::new(channel.clone())
        .user_add(AuthUserAddRequest {
            name: "alice".to_owned(),
            password: "secret".to_owned(),
            ..AuthUserAddRequest::default()
        })
        .await
        .unwrap();
    let mut maintenance = MaintenanceClient::new(channel.clone());
    maintenance.hash(HashRequest {}).await.unwrap();
    maintenance.hash_kv(HashKvRequest { revision: 0 }).await.unwrap();
    let mut backup = maintenance.snapshot(SnapshotRequest {}).await.unwrap().into_inner();
    while backup.message().await.unwrap().is_some() {}

    let address = cluster.members[via].endpoint().replace("http://", "");
    for path in ["/health", "/livez", "/readyz"] {
        assert!(get(&address, path).await.unwrap().starts_with("HTTP/1.1 200"), "{path}");
    }
    maintenance.alarm(AlarmRequest { action: 1, member_id: 0, alarm: 1 }).await.unwrap();
    assert!(get(&address, "/health").await.unwrap().starts_with("HTTP/1.1 503"));
    watcher.wait_for(&["etcd_server_alarms"]).await;
    maintenance.alarm(AlarmRequest { action: 2, member_id: 0, alarm: 1 }).await.unwrap();
}

/// Watchers, of which one is read and one is not, and a stream that is no watch stream.
async fn watches(cluster: &Cluster, via: usize, watcher: &Watcher) {
    let channel = cluster.channel(via).await.unwrap();
    let request = |union| WatchRequest { request_union: Some(union) };
    let create = || {
        let all =
            WatchCreateRequest { key: vec![0].into(), range_end: vec![0].into(), ..WatchCreateRequest::default() };
        request(watch_request::RequestUnion::CreateRequest(all))
    };
    let (requests, stream) = mpsc::channel(4);
    requests.send(create()).await.unwrap();
    let mut read = WatchClient::new(channel.clone()).watch(ReceiverStream::new(stream)).await.unwrap().into_inner();
    assert!(read.message().await.unwrap().unwrap().created);
    cluster.kv(via).await.unwrap().put(put("watched", b"1".to_vec())).await.unwrap();
    assert_eq!(read.message().await.unwrap().unwrap().events.len(), 1);
    requests.send(request(watch_request::RequestUnion::ProgressRequest(WatchProgressRequest {}))).await.unwrap();
    assert!(read.message().await.unwrap().unwrap().events.is_empty());
    drop((requests, read));

    // This one has no reader: first its events wait, then it falls behind.
    let (idle_requests, stream) = mpsc::channel(4);
    idle_requests.send(create()).await.unwrap();
    let idle = WatchClient::new(cluster.channel(via).await.unwrap()).watch(ReceiverStream::new(stream)).await.unwrap();
    write(cluster, via, "unread", 40).await;
    watcher.wait_for(&["etcd_debugging_mvcc_pending_events_total", "etcd_debugging_mvcc_slow_watcher_total"]).await;
    drop((idle_requests, idle));

    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.unwrap();
    let garbage = tokio_stream::iter([bytes::Bytes::from_static(b"\xff\xff\xff\xff")]);
    let path = http::uri::PathAndQuery::from_static("/etcdserverpb.Watch/Watch");
    let broken = grpc.streaming(tonic::Request::new(garbage), path, RawCodec).await;
    if let Ok(responses) = broken {
        responses.into_inner().message().await.unwrap_err();
    }
    watcher.wait_for(&["etcd_network_server_stream_failures_total"]).await;
}

/// Repeats momentary states until they were seen.
async fn moments(cluster: &Cluster, via: usize, watcher: &Watcher) {
    let channel: Channel = cluster.channel(via).await.unwrap();
    let address = cluster.members[via].endpoint().replace("http://", "");
    until("a defragmentation and two scrapes at a time", async || {
        MaintenanceClient::new(channel.clone()).defragment(DefragmentRequest {}).await.unwrap();
        let scrapes =
            (0..8).map(|_| async { watcher.note(&format!("{address} again"), &scrape(&address).await.unwrap()) });
        futures::future::join_all(scrapes).await;
        watcher.has_changed("etcd_disk_defrag_inflight")
            && watcher.has_changed("promhttp_metric_handler_requests_in_flight")
    })
    .await;
    // A backup that its client does not read holds its view of the state.
    let mut backup = MaintenanceClient::new(channel).snapshot(SnapshotRequest {}).await.unwrap().into_inner();
    watcher.wait_for(&["etcd_mvcc_db_open_read_transactions"]).await;
    while backup.message().await.unwrap().is_some() {}
}

/// Freezes a follower until the leader has given it up and its waiting messages are dropped, and
/// lets it continue: it gets a snapshot.
async fn fall_behind(cluster: &mut Cluster, watcher: &Watcher) -> (usize, usize) {
    let leader = cluster.leader(PATIENCE).await.unwrap();
    let follower = (leader + 1) % 3;
    let lost = || watcher.value(&cluster.members[leader], "etcd_network_disconnected_peers_total");
    let lost_before = lost();
    cluster.members[follower].freeze(true).unwrap();
    write(cluster, leader, "behind", 60).await;
    until("the leader gives the follower up", async || lost() > lost_before).await;
    cluster.members[follower].freeze(false).unwrap();
    (leader, follower)
}

/// States are sent until all that is shown of it was seen, and once more to a follower that is
/// killed over it. Some of it lasts milliseconds, and may be missed between two scrapes.
async fn state_transfers(cluster: &mut Cluster, watcher: &Watcher) {
    let shown = [
        "etcd_network_snapshot_send_success",
        "etcd_network_snapshot_receive_success",
        "etcd_network_snapshot_send_inflights_total",
        "etcd_network_snapshot_receive_inflights_total",
        "etcd_server_snapshot_apply_in_progress_total",
    ];
    for _ in 0..ROUNDS_MAX {
        let (_, follower) = fall_behind(cluster, watcher).await;
        cluster.members[follower].healthy().await.unwrap();
        if within(Duration::from_secs(5), || shown.iter().all(|family| watcher.has_changed(family))).await {
            break;
        }
    }
    let lasting: Vec<&str> = shown.into_iter().filter(|family| !BRIEF.contains(family)).collect();
    watcher.wait_for(&lasting).await;
    for _ in 0..ROUNDS_MAX {
        let (leader, follower) = fall_behind(cluster, watcher).await;
        let sending = || watcher.value(&cluster.members[leader], "etcd_network_snapshot_send_inflights_total") > 0.0;
        within(Duration::from_secs(10), sending).await;
        cluster.members[follower].kill();
        let failed =
            within(Duration::from_secs(5), || watcher.has_changed("etcd_network_snapshot_send_failures")).await;
        cluster.members[follower].relaunch().unwrap();
        cluster.members[follower].healthy().await.unwrap();
        if failed {
            break;
        }
    }
    watcher.wait_for(&["etcd_network_snapshot_send_failures"]).await;
}

/// Messages of a member that are no messages.
async fn broken_peer(cluster: &Cluster, at: usize, of: usize, watcher: &Watcher) {
    let id = cluster.id_of(at, of).await.unwrap();
    let header = cluster.members[at].status().header.unwrap();
    let address = cluster.members[at].peer_url().replace("http://", "");
    let post = async |path: &str, body: &[u8]| {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nX-Server-From: {id:x}\r\nX-Server-Version: 3.7.1\r\n\
             X-Min-Cluster-Version: 3.0.0\r\nX-Etcd-Cluster-ID: {:x}\r\nContent-Length: {}\r\n\r\n",
            header.cluster_id,
            body.len()
        );
        send(&address, &[head.as_bytes(), body]).await.unwrap()
    };
    assert!(post("/raft", b"\xff\xff\xff").await.starts_with("HTTP/1.1 400"));
    let message = proto::raftpb::Message { r#type: 7, from: id, to: header.member_id, ..Default::default() };
    let message = prost::Message::encode_to_vec(&message);
    let body = [&(message.len() as u64).to_be_bytes()[..], &message, b"no database"].concat();
    assert!(post("/raft/snapshot", &body).await.starts_with("HTTP/1.1 500"));
    watcher.wait_for(&["etcd_network_peer_received_failures_total", "etcd_network_snapshot_receive_failures"]).await;
}

/// A learner comes and becomes a voter; a voter cannot be promoted.
async fn promotion(cluster: &mut Cluster, leader: usize, watcher: &Watcher) {
    let voter = cluster.id_of(leader, leader).await.unwrap();
    let mut client = ClusterClient::new(cluster.channel(leader).await.unwrap());
    client.member_promote(MemberPromoteRequest { id: voter }).await.unwrap_err();
    let begun = Instant::now();
    let learner = loop {
        // Members are added only once all have been connected for a while.
        match cluster.add(leader, true).await {
            Ok(learner) => break learner,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    watcher.watch(&cluster.members[learner]);
    until("the learner shows that it is one", async || {
        assert!(cluster.members[learner].is_running(), "{}", cluster.members[learner].log_tail());
        watcher.value(&cluster.members[learner], "etcd_server_is_learner") == 1.0
    })
    .await;
    cluster.promote(leader, learner, PATIENCE).await.unwrap();
    watcher.wait_for(&["etcd_server_is_learner", "etcd_server_learner_promote_successes"]).await;
    cluster.remove(leader, learner).await.unwrap();
    assert!(cluster.members[learner].wait_for_end(PATIENCE).is_some(), "a removed member ends");
    cluster.members.remove(learner);
}

/// A leader that is paused is late with its heartbeats; one that ends takes the quorum with it,
/// after the first follower did.
async fn lost_leaders(cluster: &mut Cluster, watcher: &Watcher) {
    until("late heartbeats", async || {
        let leader = cluster.leader(PATIENCE).await.unwrap();
        cluster.members[leader].freeze(true).unwrap();
        tokio::time::sleep(Duration::from_millis(250)).await;
        cluster.members[leader].freeze(false).unwrap();
        watcher.value(&cluster.members[leader], "etcd_server_heartbeat_send_failures_total") > 0.0
    })
    .await;
    // A read that waits for an answer of a leader that is gone is asked again.
    until("a read index that was lost with its leader", async || {
        let leader = cluster.leader(PATIENCE).await.unwrap();
        let reader = (leader + 1) % 3;
        let mut kv = cluster.kv(reader).await.unwrap();
        cluster.members[leader].freeze(true).unwrap();
        drop(kv.range(RangeRequest { key: "key".into(), ..RangeRequest::default() }).await);
        cluster.members[leader].freeze(false).unwrap();
        watcher.has_changed("etcd_server_read_indexes_failed_total")
    })
    .await;
    let leader = cluster.leader(PATIENCE).await.unwrap();
    let (first, last) = ((leader + 1) % 3, (leader + 2) % 3);
    cluster.members[first].kill();
    cluster.members[leader].kill();
    let (mut reading, mut writing) = (cluster.kv(last).await.unwrap(), cluster.kv(last).await.unwrap());
    let read = reading.range(RangeRequest { key: "key".into(), ..RangeRequest::default() });
    let (read, written) = tokio::join!(read, writing.put(put("key", b"alone".to_vec())));
    assert!(read.is_err() && written.is_err(), "one of three has no quorum");
}

/// Lines that no output takes.
async fn dropped_lines(watcher: &Watcher) {
    let mut settings = settings();
    settings.flags.extend(["--log-outputs", "/dev/full", "--log-level", "debug"].map(str::to_owned));
    let server = Server::start(settings).await.unwrap();
    watcher.watch(&server);
    let address = server.endpoint().replace("http://", "");
    // At debug every request leaves a line.
    until("more dropped lines", async || {
        Page::of(&address).await;
        let channel = tonic::transport::Endpoint::from_shared(server.endpoint()).unwrap().connect().await.unwrap();
        rpc::etcdserverpb::kv_client::KvClient::new(channel).put(put("key", b"1".to_vec())).await.unwrap();
        watcher.has_changed("etcd_log_dropped_lines_total")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_family_changes() {
    let watcher = Watcher::default();
    let mut cluster = Cluster::start(settings(), 3).await.unwrap();
    for member in &cluster.members {
        watcher.watch(member);
    }
    let leader = cluster.leader(PATIENCE).await.unwrap();
    let follower = (leader + 1) % 3;
    until("first pages", async || watcher.0.lock().unwrap().newest.len() == 3).await;
    requests(&cluster, leader, &watcher).await;
    watches(&cluster, leader, &watcher).await;
    moments(&cluster, leader, &watcher).await;
    promotion(&mut cluster, leader, &watcher).await;
    broken_peer(&cluster, leader, follower, &watcher).await;
    state_transfers(&mut cluster, &watcher).await;
    watcher
        .wait_for(&["etcd_debugging_server_lease_expired_total", "etcd_debugging_snap_save_total_duration_seconds"])
        .await;
    lost_leaders(&mut cluster, &watcher).await;
    dropped_lines(&watcher).await;

    let seen = watcher.0.lock().unwrap();
    let catalogue = telemetry::metrics::CATALOG.iter().map(|family| family.name.to_owned());
    let families: BTreeSet<String> = seen.families.iter().cloned().chain(catalogue).collect();
    let listed = || CONSTANT.iter().chain(ELSEWHERE);
    let constant = |name: &str| BRIEF.contains(&name) || listed().any(|(listed, _)| *listed == name);
    let still: Vec<&String> = families.iter().filter(|name| !seen.changed.contains(*name) && !constant(name)).collect();
    assert!(still.is_empty(), "{} of {} families did not change: {still:#?}", still.len(), families.len());
    for (name, reason) in listed() {
        assert!(families.contains(*name), "{name} ({reason}) is shown no more");
    }
    println!("{} families changed, {} are constant", families.len() - CONSTANT.len(), CONSTANT.len());
}
