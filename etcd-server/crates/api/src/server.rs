//! The data that all services share.

use crate::observe::Observer;
use crate::request_checks::RequestChecks;
use crate::response_slots::{BACKUPS, ConnectionShare, LARGE_RANGES, ResponseSlots};
use crate::status::ToStatus as _;
use crate::watch::WatchService;
use crate::{HealthState, ObservedRoutes, TokenStore, status};
use apply::Ordered;
use auth::{Identity, WrongPasswords};
use mvcc::RangeOptions;
use parking_lot::Mutex;
use peer::Transport;
use proto::etcdserverpb::{InternalRaftRequest, RangeRequest, ResponseHeader};
use replica::{Published, Replica, RequestError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tonic::Status;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;
use types::Fault;

/// Responses above 1 MiB that have to be held in memory, together, in KiB.
pub(crate) const WHOLE_KIB_MAX: u32 = 256 << 10;

/// Limits and texts of the services.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Operations in a branch of a transaction.
    pub txn_operations_max: usize,
    /// Largest message a client may send, in bytes.
    pub message_bytes_max: usize,
    /// Largest encoded request; decides how streamed answers are cut.
    pub request_bytes_max: usize,
    /// Quota as configured: 0 is the default, negative is none.
    pub quota_bytes_configured: i64,
    /// The quota in force.
    pub quota_bytes: Option<u64>,
    /// Work factor of password hashes.
    pub bcrypt_cost: u32,
    /// `true` if changes of members need a healthy cluster.
    pub strict_reconfig_check: bool,
    /// Learners at a time.
    pub max_learners: usize,
    /// Interval of heartbeats.
    pub heartbeat: Duration,
    /// Time without a leader after which a member campaigns.
    pub election_timeout: Duration,
    /// Time between progress notices of an idle watch.
    pub progress_notify_interval: Duration,
    /// The version that is answered, for example `3.7.1`.
    pub version: &'static str,
}

/// The state behind all services; cloned into each.
#[derive(Clone, Debug)]
pub struct Server {
    pub(crate) replica: Arc<Replica>,
    pub(crate) transport: Transport,
    pub(crate) tokens: Arc<TokenStore>,
    pub(crate) settings: Arc<Settings>,
    /// Passwords being hashed at a time: hashing takes processors that other calls need.
    pub(crate) hashing: Arc<Semaphore>,
    /// Recent wrong passwords.
    pub(crate) wrong_passwords: Arc<Mutex<WrongPasswords>>,
    /// Places of ranges above 1 MiB.
    pub(crate) large_ranges: Arc<ResponseSlots>,
    /// Places of backups.
    pub(crate) backups: Arc<ResponseSlots>,
    /// Turns to measure a large range, to read a part of one, and to read a range that has to be
    /// read whole before it is sorted or filtered.
    pub(crate) measures: Arc<Semaphore>,
    pub(crate) part_reads: Arc<Semaphore>,
    pub(crate) whole_reads: Arc<Semaphore>,
    /// KiB of responses above 1 MiB that are held in memory.
    pub(crate) whole_kib: Arc<Semaphore>,
    /// The places that this connection may hold; `None` for calls that come by way of tonic.
    pub(crate) share: Option<ConnectionShare>,
    /// `true` if it was logged that the quota is used up, until the alarm is raised.
    pub(crate) no_space_told: Arc<AtomicBool>,
    /// A leader that does not take renewals in batches; zero if none is known.
    pub(crate) leader_without_batches: Arc<AtomicU64>,
    pub(crate) health: Arc<HealthState>,
    pub(crate) observer: Observer,
    /// The common name of the client's verified certificate, on its connection alone.
    pub(crate) common_name: Option<Arc<str>>,
}

