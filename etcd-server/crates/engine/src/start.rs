//! Opening a member's data and starting its threads; stopping them again.

use crate::apply_task::{ApplyCommand, ApplyTask};
use crate::clock::Clock;
use crate::log_task::{self, LogCommand};
use crate::node_task::{Input, NodeTask};
use crate::published::Published;
use crate::removal_task::{RemovalCommand, RemovalTask};
use crate::waiters::Waiters;
use crate::{Engine, Notice, RequestIds};
use apply::{Effect, Settings, State};
use arc_swap::ArcSwap;
use consensus::{Config, Entry, EntryKind, HardState, Node, Recovered, Role, Status, Voters};
use lease::{Expiry, ExpirySettings};
use membership::{ConfChange, Member};
use parking_lot::Mutex;
use prost::Message as _;
use proto::raftpb;
use raftlog::{Identity, Log};
use schema::{Table, View as _, meta};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use storage::{Store, StoreOptions};
use tokio::sync::mpsc;
use types::{ClusterId, Fault, MemberId, Moment};

/// How a member is set up.
pub struct Options {
    /// Folder of this member's state and log.
    pub folder: PathBuf,
    /// The founding members, this one among them; looked at on the first start only.
    pub founders: Vec<Member>,
    /// This member, as computed from the founding configuration; looked at on the first start only.
    pub member_id: MemberId,
    /// Its cluster; looked at on the first start only.
    pub cluster_id: ClusterId,
    /// Heartbeat interval.
    pub tick: Duration,
    /// Ticks without a leader after which this member campaigns.
    pub election_ticks: usize,
    /// Whether a member asks for support before it raises its term.
    pub pre_vote: bool,
    /// Limits of the state.
    pub state: Settings,
    /// Largest encoded request, in bytes.
    pub request_bytes_max: usize,
    /// Learners at a time.
    pub max_learners: usize,
    /// Revisions that compaction looks at in one step, and the pause between two steps.
    pub compaction_step: (usize, Duration),
    /// Entries kept in the log behind what is flushed.
    pub log_entries_kept: u64,
    /// Rates of the leases.
    pub leases: ExpirySettings,
    /// Memory of the store.
    pub store: StoreOptions,
    /// Called by apply, before the answer, with every effect that concerns tokens: whoever logged in may use the token at once.
    pub on_tokens: OnTokens,
    /// Called once when this member cannot go on; must end the process.
    pub on_fault: Arc<dyn Fn(Fault) + Send + Sync>,
}

/// Takes on or drops tokens at a moment.
pub type OnTokens = Arc<dyn Fn(&Effect, Moment) + Send + Sync>;

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("folder", &self.folder).field("member_id", &self.member_id).finish_non_exhaustive()
    }
}

