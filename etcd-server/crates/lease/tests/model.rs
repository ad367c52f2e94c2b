//! Random operations on the leases and on a twin that keeps plain deadlines and plain maps.

use bytes::Bytes;
use lease::{Expiry, ExpirySettings, LeaseError, Lessor, Persist, Renewal, Sealed};
use schema::{MemoryBatch, MemoryStore, Table, View};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
use types::{LeaseId, MonotonicTime};

const EXTENSION: Duration = Duration::from_secs(1);
const MINIMUM: i64 = 2;

#[derive(Clone, Copy)]
struct TwinLease {
    ttl: i64,
    remaining: i64,
    deadline: u64,
}

/// The system and its twin.
struct World {
    visible: MemoryStore,
    in_flight: VecDeque<(Sealed, MemoryBatch)>,
    batch: MemoryBatch,
    lessor: Lessor,
    expiry: Expiry,
    now: u64,
    leases: BTreeMap<LeaseId, TwinLease>,
    keys: BTreeMap<Bytes, LeaseId>,
    promoted_at: Option<u64>,
    revoking: BTreeSet<LeaseId>,
}

/// Returns settings without bounds on rates, so that the model knows exactly which leases are due.
fn unbounded() -> ExpirySettings {
    ExpirySettings {
        revokes_per_second: 1_000_000,
        revokes_burst: 1_000_000,
        revokes_in_flight_max: usize::MAX,
        revoke_retry: Duration::from_secs(1_000_000),
        spread_from_leases: usize::MAX,
        ..ExpirySettings::default()
    }
}

impl World {
    fn new() -> Self {
        let visible = MemoryStore::new();
        let lessor = Lessor::load(&visible, MINIMUM).unwrap();
        let expiry = Expiry::follow(lessor.leases(), unbounded());
        let (in_flight, batch, leases, keys) = Default::default();
        Self {
            visible,
            in_flight,
            batch,
            lessor,
            expiry,
            now: 0,
            leases,
            keys,
            promoted_at: None,
            revoking: BTreeSet::new(),
        }
    }

    fn leading(&self) -> bool {
        self.promoted_at.is_some()
    }

    fn follow(&mut self) {
        for change in self.lessor.take_changes() {
            self.expiry.follow_change(change, MonotonicTime(self.now));
        }
    }

    fn grant(&mut self, id: LeaseId, ttl: i64) {
        let response = self.lessor.grant(&mut self.batch, id, ttl);
        self.follow();
        let expected = match (id.0, self.leases.contains_key(&id)) {
            (0, _) => Err(LeaseError::LeaseNotFound { id }),
            (_, true) => Err(LeaseError::LeaseExists { id }),
            (_, false) => Ok(ttl.max(MINIMUM)),
        };
        assert_eq!(response, expected);
        if let Ok(ttl) = expected {
            self.leases.insert(id, TwinLease { ttl, remaining: 0, deadline: self.now + ttl.unsigned_abs() * 1000 });
        }
    }

    fn revoke(&mut self, id: LeaseId) {
        let response = self.lessor.revoke(&self.visible, &mut self.batch, id).unwrap();
        self.follow();
        self.revoking.remove(&id);
        if self.leases.remove(&id).is_none() {
            assert_eq!(response, Err(LeaseError::LeaseNotFound { id }));
            return;
        }
        let expected: Vec<_> =
            self.keys.iter().filter(|(_, lease)| **lease == id).map(|(key, _)| key.clone()).collect();
        assert_eq!(response.unwrap(), expected);
        for key in &expected {
            self.keys.remove(key);
            self.lessor.detach(id, key, &mut self.batch);
        }
    }

    fn put(&mut self, key: Bytes, to: LeaseId) {
        let to = if self.lessor.exists(to) { to } else { LeaseId::NONE };
        let from = self.keys.get(&key).copied().unwrap_or(LeaseId::NONE);
        if from != to {
            self.lessor.detach(from, &key, &mut self.batch);
            self.lessor.attach(to, &key, &mut self.batch);
        }
        if to.is_some() {
            self.keys.insert(key, to)
        } else {
            self.keys.remove(&key)
        };
    }

    fn checkpoint(&mut self, id: LeaseId, remaining: i64) {
        self.lessor.checkpoint(&mut self.batch, id, remaining, Persist::Yes);
        self.follow();
        let promoted_at = self.promoted_at;
        if let Some(lease) = self.leases.get_mut(&id) {
            lease.remaining = remaining;
            let effective = if remaining > 0 { remaining.min(lease.ttl) } else { lease.ttl };
            if let Some(at) = promoted_at {
                lease.deadline = lease.deadline.max(at + 1000 + effective.unsigned_abs() * 1000);
            }
        }
    }

