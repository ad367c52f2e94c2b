//! The lessor: the existing leases, as the log has ordered them.
//!
//! Changed only by apply and without any notion of time, so it is equal on every member. All of it
//! is in the state: a restart loads it and continues. Changes are collected for
//! [`Expiry`](crate::Expiry).

use crate::attached_keys::{AttachedKeys, Sealed};
use crate::error::LeaseError;
use crate::lease_record::{self, Terms};
use bytes::Bytes;
use schema::{Batch, Table, View};
use std::collections::BTreeMap;
use std::time::Duration;
use types::{Fault, LeaseId};

/// The longest time to live that may be granted, in seconds: etcd's own bound.
pub const TTL_SECONDS_MAX: i64 = 9_000_000_000;

/// The shortest time to live that a member grants: one and a half election timeouts, in whole
/// seconds, rounded up.
///
/// Members whose election timeouts differ grant different leases, as with etcd.
pub fn minimum_ttl_seconds(election_timeout: Duration) -> i64 {
    let seconds = (election_timeout * 3 / 2).as_millis().div_ceil(1000);
    i64::try_from(seconds).unwrap_or(TTL_SECONDS_MAX)
}

/// The effect of apply on one lease; the members' clocks follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The lease exists from now on, with this time to live.
    Granted {
        /// The new lease.
        id: LeaseId,
        /// As granted, not as asked for.
        ttl_seconds: i64,
    },
    /// The lease is gone.
    Revoked {
        /// The lease that was.
        id: LeaseId,
    },
    /// The remaining time was recorded; 0 means the full time applies again.
    Checkpointed {
        /// The lease.
        id: LeaseId,
        /// The remaining time in the entry, in seconds.
        remaining_ttl_seconds: i64,
    },
}

/// Keeper of the leases.
#[derive(Debug)]
pub struct Lessor {
    leases: BTreeMap<LeaseId, Terms>,
    keys: AttachedKeys,
    minimum_ttl_seconds: i64,
    changes: Vec<Change>,
}

impl Lessor {
    /// Reads all leases. `minimum_ttl_seconds` is this member's, see [`minimum_ttl_seconds`].
    pub fn load(view: &impl View, minimum_ttl_seconds: i64) -> Result<Self, Fault> {
        let leases = lease_record::read_all(view)?.into_iter().collect();
        Ok(Self { leases, keys: AttachedKeys::default(), minimum_ttl_seconds, changes: Vec::new() })
    }

    /// Creates a lease and returns its time to live in seconds: the requested one, or the minimum
    /// if that is larger.
    ///
    /// # Errors
    ///
    /// The proposer has already chosen an id, so 0 is refused here as "not found", which is etcd's
    /// response.
    ///
    /// # Panics
    ///
    /// If the lease exists behind the check that it does not.
    pub fn grant(&mut self, batch: &mut dyn Batch, id: LeaseId, ttl_seconds: i64) -> Result<i64, LeaseError> {
        if !id.is_some() {
            return Err(LeaseError::LeaseNotFound { id });
        }
        if ttl_seconds > TTL_SECONDS_MAX {
            return Err(LeaseError::TtlTooLarge { ttl_seconds });
        }
        if self.leases.contains_key(&id) {
            return Err(LeaseError::LeaseExists { id });
        }
        let ttl_seconds = ttl_seconds.max(self.minimum_ttl_seconds);
        let terms = Terms { ttl_seconds, remaining_ttl_seconds: 0 };
        lease_record::write(batch, id, terms);
        let replaced = self.leases.insert(id, terms);
        assert!(replaced.is_none(), "lease {id} is granted while it exists");
        self.changes.push(Change::Granted { id, ttl_seconds });
        Ok(ttl_seconds)
    }

