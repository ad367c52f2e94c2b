//! Opening a member's data and starting its threads; stopping them again.

use crate::apply_task::{ApplyTask, ENTRIES_PER_BATCH};
use crate::clock::Clock;
use crate::compactor::Compactor;
use crate::data_files::{self, DataFiles};
use crate::fail_stop::spawn;
use crate::log_task;
use crate::member_lines::Whose;
use crate::message_quota::MessageQuota;
use crate::messages::{ApplyCommand, CompactorCommand, Input, LogCommand};
use crate::node_task::NodeTask;
use crate::overload::Overload;
use crate::pending_proposals::PendingProposals;
use crate::published::Published;
use crate::watches::{WatchQueue, WatchTask, Watches};
use crate::{ApplyEvent, Observer, Outbound, Replica, RequestIds, UnderWay, state_dir};
use apply::{Effect, Settings, State};
use consensus::{Config, Entry, EntryKind, HardState, Keep, Node, ReadContexts, ReadIndexQueue, Recovered, Voters};
use lease::ExpirySettings;
use membership::{ConfChange, Member, Membership};
use pipeline::{ApplyPipeline, ApplySettings, NodePipeline, NodeSettings};
use prost::Message as _;
use proto::raftpb;
use raftlog::{Identity, Log};
use schema::{Table, View as _, meta};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use storage::{Store, StoreOptions};
use tokio::sync::mpsc;
use types::{ClusterId, Fault, MemberId, MonotonicTime};

/// Bytes of the log that stay in memory for followers that are close behind.
const LOG_BYTES_IN_MEMORY: u64 = 64 << 20;
/// As many while a follower installs a snapshot of this member: entries written meanwhile must
/// still be there when it is done, or it would be sent the next snapshot. Half an hour of 300 KiB a
/// second.
const LOG_BYTES_BEHIND_SNAPSHOTS: u64 = 512 << 20;

/// Ticks after which a read index that was not answered is requested again.
const READ_RETRY_TICKS: u64 = 5;

/// The options of a member.
pub struct Options {
    /// Directory of this member's state and log.
    pub dir: PathBuf,
    /// Other files that must stay where they are while the member runs, for example the one that
    /// locks the directory.
    pub other_files: Vec<PathBuf>,
    /// The initial members, this one among them; empty when it joins others. Used on the first
    /// start only.
    pub initial_members: Vec<Member>,
    /// `true` to make a single-member cluster of this member's data, after permanent loss of the
    /// others.
    pub force_new_cluster: bool,
    /// This member, as computed from the initial configuration; used on the first start only.
    pub member_id: MemberId,
    /// Its cluster; looked at on the first start only.
    pub cluster_id: ClusterId,
    /// Heartbeat interval.
    pub tick: Duration,
    /// Ticks without a leader after which this member campaigns.
    pub election_ticks: usize,
    /// `true` if a member asks for support before it raises its term.
    pub pre_vote: bool,
    /// Limits of the state.
    pub state: Settings,
    /// Lets clients' revokes of leases pass where other requests are refused for overload.
    pub prioritizes_revokes: bool,
    /// Largest encoded request, in bytes.
    pub request_bytes_max: usize,
    /// Learners at a time.
    pub max_learners: usize,
    /// Revisions that compaction looks at in one step, and the pause between two steps.
    pub compaction_step: (usize, Duration),
    /// Entries kept in the log behind the flushed index.
    pub log_entries_kept: u64,
    /// Rates of the leases.
    pub leases: ExpirySettings,
    /// Memory of the store.
    pub store: StoreOptions,
    /// Called by apply, before the response, with every effect that concerns tokens: a user may use
    /// the token of a login at once.
    pub on_tokens: OnTokens,
    /// Called once when this member cannot continue; must end the process.
    pub on_fault: Arc<dyn Fn(Fault) + Send + Sync>,
}

/// Takes on or drops tokens at a moment.
pub type OnTokens = Arc<dyn Fn(&Effect, MonotonicTime) + Send + Sync>;

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("directory", &self.dir)
            .field("member_id", &self.member_id)
            .finish_non_exhaustive()
    }
}

/// The reason why a member does not start. Nothing was changed on disk.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The state.
    #[error(transparent)]
    Store(#[from] storage::OpenError),
    /// The log.
    #[error(transparent)]
    Log(#[from] raftlog::OpenError),
    /// The log of a member without its state: a new start would lose acknowledged writes.
    #[error(
        "{}: missing or empty, though the raft log in {} is there: put it back, restore this member from a backup, or move both away to \
         found a new member",
        state.display(), log.display()
    )]
    StateMissing {
        /// The expected path of the state.
        state: PathBuf,
        /// The log that proves that it existed.
        log: PathBuf,
    },
    /// Their content.
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
    pub replica: Arc<Replica>,
    /// Notifications from apply, beside responses.
    pub apply_events: mpsc::UnboundedReceiver<ApplyEvent>,
    threads: Threads,
}

