//! Metrics under the names, types, labels and buckets of etcd 3.7.1.
//!
//! Three tables define the page: [`CATALOG`] (every family shown), [`ABSENCES`] (every family of
//! etcd not shown, with the reason) and [`Method`] (every RPC). [`Metrics`] holds a handle for each
//! family that is counted as events happen; [`Page`] adds the values that are read on request and
//! renders the page.
//!
//! Invariants: recording takes atomic operations and no lock, except where a doc says so; no text
//! of a request or of the network becomes a label, so clients cannot grow the page.

mod absent;
mod builder;
mod catalog;
mod method;
mod network;
mod page;
mod process;
mod request_kind;
mod rpc;
mod server;
mod source;
mod storage;
mod text;

use config::{FeatureGates, MetricsDetail};
use prometheus::{IntCounter, IntGauge, Registry};
use types::MemberId;

pub use absent::{ABSENCES, Absence};
pub use builder::Durations;
pub use catalog::{Buckets, CATALOG, Family, Kind};
pub use method::{CallType, Method};
pub use network::{ADDRESSES_MAX, NetworkMetrics, PEERS_MAX, PeerMetrics, SnapshotTransfers, StreamApi, StreamHalf};
pub use page::Page;
pub use request_kind::RequestKind;
pub use rpc::{ClientRequests, ClientVersion, RpcMetrics};
pub use server::{Check, HealthMetrics, OutcomeDurations, Probe, RequestDurations, ServerMetrics};
pub use source::{AlarmType, Sample, Source};
pub use storage::{DiskMetrics, LeaseMetrics, MvccMetrics, WatchMetrics};

use builder::Builder;
use process::ProcessMetrics;
use rpc::RpcTable;
use source::SampledGauges;

/// Properties that are known before the first request and never change.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    pub member: MemberId,
    /// `3.7.1`.
    pub server_version: &'a str,
    pub features: &'a FeatureGates,
    pub detail: MetricsDetail,
}

/// A handle for everything that is counted. Shared by all parts of the server.
#[derive(Debug)]
pub struct Metrics {
    pub server: ServerMetrics,
    pub disk: DiskMetrics,
    pub mvcc: MvccMetrics,
    pub watch: WatchMetrics,
    pub lease: LeaseMetrics,
    pub network: NetworkMetrics,
    pub client_requests: ClientRequests,
    rpcs: RpcTable,
    sampled: SampledGauges,
    process: ProcessMetrics,
    scrapes: ScrapeMetrics,
    registry: Registry,
}

/// The page's own figures.
#[derive(Debug)]
struct ScrapeMetrics {
    answered: IntCounter,
    in_flight: IntGauge,
}

impl ScrapeMetrics {
    fn new(builder: &Builder) -> Self {
        let results = builder.counters("promhttp_metric_handler_requests_total", &["code"]);
        // Scrapes do not fail here; the two series are there because the Go library shows them from
        // the start.
        for code in ["500", "503"] {
            results.with_label_values(&[code]);
        }
        Self {
            answered: results.with_label_values(&["200"]),
            in_flight: builder.gauge("promhttp_metric_handler_requests_in_flight"),
        }
    }
}

impl Metrics {
    #[must_use]
    pub fn new(identity: &Identity<'_>) -> Self {
        let builder = Builder::default();
        show_identity(&builder, identity);
        Self {
            server: ServerMetrics::new(&builder),
            disk: DiskMetrics::new(&builder),
            mvcc: MvccMetrics::new(&builder),
            watch: WatchMetrics::new(&builder),
            lease: LeaseMetrics::new(&builder),
            network: NetworkMetrics::new(&builder, identity.member),
            client_requests: ClientRequests::new(&builder),
            rpcs: RpcTable::new(&builder, identity.detail),
            sampled: SampledGauges::new(&builder),
            process: ProcessMetrics::new(&builder),
            scrapes: ScrapeMetrics::new(&builder),
            registry: builder.registry,
        }
    }

    /// The counters of one RPC, found by its place.
    pub fn rpc(&self, method: Method) -> &RpcMetrics {
        self.rpcs.of(method)
    }
}

fn show_identity(builder: &Builder, identity: &Identity<'_>) {
    builder.gauges("etcd_server_id", &["server_id"]).with_label_values(&[identity.member.to_string().as_str()]).set(1);
    builder.gauges("etcd_server_version", &["server_version"]).with_label_values(&[identity.server_version]).set(1);
    let features = builder.gauges("etcd_server_feature_enabled", &["name", "stage"]);
    for (gate, on) in identity.features.all() {
        features.with_label_values(&[gate.name(), gate.stage().label()]).set(i64::from(on));
    }
}
