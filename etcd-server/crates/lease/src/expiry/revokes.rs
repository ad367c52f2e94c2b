//! Leases to revoke: those past their deadline, at a bounded rate, a bounded number at a time.

use super::{Expired, Expiry, Leading, STEPS_PER_CALL, Timed};
use std::collections::BTreeMap;
use std::ops::Bound;
use types::{LeaseId, MonotonicTime};

/// The next step on one of the two ways to expiry.
enum Step {
    Expired(LeaseId),
    /// An inherited lease that was renewed in this office, so that its deadline is another.
    Passed,
}

impl Expiry {
    /// Leases to revoke, at most `max`, each handed out again only if its revoke is not applied
    /// within the retry time.
    ///
    /// Call every half second, whenever a revoke was applied, and at once when the last call left
    /// [`Expired::more`]. Propose them as the leader of the present term only: a proposal forwarded
    /// to a later leader could revoke a lease that was renewed there.
    ///
    /// # Panics
    /// If a lease is found before its deadline, or more are under way than exist.
    pub fn expired(&mut self, now: MonotonicTime, max: usize) -> Expired<LeaseId> {
        let Self { settings, leases, by_ttl, office, leading: Some(leading) } = self else { return Expired::nothing() };
        let paced = usize::try_from(leading.rate_limiter.available(now)).unwrap_or(usize::MAX);
        let max = max.min(paced);
        let retry = now.after(settings.revoke_retry);
        let mut found = leading.take_unfinished(now, retry, max);
        let mut more = true;
        for _ in 0..STEPS_PER_CALL {
            if found.len() >= max || leading.in_flight.len() >= settings.revokes_in_flight_max {
                more = false;
                break;
            }
            let inherited = by_ttl.range((Bound::Excluded(leading.expiry_walker), Bound::Unbounded)).next().copied();
            match leading.step(leases, *office, inherited, now) {
                Some(Step::Expired(id)) => {
                    let known = leading.in_flight.insert(id, retry);
                    assert!(known.is_none(), "the revoke of lease {id} is under way already");
                    found.push(id);
                }
                Some(Step::Passed) => {}
                None => {
                    more = false;
                    break;
                }
            }
        }
        assert!(found.len() <= max, "{} leases are revoked at once, and {max} were asked for", found.len());
        assert!(
            leading.in_flight.len() + leading.deadlines.len() <= leases.len(),
            "{} leases are being revoked and {} have a deadline, but {} exist",
            leading.in_flight.len(),
            leading.deadlines.len(),
            leases.len()
        );
        found.iter().for_each(|_| leading.rate_limiter.take());
        Expired { items: found, more }
    }

    /// Returns the number of revokes that were returned and are not applied.
    pub fn revokes_in_flight(&self) -> usize {
        self.leading.as_ref().map_or(0, |leading| leading.in_flight.len())
    }
}

impl Leading {
    /// Revokes that did not complete in time; they keep their place in flight.
    fn take_unfinished(&mut self, now: MonotonicTime, retry: MonotonicTime, max: usize) -> Vec<LeaseId> {
        let overdue = self.in_flight.iter_mut().filter(|(_, due)| **due <= now).take(max);
        overdue.map(|(id, due)| (*id, std::mem::replace(due, retry)).0).collect()
    }

    /// Takes the earlier of the next held deadline and the next inherited lease, if it is due.
    fn step(
        &mut self,
        leases: &mut BTreeMap<LeaseId, Timed>,
        office: u64,
        inherited: Option<(i64, LeaseId)>,
        now: MonotonicTime,
    ) -> Option<Step> {
        let held = self.deadlines.first().map(|(at, _)| *at).filter(|at| *at <= now);
        let inherited =
            inherited.map(|item| (self.base.after(super::seconds(item.0)), item)).filter(|(at, _)| *at <= now);
        match (held, inherited) {
            (Some(at), Some((derived, item))) if derived < at => {
                self.step_inherited(leases, office, item, now).or_else(|| self.step_held(leases, now))
            }
            (Some(_), _) => self.step_held(leases, now),
            (None, Some((_, item))) => self.step_inherited(leases, office, item, now),
            (None, None) => None,
        }
    }

    fn step_held(&mut self, leases: &mut BTreeMap<LeaseId, Timed>, now: MonotonicTime) -> Option<Step> {
        let (at, id) = self.deadlines.pop_first()?;
        let lease = leases.get_mut(&id)?;
        assert!(lease.is_queued && lease.deadline == at, "lease {id} is in the agenda at its deadline");
        assert!(at <= now, "lease {id} lives until {at:?}, and it is {now:?}");
        lease.is_queued = false;
        Some(Step::Expired(id))
    }

    /// Takes one step with inherited leases. `None` if they have used up their rate.
    fn step_inherited(
        &mut self,
        leases: &mut BTreeMap<LeaseId, Timed>,
        office: u64,
        item: (i64, LeaseId),
        now: MonotonicTime,
    ) -> Option<Step> {
        let Some(lease) = leases.get_mut(&item.1).filter(|lease| lease.office != office) else {
            self.expiry_walker = item;
            return Some(Step::Passed);
        };
        if let Some(rate_limiter) = &mut self.inherited_rate {
            if rate_limiter.available(now) == 0 {
                return None;
            }
            rate_limiter.take();
        }
        self.expiry_walker = item;
        self.ensure_held(lease, office);
        assert!(lease.deadline <= now, "lease {} lives until {:?}, and it is {now:?}", item.1, lease.deadline);
        Some(Step::Expired(item.1))
    }
}