    fn renew(&mut self, id: LeaseId) {
        let response = self.expiry.renew(id, MonotonicTime(self.now));
        let leading = self.leading();
        let expected = match self.leases.get_mut(&id) {
            _ if !leading => Renewal::NotLeading,
            None => Renewal::NotFound,
            Some(_) if self.revoking.contains(&id) => Renewal::Expired,
            Some(lease) => {
                lease.deadline = lease.deadline.max(self.now + lease.ttl.unsigned_abs() * 1000);
                Renewal::Renewed { ttl_seconds: lease.ttl, reset_checkpoint: lease.remaining > 0 }
            }
        };
        assert_eq!(response, expected, "renew {id} at {}", self.now);
    }

    fn tick(&mut self, milliseconds: u64) {
        self.now += milliseconds;
        let found: BTreeSet<_> = self.expiry.expired(MonotonicTime(self.now), usize::MAX).items.into_iter().collect();
        let mut due = BTreeSet::new();
        if self.leading() {
            let past = self.leases.iter().filter(|(_, lease)| lease.deadline <= self.now).map(|(id, _)| *id);
            due = past.filter(|id| !self.revoking.contains(id)).collect();
        }
        assert_eq!(found, due, "expired at {}", self.now);
        self.revoking.extend(found);
    }

    fn promote(&mut self) {
        self.promoted_at = Some(self.now);
        self.revoking.clear();
        self.expiry.promote(MonotonicTime(self.now), EXTENSION);
        for lease in self.leases.values_mut() {
            let effective = if lease.remaining > 0 { lease.remaining } else { lease.ttl };
            lease.deadline = self.now + 1000 + effective.unsigned_abs() * 1000;
        }
    }

    fn demote(&mut self) {
        self.promoted_at = None;
        self.revoking.clear();
        self.expiry.demote();
    }

    fn seal(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        self.in_flight.push_back((self.lessor.seal(), batch));
    }

    fn show_next(&mut self) {
        if let Some((sealed, batch)) = self.in_flight.pop_front() {
            batch.write(&mut self.visible);
            self.lessor.became_visible(sealed);
        }
    }

    fn restart(&mut self) {
        self.seal();
        while !self.in_flight.is_empty() {
            self.show_next();
        }
        assert_eq!(self.lessor.pending_rows(), 0);
        self.demote();
        self.lessor = Lessor::load(&self.visible, MINIMUM).unwrap();
        self.expiry = Expiry::follow(self.lessor.leases(), unbounded());
        let rows = self.visible.dump().filter(|(table, _, _)| *table == Table::LeaseKeys).count();
        assert_eq!(rows, self.keys.len(), "no row is left behind");
    }

    fn compare(&self, id: LeaseId) {
        let expected: Vec<_> =
            self.keys.iter().filter(|(_, lease)| **lease == id).map(|(key, _)| key.clone()).collect();
        assert_eq!(self.lessor.keys(&self.visible, id).unwrap(), expected);
        assert!(self.lessor.leases().map(|(id, _)| id).eq(self.leases.keys().copied()));
        assert_eq!((self.expiry.is_leading(), self.expiry.len()), (self.leading(), self.leases.len()));
        assert_eq!(self.expiry.is_checkpointed(id), self.leases.get(&id).map(|lease| lease.remaining > 0));
        let revoking = if self.leading() { self.revoking.len() } else { 0 };
        assert_eq!(self.expiry.revokes_in_flight(), revoking);
        if self.leading() {
            let mut order: Vec<_> = self.leases.iter().map(|(id, lease)| (lease.deadline, *id)).collect();
            order.sort_unstable();
            assert_eq!(self.expiry.leases_by_deadline(), order.into_iter().map(|(_, id)| id).collect::<Vec<_>>());
            let left = self.expiry.time_to_live(id, MonotonicTime(self.now)).map(|ttl| ttl.remaining_seconds);
            let expected =
                self.leases.get(&id).map(|lease| (lease.deadline.cast_signed() - self.now.cast_signed()) / 1000);
            assert_eq!(left, expected);
        }
    }
}