#[derive(Debug)]
struct Threads {
    node: Sender<Input>,
    log: Sender<LogCommand>,
    apply: Sender<ApplyCommand>,
    removal: Sender<CompactorCommand>,
    watches: Arc<WatchQueue>,
    /// Ends the thread that looks at the files, when dropped.
    files: Sender<()>,
    handles: Vec<JoinHandle<()>>,
}

impl Running {
    /// Stops the threads in order, flushes the state and marks the log, so that the next start has
    /// nothing to replay.
    pub fn stop(self) -> Result<(), Fault> {
        let Threads { node, log, apply, removal, watches, files, handles } = self.threads;
        drop(files);
        drop(node.send(Input::Stop));
        drop(apply.send(ApplyCommand::Stop));
        drop(removal.send(CompactorCommand::Stop));
        drop(log.send(LogCommand::Stop));
        watches.stop();
        for handle in handles {
            // A thread that panicked has already reported a fault.
            drop(handle.join());
        }
        self.replica.store().flush()
    }
}

/// A member whose data is open and whose threads do not run yet.
pub struct Opened {
    store: Arc<Store>,
    log: Log,
    incarnation: u64,
    state: State,
    identity: Identity,
    applied: u64,
    recovered: Recovered,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened")
            .field("identity", &self.identity)
            .field("applied", &self.applied)
            .finish_non_exhaustive()
    }
}

impl Opened {
    /// Opens the data in `options.dir`, or creates a member there.
    pub fn open(options: &Options) -> Result<Self, OpenError> {
        let (state_path, log_path) = (current_state(options)?, options.dir.join("log"));
        let known = Known::look(options, &state_path, &log_path)?;
        let own = known.identity.unwrap_or(Identity { member_id: options.member_id, cluster_id: options.cluster_id });
        // A new state is begun before its log, so that a log without a state is always a loss. A
        // state that is there is opened for writing only once the log is known to belong to it.
        let begun = if known.identity.is_none() { Some(Store::open(&state_path, &options.store)?) } else { None };
        let presence = if known.applied.is_some() { raftlog::Presence::Existing } else { raftlog::Presence::Either };
        let applied = known.applied.unwrap_or(0);
        // The crash may have come between the state's switch to another member's and the log's.
        let meets_log = known.installed.is_none_or(|installed| installed.index != applied).then_some(applied);
        let log_options = raftlog::Options { presence, applied_index: meets_log, ..raftlog::Options::default() };
        let (mut log, mut found) = Log::open(&log_path, own, log_options)?;
        if let Some(torn) = &found.torn_tail {
            tracing::warn!(file = %torn.file.display(), bytes = torn.bytes, reason = torn.reason, "cut an interrupted write off the raft log");
        }
        if known.identity.is_none() && found.last_index > options.initial_members.len() as u64 {
            return Err(OpenError::StateMissing { state: state_path, log: log_path });
        }
        if let Some(installed) = known.installed.filter(|installed| found.base_index < installed.index) {
            log.install(installed.index, installed.term, None)?;
            (found.base_index, found.base_term, found.last_index) = (installed.index, installed.term, installed.index);
        }
        let store = begun.map_or_else(|| Store::open(&state_path, &options.store), Ok)?;
        if known.identity.is_none() {
            found_member(&store, &mut log, &found, options, own)?;
        }
        let mut batch = store.batch();
        let state = State::load(&store, options.state, &mut batch)?;
        store.write(batch)?;
        if options.force_new_cluster && known.identity.is_some() {
            force_new_cluster(&mut log, &state.members, applied, own)?;
        }
        let recovered = recover(&store, &log, &found, applied)?;
        state_dir::remove_others(&options.dir).map_err(|error| {
            Fault::io(format!("remove what an earlier run left in {}", options.dir.display()), error)
        })?;
        Ok(Self {
            store: Arc::new(store),
            log,
            incarnation: found.incarnation,
            state,
            identity: own,
            applied,
            recovered,
        })
    }

    /// This member, as its data says.
    pub fn member_id(&self) -> MemberId {
        self.identity.member_id
    }

