//! This member as the others meet it, and what is counted of the traffic with them.

use api::Server;
use api::backend::{self, Position};
use bytes::Bytes;
use membership::{Membership, Version};
use peer::{Answer, HashKv, HttpRefusal, Local, Outgoing, SnapshotReader, Transport};
use proto::etcdserverpb::{LeaseKeepAliveResponse, LeaseTimeToLiveResponse};
use proto::raftpb::{Message, Snapshot, SnapshotMetadata};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use telemetry::metrics::{Metrics, PeerMetrics};
use tokio::sync::{Mutex, Notify, mpsc, oneshot};
use types::{LeaseId, MemberId};

/// Raft's number of the message that carries the state as a whole: it comes by a way of its own.
const MESSAGE_SNAPSHOT: i32 = 7;
/// Parts of a state on their way to another member.
const PARTS_WAITING: usize = 8;
/// A lease that is not there after this time is not there (etcd: one second for the apply).
const APPLY_TIMEOUT: Duration = Duration::from_secs(1);

/// What raft sends by.
pub(crate) struct Outbound(pub(crate) Transport);

impl engine::Outbound for Outbound {
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
    /// Told once when this member turns out to be removed.
    removed: Arc<Notify>,
    /// One state is taken in at a time.
    receiving: Mutex<()>,
}

impl LocalPeer {
    pub(crate) fn new(server: Server, removed: Arc<Notify>) -> Self {
        Self { server, removed, receiving: Mutex::new(()) }
    }

    fn published(&self) -> &engine::Published {
        self.server.engine().published()
    }

    fn leads(&self) -> bool {
        self.published().standing().role == consensus::Role::Leader
    }

    /// Writes what comes in to a file, makes a state of it, and offers that to raft.
    async fn take_in(&self, message: Message, body: &mut SnapshotReader) -> Result<(), String> {
        let index = message.snapshot.as_ref().and_then(|snapshot| snapshot.metadata.as_ref()).map_or(0, |metadata| metadata.index);
        let path = Arrived(self.server.engine().folder().join(format!("incoming-{index:016x}.db")));
        let mut file =
            std::fs::File::options().read(true).write(true).create(true).truncate(true).open(&path.0).map_err(|error| error.to_string())?;
        let mut bytes = 0;
        while let Some(part) = body.next().await? {
            bytes += part.len();
            file = blocking(move || file.write_all(&part).map(|()| file)).await?.map_err(|error| error.to_string())?;
        }
        let engine = Arc::clone(self.server.engine());
        let (prepared, message) = blocking(move || (engine.prepare_snapshot(&message, &file), message)).await?;
        let prepared = prepared.map_err(|error| error.to_string())?;
        let installed = self.server.engine().install_snapshot(message, prepared).await;
        tracing::info!(snapshot_index = index, bytes, installed, "received database snapshot");
        Ok(())
    }
}

/// A file that is gone when it is not needed any more.
struct Arrived(PathBuf);

impl Drop for Arrived {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())
}

fn refusal(status: u16, text: impl Into<String>) -> HttpRefusal {
    HttpRefusal { status, text: text.into() }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "whatever else it is, it is this member's affair")]
