//! Hostile input for every decoder: good input made by a seed, then spoilt, or built from odd parts
//! to begin with.
//!
//! A decoder may refuse anything and must survive everything. Each input has a seed of its own, so
//! that one that does harm is made again from its number alone.

mod dice;
mod messages;
pub mod targets;

pub use dice::Dice;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// A decoder and how to try it.
pub trait Target {
    /// Tries one input; returns `true` if it was taken.
    fn try_one(&mut self, dice: &mut Dice) -> bool;
}

/// The results of a decoder.
#[derive(Clone, Debug)]
pub struct Report {
    pub name: &'static str,
    pub tried: u64,
    /// Number of inputs good enough to be taken: none would mean that nothing behind the first
    /// check was tried.
    pub taken: u64,
    pub took: Duration,
    /// The longest that a single input took.
    pub slowest: Duration,
    /// The seeds of inputs that made it panic.
    pub panics: Vec<u64>,
}

/// Tries the inputs of these seeds.
pub fn run(name: &'static str, target: &mut dyn Target, seeds: std::ops::Range<u64>) -> Report {
    let begun = Instant::now();
    let mut report =
        Report { name, tried: 0, taken: 0, took: Duration::ZERO, slowest: Duration::ZERO, panics: Vec::new() };
    for seed in seeds {
        let begun = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| target.try_one(&mut Dice::new(seed))));
        report.slowest = report.slowest.max(begun.elapsed());
        report.tried += 1;
        match outcome {
            Ok(taken) => report.taken += u64::from(taken),
            Err(_) => report.panics.push(seed),
        }
    }
    report.took = begun.elapsed();
    report
}
