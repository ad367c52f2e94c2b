//! From settings to a serving member, and back.

use crate::background;
use crate::background::apply_events;
use crate::background::token_files::{self, TokenFiles};
use crate::bootstrap::first_election;
use crate::bootstrap::{self, Plan};
use crate::exit_code;
use crate::host::data_dir::{self, DataDir};
use crate::host::signals;
use crate::host::systemd::{self, LongStart};
use crate::listen::connections;
use crate::listen::encryption::Encryption;
use crate::listen::listeners::{self, Listeners, texts};
use crate::member::LocalMember;
use crate::metrics::member_page::MemberPage;
use crate::metrics::pipeline_observer::PipelineObserver;
use crate::peers::local_peer::{LocalPeer, Outbound, PeerObserver};
use crate::start_error::StartError;
use crate::version::{ETCD_VERSION, OWN_VERSION};
use api::observe::{Observer, Thresholds};
use api::{Server, TokenStore, Tokens};
use config::{Quota, Settings};
use membership::Version;
use otlp::Tracer;
use peer::{Connect, PeerIdentity, Transport};
use replica::{Opened, Options, Replica, Running};
use std::io::Write as _;
use std::net::ToSocketAddrs as _;
use std::sync::Arc;
use std::time::Duration;
use telemetry::metrics::{Identity, Metrics};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, watch};
use types::{Fault, MemberId};

/// Between a member's own removal and its end (etcd: one second).
const REMOVAL_GRACE: Duration = Duration::from_secs(1);

/// Checks whether a member could start so, as far as possible on this machine without changing
/// anything.
pub(crate) fn check(settings: &Settings) -> Result<(), StartError> {
    read_files(settings)?;
    Ok(data_dir::check(&data_dir::Wanted::of(settings))?)
}

/// Reads the files of the settings. All refusals come here, before anything is created.
fn read_files(settings: &Settings) -> Result<(Encryption, Tokens), StartError> {
    data_dir::check_kind(&settings.member.data_dir)?;
    if !data_dir::is_used(&settings.member.data_dir) {
        settings.check_bootstrap(&resolve)?;
    }
    Ok((Encryption::of_files(settings)?, token_files::tokens(settings)?))
}