fn of_status(status: &tonic::Status) -> HttpRefusal {
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
        message.r#type != MESSAGE_SNAPSHOT && self.server.engine().step(message)
    }

    fn unreachable(&self, member: u64) {
        self.server.engine().unreachable(member);
    }

    fn snapshot_sent(&self, member: u64, success: bool) {
        self.server.engine().snapshot_sent(member, success);
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

    fn snapshot(&self, message: Message) -> Answer<'_, Result<Outgoing, String>> {
        let engine = Arc::clone(self.server.engine());
        Box::pin(async move {
            let (position_tx, position) = oneshot::channel();
            let (parts_tx, parts) = mpsc::channel(PARTS_WAITING);
            tokio::task::spawn_blocking(move || {
                let store = engine.store();
                let begin = |position: Position| drop(position_tx.send(position));
                let sent = backend::stream_to_member(&store, begin, |part| parts_tx.blocking_send(Ok(part)).is_ok());
                if let Err(fault) = sent {
                    drop(parts_tx.blocking_send(Err(fault.to_string())));
                    engine.fault(fault);
                }
            });
            let position = position.await.map_err(|_| "the state cannot be read".to_owned())?;
            Ok(Outgoing { message: with_position(message, position), parts })
        })
    }

    fn receive_snapshot<'a>(&'a self, message: Message, body: &'a mut SnapshotReader) -> Answer<'a, Result<(), HttpRefusal>> {
        Box::pin(async move {
            let Ok(_receiving) = self.receiving.try_lock() else {
                return Err(refusal(500, "failed to save KV snapshot (another one is being received)"));
            };
            self.take_in(message, body).await.map_err(|error| refusal(500, format!("failed to save KV snapshot ({error})")))
        })
    }

    fn promote<'a>(&'a self, id: u64, token: Option<&'a str>) -> Answer<'a, Result<String, HttpRefusal>> {
        Box::pin(async move {
            self.server.may_manage(token).map_err(|status| of_status(&status))?;
            if !self.leads() {
                return Err(refusal(500, "{\"message\":\"Internal Server Error\"}"));
            }
            self.server.promote_member(MemberId(id), token).await.map_err(|status| of_status(&status))?;
            Ok(peer::members_json(&self.published().members()))
        })
    }

    fn hash_kv(&self, revision: i64) -> Answer<'_, Result<HashKv, HttpRefusal>> {
        Box::pin(async move {
            let hashed = self.server.hash_at(revision).await.map(HashKv::from);
            hashed.map_err(|status| refusal(400, status.message().replace("etcdserver: ", "")))
        })
    }

    fn keep_alive(&self, lease: i64) -> Answer<'_, Result<LeaseKeepAliveResponse, HttpRefusal>> {
        Box::pin(async move {
            if !self.leads() {
                return Err(refusal(400, "not a primary lessor"));
            }
            let renewed = async {
                self.server.engine().barrier().await.map_err(|error| refusal(408, error.to_string()))?;
                self.server.renew(LeaseId(lease)).await.map_err(|status| of_status(&status))
            };
            match tokio::time::timeout(APPLY_TIMEOUT, renewed).await {
                Err(_) => Err(refusal(408, "apply took too long")),
                Ok(Ok(0)) => Err(refusal(404, "lease not found")),
                Ok(renewed) => Ok(LeaseKeepAliveResponse { header: None, id: lease, ttl: renewed? }),
            }
        })
    }

    fn time_to_live(&self, lease: i64, keys: bool) -> Answer<'_, Result<LeaseTimeToLiveResponse, HttpRefusal>> {
        Box::pin(async move {
            if !self.leads() {
                return Err(refusal(500, "not a primary lessor"));
            }
            match self.server.time_to_live_here(LeaseId(lease), keys).await {
                Err(status) => Err(of_status(&status)),
                Ok(None) => Err(refusal(404, "lease not found")),
                // The empty header is etcd's.
                Ok(Some(answer)) => Ok(LeaseTimeToLiveResponse { header: Some(Default::default()), ..answer }),
            }
        })
    }

    fn downgrade_enabled(&self) -> Answer<'_, Result<bool, HttpRefusal>> {
        Box::pin(async move {
            self.server.engine().barrier().await.map_err(|error| refusal(500, error.to_string()))?;
            Ok(self.published().members().downgrade().enabled)
        })
    }

    fn live_hashes(&self) -> BTreeMap<u64, u128> {
        self.published().live_marks()
    }

    fn recently_active(&self) -> Answer<'_, Option<Vec<u64>>> {
        Box::pin(async move { if self.leads() { Some(self.server.active_members().await) } else { None } })
    }
}

/// The message with what the state says of itself: it is as new as what raft asked for, or newer.
fn with_position(mut message: Message, position: Position) -> Message {
    let Position { index, term, conf_state, members } = position;
    let data = Bytes::from(membership::v2_store(&members));
    let metadata = SnapshotMetadata { conf_state: Some(conf_state), index, term };
    message.snapshot = Some(Snapshot { data, metadata: Some(metadata) });
    message
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
