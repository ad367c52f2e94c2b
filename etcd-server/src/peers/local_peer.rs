//! This member in the view of its peers, and the counters of their traffic.

use crate::peers::raft_snapshot::{Arrived, Incomings, Outgoings};
use api::Server;
use membership::{Membership, Version};
use peer::{HashKv, Held, HttpError, Local, LocalFuture, Outgoing, Receiver, SnapshotReader, Transport};
use proto::etcdserverpb::{LeaseKeepAliveResponse, LeaseTimeToLiveResponse};
use proto::raftpb::Message;
use replica::Replica;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use telemetry::metrics::{Metrics, PeerMetrics};
use tokio::sync::Notify;
use types::{LeaseId, MemberId};

/// Raft's number of the message with a snapshot, which has a way of its own.
const MESSAGE_SNAPSHOT: i32 = 7;
/// A lease that is not there after this time is not there (etcd: one second for the apply).
const APPLY_TIMEOUT: Duration = Duration::from_secs(1);

/// The transport of raft messages.
pub(crate) struct Outbound(pub(crate) Transport);

impl replica::Outbound for Outbound {
    fn send(&self, messages: Vec<Message>) {
        self.0.send(messages);
    }

    fn follow(&self, members: &Membership) {
        self.0.follow(members);
    }
}

/// This member, behind its peer listener.
pub(crate) struct LocalPeer {
    server: Server,
    /// Notified once when this member turns out to be removed.
    removed: Arc<Notify>,
    outgoings: Outgoings,
    incomings: Arc<Incomings>,
    metrics: Arc<Metrics>,
}

/// A state that is being received, counted under its sender.
struct Receiving {
    sender: Arc<PeerMetrics>,
    begun: Instant,
}

impl Receiving {
    fn begin(sender: Arc<PeerMetrics>) -> Self {
        sender.snapshots_received.inflight.inc();
        Self { sender, begun: Instant::now() }
    }

    fn end(self, success: bool) {
        let received = &self.sender.snapshots_received;
        if success {
            received.successes.inc();
        } else {
            received.failures.inc();
        }
        received.duration.record(self.begun.elapsed());
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        self.sender.snapshots_received.inflight.dec();
    }
}

impl LocalPeer {
    pub(crate) fn new(server: Server, removed: Arc<Notify>, metrics: Arc<Metrics>) -> Self {
        let outgoings = Outgoings::new(Arc::clone(server.replica()));
        let incomings = Incomings::new(server.replica().dir().to_owned());
        Self { server, removed, outgoings, incomings, metrics }
    }

    /// Receives the state that comes with `message` and puts it to use.
    async fn receive(
        &self,
        message: Message,
        transfer: Option<Held>,
        body: &mut SnapshotReader,
    ) -> Result<(), HttpError> {
        let turn = self.incomings.turn().ok_or_else(another_one)?;
        let failed = |error: String| refusal(500, format!("failed to save KV snapshot ({error})"));
        let begun = Instant::now();
        let arrived = turn.receive(transfer, body).await.map_err(failed)?;
        let (replica, metrics) = (Arc::clone(self.server.replica()), Arc::clone(&self.metrics));
        // A complete snapshot is installed, whether its sender still waits or not.
        let installing = tokio::spawn(async move {
            let installed = install(replica, &metrics, begun, message, arrived).await;
            drop(turn);
            installed
        });
        installing.await.unwrap_or_else(|error| Err(error.to_string())).map_err(failed)
    }

    fn published(&self) -> &replica::Published {
        self.server.replica().published()
    }

    fn leads(&self) -> bool {
        self.published().raft_status().role == consensus::Role::Leader
    }
}

/// Makes a state of the file received since `begun`, and offers it to raft.
async fn install(
    replica: Arc<Replica>,
    metrics: &Metrics,
    begun: Instant,
    message: Message,
    arrived: Arrived,
) -> Result<(), String> {
    let _installing = replica.installations().begin();
    let index =
        message.snapshot.as_ref().and_then(|snapshot| snapshot.metadata.as_ref()).map_or(0, |metadata| metadata.index);
    let bytes = arrived.bytes;
    let preparing = {
        let replica = Arc::clone(&replica);
        tokio::task::spawn_blocking(move || (replica.prepare_snapshot(&message, &arrived.file), message))
    };
    let (prepared, message) = preparing.await.map_err(|error| error.to_string())?;
    let prepared = prepared.map_err(|error| error.to_string())?;
    metrics.disk.received_snapshot_fsync.record(prepared.sync_time());
    metrics.disk.received_snapshot_save.record(begun.elapsed());
    let installed = replica.install_snapshot(message, prepared).await;
    tracing::info!(snapshot_index = index, bytes, installed, "received database snapshot");
    Ok(())
}