/// Runs the daemon until the stop signal.
pub(crate) fn run(settings: &Settings) -> Result<(), StartError> {
    if let Some(host) = settings.listen.detected_host {
        tracing::info!(%host, "detected default host for advertise");
    }
    let (encryption, tokens) = read_files(settings)?;
    let tokens = Arc::new(TokenStore::new(tokens));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("serve")
        .build()
        .map_err(StartError::Runtime)?;
    {
        let _entered = runtime.enter();
        signals::ignore_others().map_err(StartError::Runtime)?;
    }
    let is_used = data_dir::is_used(&settings.member.data_dir);
    let plan = |connect: &dyn Connect| runtime.block_on(bootstrap::plan(settings, OWN_VERSION, connect));
    // Other members are asked before anything is created, unless this member's own certificate has
    // to be made first.
    let vouches_for_itself = settings.tls.peer.listener.auto;
    let early = (!is_used && !vouches_for_itself).then(|| plan(&*encryption.connect_members(settings))).transpose()?;
    let dir = DataDir::open(&data_dir::Wanted::of(settings))?;
    let encryption = encryption.with_self_signed(settings)?;
    // Ports are bound before the data is touched, so that a port in use changes nothing.
    let listeners = runtime.block_on(Listeners::bind(settings, &encryption))?;
    let connect: Arc<dyn Connect> = encryption.connect_members(settings);
    let plan = match early {
        Some(plan) => plan,
        None if is_used => Plan::default(),
        None => plan(&*connect)?,
    };
    log_settings(settings, is_used);
    let options = options(settings, &dir, &tokens, &plan);
    let opening = LongStart::begin();
    let opened = Opened::open(&options)?;
    drop(opening);
    if opened.members().is_removed(opened.member_id()) {
        tell_removed();
        return Err(StartError::Removed);
    }
    let metrics = Arc::new(metrics(settings, opened.member_id()));
    let transport = transport(settings, &opened, connect, &metrics, runtime.handle());
    transport.meet(&plan.joined);
    let observer = Arc::new(PipelineObserver::new(Arc::clone(&metrics), settings.warning.apply));
    replica::report_panics(Arc::clone(&options.on_fault));
    let running = opened.run(&options, observer, Arc::new(Outbound(transport.clone())))?;
    let (tracer, exporter) = start_tracing(settings)?.unzip();
    let outcome = runtime.block_on(serve(
        settings,
        running,
        transport,
        tokens,
        listeners,
        encryption,
        Instruments { metrics, tracer },
    ));
    // The member has stopped: what a task meets while the runtime ends concerns no state any more.
    drop(std::panic::take_hook());
    // Sends the last spans.
    drop(exporter);
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

/// Logs with which settings this member starts.
fn log_settings(settings: &Settings, is_initialized: bool) {
    let listen = &settings.listen;
    tracing::info!(
        etcd_version = ETCD_VERSION,
        server_package_version = env!("CARGO_PKG_VERSION"),
        member_initialized = is_initialized,
        name = settings.member.name,
        data_dir = %settings.member.data_dir.display(),
        force_new_cluster = settings.cluster.force_new_cluster,
        heartbeat_interval = ?settings.election.heartbeat,
        election_timeout = ?settings.election.timeout,
        snapshot_catchup_entries = settings.snapshot.catchup_entries,
        initial_advertise_peer_urls = ?texts(&listen.advertise_peer),
        listen_peer_urls = ?texts(&listen.peer),
        advertise_client_urls = ?texts(&listen.advertise_client),
        listen_client_urls = ?texts(&listen.client),
        listen_metrics_urls = ?texts(&listen.metrics),
        quota_backend_bytes = quota_bytes(settings),
        max_request_bytes = settings.limits.request_bytes_max,
        pre_vote = settings.election.pre_vote,
        // etcd enforces this, whatever --v2-deprecation says.
        v2_deprecation = "write-only",
        "starting an etcd server"
    );
    match settings.quota {
        Quota::Off => tracing::info!(quota_name = "v3-applier", "disabled backend quota"),
        Quota::Bytes(bytes) => {
            tracing::info!(quota_name = "v3-applier", quota_size_bytes = bytes, "enabled backend quota")
        }
    }
    if matches!(settings.auth.token, config::TokenKind::Simple) {
        tracing::warn!("simple token is not cryptographically signed");
    }
    if let Some(interval) = settings.corrupt_check.interval {
        tracing::info!(?interval, "enabled corruption checking");
    }
}

/// Logs that this member takes part in its cluster.
fn log_serving(settings: &Settings, replica: &Replica) {
    let (listen, member) = (&settings.listen, replica.member_id());
    let version = replica.published().members().cluster_version();
    let cluster_version = version.map_or_else(|| "to_be_decided".to_owned(), Version::minor_text);
    tracing::info!(
        local_member_id = %member,
        local_server_version = ETCD_VERSION,
        cluster_id = %replica.cluster_id(),
        cluster_version,
        "starting etcd server"
    );
    tracing::info!(
        local_member_id = %member,
        initial_advertise_peer_urls = ?texts(&listen.advertise_peer),
        listen_peer_urls = ?texts(&listen.peer),
        advertise_client_urls = ?texts(&listen.advertise_client),
        listen_client_urls = ?texts(&listen.client),
        listen_metrics_urls = ?texts(&listen.metrics),
        "now serving peer/client/metrics"
    );
}

/// Logs that the process is about to end, or has done all that comes before its end.
fn log_closing(settings: &Settings, message: &str) {
    tracing::info!(
        name = settings.member.name,
        data_dir = %settings.member.data_dir.display(),
        advertise_peer_urls = ?texts(&settings.listen.advertise_peer),
        advertise_client_urls = ?texts(&settings.listen.advertise_client),
        "{message}"
    );
}

/// Logs that a member was removed and may not come back (etcd's words).
fn tell_removed() {
    tracing::warn!(error = "the member has been permanently removed from the cluster", "server error");
    tracing::warn!("data-dir used by this member must be removed");
}

fn transport(
    settings: &Settings,
    opened: &Opened,
    connect: Arc<dyn Connect>,
    metrics: &Arc<Metrics>,
    runtime: &tokio::runtime::Handle,
) -> Transport {
    let own = PeerIdentity {
        member: opened.member_id(),
        cluster: opened.cluster_id(),
        version: OWN_VERSION,
        peer_urls: settings.listen.advertise_peer.iter().map(|url| url.as_str().to_owned()).collect(),
    };
    Transport::new(
        own,
        connect,
        settings.election.timeout,
        Arc::new(PeerObserver::new(Arc::clone(metrics))),
        runtime.clone(),
    )
}

/// The metrics and the tracer of requests.
struct Instruments {
    metrics: Arc<Metrics>,
    tracer: Option<Tracer>,
}

async fn serve(
    settings: &Settings,
    mut running: Running,
    transport: Transport,
    tokens: Arc<TokenStore>,
    mut listeners: Listeners,
    encryption: Encryption,
    instruments: Instruments,
) -> Result<(), StartError> {
    let Instruments { metrics, tracer } = instruments;
    let files = encryption.keep_fresh().map_err(StartError::Runtime)?;
    let token_files = TokenFiles::keep_fresh(settings, Arc::clone(&tokens)).map_err(StartError::Runtime)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(StartError::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(StartError::Runtime)?;
    let replica = Arc::clone(&running.replica);
    let observer = call_observer(settings, &metrics).with_tracer(tracer.clone());
    let server = Server::new(Arc::clone(&replica), transport.clone(), tokens, service_settings(settings), observer);
    let (stop_tx, stop) = watch::channel(false);
    let taken = std::mem::replace(&mut running.apply_events, tokio::sync::mpsc::unbounded_channel().1);
    let removed = Arc::new(Notify::new());
    let apply_events = tokio::spawn(apply_events::follow(taken, server.clone(), Arc::clone(&removed)));
    transport.attach(Arc::new(LocalPeer::new(server.clone(), Arc::clone(&removed), Arc::clone(&metrics))));
    log_serving(settings, &replica);
    let peers = listeners.serve_peers(&transport, &stop);
    if settings.corrupt_check.at_start {
        background::corruption::compare_at_start(&server, &transport).await.map_err(StartError::Setting)?;
    }
    let duties = background::start(&server, &transport, settings, &metrics);
    if settings.election.initial_tick_advance {
        tokio::spawn(first_election::bring_forward(Arc::clone(&replica), transport.clone()));
    }
    let page = MemberPage::new(settings, server.clone(), transport.clone(), encryption.clone());
    let member = Arc::new(LocalMember::new(server.clone(), ETCD_VERSION, metrics, encryption, tracer, page));
    let leader = server.clone();
    let (sockets, addresses) = (listeners.socket_files(), listeners.client_addresses());
    let (stop_clients, clients_stop) = watch::channel(false);
    let (ready, is_ready) = watch::channel(false);
    // Pages about the member are served while it waits for a leader: that is when they are needed.
    let served = listeners.serve(settings, server, member, clients_stop, is_ready);
    // A stop signal ends the wait; the signal is taken again below.
    let told = tokio::select! {
        () = become_ready(&leader, &addresses, &ready) => None,
        end = End::wait(&mut terminate, &mut interrupt, &removed) => Some(end),
    };
    let end = match told {
        Some(end) => end,
        None => End::wait(&mut terminate, &mut interrupt, &removed).await,
    };
    end.log();
    systemd::stopping("shutting down");
    log_closing(settings, "closing etcd server");
    leader.stop_serving();
    leader.transfer_leadership_before_stop().await;
    stop_clients.send_replace(true);
    served.finish().await;
    if matches!(end, End::Removed) {
        // The other members must learn that the removal is committed. Clients are gone already.
        tokio::time::sleep(REMOVAL_GRACE).await;
    }
    stop_tx.send_replace(true);
    transport.stop();
    for address in texts(&settings.listen.peer) {
        tracing::info!(address, "stopping serving peer traffic");
    }
    peers.finish().await;
    for address in texts(&settings.listen.peer) {
        tracing::info!(address, "stopped serving peer traffic");
    }
    sockets.remove();
    for duty in duties {
        duty.abort();
    }
    apply_events.abort();
    files.abort();
    token_files.abort();
    let stopped = tokio::task::spawn_blocking(move || running.stop()).await;
    stopped.map_err(|error| Fault::store("stop the pipeline", error))??;
    log_closing(settings, "closed etcd server");
    Ok(())
}

/// Waits until clients can be served, and lets them be served.
async fn become_ready(server: &Server, addresses: &[(listeners::Kind, config::Url)], ready: &watch::Sender<bool>) {
    let replica = server.replica();
    let replaying = LongStart::begin();
    background::wait_for_replay(replica).await;
    drop(replaying);
    systemd::ready();
    background::wait_for_leader(replica).await;
    tracing::info!("ready to serve client requests");
    server.log_serving();
    listeners::log_client_addresses(addresses);
    ready.send_replace(true);
}

/// The reason why a member ends without a fault.
enum End {
    Signal(&'static str),
    Removed,
}

impl End {
    async fn wait(terminate: &mut Signal, interrupt: &mut Signal, removed: &Notify) -> Self {
        tokio::select! {
            _ = terminate.recv() => Self::Signal("terminated"),
            _ = interrupt.recv() => Self::Signal("interrupt"),
            () = removed.notified() => Self::Removed,
        }
    }

    fn log(&self) {
        match self {
            Self::Signal(signal) => tracing::info!(signal, "received signal; shutting down"),
            Self::Removed => tell_removed(),
        }
    }
}

/// Calls that are traced in a second; a caller that traces everything would otherwise decide the
/// cost here.
const TRACED_CALLS_PER_SECOND_MAX: u32 = 5_000;

fn start_tracing(settings: &Settings) -> Result<Option<(Tracer, otlp::Exporter)>, StartError> {
    let Some(tracing) = &settings.tracing else { return Ok(None) };
    let wanted = otlp::Settings {
        address: tracing.address.clone(),
        service_name: tracing.service_name.clone(),
        instance_id: tracing.instance_id.clone(),
        rate_per_million: tracing.rate_per_million,
        calls_per_second_max: TRACED_CALLS_PER_SECOND_MAX,
    };
    let failed = |error| StartError::Setting(format!("--distributed-tracing-address {}: {error}", tracing.address));
    let started = Tracer::start(&wanted).map_err(failed)?;
    tracing::debug!(
        address = tracing.address,
        service_name = tracing.service_name,
        service_instance_id = tracing.instance_id.as_deref().unwrap_or_default(),
        sampling_rate = tracing.rate_per_million,
        "distributed tracing enabled"
    );
    Ok(Some(started))
}

fn metrics(settings: &Settings, member: MemberId) -> Metrics {
    let detail = settings.metrics.detail;
    Metrics::new(&Identity { member, server_version: ETCD_VERSION, features: &settings.features, detail })
}

fn call_observer(settings: &Settings, metrics: &Arc<Metrics>) -> Observer {
    let thresholds = Thresholds { apply: settings.warning.apply, unary_request: settings.warning.unary_request };
    Observer::new(Arc::clone(metrics), thresholds)
}

fn options(settings: &Settings, dir: &DataDir, tokens: &Arc<TokenStore>, plan: &Plan) -> Options {
    let tokens = Arc::clone(tokens);
    let timeout = settings.election.timeout;
    let mut leases = lease::ExpirySettings::default();
    if settings.features.is_on(config::Gate::LeaseCheckpoint) {
        leases.checkpoint_interval = Some(Duration::from_secs(300));
    }
    Options {
        dir: dir.member().to_owned(),
        other_files: vec![dir.lock_file()],
        member_id: plan.member,
        cluster_id: plan.cluster,
        initial_members: plan.initial_members.clone(),
        force_new_cluster: settings.cluster.force_new_cluster,
        tick: settings.election.heartbeat,
        election_ticks: usize::try_from(settings.election.timeout_ticks()).unwrap_or(usize::MAX),
        pre_vote: settings.election.pre_vote,
        state: apply::Settings {
            quota_bytes: quota_bytes(settings),
            minimum_lease_ttl_seconds: lease::minimum_ttl_seconds(timeout),
            own_version: OWN_VERSION,
            keeps_checkpoints: settings.features.is_on(config::Gate::LeaseCheckpointPersist),
        },
        prioritizes_revokes: settings.features.is_on(config::Gate::PriorityRequest),
        request_bytes_max: usize::try_from(settings.limits.request_bytes_max).unwrap_or(usize::MAX),
        max_learners: usize::try_from(settings.limits.learners_max).unwrap_or(usize::MAX),
        compaction_step: (
            usize::try_from(settings.compaction.batch_limit.get()).unwrap_or(usize::MAX),
            settings.compaction.sleep_interval,
        ),
        log_entries_kept: settings.snapshot.catchup_entries,
        leases,
        store: storage::StoreOptions::default(),
        on_tokens: Arc::new(move |effect, now| tokens.follow(effect, now)),
        on_fault: Arc::new(|fault| stop_at_once(&fault)),
    }
}

/// Time for the log to write the reason why a member stops. A failed disk does not delay it.
const LAST_WORDS_MAX: Duration = Duration::from_millis(50);

/// Exits at once: a member that cannot continue must not respond any more, not even by accident
/// while it shuts down.
fn stop_at_once(fault: &Fault) {
    tracing::error!(fatal = true, error = %fault, "member cannot continue");
    // The outputs of the log may be gone together with the disk that they go to; the process must
    // end all the same.
    telemetry::log::wait_until_written(LAST_WORDS_MAX);
    drop(writeln!(std::io::stderr(), "etcd-server: {fault}"));
    end_without_farewell(exit_code::of_fault(fault))
}

/// An orderly exit runs the exit handlers of libraries, and RocksDB waits for its threads then: on
/// a disk that fails, for ever.
#[expect(unsafe_code, reason = "the standard library only knows the orderly exit")]
fn end_without_farewell(code: u8) -> ! {
    // SAFETY: it ends the process, and touches no memory of it.
    unsafe { nix::libc::_exit(code.into()) }
}

fn quota_bytes(settings: &Settings) -> Option<u64> {
    match settings.quota {
        Quota::Off => None,
        Quota::Bytes(bytes) => Some(bytes),
    }
}

fn service_settings(settings: &Settings) -> api::Settings {
    let request_bytes_max = usize::try_from(settings.limits.request_bytes_max).unwrap_or(usize::MAX);
    api::Settings {
        txn_operations_max: usize::try_from(settings.limits.txn_ops_max).unwrap_or(usize::MAX),
        message_bytes_max: request_bytes_max.saturating_add(connections::MESSAGE_OVERHEAD_BYTES),
        request_bytes_max,
        quota_bytes_configured: quota_bytes(settings).map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
        quota_bytes: quota_bytes(settings),
        bcrypt_cost: auth::bcrypt_cost(settings.auth.bcrypt_cost),
        strict_reconfig_check: settings.cluster.strict_reconfig_check,
        max_learners: usize::try_from(settings.limits.learners_max).unwrap_or(usize::MAX),
        heartbeat: settings.election.heartbeat,
        election_timeout: settings.election.timeout,
        progress_notify_interval: settings.watch.progress_notify_interval,
        version: ETCD_VERSION,
    }
}

pub(crate) fn resolve(host: &str) -> Option<String> {
    let mut found = (host, 0).to_socket_addrs().ok()?;
    found.next().map(|address| address.ip().to_string())
}
