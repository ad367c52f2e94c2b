//! Traces of requests at a collector of the test's own: the spans of a real etcd one by one, for
//! any behaviour of the collector.

use crate::Daemon;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use proto::etcdserverpb::compare::{CompareTarget, TargetUnion};
use proto::etcdserverpb::request_op::Request as Operation;
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::etcdserverpb::{
    AuthStatusRequest, CompactionRequest, Compare, DeleteRangeRequest, LeaseGrantRequest, LeaseKeepAliveRequest,
    LeaseRevokeRequest, MemberListRequest, PutRequest, RangeRequest, RequestOp, StatusRequest, TxnRequest,
    WatchCancelRequest, WatchCreateRequest, WatchRequest,
};
use rpc::etcdserverpb::auth_client::AuthClient;
use rpc::etcdserverpb::cluster_client::ClusterClient;
use rpc::etcdserverpb::watch_client::WatchClient;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use testbed::{Server, Settings};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::Endpoint;
use tonic::{Request, Response, Status};

/// The reaction of a collector to a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Takes,
    NeverAnswers,
    Refuses,
}

/// Everything that was sent: spans with the name of their scope, and the resources.
#[derive(Debug, Default)]
struct Got {
    spans: Vec<(String, Span)>,
    resources: BTreeSet<String>,
}

