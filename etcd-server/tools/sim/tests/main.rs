//! A few seeds in every test run, as many as `SIM_SEEDS` says where it is set, on all processors.

use sim::Options;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Number of seeds in an ordinary test run.
const SEEDS: u64 = 40;

/// Runs seeds until none is left, or one failed; returns the failure.
fn work(next: &AtomicU64, seeds: u64) -> Option<String> {
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= seeds {
            return None;
        }
        if let Err(violation) = sim::run(seed, &Options::default()) {
            next.store(seeds, Ordering::Relaxed);
            return Some(format!("cargo run --release -p sim -- --seed {seed} --trace\n{violation:?}"));
        }
    }
}

#[test]
fn nothing_that_must_hold_is_violated() {
    let seeds = std::env::var("SIM_SEEDS").map_or(SEEDS, |seeds| seeds.parse().expect("SIM_SEEDS is a number"));
    let next = AtomicU64::new(0);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let failed: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(|| work(&next, seeds))).collect();
        threads.into_iter().filter_map(|thread| thread.join().expect("panics are violations")).collect()
    });
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    println!("{seeds} seeds");
}

#[test]
fn a_seed_gives_the_same_run_every_time() {
    for seed in [1, 2, 3] {
        assert_eq!(sim::run(seed, &Options::default()), sim::run(seed, &Options::default()));
    }
}