impl Server {
    /// Services over `replica`; `transport` leads to the other members.
    pub fn new(
        replica: Arc<Replica>,
        transport: Transport,
        tokens: Arc<TokenStore>,
        settings: Settings,
        observer: Observer,
    ) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let permits = cores.div_ceil(2);
        Self {
            replica,
            transport,
            tokens,
            settings: Arc::new(settings),
            large_ranges: ResponseSlots::new(LARGE_RANGES),
            measures: Arc::new(Semaphore::new(cores)),
            part_reads: Arc::new(Semaphore::new(2 * cores)),
            whole_reads: Arc::new(Semaphore::new(cores)),
            whole_kib: Arc::new(Semaphore::new(WHOLE_KIB_MAX as usize)),
            share: None,
            hashing: Arc::new(Semaphore::new(permits)),
            wrong_passwords: Arc::default(),
            backups: ResponseSlots::new(BACKUPS),
            no_space_told: Arc::default(),
            leader_without_batches: Arc::default(),
            health: Arc::new(HealthState::default()),
            observer,
            common_name: None,
        }
    }

    /// The same for one connection, whose client has shown a certificate with this common name: it
    /// is the user wherever no token says otherwise. Nothing that a client sends can set it.
    #[must_use]
    pub fn certified_as(&self, common_name: &str) -> Self {
        Self { common_name: Some(common_name.into()), ..self.clone() }
    }

    /// Returns the same server for one connection, which holds only its share of the places for
    /// large responses.
    pub(crate) fn on_connection(self, share: ConnectionShare) -> Self {
        Self { share: Some(share), ..self }
    }

    /// All services as one router, called by path.
    pub fn routes(&self) -> ObservedRoutes {
        use CompressionEncoding::Gzip;
        use rpc::etcdserverpb::{
            auth_server::AuthServer, cluster_server::ClusterServer, kv_server::KvServer, lease_server::LeaseServer,
            maintenance_server::MaintenanceServer,
        };
        use rpc::{
            healthpb::health_server::HealthServer, v3electionpb::election_server::ElectionServer,
            v3lockpb::lock_server::LockServer,
        };
        let limit = self.settings.message_bytes_max;
        // Whether an answer is compressed is settled where the connection is served.
        macro_rules! served {
            ($service:ident) => {
                $service::new(self.clone())
                    .max_decoding_message_size(limit)
                    .accept_compressed(Gzip)
                    .send_compressed(Gzip)
            };
        }
        let mut routes = Routes::builder();
        routes
            .add_service(served!(KvServer))
            .add_service(WatchService(self.clone()))
            .add_service(served!(LeaseServer))
            .add_service(served!(AuthServer))
            .add_service(served!(ClusterServer))
            .add_service(served!(MaintenanceServer))
            .add_service(served!(LockServer))
            .add_service(served!(ElectionServer))
            .add_service(served!(HealthServer));
        ObservedRoutes::new(RequestChecks::new(self.clone(), routes.routes()), self.observer.clone())
    }

    /// Returns the quota in the form of Status: negative if there is none.
    pub fn quota_backend_bytes(&self) -> i64 {
        if self.settings.quota_bytes_configured == 0 {
            self.settings.quota_bytes.map_or(0, |quota| i64::try_from(quota).unwrap_or(i64::MAX))
        } else {
            self.settings.quota_bytes_configured
        }
    }

    /// The pipeline behind the services.
    pub fn replica(&self) -> &Arc<Replica> {
        &self.replica
    }

    /// A small read with this member's own rights: whether it could answer one.
    pub async fn probe(&self, serializable: bool) -> Result<(), Status> {
        if !serializable {
            self.barrier().await?;
        }
        let options =
            RangeOptions::new(&RangeRequest { key: "\0".into(), limit: 1, keys_only: true, ..RangeRequest::default() });
        let read = self.replica.read(|point, store| point.range(store, &options));
        let found = read.map_err(|fault| self.faulted(fault))?;
        found.map(drop).map_err(|refusal| refusal.to_status())
    }

    /// Returns `true` if this member does not vote yet, and so answers little.
    pub(crate) fn is_learner(&self) -> bool {
        self.published().members().member(self.replica.member_id()).is_some_and(|member| member.is_learner)
    }

    pub(crate) fn published(&self) -> &Published {
        self.replica.published()
    }

    /// Returns a response header with `revision`: of a read, the revision that was read at; of an
    /// ordered request, that of [`Ordered`].
    pub(crate) fn header(&self, revision: i64) -> ResponseHeader {
        ResponseHeader { revision, ..self.header_without_revision() }
    }

    /// Returns the header of a response that is about no revision, such as a lease's remaining
    /// time: with the newest revision that is readable now. Never for an ordered request, whose
    /// revision is that of its own entry.
    pub(crate) fn header_now(&self) -> ResponseHeader {
        self.header(self.published().read_point().current)
    }

    pub(crate) fn header_without_revision(&self) -> ResponseHeader {
        ResponseHeader {
            cluster_id: self.replica.cluster_id().0,
            member_id: self.replica.member_id().0,
            revision: 0,
            raft_term: self.published().raft_status().term,
        }
    }

    /// Orders a request and waits for its outcome.
    pub(crate) async fn propose(&self, request: InternalRaftRequest, identity: &Identity) -> Result<Ordered, Status> {
        otlp::event("Send raft proposal");
        let outcome = self.replica.propose(request, identity).await;
        match &outcome {
            Ok(_) | Err(RequestError::State(_)) => otlp::event("Receive raft result"),
            Err(refused) => otlp::error(|| refused.to_string()),
        }
        outcome.map_err(|refused| self.refused(&refused))
    }

    /// Waits until reads see everything that was acknowledged before.
    pub(crate) async fn barrier(&self) -> Result<(), Status> {
        if self.replica.leads_alone() {
            return Ok(());
        }
        let begun = Instant::now();
        let agreed = self.replica.barrier().await;
        self.observer.barrier_decided(begun);
        agreed.map_err(|refused| refused.to_status())
    }

    /// Stops the member because of a fault while reading, and returns the status for the client.
    pub(crate) fn faulted(&self, fault: Fault) -> Status {
        self.replica.fault(fault);
        status::faulted()
    }
}

/// An answer of another kind than the request asked for cannot happen; it would be a fault of the
/// program, not of the state.
pub(crate) fn unexpected(ordered: &Ordered) -> Status {
    tracing::error!(response = ?ordered.response, "apply returned the response of another request");
    Status::internal("etcdserver: unexpected answer")
}
