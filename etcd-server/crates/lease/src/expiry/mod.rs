//! When leases run out: deadlines on this member's own time line.
//!
//! Every member follows the lessor's changes; only a leader has deadlines. Time to live is kept
//! relative, in `by_ttl`, so that promotion costs nothing however many leases there are: a lease's
//! deadline is *derived* (promotion + extension + time to live) until the lease is renewed,
//! checkpointed or runs out in this term of office, and only then *held* in its own record.
//!
//! Invariants while leading: a held deadline never moves towards the past; `deadlines` has one
//! entry for each lease with a held deadline that is not being revoked, at that deadline, so no
//! walk over entries that renewals made stale is ever needed; `by_ttl` changes only for leases with
//! a held deadline; base walkers have passed exactly the part of `by_ttl` up to where they stand.
//! So no lease is called expired before its deadline.

mod checkpoints;
mod keep_alive;
mod revokes;

pub use checkpoints::Checkpoint;
pub use keep_alive::{Renewal, TimeToLive};

use crate::lease_record::Terms;
use crate::lessor::Change;
use crate::rate_limiter::RateLimiter;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use types::{LeaseId, MonotonicTime};

/// Maximum number of leases that one call examines: at most a few milliseconds of work, see the
/// example `million_leases`. The next call continues there.
const STEPS_PER_CALL: usize = 1_000;

/// The result of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expired<T> {
    /// The items to propose now.
    pub items: Vec<T>,
    /// `true` if the call ended at its bound of work: call again at once, between other work, not
    /// half a second later. A leader that took over a million leases, renewed since, is then done
    /// within a second (0.3 s measured, in 1000 calls); at the ordinary pace it would take minutes.
    /// `false` if a rate or the number in flight limits the revokes.
    pub more: bool,
}

impl<T> Expired<T> {
    fn nothing() -> Self {
        Self { items: Vec::new(), more: false }
    }
}

/// Rates and intervals; the default is etcd's.
#[derive(Clone, Copy, Debug)]
pub struct ExpirySettings {
    /// Revokes proposed per second.
    pub revokes_per_second: u64,
    /// Revokes handed out at once after a quiet time.
    pub revokes_burst: u64,
    /// Revokes proposed and not yet applied; each call looks at all of them.
    pub revokes_in_flight_max: usize,
    /// After this long without being applied, a revoke is proposed again.
    pub revoke_retry: Duration,
    /// From this many leases on, those that a new leader inherits expire at no more than
    /// `inherited_per_second`.
    pub spread_from_leases: usize,
    /// Expiries per second of inherited leases, see `spread_from_leases`; after a quiet time half a
    /// second's worth at once.
    pub inherited_per_second: u64,
    /// A lease longer than this is checkpointed whenever so much of it has passed; nothing: never.
    pub checkpoint_interval: Option<Duration>,
    /// Checkpoints in one proposal.
    pub checkpoints_per_batch: usize,
}

impl Default for ExpirySettings {
    fn default() -> Self {
        Self {
            revokes_per_second: 1000,
            revokes_burst: 500,
            revokes_in_flight_max: 16,
            revoke_retry: Duration::from_secs(7),
            spread_from_leases: 1000,
            inherited_per_second: 750,
            checkpoint_interval: None,
            checkpoints_per_batch: 1000,
        }
    }
}

/// The clock side of the leases.
#[derive(Debug)]
pub struct Expiry {
    settings: ExpirySettings,
    leases: BTreeMap<LeaseId, Timed>,
    /// Effective time to live in seconds, then id: the order in which leases without a held
    /// deadline run out.
    by_ttl: BTreeSet<(i64, LeaseId)>,
    /// Counts this member's terms of office.
    office: u64,
    leading: Option<Leading>,
}

/// One lease. Everything after `terms` means something only while `office` is the present one.
#[derive(Clone, Copy, Debug)]
struct Timed {
    terms: Terms,
    office: u64,
    deadline: MonotonicTime,
    /// `true` if its deadline has an entry in the agenda.
    is_queued: bool,
    /// When it is looked at for a checkpoint; a renewal does not move that, the look does.
    checkpoint_at: Option<MonotonicTime>,
    /// Checkpoints of this term of office that were handed out and are not applied. One that is
    /// lost counts for ever: every renewal is then followed by a reset, which is too much and not
    /// too little.
    checkpoints_in_flight: u32,
}

type DeadlineQueue = BTreeSet<(MonotonicTime, LeaseId)>;