    /// Its cluster, as its data says.
    pub fn cluster_id(&self) -> ClusterId {
        self.identity.cluster_id
    }

    /// The members, as its data says.
    pub fn members(&self) -> &Membership {
        &self.state.members
    }

    /// Starts the threads; `observer` receives their reports.
    #[expect(clippy::too_many_lines, reason = "the wiring of the threads reads best in one piece")]
    pub fn run(
        self,
        options: &Options,
        observer: Arc<dyn Observer>,
        outbound: Arc<dyn Outbound>,
    ) -> Result<Running, OpenError> {
        let Self { store, log, incarnation, state, identity, applied, recovered } = self;
        let election_timeout = options.tick * u32::try_from(options.election_ticks).unwrap_or(u32::MAX);
        let node = Node::new(&node_config(options, identity, applied, incarnation), &recovered)?;
        let clock = Clock::default();
        let whose = Whose { cluster_id: identity.cluster_id, member_id: identity.member_id };
        if applied == 0 {
            tracing::info!(local_member_id = %identity.member_id, cluster_id = %identity.cluster_id, "starting local member");
        } else {
            let commit_index = node.status().commit;
            tracing::info!(cluster_id = %identity.cluster_id, local_member_id = %identity.member_id, commit_index, "restarting local member");
        }
        whose.log_recovered(&state.members);
        tracing::info!(current_rev = state.keys.read_point().current, "kvstore restored");
        let published = Arc::new(Published::begin(&store, &state, &node.status(), applied, options.leases)?);
        let message_quota = Arc::new(MessageQuota::default());
        outbound.follow(&state.members);
        let pending_proposals = Arc::new(PendingProposals::default());
        let (node_tx, node_rx) = channel();
        let (log_tx, log_rx) = channel();
        let (apply_tx, apply_rx) = channel();
        let (removal_tx, removal_rx) = channel();
        let (apply_events_tx, apply_events) = mpsc::unbounded_channel();
        let watch_queue = Arc::new(WatchQueue::default());
        let on_fault = Arc::clone(&options.on_fault);
        let reads = ReadIndexQueue::new(ReadContexts::new(identity.member_id.0, incarnation), READ_RETRY_TICKS);
        let node_settings = NodeSettings {
            member_id: identity.member_id.0,
            election_timeout,
            election_ticks: options.election_ticks,
            keep: Keep {
                bytes_behind_snapshots: LOG_BYTES_BEHIND_SNAPSHOTS,
                ..Keep::at_most(options.log_entries_kept, LOG_BYTES_IN_MEMORY)
            },
            early_elections: options.pre_vote,
        };
        let applied_term = meta::read_u64(&*store, meta::APPLIED_TERM)?.unwrap_or(0);
        let apply_settings = ApplySettings {
            member_id: identity.member_id,
            max_learners: options.max_learners,
            entries_per_batch: ENTRIES_PER_BATCH,
        };
        let node_task = NodeTask {
            pipeline: NodePipeline::new(node, reads, node_settings),
            actions: Vec::new(),
            member_id: identity.member_id.0,
            tick: options.tick,
            clock,
            inputs: node_rx,
            message_quota: Arc::clone(&message_quota),
            outbound: Arc::clone(&outbound),
            log: log_tx.clone(),
            apply: apply_tx.clone(),
            published: Arc::clone(&published),
            pending_proposals: Arc::clone(&pending_proposals),
            observer: Arc::clone(&observer),
        };
        let apply_task = ApplyTask {
            member_id: identity.member_id,
            whose,
            dir: options.dir.clone(),
            settings: options.state,
            leases: options.leases,
            log: log_tx.clone(),
            outbound,
            pipeline: ApplyPipeline::new(state, (applied, applied_term), apply_settings),
            store: Arc::clone(&store),
            commands: apply_rx,
            node: node_tx.clone(),
            removal: removal_tx.clone(),
            apply_events: apply_events_tx,
            watches: Arc::clone(&watch_queue),
            published: Arc::clone(&published),
            pending_proposals: Arc::clone(&pending_proposals),
            clock,
            observer: Arc::clone(&observer),
            lease_extension: election_timeout,
            on_tokens: Arc::clone(&options.on_tokens),
        };
        let compactor = Compactor {
            store,
            retired: Vec::new(),
            published: Arc::clone(&published),
            commands: removal_rx,
            observer: Arc::clone(&observer),
            log: log_tx.clone(),
            step_revisions: options.compaction_step.0,
            step_interval: options.compaction_step.1,
            log_entries_kept: options.log_entries_kept,
        };
        let watch_settings = watch::Settings::for_request_bytes(options.request_bytes_max);
        let watch_task = WatchTask::new(watch_settings, Arc::clone(&watch_queue), Arc::clone(&published), clock);
        let log_reports = node_tx.clone();
        let files = DataFiles::of(options, log.reader(), Arc::clone(&published))?;
        let (files_tx, files_rx) = channel();
        let watched_files = files.clone();
        let log_observer = Arc::clone(&observer);
        let log_reader = log.reader();
        let handles = vec![
            spawn("apply", &on_fault, move || apply_task.run().map(drop))?,
            spawn("log", &on_fault, move || log_task::run(log, files, &log_rx, &log_reports, &*log_observer))?,
            spawn("data-files", &on_fault, move || data_files::watch(watched_files, &files_rx))?,
            spawn("housekeeping", &on_fault, move || compactor.run())?,
            spawn("watch", &on_fault, move || watch_task.run())?,
            spawn("raft", &on_fault, move || node_task.run())?,
        ];
        let replica = Replica {
            member_id: identity.member_id,
            cluster_id: identity.cluster_id,
            dir: options.dir.clone(),
            store_options: options.store,
            message_quota,
            published,
            log: log_reader,
            pending_proposals,
            ids: RequestIds::new(identity.member_id, unix_milliseconds()),
            node: node_tx.clone(),
            clock,
            watches: Watches::new(Arc::clone(&watch_queue)),
            long_reads: UnderWay::default(),
            installations: UnderWay::default(),
            observer,
            overload: Overload { prioritizes_revokes: options.prioritizes_revokes },
            request_bytes_max: options.request_bytes_max,
            request_timeout: Duration::from_secs(5) + 2 * election_timeout,
            leader_loss: 2 * election_timeout,
            on_fault,
        };
        let threads = Threads {
            node: node_tx,
            log: log_tx,
            apply: apply_tx,
            removal: removal_tx,
            watches: watch_queue,
            files: files_tx,
            handles,
        };
        Ok(Running { replica: Arc::new(replica), apply_events, threads })
    }
}

