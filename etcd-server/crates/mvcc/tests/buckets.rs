//! Counts under stress: buckets split and merge by the thousand, and every count equals that of a
//! walk.

use crate::stage::Stage;
use bytes::Bytes;
use fastrand::Rng;
use mvcc::{KeySpace, RangeOptions, Sizes};
use proto::etcdserverpb::{DeleteRangeRequest, RangeRequest};
use schema::{MemoryStore, Table};
use std::collections::BTreeSet;

const KEYS: u32 = 6000;

fn key(n: u32) -> Bytes {
    n.to_be_bytes().to_vec().into()
}

struct Counted {
    stage: Stage,
    live: BTreeSet<Bytes>,
    random: Rng,
}

impl Counted {
    fn new(bucket_keys_max: u32) -> Self {
        let stage = Stage::new(Sizes { bucket_keys_max, cached_keys: 256 });
        Self { stage, live: BTreeSet::new(), random: Rng::with_seed(u64::from(bucket_keys_max)) }
    }

    fn put(&mut self, key: Bytes) {
        self.stage.put_value(&key, "v");
        self.live.insert(key);
    }

    fn delete(&mut self, from: &Bytes, to: &Bytes) {
        let request = DeleteRangeRequest { key: from.clone(), range_end: to.clone(), prev_kv: false };
        let deleted = self.stage.delete_range(&request).0.unwrap().deleted;
        let before = self.live.len();
        self.live.retain(|key| key < from || key >= to);
        assert_eq!(deleted, i64::try_from(before - self.live.len()).unwrap());
    }

    fn counted(&self, from: &Bytes, to: &Bytes) -> u64 {
        let request =
            RangeRequest { key: from.clone(), range_end: to.clone(), count_only: true, ..RangeRequest::default() };
        self.stage.point.range(&self.stage.store, &RangeOptions::new(&request)).unwrap().unwrap().count
    }

    fn check(&mut self) {
        self.stage.flush();
        for _ in 0..60 {
            let (from, to) = (key(self.random.u32(..KEYS)), key(self.random.u32(..KEYS)));
            let expected = if from < to { self.live.range(from.clone()..to.clone()).count() } else { 0 };
            assert_eq!(self.counted(&from, &to), expected as u64, "{from:?} to {to:?}");
            assert_eq!(self.counted(&from, &Bytes::from_static(&[0])), self.live.range(from.clone()..).count() as u64);
            assert_eq!(self.counted(&from, &Bytes::new()), u64::from(self.live.contains(&from)));
        }
        assert_eq!(self.stage.point.live_keys(), self.live.len() as u64);
        self.check_buckets();
    }

    /// Checks that the written buckets add up, and that no bucket is too large or empty.
    fn check_buckets(&self) {
        let sizes = self.bucket_sizes();
        assert_eq!(sizes.iter().map(|(_, size)| size).sum::<usize>(), self.live.len());
        for (first_key, size) in sizes {
            assert!(size > 0 || first_key.is_empty(), "empty bucket at {first_key:?}");
        }
        assert_eq!(KeySpace::load(&self.stage.store).unwrap().read_point().live_keys(), self.live.len() as u64);
    }

    fn bucket_sizes(&self) -> Vec<(Vec<u8>, usize)> {
        let counts = self.stage.store.dump().filter(|(table, ..)| *table == Table::Counts);
        counts.map(|(_, key, size)| (key.to_vec(), u32::from_be_bytes(size.try_into().unwrap()) as usize)).collect()
    }

    fn fill(&mut self, keys: impl Iterator<Item = u32>) {
        for (n, number) in keys.enumerate() {
            self.put(key(number));
            if n % 97 == 0 {
                self.stage.flush();
            }
        }
        self.stage.flush();
    }
}

#[test]
fn counts_hold_under_sequential_inserts_and_mass_deletes() {
    for bucket_keys_max in [1, 2, 16, 512] {
        let mut counted = Counted::new(bucket_keys_max);
        counted.fill(0..KEYS);
        assert!(counted.bucket_sizes().iter().all(|(_, size)| *size <= bucket_keys_max as usize));
        counted.check();
        counted.delete(&key(1000), &key(4500));
        counted.check();
        counted.fill((2000..3000).rev());
        counted.check();
        counted.delete(&key(0), &key(KEYS));
        counted.check();
        assert!(counted.bucket_sizes().len() <= 1, "all buckets melted into the first");
        counted.fill(0..10);
        counted.check();
    }
}

#[test]
fn counts_hold_under_random_inserts_and_deletes() {
    for bucket_keys_max in [1, 3, 32] {
        let mut counted = Counted::new(bucket_keys_max);
        let mut order: Vec<u32> = (0..KEYS).collect();
        counted.random.shuffle(&mut order);
        counted.fill(order.into_iter());
        counted.check();
        for round in 0..40 {
            let from = counted.random.u32(..KEYS);
            let to = from + counted.random.u32(..300);
            counted.delete(&key(from), &key(to));
            for _ in 0..100 {
                let number = counted.random.u32(..KEYS);
                counted.put(key(number));
            }
            if round % 4 == 0 {
                counted.check();
            }
        }
        counted.check();
    }
}

#[test]
fn a_batch_that_outgrows_its_bucket_many_times_is_cut_at_once() {
    let mut counted = Counted::new(4);
    for number in 0..KEYS {
        counted.put(key(number));
    }
    counted.check();
    assert!(counted.bucket_sizes().iter().all(|(_, size)| *size <= 4));
}

#[test]
fn counts_at_past_revisions_are_those_of_then() {
    let mut counted = Counted::new(8);
    counted.fill(0..2000);
    let mut remembered = Vec::new();
    for round in 0..30_u32 {
        counted.delete(&key(round * 60), &key(round * 60 + 40));
        for number in 0..10 {
            counted.put(key(5000 + round * 7 + number));
        }
        counted.stage.flush();
        remembered.push((counted.stage.point.current, counted.live.clone()));
    }
    for (revision, live) in remembered {
        for (from, to) in [(0, KEYS), (100, 900), (5000, 5100), (77, 78)] {
            let request =
                RangeRequest { key: key(from), range_end: key(to), limit: 1, revision, ..RangeRequest::default() };
            let found = counted.stage.point.range(&counted.stage.store, &RangeOptions::new(&request)).unwrap().unwrap();
            assert_eq!(found.count, live.range(key(from)..key(to)).count() as u64, "{from} to {to} at {revision}");
        }
    }
}

/// Writes to the store that one put causes, as a measure of its cost that no clock blurs.
fn writes_of_a_put(counted: &mut Counted, number: u32) -> usize {
    let before: MemoryStore = counted.stage.store.clone();
    counted.put(key(number));
    counted.stage.flush();
    let before: BTreeSet<_> = before.dump().map(|(table, key, value)| (table, key.to_vec(), value.to_vec())).collect();
    let after = counted.stage.store.dump().map(|(table, key, value)| (table, key.to_vec(), value.to_vec()));
    after.filter(|item| !before.contains(item)).count()
}

#[test]
fn a_put_writes_as_much_among_thousands_of_keys_as_among_few() {
    let mut counted = Counted::new(512);
    counted.fill(0..10);
    let among_few = writes_of_a_put(&mut counted, KEYS + 1);
    counted.fill(10..KEYS);
    assert_eq!(writes_of_a_put(&mut counted, KEYS + 2), among_few);
}
