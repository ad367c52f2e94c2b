//! A few seeds in every test run, as many as `SIM_SEEDS` says where it is set.

use sim::Options;

#[test]
fn nothing_that_must_hold_is_violated() {
    let seeds = std::env::var("SIM_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(40);
    for seed in 0..seeds {
        let outcome = sim::run(seed, &Options::default());
        assert!(outcome.is_ok(), "cargo run --release -p sim -- --seed {seed} --trace\n{outcome:?}");
    }
}

#[test]
fn a_seed_gives_the_same_run_every_time() {
    for seed in [1, 2, 3] {
        assert_eq!(sim::run(seed, &Options::default()), sim::run(seed, &Options::default()));
    }
}