#[derive(Clone, Debug)]
struct Collector {
    mood: Mood,
    got: Arc<Mutex<Got>>,
    address: String,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        match self.mood {
            Mood::Takes => {}
            Mood::NeverAnswers => std::future::pending().await,
            Mood::Refuses => return Err(Status::invalid_argument("not today")),
        }
        let mut got = self.got.lock().unwrap();
        for of_resource in request.into_inner().resource_spans {
            got.resources.insert(texts(&of_resource.resource.unwrap().attributes).join(" "));
            for of_scope in of_resource.scope_spans {
                let scope = of_scope.scope.unwrap();
                let name = format!("{} {}", scope.name, scope.version);
                got.spans.extend(of_scope.spans.into_iter().map(|span| (name.clone(), span)));
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    async fn start(mood: Mood) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let collector = Self { mood, got: Arc::default(), address };
        let service = TraceServiceServer::new(collector.clone());
        tokio::spawn(
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        collector
    }

    fn flags(&self, rate: &str) -> Vec<String> {
        let flags = format!(
            "--enable-distributed-tracing --distributed-tracing-address {} --distributed-tracing-service-name tested \
             --distributed-tracing-instance-id one --distributed-tracing-sampling-rate {rate}",
            self.address
        );
        flags.split_whitespace().map(str::to_owned).collect()
    }

    /// The calls of which the outer span has come, by trace id.
    fn calls(&self) -> usize {
        self.got.lock().unwrap().spans.iter().filter(|(scope, _)| scope.contains("otelgrpc")).count()
    }
}

fn texts(attributes: &[KeyValue]) -> Vec<String> {
    let text = |attribute: &KeyValue| match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => format!("{}={text:?}", attribute.key),
        Some(Value::IntValue(number)) => format!("{}={number}", attribute.key),
        Some(Value::BoolValue(value)) => format!("{}={value}", attribute.key),
        other => panic!("{}: {other:?}", attribute.key),
    };
    attributes.iter().map(text).collect()
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < Duration::from_secs(40), "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn daemon(command: &str, flags: Vec<String>) -> Daemon {
    let mut settings = Settings::new(command);
    settings.flags = flags;
    let server = Server::start(settings).await.unwrap();
    let channel = Endpoint::from_shared(server.endpoint()).unwrap().connect().await.unwrap();
    Daemon { server, metrics_address: String::new(), channel }
}

/// A request whose caller traces it, or expressly does not: each has a trace of its own.
fn of_trace<T>(number: u8, is_sampled: bool, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let header = format!("00-{number:032x}-00f067aa0ba902b7-0{}", u8::from(is_sampled));
    request.metadata_mut().insert("traceparent", header.parse().unwrap());
    request.metadata_mut().insert("tracestate", "vendor=value".parse().unwrap());
    request
}

/// A transaction with a comparison, a put and a range; and the range.
fn txn_and_get(put: PutRequest) -> (TxnRequest, RequestOp) {
    let compare = Compare {
        target: CompareTarget::Mod.into(),
        key: "compared".into(),
        target_union: Some(TargetUnion::ModRevision(1)),
        ..Compare::default()
    };
    let get = RequestOp {
        request: Some(Operation::RequestRange(RangeRequest { key: "other".into(), ..RangeRequest::default() })),
    };
    let write = RequestOp { request: Some(Operation::RequestPut(put)) };
    let txn = TxnRequest { compare: vec![compare], success: vec![write, get.clone()], failure: Vec::new() };
    (txn, get)
}

/// Makes every call that has a span below its own, some that have not, and some that fail. Returns
/// their number.
async fn script(daemon: &Daemon) -> usize {
    let mut number = 0;
    let mut next = || {
        number += 1;
        number
    };
    let mut kv = daemon.kv();
    let key = || bytes::Bytes::from_static(b"key");
    let put = PutRequest { key: key(), value: "value".into(), ..PutRequest::default() };
    let range = RangeRequest { key: key(), range_end: "kez".into(), limit: 5, ..RangeRequest::default() };
    kv.put(of_trace(next(), true, put.clone())).await.unwrap();
    kv.range(of_trace(next(), true, range.clone())).await.unwrap();
    kv.range(of_trace(next(), true, RangeRequest { count_only: true, revision: 2, ..range.clone() })).await.unwrap();
    kv.range(of_trace(next(), true, RangeRequest { keys_only: true, serializable: true, ..range.clone() }))
        .await
        .unwrap();
    let (txn, get) = txn_and_get(put.clone());
    kv.txn(of_trace(next(), true, txn)).await.unwrap();
    kv.txn(of_trace(next(), true, TxnRequest { success: vec![get], ..TxnRequest::default() })).await.unwrap();
    kv.delete_range(of_trace(next(), true, DeleteRangeRequest { key: key(), ..DeleteRangeRequest::default() }))
        .await
        .unwrap();
    kv.compact(of_trace(next(), true, CompactionRequest { revision: 2, physical: true })).await.unwrap();
    // Refused before, by, and after the read or the proposal.
    kv.range(of_trace(next(), true, RangeRequest::default())).await.unwrap_err();
    kv.range(of_trace(next(), true, RangeRequest { revision: 1 << 40, ..range.clone() })).await.unwrap_err();
    kv.put(of_trace(next(), true, PutRequest { lease: 99, ..put })).await.unwrap_err();
    let mut streamed = kv.range_stream(of_trace(next(), true, range.clone())).await.unwrap().into_inner();
    while streamed.message().await.unwrap().is_some() {}
    let mut lease = daemon.lease();
    lease.lease_grant(of_trace(next(), true, LeaseGrantRequest { id: 1234, ttl: 600 })).await.unwrap();
    let renewals = tokio_stream::iter([LeaseKeepAliveRequest { id: 1234 }, LeaseKeepAliveRequest { id: 77 }]);
    let mut renewed = lease.lease_keep_alive(of_trace(next(), true, renewals)).await.unwrap().into_inner();
    while renewed.message().await.unwrap().is_some() {}
    lease.lease_revoke(of_trace(next(), true, LeaseRevokeRequest { id: 1234 })).await.unwrap();
    lease.lease_revoke(of_trace(next(), true, LeaseRevokeRequest { id: 1234 })).await.unwrap_err();
    ClusterClient::new(daemon.channel.clone())
        .member_list(of_trace(next(), true, MemberListRequest { linearizable: true }))
        .await
        .unwrap();
    daemon.maintenance().status(of_trace(next(), true, StatusRequest {})).await.unwrap();
    AuthClient::new(daemon.channel.clone()).auth_status(of_trace(next(), true, AuthStatusRequest {})).await.unwrap();
    // A watcher that is cancelled, and one that ends with its stream.
    let create = |key: &'static str| {
        let create =
            WatchCreateRequest { key: key.into(), start_revision: 3, prev_kv: true, ..WatchCreateRequest::default() };
        WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) }
    };
    let (asking, requests) = tokio::sync::mpsc::channel(2);
    asking.send(create("first")).await.unwrap();
    let watch = of_trace(next(), true, ReceiverStream::new(requests));
    let mut responses = WatchClient::new(daemon.channel.clone()).watch(watch).await.unwrap().into_inner();
    let first = responses.message().await.unwrap().unwrap();
    asking.send(create("second")).await.unwrap();
    responses.message().await.unwrap();
    let cancel = WatchCancelRequest { watch_id: first.watch_id };
    asking.send(WatchRequest { request_union: Some(RequestUnion::CancelRequest(cancel)) }).await.unwrap();
    responses.message().await.unwrap();
    drop((asking, responses));
    let traced = usize::from(next()) - 1;
    // The caller does not want this one traced, regardless of our own rate.
    kv.range(of_trace(200, false, range)).await.unwrap();
    traced
}

