//! The Maintenance service.

use crate::backend;
use crate::kv::off_thread;
use crate::response_slots::{ConnectionShare, too_many_requests};
use crate::server::{Server, unexpected};
use crate::status::{self, ToStatus as _};
use apply::{ApplyResponse, Ordered};
use auth::{Identity, RequestClass};
use consensus::Role;
use proto::etcdserverpb::alarm_request::AlarmAction;
use proto::etcdserverpb::downgrade_request::DowngradeAction;
use proto::etcdserverpb::{
    AlarmRequest, AlarmResponse, AlarmType, DefragmentRequest, DefragmentResponse, DowngradeInfo, DowngradeRequest,
    DowngradeResponse, HashKvRequest, HashKvResponse, HashRequest, HashResponse, InternalRaftRequest,
    MoveLeaderRequest, MoveLeaderResponse, SnapshotRequest, SnapshotResponse, StatusRequest, StatusResponse,
};
use proto::membershippb::DowngradeInfoSetRequest;
use rpc::etcdserverpb::maintenance_server::Maintenance;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

/// Parts of a snapshot on their way to a client; one that does not read stops the reading.
const SNAPSHOT_PARTS_WAITING: usize = 4;

impl Server {
    /// Raises the NOSPACE alarm for this member; that it is raised already is no news.
    pub async fn raise_no_space(&self) {
        let own = self.replica.member_id().0;
        let is_raised =
            self.published().alarms().of(AlarmType::Nospace.into()).iter().any(|alarm| alarm.member_id == own);
        // Many requests may find the quota used up at once.
        if !self.no_space_told.swap(true, Ordering::Relaxed) && !is_raised {
            tracing::error!("the quota is used up: raising the NOSPACE alarm");
        }
        if is_raised {
            self.no_space_told.store(false, Ordering::Relaxed);
        }
        self.raise_alarm(AlarmType::Nospace, self.replica.member_id()).await;
    }

    /// Raises an alarm for a member; 0 stands for the cluster.
    pub async fn raise_alarm(&self, kind: AlarmType, member: types::MemberId) {
        let request = pipeline::raise_alarm(kind, member.0);
        if let Err(status) = self.propose(request, &self.replica.own_identity()).await {
            tracing::warn!(error = status.message(), "failed to raise alarm");
        }
    }

    async fn alarm(&self, request: AlarmRequest, identity: &Identity) -> Result<AlarmResponse, Status> {
        let request = InternalRaftRequest { alarm: Some(request), ..InternalRaftRequest::default() };
        match self.propose(request, identity).await? {
            Ordered { response: ApplyResponse::Alarms(alarms), revision } => {
                Ok(AlarmResponse { header: Some(self.header(revision)), alarms })
            }
            ordered => Err(unexpected(&ordered)),
        }
    }

    /// The version of the data, as tools know it: the cluster's.
    pub(crate) fn storage_version(&self) -> String {
        self.published().members().cluster_version().map(|version| version.to_string()).unwrap_or_default()
    }

    fn own_version(&self) -> membership::Version {
        self.settings.version.parse().expect("the version of this program is a version")
    }

    fn status(&self) -> StatusResponse {
        let raft_status = self.published().raft_status();
        let members = self.published().members();
        let stored = i64::try_from(self.published().database_bytes()).unwrap_or(i64::MAX);
        let alarms = self.published().alarms().of(AlarmType::None.into());
        let no_leader = (raft_status.leader == 0).then(|| "etcdserver: no leader".to_owned());
        let downgrade = members.downgrade();
        StatusResponse {
            header: Some(self.header_now()),
            version: self.settings.version.to_owned(),
            db_size: stored,
            leader: raft_status.leader,
            raft_index: raft_status.commit,
            raft_term: raft_status.term,
            raft_applied_index: raft_status.applied,
            errors: no_leader.into_iter().chain(alarms.iter().map(alarm_text)).collect(),
            db_size_in_use: stored,
            is_learner: self.is_learner(),
            storage_version: self.storage_version(),
            db_size_quota: self.quota_backend_bytes(),
            downgrade_info: Some(DowngradeInfo {
                enabled: downgrade.enabled,
                target_version: downgrade.target_version.clone(),
            }),
        }
    }

    /// The hash of the key space at a revision; 0 is the newest.
    pub async fn hash_at(&self, revision: i64) -> Result<HashKvResponse, Status> {
        if let Some(hashed) = self.published().compaction_hash(revision) {
            return Ok(HashKvResponse {
                header: Some(self.header_now()),
                hash: hashed.hash,
                compact_revision: hashed.compact_revision,
                hash_revision: hashed.hash_revision,
            });
        }
        let begun = Instant::now();
        let hashed = off_thread(&self.replica, move |point, store| {
            Ok((point.current, mvcc::hash_kv(point, &store.snapshot(), revision)?))
        })
        .await;
        let (current, hashed) = hashed.map_err(|fault| self.faulted(fault))?;
        self.observer.metrics().mvcc.hash_by_revision.record(begun.elapsed());
        let hashed = hashed.map_err(|refusal| refusal.to_status())?;
        Ok(HashKvResponse {
            header: Some(self.header(current)),
            hash: hashed.hash,
            compact_revision: hashed.compact_revision,
            hash_revision: hashed.hash_revision,
        })
    }

