//! Calls that clients break off or that are refused before they begin, as the metrics count them;
//! the same on a real etcd.

use crate::{Daemon, Page};
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::etcdserverpb::{
    LeaseKeepAliveRequest, PutRequest, RangeRequest, SnapshotRequest, WatchCreateRequest, WatchRequest,
};
use rpc::etcdserverpb::watch_client::WatchClient;
use std::time::{Duration, Instant};
use testbed::{Server, Settings};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;

/// The code by which each stream is counted when its client leaves it.
const CODES: &[(&str, &str)] =
    &[("RangeStream", "Unknown"), ("Snapshot", "Unknown"), ("Watch", "Canceled"), ("LeaseKeepAlive", "Canceled")];

/// Waits until a stream sends nothing more, because its client does not read: the server is sending
/// when it is broken off.
async fn until_it_waits(daemon: &Daemon, service: &str, method: &str) {
    let (mut sent, mut looks) = (0.0, 0);
    while looks < 10 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = daemon.page().await.call("grpc_server_msg_sent_total", "server_stream", service, method);
        looks = if now == sent { looks + 1 } else { 0 };
        sent = now;
    }
}

/// Opens every stream, takes its first message, and leaves.
async fn break_off(daemon: &Daemon) {
    let mut kv = daemon.kv();
    for number in 0..60 {
        kv.put(PutRequest {
            key: format!("{number:03}").into(),
            value: vec![b'v'; 1 << 20].into(),
            ..PutRequest::default()
        })
        .await
        .unwrap();
    }
    let all = RangeRequest { key: vec![0].into(), range_end: vec![0].into(), ..RangeRequest::default() };
    let mut parts = daemon.kv().max_decoding_message_size(usize::MAX).range_stream(all).await.unwrap().into_inner();
    parts.message().await.unwrap();
    until_it_waits(daemon, "KV", "RangeStream").await;
    drop(parts);
    let mut backup = daemon.maintenance().snapshot(SnapshotRequest {}).await.unwrap().into_inner();
    backup.message().await.unwrap();
    until_it_waits(daemon, "Maintenance", "Snapshot").await;
    drop(backup);
    let create = WatchCreateRequest { key: "w".into(), ..WatchCreateRequest::default() };
    let (asking, requests) = tokio::sync::mpsc::channel(1);
    asking.send(WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) }).await.unwrap();
    let mut events =
        WatchClient::new(daemon.channel.clone()).watch(ReceiverStream::new(requests)).await.unwrap().into_inner();
    events.message().await.unwrap();
    drop((events, asking));
    let (asking, requests) = tokio::sync::mpsc::channel(1);
    asking.send(LeaseKeepAliveRequest { id: 1 }).await.unwrap();
    let mut renewed = daemon.lease().lease_keep_alive(ReceiverStream::new(requests)).await.unwrap().into_inner();
    renewed.message().await.unwrap();
    drop((renewed, asking));
}

async fn counts_streams_as_etcd(daemon: &Daemon) {
    break_off(daemon).await;
    for (method, code) in CODES {
        let begun = Instant::now();
        while daemon.page().await.handled(method, code) < 1.0 {
            let page = daemon.page().await;
            let of_method = page.0.iter().filter(|(series, value)| {
                series.starts_with("grpc_server_handled_total")
                    && (series.contains("Watch") || series.contains("_stream"))
                    && **value > 0.0
            });
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "{method} counts as {code}: {:#?}",
                of_method.collect::<Vec<_>>()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn counts_refused_reads_as_etcd(daemon: &Daemon) {
    let failed = |page: &Page, kind: &str| {
        page.value(&format!("etcd_server_request_duration_seconds_count{{success=\"false\",type=\"{kind}\"}}"))
    };
    let mut kv = daemon.kv();
    kv.range(RangeRequest::default()).await.unwrap_err();
    kv.put(PutRequest::default()).await.unwrap_err();
    assert_eq!(
        (failed(&daemon.page().await, "Range"), failed(&daemon.page().await, "Put")),
        (0.0, 0.0),
        "refused before they began"
    );
    let future = RangeRequest { key: "k".into(), revision: 1 << 40, ..RangeRequest::default() };
    kv.range(future).await.unwrap_err();
    assert_eq!(failed(&daemon.page().await, "Range"), 1.0, "refused by the state");
    // The ordered state refuses it, which is a decision like any other.
    let leased = PutRequest { key: "k".into(), lease: 12345, ..PutRequest::default() };
    kv.put(leased).await.unwrap_err();
    let page = daemon.page().await;
    assert_eq!(failed(&page, "Put"), 0.0);
}

async fn real() -> Option<Daemon> {
    let dir = std::env::var_os("ETCD_371_BIN_DIR")?;
    let server = Server::start(Settings::new(std::path::Path::new(&dir).join("etcd").to_str().unwrap())).await.unwrap();
    let channel = Endpoint::from_shared(server.endpoint()).unwrap().connect().await.unwrap();
    Some(Daemon { server, metrics_address: String::new(), channel })
}

#[tokio::test]
async fn streams_broken_off_count_with_etcds_codes() {
    counts_streams_as_etcd(&Daemon::start(&[]).await).await;
}

#[tokio::test]
async fn requests_refused_early_count_as_no_request() {
    counts_refused_reads_as_etcd(&Daemon::start(&[]).await).await;
}

#[tokio::test]
async fn a_real_etcd_counts_alike() {
    let Some(daemon) = real().await else {
        skip::report("ETCD_371_BIN_DIR names no directory with an etcd 3.7.1");
        return;
    };
    counts_refused_reads_as_etcd(&daemon).await;
    counts_streams_as_etcd(&daemon).await;
}