#[derive(Debug)]
struct Leading {
    /// Promotion plus extension: where derived deadlines are counted from.
    base: MonotonicTime,
    /// Held deadlines.
    deadlines: DeadlineQueue,
    /// Up to where expiry has walked `by_ttl`.
    expiry_walker: (i64, LeaseId),
    /// When to look at a lease for a checkpoint: each lease's `checkpoint_at`.
    checkpoints: DeadlineQueue,
    /// Up to where checkpointing has walked `by_ttl`.
    checkpoint_walker: (i64, LeaseId),
    /// Leases whose revoke was handed out, and when it is due again.
    in_flight: BTreeMap<LeaseId, MonotonicTime>,
    rate_limiter: RateLimiter,
    /// Present when inherited leases are spread.
    inherited_rate: Option<RateLimiter>,
}

impl Expiry {
    /// Returns the expiry of these leases, on a member that is not the leader.
    pub fn follow(leases: impl Iterator<Item = (LeaseId, Terms)>, settings: ExpirySettings) -> Self {
        let leases: BTreeMap<_, _> = leases.map(|(id, terms)| (id, Timed::new(terms))).collect();
        let by_ttl: BTreeSet<_> = leases.iter().map(|(id, lease)| (lease.terms.effective_ttl_seconds(), *id)).collect();
        Self { settings, leases, by_ttl, office: 0, leading: None }
    }

    /// This member leads: every lease gets its remaining or full time, plus `extension` (the
    /// election timeout), from `now` on.
    ///
    /// Costs the same for any number of leases. Promoting a leader again starts a new term of
    /// office.
    pub fn promote(&mut self, now: MonotonicTime, extension: Duration) {
        let ExpirySettings { revokes_per_second, revokes_burst, inherited_per_second, .. } = self.settings;
        let spread = self.leases.len() >= self.settings.spread_from_leases;
        let interval = self.settings.checkpoint_interval.map_or(i64::MAX, whole_seconds);
        self.office += 1;
        self.leading = Some(Leading {
            base: now.after(extension),
            deadlines: DeadlineQueue::new(),
            expiry_walker: (i64::MIN, LeaseId(i64::MIN)),
            checkpoints: DeadlineQueue::new(),
            checkpoint_walker: (interval, LeaseId(i64::MAX)),
            in_flight: BTreeMap::new(),
            rate_limiter: RateLimiter::new(revokes_per_second, revokes_burst, now),
            inherited_rate: spread
                .then(|| RateLimiter::new(inherited_per_second, inherited_per_second.div_ceil(2), now)),
        });
    }

    /// This member leads no more: deadlines are forgotten. Freeing those of a million renewed
    /// leases takes some 45 ms.
    pub fn demote(&mut self) {
        self.leading = None;
    }

    /// Returns `true` if deadlines run here.
    pub fn is_leading(&self) -> bool {
        self.leading.is_some()
    }

    /// Returns the number of leases.
    pub fn len(&self) -> usize {
        self.leases.len()
    }

    /// Returns `true` if there are no leases.
    pub fn is_empty(&self) -> bool {
        self.leases.is_empty()
    }

    /// Entries of the agendas; at most twice the leases.
    pub fn queued_entries(&self) -> usize {
        self.leading.as_ref().map_or(0, |leading| leading.deadlines.len() + leading.checkpoints.len())
    }

    /// Follows one change, in the order of [`Lessor::take_changes`](crate::Lessor::take_changes). A
    /// lease's time begins at `now`, which must not lie before its grant was applied here.
    ///
    /// # Panics
    /// If the changes are not those of the leases that this follows.
    pub fn follow_change(&mut self, change: Change, now: MonotonicTime) {
        match change {
            Change::Granted { id, ttl_seconds } => self.granted(id, ttl_seconds, now),
            Change::Revoked { id } => self.revoked(id),
            Change::Checkpointed { id, remaining_ttl_seconds } => self.checkpointed(id, remaining_ttl_seconds),
        }
        assert!(
            self.by_ttl.len() == self.leases.len(),
            "{} leases are in the order of their times, and {} exist",
            self.by_ttl.len(),
            self.leases.len()
        );
    }

    fn granted(&mut self, id: LeaseId, ttl_seconds: i64, now: MonotonicTime) {
        let mut lease = Timed::new(Terms { ttl_seconds, remaining_ttl_seconds: 0 });
        self.by_ttl.insert((ttl_seconds, id));
        if let Some(leading) = &mut self.leading {
            lease.hold(self.office, now.after(seconds(ttl_seconds)));
            leading.queue(id, &mut lease, self.settings.checkpoint_interval);
        }
        let replaced = self.leases.insert(id, lease);
        assert!(replaced.is_none(), "lease {id} is granted while it exists");
    }

    fn revoked(&mut self, id: LeaseId) {
        let Some(lease) = self.leases.remove(&id) else { return };
        let ordered = self.by_ttl.remove(&(lease.terms.effective_ttl_seconds(), id));
        assert!(ordered, "lease {id} is not in the order at {} s", lease.terms.effective_ttl_seconds());
        if let Some(leading) = &mut self.leading {
            leading.in_flight.remove(&id);
            if lease.office == self.office {
                leading.forget(id, lease);
            }
        }
    }