    /// Hands leadership over and waits until `target` leads, for as long as raft tries (etcd: an
    /// election timeout and a heartbeat).
    pub(crate) async fn transfer_leadership_to(&self, target: types::MemberId) -> Result<(), Status> {
        let begun = Instant::now();
        let (leader, own) = (types::MemberId(self.published().raft_status().leader), self.replica.member_id());
        tracing::info!(local_member_id = %own, current_leader_member_id = %leader, transferee_member_id = %target, "leadership transfer starting");
        self.replica.transfer_leader(target);
        while begun.elapsed() < self.settings.election_timeout + self.settings.heartbeat {
            if self.published().raft_status().leader == target.0 {
                tracing::info!(
                    local_member_id = %own,
                    old_leader_member_id = %leader,
                    new_leader_member_id = %target,
                    took = ?begun.elapsed(),
                    "leadership transfer finished"
                );
                return Ok(());
            }
            tokio::time::sleep(self.settings.heartbeat / 10).await;
        }
        Err(Status::unavailable("etcdserver: request timed out, leader transfer took too long"))
    }

    async fn downgrade(&self, request: &DowngradeRequest) -> Result<DowngradeResponse, Status> {
        let action =
            DowngradeAction::try_from(request.action).map_err(|_| Status::unknown("etcdserver: unknown method"))?;
        self.barrier().await?;
        let members = self.published().members();
        let version = members.cluster_version().map(membership::Version::as_cluster).unwrap_or_default();
        let validated = || {
            let (cluster, downgrade) = (members.cluster_version(), members.downgrade());
            membership::validate_downgrade(&request.version, self.own_version(), cluster, downgrade).map_err(
                |rejection| {
                    tracing::warn!(error = %rejection, "reject downgrade request");
                    rejection.to_status()
                },
            )
        };
        let set = match action {
            DowngradeAction::Validate => validated().map(|_| None)?,
            DowngradeAction::Enable => Some(DowngradeInfoSetRequest { enabled: true, ver: validated()?.to_string() }),
            DowngradeAction::Cancel if members.downgrade().enabled => {
                Some(DowngradeInfoSetRequest { enabled: false, ver: String::new() })
            }
            DowngradeAction::Cancel => {
                // etcd reports success all the same.
                tracing::warn!(error = "no inflight downgrade", "failed to cancel downgrade");
                None
            }
        };
        if set.is_some() {
            let request = InternalRaftRequest { downgrade_info_set: set, ..InternalRaftRequest::default() };
            self.propose(request, &self.replica.own_identity()).await?;
        }
        Ok(DowngradeResponse { header: Some(self.header_now()), version })
    }
}

/// As etcd's status prints an alarm.
fn alarm_text(alarm: &proto::etcdserverpb::AlarmMember) -> String {
    let kind =
        AlarmType::try_from(alarm.alarm).map_or_else(|_| alarm.alarm.to_string(), |kind| kind.as_str_name().to_owned());
    if alarm.member_id == 0 { format!("alarm:{kind}") } else { format!("memberID:{} alarm:{kind}", alarm.member_id) }
}

#[tonic::async_trait]
impl Maintenance for Server {
    type SnapshotStream = Pin<Box<dyn futures::Stream<Item = Result<SnapshotResponse, Status>> + Send>>;

    async fn alarm(&self, request: Request<AlarmRequest>) -> Result<Response<AlarmResponse>, Status> {
        let action = AlarmAction::try_from(request.get_ref().action);
        let class = if action == Ok(AlarmAction::Get) { RequestClass::Authenticated } else { RequestClass::Root };
        let identity = self.permitted(request.metadata(), class)?;
        if action.is_err() {
            return Err(Status::invalid_argument("etcdserver: unknown alarm action"));
        }
        Ok(Response::new(Self::alarm(self, request.into_inner(), &identity).await?))
    }

    async fn status(&self, request: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        self.permitted(request.metadata(), RequestClass::Authenticated)?;
        Ok(Response::new(Self::status(self)))
    }

    async fn defragment(&self, request: Request<DefragmentRequest>) -> Result<Response<DefragmentResponse>, Status> {
        self.must_be_root(request.metadata())?;
        tracing::info!("starting defragment");
        let metrics = Arc::clone(self.observer.metrics());
        let reclaimed = off_thread(&self.replica, move |_, store| {
            let begun = Instant::now();
            metrics.disk.defrag_inflight.set(1);
            tracing::info!(path = %store.path().display(), "defragmenting");
            store.reclaim();
            tracing::info!(path = %store.path().display(), took = ?begun.elapsed(), "finished defragmenting directory");
            metrics.disk.defrag_inflight.set(0);
            metrics.disk.defrag.record(begun.elapsed());
            Ok(())
        });
        reclaimed.await.map_err(|fault| self.faulted(fault))?;
        tracing::info!("finished defragment");
        Ok(Response::new(DefragmentResponse { header: None }))
    }

