//! A whole cluster in one thread, under a seed: the real consensus guard, apply, key space, leases,
//! members and watch logic, on a simulated network, on simulated disks and in simulated time.
//!
//! A run injects faults for a while, ends them, and then expects everything to work again. The
//! invariants are checked after every event, against the module `oracle`. The same seed gives the
//! same run.
#![forbid(unsafe_code)]

mod applying;
mod check;
mod client;
mod cluster;
mod disk;
mod duties;
mod ending;
mod event;
mod faults;
mod log_thread;
mod network;
mod oracle;
mod plan;
pub mod planted;
mod process;
mod renewing;
mod schedule;
mod tally;
mod watching;
mod world;

pub use check::Violation;
pub use planted::{Bug, Planted};
pub use tally::{End, KINDS, Tally};

use fastrand::Rng;
use plan::Plan;
use std::panic::{AssertUnwindSafe, catch_unwind};
use world::World;

/// The options of runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Number of initial members; drawn from the seed if absent.
    pub members: Option<u64>,
    /// `true` if every event is printed.
    pub tracing: bool,
    /// The bug that is planted.
    pub planted: Planted,
}

/// The counters of a run without violations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Stands for everything that happened, in order.
    pub trace: u64,
    /// Events that happened.
    pub events: u64,
    /// Entries that were committed.
    pub committed: u64,
    /// Operations of clients by kind and by end.
    pub operations: Tally,
    /// Events delivered to watchers.
    pub watched: u64,
}

/// Makes the run of a seed. A panic of anything in it is a violation too.
pub fn run(seed: u64, options: &Options) -> Result<Outcome, Violation> {
    catch_unwind(AssertUnwindSafe(|| simulate(seed, options))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(Violation(format!("panicked: {}", text.unwrap_or_default())))
    })
}

fn simulate(seed: u64, options: &Options) -> Result<Outcome, Violation> {
    let mut random = Rng::with_seed(seed);
    let plan = Plan::draw(&mut random, options.members);
    let mut world = World::new(seed, plan, random, options.planted, options.tracing)?;
    let trace = world.run()?;
    world.check_end()?;
    let (operations, watched) = world.tally();
    Ok(Outcome { trace, events: world.events, committed: world.oracle.committed(), operations, watched })
}