/// Returns the spans of each trace, as comparable lines.
fn lines(got: &Got, port: &str) -> BTreeMap<u8, Vec<String>> {
    let mut traces: BTreeMap<u8, Vec<String>> = BTreeMap::new();
    for (scope, span) in &got.spans {
        let number = span.trace_id[15];
        let parent = got
            .spans
            .iter()
            .find(|(_, other)| other.span_id == span.parent_span_id)
            .map_or("the caller", |(_, parent)| &parent.name);
        let events: Vec<&str> = span.events.iter().map(|event| &*event.name).collect();
        let status = span.status.clone().unwrap_or_default();
        assert!(
            span.end_time_unix_nano >= span.start_time_unix_nano && span.start_time_unix_nano > 1 << 60,
            "{span:?}"
        );
        let attributes = texts(&span.attributes).join(" ").replace(&format!("server.port={port}"), "server.port=PORT");
        traces.entry(number).or_default().push(format!(
            "{scope} kind={} {} below {parent} flags={:x} state={} [{attributes}] events={events:?} status={}/{}",
            span.kind, span.name, span.flags, span.trace_state, status.code, status.message
        ));
    }
    traces.values_mut().for_each(|lines| lines.sort());
    traces
}

/// The spans that a server sends for the script, and its resource attributes.
async fn traces_of(command: &str) -> (BTreeMap<u8, Vec<String>>, BTreeSet<String>) {
    let collector = Collector::start(Mood::Takes).await;
    let daemon = daemon(command, collector.flags("0")).await;
    let traced = script(&daemon).await;
    until(&format!("{traced} calls at the collector"), async || collector.calls() >= traced).await;
    let port = daemon.server.place().client_port.to_string();
    let got = collector.got.lock().unwrap();
    (lines(&got, &port), got.resources.clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_are_those_of_a_real_etcd() {
    let (ours, resources) = traces_of(env!("CARGO_BIN_EXE_etcd-server")).await;
    assert_eq!(resources, BTreeSet::from(["service.name=\"tested\" service.instance.id=\"one\"".to_owned()]));
    assert!(!ours.contains_key(&200), "a call that its caller does not sample is not traced");
    assert!(ours.values().flatten().count() > 35, "{ours:#?}");
    let real = ["ETCD_371_BIN_DIR", "ETCD_BIN_DIR"]
        .iter()
        .find_map(std::env::var_os)
        .map(|dir| std::path::Path::new(&dir).join("etcd"));
    let version = real.as_ref().and_then(|real| std::process::Command::new(real).arg("--version").output().ok());
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    if !version.contains("etcd Version: 3.7") {
        println!("compared with no real etcd: ETCD_371_BIN_DIR names no directory with an etcd 3.7");
        return;
    }
    let (theirs, their_resources) = traces_of(real.unwrap().to_str().unwrap()).await;
    assert_eq!(their_resources.len(), 1);
    let mut compared = 0;
    for (number, spans) in &theirs {
        assert_eq!(ours.get(number), Some(spans), "trace {number}");
        compared += spans.len();
    }
    assert_eq!(ours.len(), theirs.len());
    println!("{compared} spans of {} calls are alike", theirs.len());
}

/// The counters of the page: made, sent, dropped.
async fn counted(daemon: &Daemon) -> [f64; 3] {
    let page = daemon.page().await;
    let series = [
        "etcd_tracing_spans_made_total",
        "etcd_tracing_spans_total{outcome=\"sent\"}",
        "etcd_tracing_spans_total{outcome=\"dropped\"}",
    ];
    series.map(|series| page.value(series))
}

async fn puts(daemon: &Daemon, count: u32) {
    let mut kv = daemon.kv();
    for number in 0..count {
        kv.put(PutRequest { key: number.to_string().into(), ..PutRequest::default() }).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_made_are_sent_or_dropped() {
    let collector = Collector::start(Mood::Takes).await;
    let daemon = daemon(env!("CARGO_BIN_EXE_etcd-server"), collector.flags("1000000")).await;
    puts(&daemon, 500).await;
    until("all spans are sent or dropped", async || {
        let [made, sent, dropped] = counted(&daemon).await;
        made >= 1000.0 && made == sent + dropped
    })
    .await;
    let [_, sent, dropped] = counted(&daemon).await;
    assert_eq!((collector.got.lock().unwrap().spans.len() as f64, dropped), (sent, 0.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_fails_costs_spans_and_no_request() {
    // One that takes connections and answers nothing, one that refuses, and none at all.
    for mood in [Some(Mood::NeverAnswers), Some(Mood::Refuses), None] {
        let mut collector = Collector::start(mood.unwrap_or(Mood::Takes)).await;
        if mood.is_none() {
            let [port] = testbed::free_ports().unwrap();
            collector.address = format!("127.0.0.1:{port}");
        }
        let daemon = daemon(env!("CARGO_BIN_EXE_etcd-server"), collector.flags("1000000")).await;
        puts(&daemon, 2500).await;
        until(&format!("dropped spans of a collector that is {mood:?}"), async || counted(&daemon).await[2] > 0.0)
            .await;
        let [made, sent, dropped] = counted(&daemon).await;
        assert!(made >= 5000.0 && sent == 0.0, "{mood:?}: {made} made, {sent} sent, {dropped} dropped");
        // The others wait in the queue or in the batch that is being sent.
        assert!(made - dropped <= 2048.0 + 512.0, "{mood:?}: {made} made, {dropped} dropped");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_sampled_at_the_configured_rate() {
    let collector = Collector::start(Mood::Takes).await;
    let daemon = daemon(env!("CARGO_BIN_EXE_etcd-server"), collector.flags("100000")).await;
    puts(&daemon, 3000).await;
    let [made, ..] = counted(&daemon).await;
    assert!((300.0..1000.0).contains(&made), "one call in ten, two spans each: {made}");
    let none = Collector::start(Mood::Takes).await;
    let untraced = daemon_at_rate_zero(&none).await;
    puts(&untraced, 300).await;
    assert_eq!(counted(&untraced).await, [0.0; 3]);
}

async fn daemon_at_rate_zero(collector: &Collector) -> Daemon {
    daemon(env!("CARGO_BIN_EXE_etcd-server"), collector.flags("0")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_is_sent_when_the_member_stops() {
    let collector = Collector::start(Mood::Takes).await;
    let mut daemon = daemon(env!("CARGO_BIN_EXE_etcd-server"), collector.flags("1000000")).await;
    let seen = collector.got.lock().unwrap().spans.len();
    puts(&daemon, 20).await;
    assert!(daemon.server.terminate(Duration::from_secs(20)).is_some_and(|status| status.success()));
    let spans = collector.got.lock().unwrap().spans.len() - seen;
    assert!(spans >= 40, "{spans} of 40 spans arrived");
}