    /// A reset proposed by an earlier leader stands for a renewal that was answered, so it may push
    /// a deadline back but a checkpoint never pulls one forward.
    fn checkpointed(&mut self, id: LeaseId, remaining_ttl_seconds: i64) {
        let Some(lease) = self.leases.get_mut(&id) else { return };
        let before = lease.terms.effective_ttl_seconds();
        let after = Terms { remaining_ttl_seconds, ..lease.terms }.effective_ttl_seconds();
        if let Some(leading) = &mut self.leading {
            leading.ensure_held(lease, self.office);
            leading.postpone(id, lease, leading.base.after(seconds(after.min(lease.terms.ttl_seconds))));
        }
        lease.terms.remaining_ttl_seconds = remaining_ttl_seconds;
        if remaining_ttl_seconds > 0 {
            lease.checkpoints_in_flight = lease.checkpoints_in_flight.saturating_sub(1);
        }
        if let Some(leading) = &mut self.leading
            && !leading.in_flight.contains_key(&id)
        {
            leading.queue(id, lease, self.settings.checkpoint_interval);
        }
        if before != after {
            let ordered = self.by_ttl.remove(&(before, id));
            assert!(ordered, "lease {id} is not in the order at {before} s");
            self.by_ttl.insert((after, id));
        }
    }
}

impl Timed {
    fn new(terms: Terms) -> Self {
        Self {
            terms,
            office: 0,
            deadline: MonotonicTime(0),
            is_queued: false,
            checkpoint_at: None,
            checkpoints_in_flight: 0,
        }
    }

    /// Sets the first deadline of a term of office.
    fn hold(&mut self, office: u64, deadline: MonotonicTime) {
        assert!(self.office < office, "a deadline that is held moves by `postpone` alone, which never moves it back");
        *self = Self { office, deadline, ..Self::new(self.terms) };
    }
}

impl Leading {
    fn derived_deadline(&self, terms: Terms) -> MonotonicTime {
        self.base.after(seconds(terms.effective_ttl_seconds()))
    }

    fn deadline(&self, lease: &Timed, office: u64) -> MonotonicTime {
        if lease.office == office { lease.deadline } else { self.derived_deadline(lease.terms) }
    }

    /// Turns a derived deadline into a held one; without an entry in the agendas yet.
    fn ensure_held(&self, lease: &mut Timed, office: u64) {
        if lease.office != office {
            lease.hold(office, self.derived_deadline(lease.terms));
        }
    }

    /// Moves a held deadline, never towards the past, and its entry with it.
    fn postpone(&mut self, id: LeaseId, lease: &mut Timed, deadline: MonotonicTime) {
        if deadline <= lease.deadline {
            return;
        }
        if lease.is_queued {
            let was_queued = self.deadlines.remove(&(lease.deadline, id));
            assert!(was_queued, "lease {id} is not in the agenda at its deadline {:?}", lease.deadline);
            self.deadlines.insert((deadline, id));
        }
        lease.deadline = deadline;
    }

    /// Takes a lease that is gone out of the agendas.
    fn forget(&mut self, id: LeaseId, lease: Timed) {
        if lease.is_queued {
            let was_queued = self.deadlines.remove(&(lease.deadline, id));
            assert!(was_queued, "lease {id} is not in the agenda at its deadline {:?}", lease.deadline);
        }
        if let Some(at) = lease.checkpoint_at {
            let was_queued = self.checkpoints.remove(&(at, id));
            assert!(was_queued, "lease {id} is not queued for a checkpoint at {at:?}");
        }
    }

    /// Gives a lease its missing entries in the agendas.
    fn queue(&mut self, id: LeaseId, lease: &mut Timed, checkpoint_interval: Option<Duration>) {
        if !lease.is_queued {
            lease.is_queued = true;
            let is_new = self.deadlines.insert((lease.deadline, id));
            assert!(is_new, "lease {id} is in the agenda twice");
        }
        let Some(interval) = checkpoint_interval else { return };
        let effective = lease.terms.effective_ttl_seconds();
        if lease.checkpoint_at.is_none() && effective > whole_seconds(interval) {
            // The moment at which a whole interval of the recorded time will have passed.
            let passed = MonotonicTime(lease.deadline.0.saturating_sub(milliseconds(effective))).after(interval);
            lease.checkpoint_at = Some(passed);
            let is_new = self.checkpoints.insert((passed, id));
            assert!(is_new, "lease {id} is queued for a checkpoint twice");
        }
    }
}

fn seconds(count: i64) -> Duration {
    Duration::from_secs(u64::try_from(count).unwrap_or(0))
}

fn milliseconds(seconds: i64) -> u64 {
    u64::try_from(seconds).unwrap_or(0).saturating_mul(1000)
}

fn whole_seconds(interval: Duration) -> i64 {
    i64::try_from(interval.as_secs()).unwrap_or(i64::MAX)
}
