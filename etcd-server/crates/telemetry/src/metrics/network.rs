//! Counters of clients' connections and of each peer.
//!
//! Bounds: at most [`PEERS_MAX`] peers and [`ADDRESSES_MAX`] remote addresses get labels of their
//! own, in the life of the process; later ones are counted under `other`. An open network thus
//! cannot grow the page.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};
use types::MemberId;

use super::builder::{Builder, Durations, DurationsVec};

/// Peers with labels of their own. Far above any cluster; members that come and go all count.
pub const PEERS_MAX: usize = 128;
/// Remote addresses with labels of their own.
pub const ADDRESSES_MAX: usize = 64;
const OTHER: &str = "other";

/// One direction of the raft snapshots exchanged with a peer.
#[derive(Debug)]
pub struct SnapshotTransfers {
    pub successes: IntCounter,
    pub failures: IntCounter,
    /// Transfers that run now.
    pub inflight: IntGauge,
    /// One transfer from start to end, successful or not.
    pub duration: Durations,
}

/// The counters of one peer. Kept by the connection to it.
#[derive(Debug)]
pub struct PeerMetrics {
    pub sent_bytes: IntCounter,
    pub received_bytes: IntCounter,
    /// A message was dropped or its sending failed.
    pub sent_failures: IntCounter,
    /// One probe and its answer.
    pub round_trip: Durations,
    pub snapshots_sent: SnapshotTransfers,
    pub snapshots_received: SnapshotTransfers,
    state: PeerState,
}

impl PeerMetrics {
    /// The peer is a member from now on.
    pub fn joined(&self) {
        self.state.known.with_label_values(&self.state.labels()).set(1);
    }

    /// The peer is no longer a member: it is shown as not known, as in etcd, and not as
    /// unreachable.
    pub fn left(&self) {
        self.state.known.with_label_values(&self.state.labels()).set(0);
        // The only error is that the series was not there.
        self.state.active.remove_label_values(&self.state.labels()).ok();
    }

    /// The peer can be reached, for the first time or again.
    pub fn activated(&self) {
        self.state.active.with_label_values(&self.state.labels()).set(1);
    }

    /// The peer, a member, can no longer be reached.
    pub fn deactivated(&self) {
        self.state.active.with_label_values(&self.state.labels()).set(0);
        self.state.disconnected.with_label_values(&self.state.labels()).inc();
    }
}

/// Counters that change rarely, and must not be shown for a sender that is no member. Looked up by
/// label each time.
#[derive(Clone, Debug)]
struct PeerState {
    local: String,
    remote: String,
    known: IntGaugeVec,
    active: IntGaugeVec,
    disconnected: IntCounterVec,
}

impl PeerState {
    fn labels(&self) -> [&str; 2] {
        [&self.local, &self.remote]
    }
}

#[derive(Debug)]
struct TransferFamilies {
    successes: IntCounterVec,
    failures: IntCounterVec,
    inflight: IntGaugeVec,
    duration: DurationsVec,
}

impl TransferFamilies {
    fn of(&self, peer: &str) -> SnapshotTransfers {
        SnapshotTransfers {
            successes: self.successes.with_label_values(&[peer]),
            failures: self.failures.with_label_values(&[peer]),
            inflight: self.inflight.with_label_values(&[peer]),
            duration: self.duration.of(&[peer]),
        }
    }
}

#[derive(Debug)]
struct PeerFamilies {
    sent_bytes: IntCounterVec,
    received_bytes: IntCounterVec,
    sent_failures: IntCounterVec,
    round_trip: DurationsVec,
    send: TransferFamilies,
    receive: TransferFamilies,
    /// Without a remote.
    state: PeerState,
}

impl PeerFamilies {
    fn new(builder: &Builder, local: MemberId) -> Self {
        let pair = ["Local", "Remote"];
        let known = builder.gauges("etcd_network_known_peers", &pair);
        // etcd counts the member itself, too.
        let own = local.to_string();
        known.with_label_values(&[&own, &own]).set(1);
        Self {
            sent_bytes: builder.counters("etcd_network_peer_sent_bytes_total", &["To"]),
            received_bytes: builder.counters("etcd_network_peer_received_bytes_total", &["From"]),
            sent_failures: builder.counters("etcd_network_peer_sent_failures_total", &["To"]),
            round_trip: builder.durations_by("etcd_network_peer_round_trip_time_seconds", &["To"]),
            send: TransferFamilies {
                successes: builder.counters("etcd_network_snapshot_send_success", &["To"]),
                failures: builder.counters("etcd_network_snapshot_send_failures", &["To"]),
                inflight: builder.gauges("etcd_network_snapshot_send_inflights_total", &["To"]),
                duration: builder.durations_by("etcd_network_snapshot_send_total_duration_seconds", &["To"]),
            },
            receive: TransferFamilies {
                successes: builder.counters("etcd_network_snapshot_receive_success", &["From"]),
                failures: builder.counters("etcd_network_snapshot_receive_failures", &["From"]),
                inflight: builder.gauges("etcd_network_snapshot_receive_inflights_total", &["From"]),
                duration: builder.durations_by("etcd_network_snapshot_receive_total_duration_seconds", &["From"]),
            },
            state: PeerState {
                local: own,
                remote: String::new(),
                known,
                active: builder.gauges("etcd_network_active_peers", &pair),
                disconnected: builder.counters("etcd_network_disconnected_peers_total", &pair),
            },
        }
    }