    /// Removes a lease and answers its keys, ascending, for the caller to delete in the same batch
    /// and one revision.
    ///
    /// The keys are detached already. An empty answer must not make a revision.
    ///
    /// # Panics
    ///
    /// If the store returns the keys out of order.
    pub fn revoke(
        &mut self,
        view: &impl View,
        batch: &mut dyn Batch,
        id: LeaseId,
    ) -> Result<Result<Vec<Bytes>, LeaseError>, Fault> {
        if !self.exists(id) {
            return Ok(Err(LeaseError::LeaseNotFound { id }));
        }
        let keys = self.keys.of(view, id)?;
        assert!(keys.is_sorted_by(|a, b| a < b), "the {} keys of lease {id} are not in order", keys.len());
        for key in &keys {
            self.keys.detach(batch, id, key);
        }
        batch.delete(Table::Leases, &lease_record::encode_key(id));
        let removed = self.leases.remove(&id);
        assert!(removed.is_some(), "lease {id} is revoked and does not exist");
        self.changes.push(Change::Revoked { id });
        Ok(Ok(keys))
    }

    /// Records the remaining time of a lease, 0 for the full time. An unknown lease is ignored, as
    /// in etcd.
    ///
    /// `persist` holds from cluster version 3.6 on, or where the feature is switched on; otherwise
    /// a restart loses it.
    pub fn checkpoint(&mut self, batch: &mut dyn Batch, id: LeaseId, remaining_ttl_seconds: i64, persist: Persist) {
        let Some(terms) = self.leases.get_mut(&id) else { return };
        terms.remaining_ttl_seconds = remaining_ttl_seconds;
        if persist == Persist::Yes {
            lease_record::write(batch, id, *terms);
        }
        self.changes.push(Change::Checkpointed { id, remaining_ttl_seconds });
    }

    /// `key` now belongs to `lease`. A lease that does not exist gets no keys: a later grant of its
    /// id would inherit them.
    ///
    /// A key that changes hands is detached from the lease it had before.
    pub fn attach(&mut self, lease: LeaseId, key: &[u8], batch: &mut dyn Batch) {
        if self.exists(lease) {
            self.keys.attach(batch, lease, key);
        }
    }

    /// `key` no longer belongs to `lease`. Of a revoked lease nothing is left to detach, so nothing
    /// happens.
    pub fn detach(&mut self, lease: LeaseId, key: &[u8], batch: &mut dyn Batch) {
        if self.exists(lease) {
            self.keys.detach(batch, lease, key);
        }
    }

    /// The keys attached to `id`, ascending, counting every change up to now. `view` may lag behind
    /// by the batches not yet reported to [`became_visible`](Self::became_visible).
    pub fn keys(&self, view: &impl View, id: LeaseId) -> Result<Vec<Bytes>, Fault> {
        self.keys.of(view, id)
    }

    /// Returns `true` if the lease exists. Called for every put with a lease.
    pub fn exists(&self, id: LeaseId) -> bool {
        self.leases.contains_key(&id)
    }

    /// Returns the recorded times of a lease.
    pub fn terms(&self, id: LeaseId) -> Option<Terms> {
        self.leases.get(&id).copied()
    }

    /// All leases, ascending by id.
    pub fn leases(&self) -> impl ExactSizeIterator<Item = (LeaseId, Terms)> {
        self.leases.iter().map(|(id, terms)| (*id, *terms))
    }

    /// Takes the changes since the last call. Call it once per batch; nothing else bounds the
    /// collection.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Closes the batch filled so far: call it when the batch goes to the store.
    pub fn seal(&mut self) -> Sealed {
        self.keys.seal()
    }

    /// Every view used from now on shows all batches up to this one, so their rows need not be
    /// remembered.
    ///
    /// # Panics
    ///
    /// If the batch is not sealed, or a later one is visible already.
    pub fn became_visible(&mut self, sealed: Sealed) {
        self.keys.became_visible(sealed);
    }

    /// Returns the number of changes of attached keys that are kept because no view is known to
    /// show them.
    pub fn pending_rows(&self) -> usize {
        self.keys.pending_rows()
    }
}

/// The choice of whether a checkpoint reaches the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persist {
    /// It survives a restart.
    Yes,
    /// It lives until the next restart.
    No,
}
