//! The newest state as readers see it, without waiting for anybody.

use apply::Alarms;
use arc_swap::ArcSwap;
use auth::AuthStore;
use consensus::{Role, Status};
use lease::Expiry;
use membership::Membership;
use mvcc::ReadPoint;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

/// Where this member stands in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What it is.
    pub role: Role,
    /// Who leads; 0 when nobody is known to.
    pub leader: u64,
    /// The current term.
    pub term: u64,
    /// Entries up to here are committed.
    pub commit: u64,
    /// Entries up to here are applied.
    pub applied: u64,
}

/// What etcd's database takes while it is empty.
const EMPTY_DATABASE_BYTES: u64 = 20 << 10;

/// Everything that readers, services and duties look at. Each field is replaced as a whole by apply or by the node.
#[derive(Debug)]
pub struct Published {
    pub(crate) read_point: ArcSwap<ReadPoint>,
    pub(crate) auth: ArcSwap<AuthStore>,
    pub(crate) alarms: ArcSwap<Alarms>,
    pub(crate) members: ArcSwap<Membership>,
    pub(crate) expiry: Mutex<Expiry>,
    pub(crate) status: ArcSwap<Status>,
    pub(crate) applied: AtomicU64,
    pub(crate) written_bytes: AtomicU64,
    pub(crate) freed_bytes: AtomicU64,
    pub(crate) live_hash: ArcSwap<(u64, mvcc::LiveHash)>,
    /// The newest compaction whose superfluous history is removed.
    pub(crate) removed: AtomicI64,
    /// Whether this member leads a group of one and has replayed its log, so that it may answer linearizable reads by itself.
    pub(crate) leads_alone: AtomicBool,
}

impl Published {
    /// What to read at.
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

    /// Where this member stands.
    pub fn standing(&self) -> Standing {
        let status = self.status.load();
        Standing {
            role: status.role,
            leader: status.leader,
            term: status.term,
            commit: status.commit,
            applied: self.applied.load(Ordering::Acquire),
        }
    }

    /// Bytes of the revisions that are stored: what the quota is about.
    pub fn stored_bytes(&self) -> u64 {
        self.written_bytes.load(Ordering::Relaxed).saturating_sub(self.freed_bytes.load(Ordering::Relaxed))
    }

    /// Bytes of the whole database as clients are told: never zero, for tools divide by it.
    pub fn database_bytes(&self) -> u64 {
        self.stored_bytes().saturating_add(EMPTY_DATABASE_BYTES)
    }

    /// The hash of the live records, and the applied index it belongs to.
    pub fn live_hash(&self) -> (u64, mvcc::LiveHash) {
        **self.live_hash.load()
    }

    /// The newest compaction whose superfluous history is removed.
    pub fn removed_revision(&self) -> i64 {
        self.removed.load(Ordering::Acquire)
    }
}