    fn of(&self, peer: &str) -> PeerMetrics {
        PeerMetrics {
            sent_bytes: self.sent_bytes.with_label_values(&[peer]),
            received_bytes: self.received_bytes.with_label_values(&[peer]),
            sent_failures: self.sent_failures.with_label_values(&[peer]),
            round_trip: self.round_trip.of(&[peer]),
            snapshots_sent: self.send.of(peer),
            snapshots_received: self.receive.of(peer),
            state: PeerState { remote: peer.to_owned(), ..self.state.clone() },
        }
    }
}

/// The stream APIs whose failures are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamApi {
    Watch,
    LeaseKeepAlive,
}

impl StreamApi {
    /// The name of a request on the stream, as etcd's log lines spell it.
    #[must_use]
    pub fn request_name(self) -> &'static str {
        match self {
            Self::Watch => "watch",
            Self::LeaseKeepAlive => "lease keepalive",
        }
    }
}

/// The failed half of a stream, seen from this member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamHalf {
    Receive,
    Send,
}

/// Connections with clients and peers.
#[derive(Debug)]
pub struct NetworkMetrics {
    /// Bytes of gRPC messages as encoded, without frames and headers.
    pub client_received_bytes: IntCounter,
    pub client_sent_bytes: IntCounter,
    stream_failures: IntCounterVec,
    receive_failures: IntCounterVec,
    addresses: Mutex<BTreeSet<IpAddr>>,
    families: PeerFamilies,
    peers: Mutex<BTreeMap<MemberId, Arc<PeerMetrics>>>,
}

impl NetworkMetrics {
    pub(super) fn new(builder: &Builder, local: MemberId) -> Self {
        Self {
            client_received_bytes: builder.counter("etcd_network_client_grpc_received_bytes_total"),
            client_sent_bytes: builder.counter("etcd_network_client_grpc_sent_bytes_total"),
            stream_failures: builder.counters("etcd_network_server_stream_failures_total", &["Type", "API"]),
            receive_failures: builder.counters("etcd_network_peer_received_failures_total", &["From"]),
            addresses: Mutex::default(),
            families: PeerFamilies::new(builder, local),
            peers: Mutex::default(),
        }
    }

    /// Returns the counters of a peer; the same ones for the same id. Takes a lock: call it once
    /// per connection and keep them. `MemberId(0)` stands for a probe or a sender without an id.
    /// Only for members and that one: past [`PEERS_MAX`] ids, all share one.
    pub fn peer(&self, id: MemberId) -> Arc<PeerMetrics> {
        let mut peers = self.peers.lock();
        if let Some(peer) = peers.get(&id) {
            return Arc::clone(peer);
        }
        if peers.len() >= PEERS_MAX {
            return Arc::new(self.families.of(OTHER));
        }
        let peer = Arc::new(self.families.of(&id.to_string()));
        peers.insert(id, Arc::clone(&peer));
        peer
    }

    /// A message of a peer could not be read. The port is left out: it differs with every
    /// connection.
    pub fn receive_failed(&self, from: IpAddr) {
        let known = {
            let mut addresses = self.addresses.lock();
            addresses.contains(&from) || (addresses.len() < ADDRESSES_MAX && addresses.insert(from))
        };
        if known {
            self.receive_failures.with_label_values(&[from.to_string().as_str()]).inc();
        } else {
            self.receive_failures.with_label_values(&[OTHER]).inc();
        }
    }

    /// A client's stream failed, and not because the client went away.
    pub fn stream_failed(&self, half: StreamHalf, api: StreamApi) {
        let half = match half {
            StreamHalf::Receive => "receive",
            StreamHalf::Send => "send",
        };
        let api = match api {
            StreamApi::Watch => "watch",
            StreamApi::LeaseKeepAlive => "lease-keepalive",
        };
        self.stream_failures.with_label_values(&[half, api]).inc();
    }
}
