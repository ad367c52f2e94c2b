//! Renewals of leases at the leader, in the steps that make a promise safe.
//!
//! A later leader does not know of a renewal here and lets the lease expire earlier, and every
//! leader passes a barrier: only a member that has led in one term from the renewal until behind
//! the barrier may promise that the lease lives. A checkpoint of the remaining time that an earlier
//! leader proposed is taken back before the promise.

use lease::{Expiry, Renewal};
use types::{LeaseId, MonotonicTime};

/// The outcome of one renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewed {
    /// The lease has its full time to live again, counted from the beginning of the round.
    Lives {
        /// The time to live.
        ttl_seconds: i64,
    },
    /// There is no such lease.
    NotFound,
    /// Nothing can be promised now: its revoke is under way, or leadership moves. To be renewed
    /// again.
    Again,
}

/// A round of renewals. Steps: [`Self::begin`]; a linearizable barrier, if [`Self::needs_barrier`];
/// [`Self::behind_barrier`]; a proposal that takes the returned checkpoints back, until it is
/// applied; [`Self::finish`].
#[derive(Clone, Debug)]
pub struct KeepAliveRound {
    /// The term in which this member led at the beginning.
    term: u64,
    renewals: Vec<(LeaseId, Renewal)>,
    /// By position: `true` if the lease exists behind the barrier.
    exists: Vec<bool>,
}

impl KeepAliveRound {
    /// Renews leases at the leader of `term`.
    pub fn begin(term: u64, expiry: &mut Expiry, leases: &[LeaseId], now: MonotonicTime) -> Self {
        let renewals = leases.iter().map(|id| (*id, expiry.renew(*id, now))).collect();
        Self { term, renewals, exists: vec![false; leases.len()] }
    }

    /// Returns `true` if an outcome depends on entries that earlier leaders proposed: checkpoints,
    /// grants and the ends of leases. They are applied behind a barrier.
    pub fn needs_barrier(&self) -> bool {
        self.renewals.iter().any(|(_, renewal)| matches!(renewal, Renewal::Renewed { .. } | Renewal::NotFound))
    }

    /// Returns the number of leases that were renewed.
    pub fn renewed(&self) -> usize {
        self.renewals.iter().filter(|(_, renewal)| matches!(renewal, Renewal::Renewed { .. })).count()
    }

    /// Looks at the leases again behind the barrier. Returns those whose checkpoint has to be taken
    /// back: the next leader would give them less than their full time.
    ///
    /// # Panics
    /// If the leases are not those of the round.
    pub fn behind_barrier(&mut self, expiry: &Expiry) -> Vec<LeaseId> {
        assert!(
            self.exists.len() == self.renewals.len(),
            "{} leases are renewed, and {} looked at",
            self.renewals.len(),
            self.exists.len()
        );
        let mut checkpointed = Vec::new();
        for ((id, renewal), exists) in self.renewals.iter().zip(&mut self.exists) {
            let recorded = expiry.is_checkpointed(*id);
            *exists = recorded.is_some();
            if let Renewal::Renewed { reset_checkpoint, .. } = renewal
                && (*reset_checkpoint || recorded == Some(true))
            {
                checkpointed.push(*id);
            }
        }
        checkpointed
    }

    /// Returns the outcomes, in the order of the leases. `leading_term` is the term that this member
    /// leads in now, if it leads.
    pub fn finish(&self, leading_term: Option<u64>) -> Vec<Renewed> {
        let led_throughout = leading_term == Some(self.term);
        let outcome = |((_, renewal), exists): (&(LeaseId, Renewal), &bool)| match renewal {
            Renewal::Renewed { ttl_seconds, .. } if led_throughout && *exists => {
                Renewed::Lives { ttl_seconds: *ttl_seconds }
            }
            Renewal::NotFound if !*exists => Renewed::NotFound,
            Renewal::Renewed { .. } | Renewal::NotFound | Renewal::Expired | Renewal::NotLeading => Renewed::Again,
        };
        self.renewals.iter().zip(&self.exists).map(outcome).collect()
    }
}
