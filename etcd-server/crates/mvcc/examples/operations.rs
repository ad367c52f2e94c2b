//! Times the operations of the key space over a store in memory: `cargo run --release -p mvcc
//! --example operations [KEYS]`.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "an example that measures and prints"
)]

use bytes::Bytes;
use mvcc::{KeySpace, Leases, RangeOptions};
use proto::etcdserverpb::{PutRequest, RangeRequest};
use schema::{Batch, MemoryStore, Table};
use std::time::{Duration, Instant};
use types::LeaseId;

/// Requests per batch, as apply gathers them under load.
const BATCH_REQUESTS: usize = 64;
const KEY_BYTES: usize = 32;
const VALUE_BYTES: usize = 256;

struct NoLeases;

impl Leases for NoLeases {
    fn exists(&self, _: LeaseId) -> bool {
        false
    }
    fn attach(&mut self, _: LeaseId, _: &[u8], _: &mut dyn Batch) {}
    fn detach(&mut self, _: LeaseId, _: &[u8], _: &mut dyn Batch) {}
}

/// Changes held back until the batch is complete; copies them as a real one does.
#[derive(Default)]
struct Held {
    bytes: Vec<u8>,
    changes: Vec<(Table, usize, Option<usize>)>,
}

impl Batch for Held {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        self.changes.push((table, key.len(), Some(value.len())));
    }
    fn delete(&mut self, table: Table, key: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.changes.push((table, key.len(), None));
    }
}

impl Held {
    fn write(self, store: &mut MemoryStore) {
        let mut rest = &self.bytes[..];
        for (table, key_bytes, value_bytes) in self.changes {
            let (key, behind) = rest.split_at(key_bytes);
            let (value, behind) = behind.split_at(value_bytes.unwrap_or(0));
            rest = behind;
            match value_bytes {
                Some(_) => store.put(table, key, value),
                None => store.delete(table, key),
            }
        }
    }
}

fn key(n: usize) -> Bytes {
    format!("/registry/pods/{n:0width$}", width = KEY_BYTES - 15).into()
}

/// Puts the keys in batches; only the work of the key space is timed, not the store's.
fn put_all(space: &mut KeySpace, store: &mut MemoryStore, keys: &[usize]) -> Duration {
    let mut spent = Duration::ZERO;
    for chunk in keys.chunks(BATCH_REQUESTS) {
        let requests: Vec<PutRequest> = chunk
            .iter()
            .map(|n| PutRequest { key: key(*n), value: vec![7; VALUE_BYTES].into(), ..PutRequest::default() })
            .collect();
        let (mut batch, mut leases) = (Held::default(), NoLeases);
        let start = Instant::now();
        for request in &requests {
            let mut write = space.write(store, &mut batch, &mut leases);
            mvcc::execute_put(&mut write, request).unwrap().unwrap();
            assert_eq!(write.end().len(), 1);
        }
        space.settle(store, &mut batch).unwrap();
        spent += start.elapsed();
        batch.write(store);
        space.visible();
    }
    spent
}

fn ranges(space: &KeySpace, store: &MemoryStore, requests: &[RangeRequest]) -> Duration {
    let point = space.read_point();
    let start = Instant::now();
    let mut keys = 0;
    for request in requests {
        keys += point.range(store, &RangeOptions::new(request)).unwrap().unwrap().keys;
    }
    assert!(keys >= requests.len());
    start.elapsed()
}

fn report(what: &str, operations: usize, spent: Duration) {
    let each = spent.as_secs_f64() * 1e9 / operations as f64;
    println!("{what:<34} {each:>10.0} ns");
}

fn main() {
    let keys: usize = std::env::args().nth(1).map_or(200_000, |given| given.parse().unwrap());
    let mut random = fastrand::Rng::with_seed(1);
    let mut order: Vec<usize> = (0..keys).collect();
    random.shuffle(&mut order);
    let mut store = MemoryStore::new();
    let mut space = KeySpace::load(&store).unwrap();
    report("put, new key, random order", keys, put_all(&mut space, &mut store, &order));
    random.shuffle(&mut order);
    report("put, overwrite, random order", keys, put_all(&mut space, &mut store, &order));
    let hot: Vec<usize> = (0..keys).map(|n| n % 1000).collect();
    report("put, overwrite, 1000 hot keys", keys, put_all(&mut space, &mut store, &hot));
    let gets: Vec<RangeRequest> =
        order.iter().map(|n| RangeRequest { key: key(*n), ..RangeRequest::default() }).collect();
    report("get", keys, ranges(&space, &store, &gets));
    let long = |from: &usize, limit| RangeRequest {
        key: key(*from),
        range_end: Bytes::from_static(b"/registry/pods0"),
        limit,
        ..RangeRequest::default()
    };
    let thousand: Vec<RangeRequest> =
        order.iter().filter(|n| **n + 1000 < keys).take(500).map(|n| long(n, 1000)).collect();
    report("range, limit 1000", thousand.len(), ranges(&space, &store, &thousand));
    let exact: Vec<RangeRequest> = order
        .iter()
        .filter(|n| **n + 1000 < keys)
        .take(500)
        .map(|n| RangeRequest { key: key(*n), range_end: key(*n + 1000), ..RangeRequest::default() })
        .collect();
    report("range of exactly 1000", exact.len(), ranges(&space, &store, &exact));
}