/// The content of the state on disk before anything is changed.
struct Known {
    /// The identity of this member; `None` before its first start.
    identity: Option<Identity>,
    applied: Option<u64>,
    /// The installed snapshot, if the state came from another member.
    installed: Option<Installed>,
}

#[derive(Clone, Copy)]
struct Installed {
    index: u64,
    term: u64,
}

impl Known {
    fn look(options: &Options, state: &Path, log: &Path) -> Result<Self, OpenError> {
        match Store::look(state, &options.store)? {
            Some(store) => {
                let index = meta::read_u64(&store, meta::INSTALLED_INDEX)?;
                let term = meta::read_u64(&store, meta::INSTALLED_TERM)?;
                Ok(Self {
                    identity: known_identity(&store)?,
                    applied: meta::read_u64(&store, meta::APPLIED_INDEX)?,
                    installed: index.zip(term).map(|(index, term)| Installed { index, term }),
                })
            }
            None if holds_files(log) => Err(OpenError::StateMissing { state: state.to_owned(), log: log.to_owned() }),
            None => Ok(Self { identity: None, applied: None, installed: None }),
        }
    }
}

fn current_state(options: &Options) -> Result<PathBuf, Fault> {
    let doing = || format!("find the state in {}", options.dir.display());
    state_dir::current(&options.dir).map_err(|error| Fault::io(doing(), error))
}

fn holds_files(dir: &Path) -> bool {
    std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some())
}

fn unix_milliseconds() -> u64 {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(unix.as_millis()).unwrap_or(0)
}

/// Returns the configuration of raft for this member.
fn node_config(options: &Options, identity: Identity, applied: u64, process: u64) -> Config {
    let (election_ticks, pre_vote) = (options.election_ticks, options.pre_vote);
    Config {
        id: identity.member_id.0,
        election_ticks,
        heartbeat_ticks: 1,
        applied,
        pre_vote,
        seed: unix_milliseconds() ^ identity.member_id.0,
        process,
    }
}

fn known_identity(store: &Store) -> Result<Option<Identity>, Fault> {
    let member_id = meta::read_u64(store, meta::MEMBER_ID)?;
    let cluster_id = meta::read_u64(store, meta::CLUSTER_ID)?;
    Ok(member_id
        .zip(cluster_id)
        .map(|(member, cluster)| Identity { member_id: MemberId(member), cluster_id: ClusterId(cluster) }))
}

