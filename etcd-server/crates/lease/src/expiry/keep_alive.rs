//! Renewals, and the remaining time of a lease. A renewal takes no raft round, except to undo a
//! checkpoint.

use super::{Expiry, seconds};
use types::{LeaseId, MonotonicTime};

/// The answer to a keep-alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// The lease has its full time again.
    Renewed {
        /// The time to live to answer.
        ttl_seconds: i64,
        /// A checkpoint of 0 must be applied before the client gets its response: else the next
        /// leader would grant only the time of the last checkpoint, less than the client was
        /// promised. That checkpoint may still be in flight; if it is an earlier leader's, only
        /// [`Expiry::is_checkpointed`] behind a read index shows it.
        reset_checkpoint: bool,
    },
    /// No such lease: answered with a time to live of 0.
    NotFound,
    /// It has run out and its revoke is on the way: wait until that is applied, then answer 0.
    Expired,
    /// Only the leader renews.
    NotLeading,
}

/// The time to live of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeToLive {
    /// As granted.
    pub granted_seconds: i64,
    /// Whole seconds left, cut towards zero; zero or below once it has run out.
    pub remaining_seconds: i64,
}

impl Expiry {
    /// Renews a lease for its full time from `now` on. A deadline that lies further off (the
    /// extension of a new leader) stays.
    ///
    /// # Panics
    /// If the renewed lease would end before its full time.
    pub fn renew(&mut self, id: LeaseId, now: MonotonicTime) -> Renewal {
        let Some(leading) = &mut self.leading else { return Renewal::NotLeading };
        let Some(lease) = self.leases.get_mut(&id) else { return Renewal::NotFound };
        // An inherited lease that is held back by the spreading of expiries has not run out yet.
        let ran_out = lease.office == self.office && lease.deadline <= now;
        if ran_out || leading.in_flight.contains_key(&id) {
            return Renewal::Expired;
        }
        leading.ensure_held(lease, self.office);
        let full = now.after(seconds(lease.terms.ttl_seconds));
        leading.postpone(id, lease, full);
        assert!(lease.deadline >= full, "lease {id} is renewed until {full:?} and ends at {:?}", lease.deadline);
        leading.queue(id, lease, self.settings.checkpoint_interval);
        let reset_checkpoint = lease.terms.remaining_ttl_seconds > 0 || lease.checkpoints_in_flight > 0;
        Renewal::Renewed { ttl_seconds: lease.terms.ttl_seconds, reset_checkpoint }
    }

    /// Returns `true` if less than the full time of a lease is recorded. `None` if the lease does
    /// not exist.
    pub fn is_checkpointed(&self, id: LeaseId) -> Option<bool> {
        self.leases.get(&id).map(|lease| lease.terms.remaining_ttl_seconds > 0)
    }

    /// Returns the remaining time of a lease. `None` if it does not exist or this member is not the
    /// leader.
    pub fn time_to_live(&self, id: LeaseId, now: MonotonicTime) -> Option<TimeToLive> {
        let leading = self.leading.as_ref()?;
        let lease = self.leases.get(&id)?;
        let deadline = leading.deadline(lease, self.office);
        let left = i64::try_from(deadline.since(now).as_secs()).unwrap_or(i64::MAX);
        let over = i64::try_from(now.since(deadline).as_secs()).unwrap_or(i64::MAX);
        Some(TimeToLive { granted_seconds: lease.terms.ttl_seconds, remaining_seconds: left - over })
    }

    /// All leases, the next to run out first, then by id; without deadlines (on followers) by id
    /// alone.
    pub fn leases_by_deadline(&self) -> Vec<LeaseId> {
        let Some(leading) = &self.leading else { return self.leases.keys().copied().collect() };
        let mut leases: Vec<_> =
            self.leases.iter().map(|(id, lease)| (leading.deadline(lease, self.office), *id)).collect();
        leases.sort_unstable();
        leases.into_iter().map(|(_, id)| id).collect()
    }
}