/// Why a member does not start. Nothing was changed on disk.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The state.
    #[error(transparent)]
    Store(#[from] storage::OpenError),
    /// The log.
    #[error(transparent)]
    Log(#[from] raftlog::OpenError),
    /// What is in them.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// A thread could not be started.
    #[error("start a thread: {0}")]
    Thread(std::io::Error),
}

/// A running pipeline.
#[derive(Debug)]
pub struct Running {
    /// For requests.
    pub engine: Arc<Engine>,
    /// What apply tells beside answers.
    pub notices: mpsc::UnboundedReceiver<Notice>,
    threads: Threads,
}

#[derive(Debug)]
struct Threads {
    node: Sender<Input>,
    log: Sender<LogCommand>,
    apply: Sender<ApplyCommand>,
    removal: Sender<RemovalCommand>,
    handles: Vec<JoinHandle<()>>,
}

impl Running {
    /// Opens the data in `options.folder`, or founds a member there, and starts the threads.
    pub fn start(options: &Options) -> Result<Self, OpenError> {
        let opened = Opened::open(options)?;
        opened.run(options)
    }

    /// Stops the threads in order, flushes the state and marks the log, so that the next start has nothing to replay.
    pub fn stop(self) -> Result<(), Fault> {
        let Threads { node, log, apply, removal, handles } = self.threads;
        drop(node.send(Input::Stop));
        drop(apply.send(ApplyCommand::Stop));
        drop(removal.send(RemovalCommand::Stop));
        drop(log.send(LogCommand::Stop));
        for handle in handles {
            // A thread that panicked has already reported a fault.
            drop(handle.join());
        }
        self.engine.store.flush()
    }
}

/// What was found on disk.
struct Opened {
    store: Arc<Store>,
    log: Log,
    incarnation: u64,
    state: State,
    identity: Identity,
    applied: u64,
    recovered: Recovered,
}

impl Opened {
    fn open(options: &Options) -> Result<Self, OpenError> {
        let store = Store::open(&options.folder.join("state"), &options.store)?;
        let applied = meta::read_u64(&store, meta::APPLIED_INDEX)?;
        let identity = known_identity(&store)?;
        let presence = if applied.is_some() { raftlog::Presence::Existing } else { raftlog::Presence::Either };
        let own = identity.unwrap_or(Identity { member_id: options.member_id, cluster_id: options.cluster_id });
        let log_options = raftlog::Options { presence, ..raftlog::Options::default() };
        let (mut log, found) = Log::open(&options.folder.join("log"), own, log_options)?;
        if let Some(torn) = &found.torn_tail {
            tracing::warn!(file = %torn.file.display(), bytes = torn.bytes, reason = torn.reason, "cut an interrupted write off the raft log");
        }
        let applied = applied.unwrap_or(0);
        if identity.is_none() {
            found_member(&store, &mut log, &found, options, own)?;
        }
        let mut batch = store.batch();
        let state = State::load(&store, options.state, &mut batch)?;
        store.write(batch)?;
        let recovered = recover(&store, &log, &found)?;
        if applied < recovered.before_index {
            let detail = format!("begins after entry {}, but the state ends at entry {applied}", recovered.before_index);
            return Err(Fault::corrupt("raft log", detail).into());
        }
        Ok(Self { store: Arc::new(store), log, incarnation: found.incarnation, state, identity: own, applied, recovered })
    }

    fn run(self, options: &Options) -> Result<Running, OpenError> {
        let Self { store, log, incarnation, state, identity, applied, recovered } = self;
        let election_timeout = options.tick * u32::try_from(options.election_ticks).unwrap_or(u32::MAX);
        let node = Node::new(&node_config(options, identity, applied), &recovered)?;
        let clock = Clock::default();
        let published = Arc::new(publish(&store, &state, &node.status(), applied, options.leases)?);
        let waiters = Arc::new(Waiters::default());
        let (node_tx, node_rx) = channel();
        let (log_tx, log_rx) = channel();
        let (apply_tx, apply_rx) = channel();
        let (removal_tx, removal_rx) = channel();
        let (notices_tx, notices) = mpsc::unbounded_channel();
        let on_fault = Arc::clone(&options.on_fault);
        let node_task = NodeTask {
            node,
            member_id: identity.member_id.0,
            tick: options.tick,
            incarnation,
            inputs: node_rx,
            log: log_tx.clone(),
            apply: apply_tx.clone(),
            published: Arc::clone(&published),
            waiters: Arc::clone(&waiters),
        };
        let apply_task = ApplyTask {
            state,
            store: Arc::clone(&store),
            commands: apply_rx,
            node: node_tx.clone(),
            removal: removal_tx.clone(),
            notices: notices_tx,
            published: Arc::clone(&published),
            waiters: Arc::clone(&waiters),
            clock,
            lease_extension: election_timeout,
            max_learners: options.max_learners,
            on_tokens: Arc::clone(&options.on_tokens),
            applied,
            pending_notifies: Vec::new(),
        };
        let removal_task = RemovalTask {
            store: Arc::clone(&store),
            published: Arc::clone(&published),
            commands: removal_rx,
            log: log_tx.clone(),
            step_revisions: options.compaction_step.0,
            step_interval: options.compaction_step.1,
            log_entries_kept: options.log_entries_kept,
        };
        let log_reports = node_tx.clone();
        let handles = vec![
            spawn("apply", &on_fault, move || apply_task.run().map(drop))?,
            spawn("log", &on_fault, move || log_task::run(log, &log_rx, &log_reports))?,
            spawn("housekeeping", &on_fault, move || removal_task.run())?,
            spawn("raft", &on_fault, move || node_task.run())?,
        ];
        let engine = Engine {
            member_id: identity.member_id,
            cluster_id: identity.cluster_id,
            store,
            published,
            waiters,
            ids: RequestIds::new(identity.member_id, unix_milliseconds()),
            node: node_tx.clone(),
            clock,
            request_bytes_max: options.request_bytes_max,
            request_timeout: Duration::from_secs(5) + 2 * election_timeout,
            on_fault,
        };
        let threads = Threads { node: node_tx, log: log_tx, apply: apply_tx, removal: removal_tx, handles };
        Ok(Running { engine: Arc::new(engine), notices, threads })
    }
}

fn unix_milliseconds() -> u64 {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(unix.as_millis()).unwrap_or(0)
}

/// How raft is set up for this member.
fn node_config(options: &Options, identity: Identity, applied: u64) -> Config {
    let (election_ticks, pre_vote) = (options.election_ticks, options.pre_vote);
    Config { id: identity.member_id.0, election_ticks, heartbeat_ticks: 1, applied, pre_vote }
}

fn known_identity(store: &Store) -> Result<Option<Identity>, Fault> {
    let member_id = meta::read_u64(store, meta::MEMBER_ID)?;
    let cluster_id = meta::read_u64(store, meta::CLUSTER_ID)?;
    Ok(member_id.zip(cluster_id).map(|(member, cluster)| Identity { member_id: MemberId(member), cluster_id: ClusterId(cluster) }))
}

/// A founding member begins with one entry per founder, committed by agreement, as etcd's founders do; then it knows who it is.
fn found_member(store: &Store, log: &mut Log, found: &raftlog::Recovered, options: &Options, own: Identity) -> Result<(), Fault> {
    if found.last_index == 0 {
        let mut founders: Vec<_> = options.founders.iter().collect();
        founders.sort_by_key(|founder| founder.id);
        let entries: Vec<_> = founders
            .into_iter()
            .zip(1..)
            .map(|(founder, index)| {
                let change = ConfChange::Add(founder.clone()).to_raft(0);
                log_task::to_record(Entry { term: 1, index, kind: EntryKind::ConfChange, data: change.encode_to_vec().into() })
            })
            .collect();
        let commit = entries.len() as u64;
        log.append(&entries, Some(raftlog::HardState { term: 1, vote: 0, commit }))?;
    }
    let mut batch = store.batch();
    meta::write_u64(&mut batch, meta::MEMBER_ID, own.member_id.0);
    meta::write_u64(&mut batch, meta::CLUSTER_ID, own.cluster_id.0);
    meta::write_u64(&mut batch, meta::APPLIED_INDEX, 0);
    store.write(batch)?;
    store.flush()
}

fn recover(store: &Store, log: &Log, found: &raftlog::Recovered) -> Result<Recovered, Fault> {
    let hard_state = log.hard_state();
    let reader = log.reader();
    let mut entries = Vec::new();
    for record in reader.entries_from(reader.first_index()) {
        let record = record.map_err(|error| Fault::store("read the raft log", error))?;
        entries.push(log_task::from_record(record)?);
    }
    let conf_state = store.get(Table::Meta, meta::CONF_STATE)?;
    let conf_state = conf_state.map(raftpb::ConfState::decode).transpose().map_err(|error| Fault::corrupt("raft configuration", error))?;
    let conf_state = conf_state.unwrap_or_default();
    Ok(Recovered {
        hard_state: HardState { term: hard_state.term, vote: hard_state.vote, commit: hard_state.commit },
        before_index: found.base_index,
        before_term: found.base_term,
        entries,
        voters: Voters { voters: conf_state.voters, learners: conf_state.learners },
    })
}

fn publish(store: &Store, state: &State, status: &Status, applied: u64, leases: ExpirySettings) -> Result<Published, Fault> {
    let removed = meta::read_u64(store, meta::COMPACTED_REVISION)?.map_or(mvcc::NEVER_COMPACTED, u64::cast_signed);
    let freed_bytes = meta::read_u64(store, meta::FREED_BYTES)?.unwrap_or(0);
    Ok(Published {
        read_point: ArcSwap::from_pointee(state.keys.read_point()),
        auth: ArcSwap::from_pointee(state.auth.clone()),
        alarms: ArcSwap::from_pointee(state.alarms.clone()),
        members: ArcSwap::from_pointee(state.members.clone()),
        expiry: Mutex::new(Expiry::follow(state.leases.leases(), leases)),
        status: ArcSwap::from_pointee(Status { role: Role::Follower, leader: 0, ..*status }),
        applied: AtomicU64::new(applied),
        written_bytes: AtomicU64::new(state.keys.written_bytes()),
        freed_bytes: AtomicU64::new(freed_bytes),
        live_hash: ArcSwap::from_pointee((applied, state.keys.live_hash())),
        removed: AtomicI64::new(removed),
        leads_alone: AtomicBool::new(false),
    })
}

/// Starts a thread whose fault, or panic, ends the member.
fn spawn(
    name: &'static str,
    on_fault: &Arc<dyn Fn(Fault) + Send + Sync>,
    run: impl FnOnce() -> Result<(), Fault> + Send + 'static,
) -> Result<JoinHandle<()>, OpenError> {
    let on_fault = Arc::clone(on_fault);
    let guarded = move || {
        let fault = match std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
            Ok(Ok(())) => return,
            Ok(Err(fault)) => fault,
            Err(panic) => Fault::store(format_args!("run the {name} thread"), panic_text(&*panic)),
        };
        on_fault(fault);
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(guarded).map_err(OpenError::Thread)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("panicked")
}
