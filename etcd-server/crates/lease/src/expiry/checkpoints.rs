//! Checkpoints: leases whose remaining time is to be recorded, so that the next leader does not
//! grant the full time again.
//!
//! A lease is due when a whole interval has passed since its last renewal or checkpoint. One that
//! is renewed more often never is: the next leader's full time is then at most an interval too
//! much, which is within the promise of the interval.

use super::{Expired, Expiry, Leading, STEPS_PER_CALL, Timed, milliseconds, whole_seconds};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;
use types::{LeaseId, MonotonicTime};

/// One entry of a `LeaseCheckpoint` proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The lease.
    pub id: LeaseId,
    /// Its remaining time, in seconds, rounded up.
    pub remaining_ttl_seconds: i64,
}

impl Expiry {
    /// Checkpoints to propose in one entry, at most as many as the settings allow. A checkpoint
    /// that is lost is due again an interval later. Call it as often as [`expired`](Self::expired).
    ///
    /// # Panics
    /// If more leases are queued than exist, or a lease that lives has no time left to record.
    pub fn due_checkpoints(&mut self, now: MonotonicTime) -> Expired<Checkpoint> {
        let Self { settings, leases, by_ttl, office, leading: Some(leading) } = self else { return Expired::nothing() };
        let Some(interval) = settings.checkpoint_interval else { return Expired::nothing() };
        assert!(
            leading.checkpoints.len() <= leases.len(),
            "{} leases wait for a checkpoint, and {} exist",
            leading.checkpoints.len(),
            leases.len()
        );
        let mut due = Vec::new();
        for _ in 0..STEPS_PER_CALL {
            if due.len() >= settings.checkpoints_per_batch {
                break;
            }
            if leading.checkpoints.first().is_some_and(|(at, _)| *at <= now) {
                due.extend(leading.next_checkpoint(leases, *office, interval, now));
                continue;
            }
            let inherited =
                by_ttl.range((Bound::Excluded(leading.checkpoint_walker), Bound::Unbounded)).next().copied();
            let Some(item) = inherited.filter(|_| leading.base.after(interval) <= now) else {
                return Expired { items: due, more: false };
            };
            leading.checkpoint_walker = item;
            if let Some(lease) = leases.get_mut(&item.1).filter(|lease| lease.office != *office) {
                leading.ensure_held(lease, *office);
                leading.queue(item.1, lease, Some(interval));
            }
        }
        Expired { items: due, more: true }
    }
}

impl Leading {
    /// Takes the next entry; answers a checkpoint if the lease has lost a whole interval since the
    /// last.
    fn next_checkpoint(
        &mut self,
        leases: &mut BTreeMap<LeaseId, Timed>,
        office: u64,
        interval: Duration,
        now: MonotonicTime,
    ) -> Option<Checkpoint> {
        let (_, id) = self.checkpoints.pop_first()?;
        let lease = leases.get_mut(&id).filter(|lease| lease.office == office)?;
        lease.checkpoint_at = None;
        if lease.deadline <= now {
            return None;
        }
        let left = u64::try_from(lease.deadline.since(now).as_millis()).unwrap_or(u64::MAX);
        let passed_at = lease.deadline.0.saturating_sub(milliseconds(lease.terms.effective_ttl_seconds()));
        let next = MonotonicTime(passed_at).after(interval);
        if next > now {
            self.look_again(id, lease, next);
            return None;
        }
        let remaining_ttl_seconds = i64::try_from(left.div_ceil(1000)).unwrap_or(i64::MAX);
        assert!(remaining_ttl_seconds > 0, "a checkpoint of 0 would give lease {id} its full time back");
        if remaining_ttl_seconds > whole_seconds(interval) {
            self.look_again(id, lease, now.after(interval));
        }
        lease.checkpoints_in_flight += 1;
        Some(Checkpoint { id, remaining_ttl_seconds })
    }

    fn look_again(&mut self, id: LeaseId, lease: &mut Timed, at: MonotonicTime) {
        assert!(lease.checkpoint_at.is_none(), "lease {id} waits for a checkpoint already");
        lease.checkpoint_at = Some(at);
        let is_new = self.checkpoints.insert((at, id));
        assert!(is_new, "lease {id} is queued for a checkpoint twice");
    }
}
