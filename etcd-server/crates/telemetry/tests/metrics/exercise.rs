//! A page on which every family has at least one sample.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use config::{FeatureGates, MetricsDetail};
use telemetry::metrics::{
    AlarmType, CallType, Check, ClientVersion, Identity, Method, Metrics, Page, Probe, RequestKind, Sample, Source,
    StreamApi, StreamHalf,
};
use types::MemberId;

pub(super) const LOCAL: MemberId = MemberId(0xaaa);
pub(super) const PEER: MemberId = MemberId(0xbbb);

pub(super) struct Fixed(pub(super) Sample);

impl Source for Fixed {
    fn sample(&self) -> Sample {
        self.0.clone()
    }
}

pub(super) fn new(detail: MetricsDetail) -> Arc<Metrics> {
    let features = FeatureGates::default();
    Arc::new(Metrics::new(&Identity { member: LOCAL, server_version: "3.7.1", features: &features, detail }))
}

/// A member that did everything once.
pub(super) fn everything() -> Page {
    let metrics = new(MetricsDetail::Extensive);
    let (server, network) = (&metrics.server, &metrics.network);
    let second = Duration::from_secs(1);
    server.apply.record(RequestKind::Put, true, second);
    server.requests.record(RequestKind::Put, true, second);
    server.range.record(true, second);
    server.learner_promote_failed("etcdserver: can only promote a learner member which is in sync with leader");
    server.health.checked(Probe::Live, Check::SerializableRead, true);
    metrics.client_requests.count(ClientVersion::parse("3.7"), CallType::Unary);
    metrics.rpc(Method::Lock).started();
    network.stream_failed(StreamHalf::Send, StreamApi::Watch);
    network.receive_failed(Ipv4Addr::LOCALHOST.into());
    let peer = network.peer(PEER);
    peer.joined();
    peer.activated();
    peer.deactivated();
    let sample = Sample {
        cluster_version: Some("3.7".to_owned()),
        alarms: vec![(PEER, AlarmType::NoSpace)],
        ..Sample::default()
    };
    Page::new(metrics, Box::new(Fixed(sample)))
}
