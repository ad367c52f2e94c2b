//! The log lines of requests: of those that were slow or failed, and at debug of all, with keys in
//! clear and without values.

use crate::Daemon;
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{DeleteRangeRequest, LeaseGrantRequest, PutRequest, RangeRequest, RequestOp, TxnRequest};
use serde_json::Value;
use std::time::{Duration, Instant};
use testbed::{Server, Settings};
use tonic::transport::Endpoint;

const SECRET: &str = "a value that no log may show";

fn put(key: &str) -> PutRequest {
    PutRequest { key: key.to_owned().into(), value: SECRET.into(), ..PutRequest::default() }
}

/// One request of each kind.
async fn requests(daemon: &Daemon) {
    let mut kv = daemon.kv();
    kv.put(put("the-key")).await.unwrap();
    kv.range(RangeRequest { key: "the-key".into(), range_end: "the-kez".into(), ..RangeRequest::default() })
        .await
        .unwrap();
    let get = RequestOp {
        request: Some(Request::RequestRange(RangeRequest { key: "the-key".into(), ..RangeRequest::default() })),
    };
    kv.txn(TxnRequest { success: vec![get.clone()], ..TxnRequest::default() }).await.unwrap();
    let write = RequestOp { request: Some(Request::RequestPut(put("in-txn"))) };
    kv.txn(TxnRequest { success: vec![write, get], ..TxnRequest::default() }).await.unwrap();
    kv.delete_range(DeleteRangeRequest { key: "the-key".into(), ..DeleteRangeRequest::default() }).await.unwrap();
    daemon.lease().lease_grant(LeaseGrantRequest { id: 7, ttl: 60 }).await.unwrap();
    // The lease exists, so the request fails when it is applied.
    daemon.lease().lease_grant(LeaseGrantRequest { id: 7, ttl: 60 }).await.unwrap_err();
}

/// Attempts at results that depend on the arrival time of a request.
const ATTEMPTS: usize = 10;

fn lines(server: &Server, message: &str) -> Vec<Value> {
    let log = server.log_tail();
    log.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line["msg"] == message)
        .collect()
}

#[track_caller]
fn shows_no_value(server: &Server) {
    let log = server.log_tail();
    assert!(!log.contains(SECRET), "{log}");
}

