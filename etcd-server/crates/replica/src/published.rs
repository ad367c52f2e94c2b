//! The newest state as readers see it, without waiting.

use crate::leader_changes::LeaderChanges;
use apply::{Alarms, State};
use arc_swap::ArcSwap;
use auth::AuthStore;
use consensus::{Role, Status};
use lease::{Expiry, ExpirySettings};
use membership::Membership;
use mvcc::{HashKv, ReadPoint};
use parking_lot::Mutex;
use schema::meta;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use storage::Store;
use types::Fault;

/// The status of this member in its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RaftStatus {
    /// Its role.
    pub role: Role,
    /// The leader; 0 if none is known.
    pub leader: u64,
    /// The current term.
    pub term: u64,
    /// Entries up to here are committed.
    pub commit: u64,
    /// Entries up to here are applied.
    pub applied: u64,
}

/// Entries between two indexes at which members compare their live hashes.
const LIVE_MARK_INTERVAL: u64 = 64;
/// Number of hashes that a member keeps: one that lags by less can be compared.
const LIVE_MARKS_MAX: usize = 1024;

/// Hashes of compactions that are kept (etcd: hashStorageMaxSize).
const COMPACTION_HASHES_MAX: usize = 10;

/// Size of an empty database of etcd.
const EMPTY_DATABASE_BYTES: u64 = 20 << 10;

/// Returns `true` if a compaction that begins now is to be hashed; set by
/// [`Published::hash_compactions_when`].
#[derive(Default)]
struct HashesCompactions(OnceLock<Box<dyn Fn() -> bool + Send + Sync>>);

impl std::fmt::Debug for HashesCompactions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("HashesCompactions").field(&self.0.get().is_some()).finish()
    }
}

/// Everything that readers, services and duties look at. Each field is replaced as a whole by apply
/// or by the node.
#[derive(Debug)]
pub struct Published {
    pub(crate) store: ArcSwap<Store>,
    pub(crate) read_point: ArcSwap<ReadPoint>,
    /// Counts the times that the state was replaced as a whole, begun and done; odd while it is.
    pub(crate) replaced: AtomicU64,
    pub(crate) auth: ArcSwap<AuthStore>,
    pub(crate) alarms: ArcSwap<Alarms>,
    pub(crate) members: ArcSwap<Membership>,
    pub(crate) expiry: Mutex<Expiry>,
    pub(crate) status: ArcSwap<Status>,
    /// When this member last learnt of another leader than before.
    pub(crate) leader_since: Mutex<Option<Instant>>,
    pub(crate) leader_changes: LeaderChanges,
    /// Since when the log has had something to sync and not reported anything.
    pub(crate) log_waits_since: Mutex<Option<Instant>>,
    pub(crate) applied: AtomicU64,
    pub(crate) written_bytes: AtomicU64,
    pub(crate) freed_bytes: AtomicU64,
    /// The live hash at the newest multiples of [`LIVE_MARK_INTERVAL`], by index.
    pub(crate) live_marks: Mutex<BTreeMap<u64, u128>>,
    /// The newest compaction whose obsolete history is removed.
    pub(crate) removed: AtomicI64,
    /// The hashes of the newest compactions, for requests at exactly their revisions; oldest first.
    pub(crate) compaction_hashes: Mutex<VecDeque<HashKv>>,
    /// Hashing a compaction reads the whole history, so it is done only where the result is
    /// compared.
    hashes_compactions: HashesCompactions,
    /// This member was removed from the cluster and has applied that: it serves no request any
    /// more.
    pub(crate) left: AtomicBool,
    /// `true` if this member is leader of a single-member cluster and has replayed its log, so that
    /// it may answer linearizable reads by itself.
    pub(crate) leads_alone: AtomicBool,
}

/// Values of the state on disk beside those of [`State`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stored {
    /// The newest compaction whose obsolete history is removed.
    removed: i64,
    freed_bytes: u64,
}

impl Stored {
    pub(crate) fn read(store: &Store) -> Result<Self, Fault> {
        let removed = meta::read_u64(store, meta::COMPACTED_REVISION)?.map_or(mvcc::NEVER_COMPACTED, u64::cast_signed);
        Ok(Self { removed, freed_bytes: meta::read_u64(store, meta::FREED_BYTES)?.unwrap_or(0) })
    }
}