fn refusal(status: u16, text: impl Into<String>) -> HttpError {
    HttpError { status, text: text.into() }
}

fn another_one() -> HttpError {
    refusal(503, "failed to save KV snapshot (another one is being received)")
}

#[expect(clippy::wildcard_enum_match_arm, reason = "whatever else it is, it is this member's affair")]
fn of_status(status: &tonic::Status) -> HttpError {
    let code = match status.code() {
        tonic::Code::NotFound => 404,
        tonic::Code::FailedPrecondition => 412,
        tonic::Code::DeadlineExceeded | tonic::Code::Unavailable => 408,
        tonic::Code::Unauthenticated | tonic::Code::PermissionDenied => 401,
        _ => 500,
    };
    refusal(code, status.message())
}

impl Local for LocalPeer {
    fn step(&self, message: Message) -> bool {
        message.r#type != MESSAGE_SNAPSHOT && self.server.replica().step(message)
    }

    fn unreachable(&self, member: u64) {
        self.server.replica().unreachable(member);
    }

    fn fencing(&self, member: u64, honours: bool) {
        self.server.replica().set_fencing(member, honours);
    }

    fn gone(&self, member: u64) {
        self.server.replica().gone(member);
    }

    fn snapshot_sent(&self, member: u64, success: bool) {
        self.outgoings.ended(member, success);
        self.server.replica().snapshot_sent(member, success);
    }

    fn told_removed(&self) {
        self.removed.notify_one();
    }

    fn membership(&self) -> Arc<Membership> {
        self.published().members()
    }

    fn cluster_version(&self) -> Option<Version> {
        self.published().members().cluster_version()
    }

