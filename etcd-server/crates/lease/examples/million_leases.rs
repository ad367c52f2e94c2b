//! The cost of a million leases: `cargo run --release -p lease --example million_leases`.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a measurement prints and reads the clock"
)]

use bytes::Bytes;
use lease::{Expiry, ExpirySettings, Lessor};
use schema::{Batch, MemoryStore, Table};
use std::time::{Duration, Instant};
use types::{LeaseId, MonotonicTime};

const LEASES: i64 = 1_000_000;

/// Swallows writes, so that only our own work is measured.
struct Nowhere;

impl Batch for Nowhere {
    fn put(&mut self, _: Table, _: &[u8], _: &[u8]) {}
    fn delete(&mut self, _: Table, _: &[u8]) {}
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn timed<T>(what: &str, times: i64, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    let elapsed = start.elapsed();
    println!(
        "{what:<52} {elapsed:>12.2?}  {:>8.0} ns each",
        elapsed.as_secs_f64() * 1e9 / f64::from(i32::try_from(times).unwrap())
    );
    result
}

fn main() {
    let empty = MemoryStore::new();
    let before = resident_kib();
    let mut lessor = Lessor::load(&empty, 2).unwrap();
    // An odd multiplier spreads the ids over the whole range, as chosen ids are.
    let id = |n: i64| LeaseId(n.wrapping_mul(0x5851_f42d_4c95_7f2d) & i64::MAX);
    timed("grant, replicated part", LEASES, || {
        (1..=LEASES).for_each(|n| assert!(lessor.grant(&mut Nowhere, id(n), 20).is_ok()))
    });
    let changes = lessor.take_changes();
    println!("memory of the lessor (with changes): {} MiB", (resident_kib() - before) / 1024);
    let before = resident_kib();
    let settings = ExpirySettings {
        revokes_per_second: 10_000_000,
        revokes_burst: 10_000_000,
        revokes_in_flight_max: usize::MAX,
        spread_from_leases: usize::MAX,
        ..Default::default()
    };
    let mut expiry = timed("follow all after a restart", LEASES, || Expiry::follow(lessor.leases(), settings));
    drop(changes);
    timed("promote", 1, || expiry.promote(MonotonicTime(0), Duration::from_secs(1)));
    timed("renew, first time in office", LEASES, || {
        (1..=LEASES)
            .for_each(|n| assert!(matches!(expiry.renew(id(n), MonotonicTime(1000)), lease::Renewal::Renewed { .. })))
    });
    timed("renew again", LEASES, || {
        (1..=LEASES)
            .for_each(|n| assert!(matches!(expiry.renew(id(n), MonotonicTime(2000)), lease::Renewal::Renewed { .. })))
    });
    println!("memory of expiry: {} MiB", (resident_kib() - before) / 1024);
    timed("scan, nothing due", 1, || expiry.expired(MonotonicTime(3000), 500).items.len());
    let mut calls = 1;
    timed("scan past a million renewed leases, first call", 1, || {
        assert!(expiry.expired(MonotonicTime(21_001), 500).more)
    });
    timed("scan past a million renewed leases, the other calls", 1, || {
        while expiry.expired(MonotonicTime(21_001), 500).more {
            calls += 1;
        }
    });
    println!("in {calls} calls");
    timed("demote", 1, || expiry.demote());
    checkpoints(&lessor, settings, id);
    timed("promote", 1, || expiry.promote(MonotonicTime(30_000), Duration::from_secs(1)));
    let list = timed("list by deadline", LEASES, || expiry.leases_by_deadline().len());
    let mut found = Vec::new();
    let mut slowest = Duration::ZERO;
    timed("hand out every lease for revoking", LEASES, || {
        while i64::try_from(found.len()).unwrap() < LEASES {
            let start = Instant::now();
            found.extend(expiry.expired(MonotonicTime(90_000), usize::MAX).items);
            slowest = slowest.max(start.elapsed());
        }
    });
    println!("slowest call {slowest:.2?}");
    timed("revoke, both parts", LEASES, || {
        for id in &found {
            lessor.revoke(&empty, &mut Nowhere, *id).unwrap().unwrap();
            lessor.take_changes().into_iter().for_each(|change| expiry.follow_change(change, MonotonicTime(90_000)));
        }
    });
    assert!(list == found.len() && expiry.is_empty());
    let keys: Vec<_> = (0..LEASES).map(|n| Bytes::from(format!("/registry/events/{n}"))).collect();
    timed("attach a key, in batches of 64", LEASES, || {
        lessor.grant(&mut Nowhere, LeaseId(1), 20).unwrap();
        for batch in keys.chunks(64) {
            batch.iter().for_each(|key| lessor.attach(LeaseId(1), key, &mut Nowhere));
            let sealed = lessor.seal();
            lessor.became_visible(sealed);
        }
    });
}

fn checkpoints(lessor: &Lessor, settings: ExpirySettings, id: impl Fn(i64) -> LeaseId) {
    let settings = ExpirySettings { checkpoint_interval: Some(Duration::from_secs(5)), ..settings };
    let mut expiry = Expiry::follow(lessor.leases(), settings);
    expiry.promote(MonotonicTime(0), Duration::from_secs(1));
    (1..=LEASES)
        .for_each(|n| assert!(matches!(expiry.renew(id(n), MonotonicTime(2000)), lease::Renewal::Renewed { .. })));
    let mut slowest = Duration::ZERO;
    timed("checkpoint a million leases", LEASES, || {
        let mut more = true;
        while more {
            let start = Instant::now();
            more = expiry.due_checkpoints(MonotonicTime(8000)).more;
            slowest = slowest.max(start.elapsed());
        }
    });
    println!("slowest call {slowest:.2?}");
}