impl Published {
    /// Returns the view of a member before its threads run: it has no leader yet.
    pub(crate) fn begin(
        store: &Arc<Store>,
        state: &State,
        status: &Status,
        applied: u64,
        leases: ExpirySettings,
    ) -> Result<Self, Fault> {
        let stored = Stored::read(store)?;
        Ok(Self {
            store: ArcSwap::from(Arc::clone(store)),
            read_point: ArcSwap::from_pointee(state.keys.read_point()),
            replaced: AtomicU64::new(0),
            auth: ArcSwap::from_pointee(state.auth.clone()),
            alarms: ArcSwap::from_pointee(state.alarms.clone()),
            members: ArcSwap::from_pointee(state.members.clone()),
            expiry: Mutex::new(Expiry::follow(state.leases.leases(), leases)),
            status: ArcSwap::from_pointee(Status { role: Role::Follower, leader: 0, ..*status }),
            leader_since: Mutex::default(),
            leader_changes: LeaderChanges::default(),
            log_waits_since: Mutex::default(),
            applied: AtomicU64::new(applied),
            written_bytes: AtomicU64::new(state.keys.written_bytes()),
            freed_bytes: AtomicU64::new(stored.freed_bytes),
            live_marks: Mutex::default(),
            removed: AtomicI64::new(stored.removed),
            compaction_hashes: Mutex::default(),
            hashes_compactions: HashesCompactions::default(),
            left: AtomicBool::new(false),
            leads_alone: AtomicBool::new(false),
        })
    }

    /// Checks that a state is behind the published one, which apply is about to replace by it.
    pub(crate) fn follows(&self, index: u64, state: &State) {
        let applied = self.applied.load(Ordering::Acquire);
        assert!(index > applied, "entry {index} is published behind entry {applied}");
        let point = self.read_point.load();
        let (current, compacted) = (state.keys.current(), state.keys.compacted());
        assert!(point.current <= current, "revision {current} is published behind {}", point.current);
        assert!(point.compacted <= compacted, "compaction {compacted} is published behind {}", point.compacted);
        let written_bytes = self.written_bytes.load(Ordering::Relaxed);
        assert!(
            state.keys.written_bytes() >= written_bytes,
            "{written_bytes} bytes were written, and now {}",
            state.keys.written_bytes()
        );
    }

    /// Another state takes the place of the present one, for all that begin to read from now on.
    pub(crate) fn replace(
        &self,
        store: &Arc<Store>,
        state: &State,
        applied: u64,
        stored: &Stored,
        leases: ExpirySettings,
    ) {
        let before = self.applied.load(Ordering::Acquire);
        assert!(applied > before, "a state at entry {applied} replaces one at {before}");
        let begun = self.replaced.fetch_add(1, Ordering::AcqRel);
        assert!(begun.is_multiple_of(2), "the state is replaced while it is replaced, count {begun}");
        self.store.store(Arc::clone(store));
        self.read_point.store(Arc::new(state.keys.read_point()));
        self.auth.store(Arc::new(state.auth.clone()));
        self.alarms.store(Arc::new(state.alarms.clone()));
        self.members.store(Arc::new(state.members.clone()));
        *self.expiry.lock() = Expiry::follow(state.leases.leases(), leases);
        self.written_bytes.store(state.keys.written_bytes(), Ordering::Relaxed);
        self.freed_bytes.store(stored.freed_bytes, Ordering::Relaxed);
        self.live_marks.lock().clear();
        self.compaction_hashes.lock().clear();
        self.removed.store(stored.removed, Ordering::Release);
        self.applied.store(applied, Ordering::Release);
        self.replaced.fetch_add(1, Ordering::AcqRel);
    }

    /// Returns the store of the state.
    pub fn store(&self) -> Arc<Store> {
        self.store.load_full()
    }

    /// Returns the newest read point.
    pub fn read_point(&self) -> Arc<ReadPoint> {
        self.read_point.load_full()
    }

    /// Users, roles and the switch.
    pub fn auth(&self) -> Arc<AuthStore> {
        self.auth.load_full()
    }

