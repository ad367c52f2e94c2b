//! Cuts a failing program down: drops steps as long as the two servers still differ.

use std::time::{Duration, Instant};

use crate::{
    pair::{Pair, PairSettings},
    program::Program,
    run::{Difference, run},
    wire::Wire,
};

/// A program that still fails.
#[derive(Debug)]
pub struct Shrunk {
    pub program: Program,
    pub difference: Difference,
    /// Runs that it took.
    pub runs: u32,
}

/// Shrinks `program`, which failed with `difference`, for at most `limit`. None if it does not fail
/// a second time.
pub async fn shrink(
    program: &Program,
    difference: &Difference,
    settings: &PairSettings,
    wire: &Wire,
    limit: Duration,
) -> Option<Shrunk> {
    let deadline = Instant::now() + limit;
    let mut cut = program.clone();
    cut.steps.truncate(difference.step + 1);
    let again = fails(&cut, settings, wire).await?;
    let mut best = Shrunk { program: cut, difference: again, runs: 1 };
    let mut size = best.program.steps.len().div_ceil(2);
    while size > 0 && Instant::now() < deadline {
        if !drop_chunks(&mut best, size, settings, wire, deadline).await || size > 1 {
            size /= 2;
        }
    }
    Some(best)
}

/// Tries to do without each run of `size` steps, the last first. Returns `true` if any could go.
async fn drop_chunks(best: &mut Shrunk, size: usize, settings: &PairSettings, wire: &Wire, deadline: Instant) -> bool {
    let mut dropped = false;
    let mut end = best.program.steps.len();
    while end > 0 && Instant::now() < deadline {
        let begin = end.saturating_sub(size);
        let mut candidate = best.program.clone();
        candidate.steps.drain(begin..end);
        best.runs += 1;
        if let Some(difference) = fails(&candidate, settings, wire).await {
            candidate.steps.truncate(difference.step + 1);
            best.program = candidate;
            best.difference = difference;
            dropped = true;
        }
        end = begin.min(best.program.steps.len());
    }
    dropped
}

/// A pair that cannot be started counts as no difference: the program is not to blame.
async fn fails(program: &Program, settings: &PairSettings, wire: &Wire) -> Option<Difference> {
    let mut pair = Pair::start(settings).await.ok()?;
    run(program, &mut pair, wire).await.ok()?.difference
}