/// The lines with this message; waits until there are so many.
async fn written(server: &Server, message: &str, count: usize) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let found = lines(server, message);
        if found.len() >= count {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{count} lines {message:?}, found {found:#?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn slow_applies_name_request_and_response() {
    let daemon = Daemon::start(&["--warning-apply-duration", "1ns"]).await;
    requests(&daemon).await;
    let slow = written(&daemon.server, "apply request took too long", 6).await;
    let of = |prefix: &str, text: &str| {
        let found =
            slow.iter().find(|line| line["prefix"] == prefix && line["request"].as_str().unwrap().contains(text));
        found.unwrap_or_else(|| panic!("{prefix:?} {text:?}: {slow:#?}")).clone()
    };
    let written = of("", "put:<key:\"the-key\" value_size:28>");
    assert_eq!((&written["level"], &written["expected-duration"]), (&"warn".into(), &"1ns".into()));
    assert!(written["response"].as_str().unwrap().starts_with("size:"), "{written}");
    let read = of("read-only range ", "key:\"the-key\" range_end:\"the-kez\"");
    assert!(read["response"].as_str().unwrap().starts_with("range_response_count:1 size:"), "{read}");
    let txn = of("read-only txn ", "success:<request_range:{key:\"the-key\"}>");
    assert!(txn["response"].as_str().unwrap().starts_with("responses:<range_response_count:1> size:"), "{txn}");
    of("", "txn:<compare:<> success:<request_put:<key:\"in-txn\" value_size:28>");
    of("", "lease_grant:<ttl:60-second id:0000000000000007>");
    let failed = written_once(&daemon.server, "failed to apply request").await;
    assert!(failed["request"].as_str().unwrap().contains("lease_grant"), "{failed}");
    assert!(!failed["error"].as_str().unwrap().is_empty(), "{failed}");
    shows_no_value(&daemon.server);
}

async fn written_once(server: &Server, message: &str) -> Value {
    written(server, message, 1).await.remove(0)
}

/// Counts, sizes and content, by the name of the call.
const STATS: &[(&str, i64, i64, i64, &str)] = &[
    ("/etcdserverpb.KV/Put", 1, 39, 0, "key:\"the-key\" value_size:28"),
    ("/etcdserverpb.KV/Range", 0, 18, 1, "key:\"the-key\" range_end:\"the-kez\""),
    ("/etcdserverpb.KV/Txn", 1, 11, 0, "compare:<> success:<request_range:{key:\"the-key\"}> failure:<>"),
    ("/etcdserverpb.KV/DeleteRange", 0, 9, 1, "key:\"the-key\""),
    ("/etcdserverpb.Lease/LeaseGrant", -1, -1, -1, ""),
];

fn hold_to_stats(found: &[Value], level: &str) {
    for (name, requests, bytes, responses, content) in STATS {
        let is_meant = |line: &&Value| line["response type"] == *name && line["request content"] == *content;
        let line = found.iter().find(is_meant).unwrap_or_else(|| panic!("{name} {content:?}: {found:#?}"));
        assert_eq!(line["level"], level, "{line}");
        assert_eq!((&line["request count"], &line["request size"]), (&(*requests).into(), &(*bytes).into()), "{line}");
        assert_eq!(line["response count"], *responses, "{line}");
        assert!(
            line["start time"].as_str().unwrap().ends_with('Z') && line["remote"].as_str().unwrap().contains(':'),
            "{line}"
        );
        assert!(line["time spent"].is_string() && line["response size"].is_i64(), "{line}");
    }
}

#[tokio::test]
async fn slow_calls_leave_a_warning_with_their_content() {
    let daemon = Daemon::start(&["--warning-unary-request-duration", "1ns"]).await;
    requests(&daemon).await;
    hold_to_stats(&written(&daemon.server, "request stats", 9).await, "warn");
    shows_no_value(&daemon.server);
}

#[tokio::test]
async fn every_call_is_logged_at_debug() {
    let daemon = Daemon::start(&["--log-level", "debug"]).await;
    requests(&daemon).await;
    hold_to_stats(&written(&daemon.server, "request stats", 9).await, "debug");
    shows_no_value(&daemon.server);
}

#[tokio::test]
async fn quick_calls_leave_no_line() {
    let daemon = Daemon::start(&["--warning-apply-duration", "1h", "--warning-unary-request-duration", "1h"]).await;
    requests(&daemon).await;
    written(&daemon.server, "failed to apply request", 1).await;
    for message in ["request stats", "apply request took too long"] {
        assert!(lines(&daemon.server, message).is_empty(), "{message}");
    }
}

/// The same calls on a real etcd: every figure and text of `request stats` is etcd's.
#[tokio::test]
async fn a_real_etcd_logs_the_same_stats() {
    let Some(dir) = std::env::var_os("ETCD_371_BIN_DIR") else {
        skip::report("ETCD_371_BIN_DIR names no directory with an etcd 3.7.1");
        return;
    };
    let mut settings = Settings::new(std::path::Path::new(&dir).join("etcd").to_str().unwrap());
    settings.flags = vec!["--log-level".to_owned(), "debug".to_owned()];
    let server = Server::start(settings).await.unwrap();
    let channel = Endpoint::from_shared(server.endpoint()).unwrap().connect().await.unwrap();
    let daemon = Daemon { server, metrics_address: String::new(), channel };
    requests(&daemon).await;
    let mut found = written(&daemon.server, "request stats", 9).await;
    for line in &mut found {
        // Go's text format puts one or two blanks between fields, by the day.
        let content = line["request content"].as_str().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        line["request content"] = content.replace(" }", "}").replace(" >", ">").into();
    }
    hold_to_stats(&found, "debug");
}

/// A follower whose leader is frozen for a moment waits for its read index.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_waited_leaves_a_trace() {
    let mut settings = Settings::new(env!("CARGO_BIN_EXE_etcd-server"));
    settings.flags = ["--heartbeat-interval", "100", "--election-timeout", "2000"].map(str::to_owned).to_vec();
    let mut cluster = testbed::Cluster::start(settings, 3).await.unwrap();
    let leader = cluster.leader(Duration::from_secs(20)).await.unwrap();
    let follower = (leader + 1) % 3;
    let mut kv = cluster.kv(follower).await.unwrap();
    let read = || RangeRequest { key: "waiting".into(), ..RangeRequest::default() };
    kv.range(read()).await.unwrap();
    // On a busy machine the request may come so late that it finds the leader awake again.
    for _ in 0..ATTEMPTS {
        cluster.members[leader].freeze(true).unwrap();
        let mut kv = kv.clone();
        let reading = tokio::spawn(async move { kv.range(read()).await });
        tokio::time::sleep(Duration::from_millis(300)).await;
        cluster.members[leader].freeze(false).unwrap();
        reading.await.unwrap().unwrap();
        if lines(&cluster.members[follower], "trace").len() >= 2 {
            break;
        }
    }
    let traces = written(&cluster.members[follower], "trace", 2).await;
    let of = |operation: &str| {
        traces.iter().find(|line| line["operation"] == operation).unwrap_or_else(|| panic!("{traces:#?}"))
    };
    let range = of("range");
    assert!(
        range["detail"].as_str().unwrap().starts_with("{range_begin:waiting; range_end:; response_count:0; "),
        "{range}"
    );
    let steps = range["steps"].as_array().unwrap();
    assert_eq!(range["step_count"], steps.len(), "{range}");
    assert!(
        steps[0].as_str().unwrap().starts_with("'agreement among raft nodes before linearized reading'"),
        "{range}"
    );
    assert!(
        range["trace_id"].is_u64()
            && range["start"].is_string()
            && range["end"].is_string()
            && range["duration"].is_string()
    );
    of("linearizableReadLoop");
}