/// Writes the first log of an initial member: one entry per initial member, committed by agreement,
/// as in etcd; then its identity.
fn found_member(
    store: &Store,
    log: &mut Log,
    found: &raftlog::Recovered,
    options: &Options,
    own: Identity,
) -> Result<(), Fault> {
    // A member that joins a cluster gets the log of the others.
    if found.last_index == 0 && !options.initial_members.is_empty() {
        let mut initial_members: Vec<_> = options.initial_members.iter().collect();
        initial_members.sort_by_key(|founder| founder.id);
        let entries: Vec<_> = initial_members
            .into_iter()
            .zip(1..)
            .map(|(founder, index)| {
                let change = ConfChange::Add(founder.clone()).to_raft(0);
                log_task::to_record(Entry {
                    term: 1,
                    index,
                    kind: EntryKind::ConfChange,
                    data: change.encode_to_vec().into(),
                })
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

/// Appends the removal of every other member, as committed by this one alone (etcd:
/// createConfChangeEnts). All entries of the log are taken as committed: the members that could
/// contradict are lost.
fn force_new_cluster(log: &mut Log, members: &Membership, applied: u64, own: Identity) -> Result<(), Fault> {
    let state = log.hard_state();
    let last = log.reader().last_index();
    // The members as they will be once the rest of the log is applied: whether each learns.
    let mut known: BTreeMap<MemberId, bool> = members.members().map(|member| (member.id, member.is_learner)).collect();
    for record in log.reader().entries_from(applied.max(log.reader().first_index().saturating_sub(1)) + 1) {
        let entry = log_task::from_record(record.map_err(|error| Fault::store("read the raft log", error))?)?;
        if entry.kind != EntryKind::ConfChange {
            continue;
        }
        let change = raftpb::ConfChange::decode(entry.data).map_err(|error| Fault::corrupt("raft log", error))?;
        match ConfChange::from_raft(&change)? {
            ConfChange::Add(member) => {
                known.insert(member.id, member.is_learner);
            }
            ConfChange::Promote(id) => {
                known.insert(id, false);
            }
            ConfChange::Remove(id) => {
                known.remove(&id);
            }
            ConfChange::Update { .. } => {}
        }
    }
    let mut changes: Vec<_> =
        known.keys().filter(|id| **id != own.member_id).map(|id| ConfChange::Remove(*id)).collect();
    if known.get(&own.member_id) == Some(&true) {
        changes.push(ConfChange::Promote(own.member_id));
    }
    let record = |(change, index): (ConfChange, u64)| {
        let data = change.to_raft(0).encode_to_vec().into();
        log_task::to_record(Entry { term: state.term, index, kind: EntryKind::ConfChange, data })
    };
    let entries: Vec<_> = changes.into_iter().zip(last + 1..).map(record).collect();
    let commit = last + entries.len() as u64;
    tracing::warn!(
        removed_members = entries.len(),
        commit_index = commit,
        "forcing a new cluster of this member alone"
    );
    log.append(&entries, Some(raftlog::HardState { commit, ..state }))
}

/// The end of the log, for memory: all that is not applied, and before it as much as a running
/// member keeps.
fn recover(store: &Store, log: &Log, found: &raftlog::Recovered, applied: u64) -> Result<Recovered, Fault> {
    let hard_state = log.hard_state();
    let reader = log.reader();
    let mut entries = VecDeque::new();
    let (mut bytes, mut before_index, mut before_term) = (0, found.base_index, found.base_term);
    for record in reader.entries_from(reader.first_index()) {
        let record = record.map_err(|error| Fault::store("read the raft log", error))?;
        bytes += record.data.len() as u64;
        entries.push_back(log_task::from_record(record)?);
        let is_applied = |oldest: &Entry| oldest.index <= applied;
        while bytes > LOG_BYTES_IN_MEMORY && entries.front().is_some_and(is_applied) {
            let Some(oldest) = entries.pop_front() else { break };
            bytes -= oldest.data.len() as u64;
            (before_index, before_term) = (oldest.index, oldest.term);
        }
    }
    let conf_state = store.get(Table::Meta, meta::CONF_STATE)?;
    let conf_state = conf_state
        .map(raftpb::ConfState::decode)
        .transpose()
        .map_err(|error| Fault::corrupt("raft configuration", error))?;
    let conf_state = conf_state.unwrap_or_default();
    Ok(Recovered {
        hard_state: HardState { term: hard_state.term, vote: hard_state.vote, commit: hard_state.commit },
        before_index,
        before_term,
        entries: entries.into(),
        voters: Voters { voters: conf_state.voters, learners: conf_state.learners },
    })
}