#[test]
fn the_twin_agrees_after_every_operation() {
    for seed in 0..60 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut world = World::new();
        for _ in 0..2000 {
            let id = LeaseId(random.i64(-3..9));
            match random.u8(0..40) {
                0..6 => world.grant(id, random.i64(-1..30)),
                6..10 => world.revoke(id),
                10..18 => world.put(Bytes::from(vec![b'a' + random.u8(0..12)]), id),
                18..24 => world.renew(id),
                24..27 => world.checkpoint(id, random.i64(0..20)),
                27..34 => world.tick(random.u64(0..4000)),
                34..36 => world.seal(),
                36 => world.show_next(),
                37 => world.promote(),
                38 => world.demote(),
                _ => world.restart(),
            }
            world.compare(id);
        }
    }
}

#[test]
fn bounded_rates_delay_but_never_hasten_and_lose_nothing() {
    let mut lessor = Lessor::load(&MemoryStore::new(), MINIMUM).unwrap();
    let mut store = MemoryStore::new();
    for id in 1..=5000 {
        lessor.grant(&mut store, LeaseId(id), 10 + id % 3).unwrap();
    }
    let mut expiry = Expiry::follow(lessor.leases(), ExpirySettings::default());
    lessor.take_changes();
    expiry.promote(MonotonicTime(0), EXTENSION);
    let (mut now, mut per_second) = (0, BTreeMap::<u64, usize>::new());
    while !expiry.is_empty() {
        now += 10;
        for id in expiry.expired(MonotonicTime(now), usize::MAX).items {
            let ttl = lessor.terms(id).unwrap().ttl_seconds.unsigned_abs();
            assert!(now >= 1000 + ttl * 1000, "{id} expired early, at {now}");
            *per_second.entry(now / 1000).or_default() += 1;
            lessor.revoke(&store.clone(), &mut store, id).unwrap().unwrap();
        }
        assert!(expiry.revokes_in_flight() <= 16);
        lessor.take_changes().into_iter().for_each(|change| expiry.follow_change(change, MonotonicTime(now)));
        assert!(now < 60_000, "{} leases never expired", expiry.len());
    }
    assert!(
        per_second.values().enumerate().all(|(second, count)| *count <= if second == 0 { 750 + 375 } else { 760 }),
        "{per_second:?}"
    );
    assert!(store.get(Table::Leases, &1_i64.to_be_bytes()).unwrap().is_none());
}

#[test]
fn granting_and_revoking_does_not_pile_up_memory() {
    let (mut store, empty) = (MemoryStore::new(), MemoryStore::new());
    let mut lessor = Lessor::load(&empty, MINIMUM).unwrap();
    let mut expiry = Expiry::follow(lessor.leases(), ExpirySettings::default());
    expiry.promote(MonotonicTime(0), EXTENSION);
    for id in 1..20_000 {
        lessor.grant(&mut store, LeaseId(id), 1_000_000).unwrap();
        lessor.revoke(&empty, &mut store, LeaseId(id)).unwrap().unwrap();
        lessor.take_changes().into_iter().for_each(|change| expiry.follow_change(change, MonotonicTime(1)));
    }
    assert_eq!(expiry.queued_entries(), 0);
}

#[test]
fn a_leader_that_took_over_many_renewed_leases_is_told_to_go_on_until_it_finds_those_that_ran_out() {
    let mut lessor = Lessor::load(&MemoryStore::new(), MINIMUM).unwrap();
    let mut store = MemoryStore::new();
    for id in 1..=100_000 {
        lessor.grant(&mut store, LeaseId(id), 20).unwrap();
    }
    let mut expiry = Expiry::follow(lessor.leases(), unbounded());
    expiry.promote(MonotonicTime(0), EXTENSION);
    let last = LeaseId(100_000);
    for id in 1..last.0 {
        assert!(matches!(expiry.renew(LeaseId(id), MonotonicTime(20_000)), Renewal::Renewed { .. }));
    }
    let (mut calls, mut found, mut more) = (0, Vec::new(), true);
    while more {
        let due = expiry.expired(MonotonicTime(21_000), 500);
        found.extend(due.items);
        more = due.more;
        calls += 1;
    }
    assert_eq!(found, [last]);
    assert!((2..200).contains(&calls), "{calls}");
    assert_eq!(
        expiry.expired(MonotonicTime(39_999), 500),
        lease::Expired { items: vec![], more: false },
        "renewed leases take no steps"
    );
    assert_eq!(expiry.expired(MonotonicTime(40_000), 500).items.len(), 500);
}
