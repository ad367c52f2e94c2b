//! Values on the page.

use std::sync::Arc;
use std::time::Duration;

use config::MetricsDetail;
use parking_lot::Mutex;
use telemetry::metrics::{AlarmType, CallType, ClientVersion, Method, Page, RequestKind, Sample, Source};

use super::exercise::{self, Fixed, LOCAL, PEER};
use super::families::{families, value};

struct Changing(Arc<Mutex<Sample>>);

impl Source for Changing {
    fn sample(&self) -> Sample {
        self.0.lock().clone()
    }
}

#[test]
fn a_call_is_counted_under_its_method_and_code() {
    let metrics = exercise::new(MetricsDetail::Extensive);
    let rpc = metrics.rpc(Method::Range);
    rpc.started();
    rpc.received();
    rpc.handled(11, Duration::from_millis(7));
    rpc.handled(99, Duration::ZERO);
    let page = Page::new(metrics, Box::new(Fixed(Sample::default()))).text();
    let range = r#"grpc_method="Range",grpc_service="etcdserverpb.KV",grpc_type="unary""#;
    assert_eq!(value(&page, &format!("grpc_server_started_total{{{range}}}")), Some(1.0));
    assert_eq!(value(&page, &format!("grpc_server_msg_received_total{{{range}}}")), Some(1.0));
    assert_eq!(value(&page, &format!("grpc_server_msg_sent_total{{{range}}}")), Some(0.0));
    assert_eq!(value(&page, &format!(r#"grpc_server_handled_total{{grpc_code="OutOfRange",{range}}}"#)), Some(1.0));
    assert_eq!(value(&page, &format!(r#"grpc_server_handled_total{{grpc_code="Unknown",{range}}}"#)), Some(1.0));
    assert_eq!(value(&page, &format!(r#"grpc_server_handling_seconds_bucket{{{range},le="0.005"}}"#)), Some(1.0));
    assert_eq!(value(&page, &format!(r#"grpc_server_handling_seconds_bucket{{{range},le="0.01"}}"#)), Some(2.0));
}

#[test]
fn durations_of_calls_are_measured_when_asked_for_only() {
    let metrics = exercise::new(MetricsDetail::Basic);
    assert!(!metrics.rpc(Method::Put).wants_time());
    let page = Page::new(metrics, Box::new(Fixed(Sample::default()))).text();
    assert!(!families(&page).contains_key("grpc_server_handling_seconds"));
}

#[test]
fn locks_and_elections_appear_with_their_first_call() {
    let metrics = exercise::new(MetricsDetail::Basic);
    let page = Page::new(Arc::clone(&metrics), Box::new(Fixed(Sample::default())));
    let started = |text: &str| text.lines().filter(|line| line.starts_with("grpc_server_started_total{")).count();
    assert_eq!(started(&page.text()), 45);
    metrics.rpc(Method::Campaign).started();
    assert_eq!(started(&page.text()), 46);
}

#[test]
fn a_sample_replaces_the_one_before() {
    let state = Arc::new(Mutex::new(Sample {
        has_leader: true,
        quota_backend_bytes: -1,
        cluster_version: Some("3.6".to_owned()),
        alarms: vec![(PEER, AlarmType::Corrupt)],
        ..Sample::default()
    }));
    let page = Page::new(exercise::new(MetricsDetail::Basic), Box::new(Changing(Arc::clone(&state))));
    let alarm = r#"etcd_debugging_server_alarms{alarm_type="CORRUPT",server_id="bbb"}"#;
    let before = page.text();
    assert_eq!(value(&before, r#"etcd_cluster_version{cluster_version="3.6"}"#), Some(1.0));
    assert_eq!(value(&before, "etcd_server_quota_backend_bytes"), Some(-1.0));
    assert_eq!(value(&before, alarm), Some(1.0));
    *state.lock() = Sample { cluster_version: Some("3.7".to_owned()), compact_revision: -1, ..Sample::default() };
    let after = page.text();
    assert_eq!(value(&after, r#"etcd_cluster_version{cluster_version="3.6"}"#), None);
    assert_eq!(value(&after, r#"etcd_cluster_version{cluster_version="3.7"}"#), Some(1.0));
    assert_eq!(value(&after, "etcd_server_has_leader"), Some(0.0));
    assert_eq!(value(&after, "etcd_debugging_mvcc_compact_revision"), Some(-1.0));
    assert_eq!(value(&after, alarm), Some(0.0));
    assert_eq!(value(&after, r#"promhttp_metric_handler_requests_total{code="200"}"#), Some(1.0));
}

#[test]
fn the_member_tells_who_it_is() {
    let page = exercise::everything().text();
    assert_eq!(value(&page, &format!(r#"etcd_server_id{{server_id="{LOCAL}"}}"#)), Some(1.0));
    assert_eq!(value(&page, r#"etcd_server_version{server_version="3.7.1"}"#), Some(1.0));
    assert_eq!(value(&page, r#"etcd_server_feature_enabled{name="FastLeaseKeepAlive",stage="BETA"}"#), Some(1.0));
    assert_eq!(value(&page, r#"etcd_server_feature_enabled{name="LeaseCheckpoint",stage="ALPHA"}"#), Some(0.0));
}

#[test]
fn a_peer_that_left_is_neither_known_nor_active() {
    let metrics = exercise::new(MetricsDetail::Basic);
    let page = Page::new(Arc::clone(&metrics), Box::new(Fixed(Sample::default())));
    let peer = metrics.network.peer(PEER);
    peer.joined();
    peer.activated();
    peer.deactivated();
    let active = r#"etcd_network_active_peers{Local="aaa",Remote="bbb"}"#;
    assert_eq!(value(&page.text(), active), Some(0.0));
    let known = |remote| format!(r#"etcd_network_known_peers{{Local="aaa",Remote="{remote}"}}"#);
    assert_eq!(value(&page.text(), &known("bbb")), Some(1.0));
    assert_eq!(value(&page.text(), &known("aaa")), Some(1.0), "etcd counts the member itself");
    peer.left();
    let text = page.text();
    assert_eq!(value(&text, &known("bbb")), Some(0.0));
    assert_eq!(value(&text, active), None);
    assert_eq!(value(&text, r#"etcd_network_disconnected_peers_total{Local="aaa",Remote="bbb"}"#), Some(1.0));
}

#[test]
fn durations_are_recorded_in_the_unit_of_their_name() {
    let metrics = exercise::new(MetricsDetail::Basic);
    metrics.mvcc.compaction_step.record(Duration::from_millis(3));
    metrics.lease.ttl.record(Duration::from_secs(600));
    metrics.server.apply.record(RequestKind::Unknown, false, Duration::from_millis(500));
    metrics.client_requests.count(ClientVersion::UNKNOWN, CallType::BidiStream);
    let page = Page::new(metrics, Box::new(Fixed(Sample::default()))).text();
    assert_eq!(value(&page, "etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds_sum"), Some(3.0));
    assert_eq!(value(&page, "etcd_debugging_lease_ttl_total_sum"), Some(600.0));
    assert_eq!(
        value(&page, r#"etcd_server_apply_duration_seconds_sum{op="unknown",success="false",version="v3"}"#),
        Some(0.5)
    );
    assert_eq!(
        value(&page, r#"etcd_server_client_requests_total{client_api_version="unknown",type="stream"}"#),
        Some(1.0)
    );
}