    async fn hash(&self, request: Request<HashRequest>) -> Result<Response<HashResponse>, Status> {
        self.must_be_root(request.metadata())?;
        let begun = Instant::now();
        let hashed = off_thread(&self.replica, |point, store| Ok((point.current, backend::hash(store)?))).await;
        let (revision, hash) = hashed.map_err(|fault| self.faulted(fault))?;
        self.observer.metrics().mvcc.hash.record(begun.elapsed());
        Ok(Response::new(HashResponse { header: Some(self.header(revision)), hash }))
    }

    async fn hash_kv(&self, request: Request<HashKvRequest>) -> Result<Response<HashKvResponse>, Status> {
        self.must_be_root(request.metadata())?;
        Ok(Response::new(self.hash_at(request.into_inner().revision).await?))
    }

    async fn snapshot(&self, request: Request<SnapshotRequest>) -> Result<Response<Self::SnapshotStream>, Status> {
        let identity = self.must_be_root(request.metadata())?;
        let connection = request.extensions().get::<ConnectionShare>().map(ConnectionShare::backups);
        let place = self.backups.take(connection, &identity.user).await?;
        let (parts, stream) = mpsc::channel(SNAPSHOT_PARTS_WAITING);
        let (server, cut) = (self.clone(), Arc::new(AtomicBool::new(false)));
        let (runtime, too_slow) = (Handle::current(), Arc::clone(&cut));
        let send = move || {
            backend::give_way();
            let _reading = server.replica.long_reads().begin();
            let begun = Instant::now();
            let version = server.storage_version();
            let mut total_bytes = None;
            let sent = backend::stream(&server.replica.store(), |blob, remaining_bytes| {
                let bytes = blob.len();
                let whole = *total_bytes.get_or_insert(remaining_bytes + blob.len() as u64);
                if whole == remaining_bytes + blob.len() as u64 {
                    tracing::info!(
                        total_bytes = whole,
                        storage_version = version,
                        "sending database snapshot to client"
                    );
                }
                let part = SnapshotResponse { header: None, remaining_bytes, blob, version: version.clone() };
                let taken = runtime.block_on(async {
                    tokio::select! {
                        biased;
                        taken = parts.send(Ok(part)) => taken.is_ok(),
                        () = place.too_slow() => {
                            too_slow.store(true, Ordering::Relaxed);
                            false
                        }
                    }
                });
                place.sent(bytes);
                taken
            });
            server.observer.metrics().disk.backend_snapshot.record(begun.elapsed());
            if sent.is_ok() {
                let total_bytes = total_bytes.unwrap_or_default();
                let took = begun.elapsed();
                tracing::info!(
                    total_bytes,
                    ?took,
                    storage_version = version,
                    "successfully sent database snapshot to client"
                );
            }
            if let Err(fault) = sent {
                tracing::error!(error = %fault, "failed to send snapshot");
                drop(parts.blocking_send(Err(server.faulted(fault))));
            }
        };
        let spawned = std::thread::Builder::new().name("backup".to_owned()).spawn(send);
        spawned
            .map_err(|error| Status::resource_exhausted(format!("etcdserver: failed to start a backup: {error}")))?;
        // The last part of a stream that was cut off has no room in the channel.
        let end = futures::stream::once(async move { cut.load(Ordering::Relaxed).then(|| Err(too_many_requests())) });
        let end = futures::StreamExt::filter_map(end, std::future::ready);
        Ok(Response::new(Box::pin(futures::StreamExt::chain(ReceiverStream::new(stream), end))))
    }

    async fn move_leader(&self, request: Request<MoveLeaderRequest>) -> Result<Response<MoveLeaderResponse>, Status> {
        self.must_be_root(request.metadata())?;
        if self.published().raft_status().role != Role::Leader {
            return Err(status::not_leader());
        }
        let target = types::MemberId(request.into_inner().target_id);
        let members = self.published().members();
        if members.member(target).is_none_or(|member| member.is_learner) {
            return Err(Status::failed_precondition("etcdserver: bad leader transferee"));
        }
        if target != self.replica.member_id() {
            self.transfer_leadership_to(target).await?;
        }
        Ok(Response::new(MoveLeaderResponse { header: None }))
    }

    async fn downgrade(&self, request: Request<DowngradeRequest>) -> Result<Response<DowngradeResponse>, Status> {
        self.must_be_root(request.metadata())?;
        Ok(Response::new(Self::downgrade(self, request.get_ref()).await?))
    }
}