    fn snapshot(&self, message: Message, receiver: Receiver) -> LocalFuture<'_, Result<Outgoing, String>> {
        Box::pin(self.outgoings.begin(message, receiver))
    }

    fn held_snapshot(&self) -> LocalFuture<'_, Result<Option<Held>, HttpError>> {
        Box::pin(async { self.incomings.turn().map(|turn| turn.held()).ok_or_else(another_one) })
    }

    fn receive_snapshot<'a>(
        &'a self,
        message: Message,
        transfer: Option<Held>,
        body: &'a mut SnapshotReader,
    ) -> LocalFuture<'a, Result<(), HttpError>> {
        Box::pin(async move {
            // A sender that is no member is counted without an id, because its id is arbitrary.
            let is_member = self.membership().member(MemberId(message.from)).is_some();
            let sender = if is_member { MemberId(message.from) } else { MemberId(0) };
            let receiving = Receiving::begin(self.metrics.network.peer(sender));
            let received = self.receive(message, transfer, body).await;
            receiving.end(received.is_ok());
            received
        })
    }

    fn promote<'a>(&'a self, id: u64, token: Option<&'a str>) -> LocalFuture<'a, Result<String, HttpError>> {
        Box::pin(async move {
            self.server.may_manage(token).map_err(|status| of_status(&status))?;
            if !self.leads() {
                return Err(refusal(500, "{\"message\":\"Internal Server Error\"}"));
            }
            self.server.promote_member(MemberId(id), token).await.map_err(|status| of_status(&status))?;
            Ok(peer::members_json(&self.published().members()))
        })
    }

    fn hash_kv(&self, revision: i64) -> LocalFuture<'_, Result<HashKv, HttpError>> {
        Box::pin(async move {
            let hashed = self.server.hash_at(revision).await.map(HashKv::from);
            hashed.map_err(|status| refusal(400, status.message().replace("etcdserver: ", "")))
        })
    }

    fn keep_alive_batch(&self, leases: Vec<i64>) -> LocalFuture<'_, Result<Vec<Option<i64>>, HttpError>> {
        Box::pin(async move {
            if !self.leads() {
                return Err(refusal(400, "not a primary lessor"));
            }
            let leases: Vec<LeaseId> = leases.into_iter().map(LeaseId).collect();
            self.server.renew_round(&leases).await.map_err(|status| of_status(&status))
        })
    }

    fn keep_alive(&self, lease: i64) -> LocalFuture<'_, Result<LeaseKeepAliveResponse, HttpError>> {
        Box::pin(async move {
            if !self.leads() {
                return Err(refusal(400, "not a primary lessor"));
            }
            let renewed = async {
                self.server.replica().barrier().await.map_err(|error| refusal(408, error.to_string()))?;
                self.server.renew(LeaseId(lease)).await.map_err(|status| of_status(&status))
            };
            match tokio::time::timeout(APPLY_TIMEOUT, renewed).await {
                Err(_) => Err(refusal(408, "apply took too long")),
                Ok(Ok(0)) => Err(refusal(404, "lease not found")),
                Ok(renewed) => Ok(LeaseKeepAliveResponse { header: None, id: lease, ttl: renewed? }),
            }
        })
    }

    fn time_to_live(&self, lease: i64, keys: bool) -> LocalFuture<'_, Result<LeaseTimeToLiveResponse, HttpError>> {
        Box::pin(async move {
            if !self.leads() {
                return Err(refusal(500, "not a primary lessor"));
            }
            match self.server.time_to_live_here(LeaseId(lease), keys).await {
                Err(status) => Err(of_status(&status)),
                Ok(None) => Err(refusal(404, "lease not found")),
                // The empty header is etcd's.
                Ok(Some(response)) => Ok(LeaseTimeToLiveResponse { header: Some(Default::default()), ..response }),
            }
        })
    }

    fn downgrade_enabled(&self) -> LocalFuture<'_, Result<bool, HttpError>> {
        Box::pin(async move {
            self.server.replica().barrier().await.map_err(|error| refusal(500, error.to_string()))?;
            // A member that joins while this is true demands a cluster version above its own. A hold
            // is there so that members of the present version may join.
            let members = self.published().members();
            Ok(members.downgrade().enabled && members.held_version().is_none())
        })
    }

    fn live_hashes(&self) -> BTreeMap<u64, u128> {
        self.published().live_marks()
    }

    fn recently_active(&self) -> LocalFuture<'_, Option<Vec<u64>>> {
        Box::pin(async move { if self.leads() { Some(self.server.active_members().await) } else { None } })
    }
}

/// Counts the traffic with other members under etcd's names.
#[derive(Debug)]
pub(crate) struct PeerObserver {
    metrics: Arc<Metrics>,
}

impl PeerObserver {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics }
    }
}

impl peer::Observer for PeerObserver {
    fn peer(&self, id: u64) -> Arc<dyn peer::PeerObserver> {
        Arc::new(Counters(self.metrics.network.peer(MemberId(id))))
    }

    fn receive_failed(&self, from: IpAddr) {
        self.metrics.network.receive_failed(from);
    }
}

/// The counters of one member.
#[derive(Debug)]
struct Counters(Arc<PeerMetrics>);

impl peer::PeerObserver for Counters {
    fn sent(&self, bytes: usize) {
        self.0.sent_bytes.inc_by(bytes as u64);
    }

    fn received(&self, bytes: usize) {
        self.0.received_bytes.inc_by(bytes as u64);
    }

    fn send_failed(&self) {
        self.0.sent_failures.inc();
    }

    fn round_trip(&self, took: Duration) {
        self.0.round_trip.record(took);
    }

    fn member(&self, is_member: bool) {
        if is_member { self.0.joined() } else { self.0.left() }
    }

    fn snapshot_sending(&self, sending: bool) {
        self.0.snapshots_sent.inflight.add(if sending { 1 } else { -1 });
    }

    fn snapshot_sent(&self, success: bool, took: Duration) {
        let sent = &self.0.snapshots_sent;
        if success {
            sent.successes.inc();
        } else {
            sent.failures.inc();
        }
        sent.duration.record(took);
    }

    fn active(&self, active: bool) {
        if active {
            self.0.activated();
        } else {
            self.0.deactivated();
        }
    }
}