    /// Active alarms.
    pub fn alarms(&self) -> Arc<Alarms> {
        self.alarms.load_full()
    }

    /// The members.
    pub fn members(&self) -> Arc<Membership> {
        self.members.load_full()
    }

    /// Deadlines of leases; they run on the leader alone. Held shortly.
    pub fn expiry(&self) -> &Mutex<Expiry> {
        &self.expiry
    }

    /// Returns the changes of the leader since the start.
    pub fn leader_changes(&self) -> &LeaderChanges {
        &self.leader_changes
    }

    /// Returns the status of this member.
    pub fn raft_status(&self) -> RaftStatus {
        let status = self.status.load();
        RaftStatus {
            role: status.role,
            leader: status.leader,
            term: status.term,
            commit: status.commit,
            applied: self.applied.load(Ordering::Acquire),
        }
    }

    /// Sets when compactions are hashed: `needed` is called at the begin of each, so that a member
    /// that has just joined counts. Without it none is. The first call counts.
    pub fn hash_compactions_when(&self, needed: impl Fn() -> bool + Send + Sync + 'static) {
        self.hashes_compactions.0.get_or_init(|| Box::new(needed));
    }

    /// Returns `true` if a compaction that begins now is to be hashed.
    pub(crate) fn hashes_compactions(&self) -> bool {
        self.hashes_compactions.0.get().is_some_and(|needed| needed())
    }

    /// Returns the hash of the compaction at `revision`; `None` if there was none, or it was not
    /// hashed.
    pub fn compaction_hash(&self, revision: i64) -> Option<HashKv> {
        self.compaction_hashes.lock().iter().find(|hash| hash.hash_revision == revision).copied()
    }

    /// Keeps the hash of a compaction.
    pub(crate) fn keep_compaction_hash(&self, hash: HashKv) {
        let mut hashes = self.compaction_hashes.lock();
        hashes.push_back(hash);
        if hashes.len() > COMPACTION_HASHES_MAX {
            hashes.pop_front();
        }
    }

    /// Returns `true` once this member has applied its own removal from the cluster.
    pub fn has_left(&self) -> bool {
        self.left.load(Ordering::Acquire)
    }

    /// Since when the log has had something to sync and not reported anything; nothing while it
    /// gets on.
    pub fn log_waits_since(&self) -> Option<Instant> {
        *self.log_waits_since.lock()
    }

    /// Returns `true` if the leader was probably lost after `begun`: another one was known later,
    /// which takes up to `loss` to come about.
    pub(crate) fn lost_leader_after(&self, begun: Instant, loss: Duration) -> bool {
        self.leader_since.lock().is_some_and(|since| begun < since && begun + loss > since)
    }

    /// Returns the bytes of the stored revisions, which the quota limits.
    pub fn stored_bytes(&self) -> u64 {
        self.written_bytes.load(Ordering::Relaxed).saturating_sub(self.freed_bytes.load(Ordering::Relaxed))
    }

    /// Returns the bytes of the whole database for responses: never zero, because tools divide by
    /// it.
    pub fn database_bytes(&self) -> u64 {
        self.stored_bytes().saturating_add(EMPTY_DATABASE_BYTES)
    }

    /// The hash of the live records at some of the last indexes, the same ones on every member.
    pub fn live_marks(&self) -> BTreeMap<u64, u128> {
        self.live_marks.lock().clone()
    }

    /// Notes the live hash behind the entry at `index`, if that is one of those that members
    /// compare.
    pub(crate) fn mark_live_hash(&self, index: u64, hash: mvcc::LiveHash) {
        if index.is_multiple_of(LIVE_MARK_INTERVAL) {
            let mut marks = self.live_marks.lock();
            if let Some((last, _)) = marks.last_key_value() {
                assert!(*last < index, "the live hash at entry {index} is noted behind that at {last}");
            }
            marks.insert(index, hash.0);
            while marks.len() > LIVE_MARKS_MAX {
                marks.pop_first();
            }
        }
    }

    /// Returns the newest compaction whose obsolete history is removed.
    pub fn removed_revision(&self) -> i64 {
        self.removed.load(Ordering::Acquire)
    }
}
