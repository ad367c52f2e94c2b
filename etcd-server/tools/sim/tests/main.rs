//! A few seeds in every test run, as many as `SIM_SEEDS` says where it is set, on all processors.

use sim::{Bug, End, KINDS, Options, Planted, Tally};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Number of seeds in an ordinary test run.
const SEEDS: u64 = 40;
/// Seeds of a mutant, up to the first one that finds it.
const MUTANT_SEEDS: u64 = 60;

/// Runs seeds until none is left, or one failed; returns the operations, or the failure.
fn work(next: &AtomicU64, seeds: u64) -> Result<Tally, String> {
    let mut operations = Tally::default();
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= seeds {
            return Ok(operations);
        }
        match sim::run(seed, &Options::default()) {
            Ok(outcome) => operations.add(&outcome.operations),
            Err(violation) => {
                next.store(seeds, Ordering::Relaxed);
                return Err(format!("cargo run --release -p sim -- --seed {seed} --trace\n{violation:?}"));
            }
        }
    }
}

/// Checks that the runs executed operations of every kind, and most of them.
fn check_coverage(operations: &Tally) {
    for (kind, counts) in KINDS.iter().zip(operations.0) {
        assert!(counts[End::Succeeded as usize] >= 50, "{kind}: {counts:?}");
    }
    let taken = operations.of(End::Succeeded) + operations.of(End::Refused);
    assert!(operations.of(End::Succeeded) * 2 > taken, "most operations are refused: {operations:?}");
}

#[test]
fn nothing_that_must_hold_is_violated() {
    let seeds = std::env::var("SIM_SEEDS").map_or(SEEDS, |seeds| seeds.parse().expect("SIM_SEEDS is a number"));
    let next = AtomicU64::new(0);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let outcome: Result<Vec<_>, _> = thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(|| work(&next, seeds))).collect();
        threads.into_iter().map(|thread| thread.join().expect("panics are violations")).collect()
    });
    let mut operations = Tally::default();
    outcome.unwrap_or_else(|failed| panic!("{failed}")).iter().for_each(|tally| operations.add(tally));
    check_coverage(&operations);
    println!("{seeds} seeds");
}

#[test]
fn a_seed_gives_the_same_run_every_time() {
    for seed in [1, 2, 3] {
        assert_eq!(sim::run(seed, &Options::default()), sim::run(seed, &Options::default()));
    }
}

/// Mutants that need more seeds than a test run has time for; see the table in README.md.
const SLOW: [Bug; 6] = [
    Bug::VoteNotPersisted,
    Bug::RenewalUnconfirmed,
    Bug::RenewalByFormerLeader,
    Bug::RemovedMemberStopsAtOnce,
    Bug::FencesOfAnyTerm,
    Bug::ProposalsPassedOn,
];

#[test]
fn all_but_the_slow_mutants_are_found() {
    for bug in sim::planted::all().filter(|bug| !SLOW.contains(bug)) {
        let options = Options { planted: Planted(Some(bug)), ..Options::default() };
        let found = (0..MUTANT_SEEDS).find_map(|seed| Some((seed, sim::run(seed, &options).err()?)));
        let (seed, violation) = found.unwrap_or_else(|| panic!("{bug:?} is not found in {MUTANT_SEEDS} seeds"));
        println!("{bug:?}: seed {seed}: {violation:?}");
    }
}
