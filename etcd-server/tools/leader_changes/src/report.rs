//! The figures of all measurements.

use crate::change::{Measured, Plan};
use serde::Serialize;
use std::fmt::Write as _;
use std::time::Duration;

/// The changes of one kind on one cluster. Times are milliseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    server: String,
    change: String,
    members: usize,
    clients: usize,
    changes: usize,
    requests: usize,
    failed: usize,
    quiet_longest: f64,
    longest: f64,
    gap_p50: f64,
    gap_p99: f64,
    gap_max: f64,
    without_outcome: u64,
    wrong: Vec<String>,
}

impl Line {
    pub(crate) fn new(server: &str, plan: &Plan, measured: &Measured) -> Self {
        let mut gaps: Vec<_> = measured.changes.iter().map(|change| change.gap).collect();
        gaps.sort_unstable();
        Self {
            server: server.to_owned(),
            change: plan.kind.describe().to_owned(),
            members: plan.members,
            clients: plan.clients,
            changes: measured.changes.len(),
            requests: measured.requests,
            failed: measured.changes.iter().map(|change| change.failed).sum(),
            quiet_longest: milliseconds(measured.quiet_longest),
            longest: measured.changes.iter().map(|change| milliseconds(change.longest)).fold(0.0, f64::max),
            gap_p50: milliseconds(quantile(&gaps, 50)),
            gap_p99: milliseconds(quantile(&gaps, 99)),
            gap_max: milliseconds(gaps.last().copied().unwrap_or_default()),
            without_outcome: measured.unknown,
            wrong: measured.wrong.clone(),
        }
    }

    /// Returns `true` if every counter is what was acknowledged.
    pub(crate) fn is_exact(&self) -> bool {
        self.wrong.is_empty()
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Returns the smallest value that is not exceeded by `percent` of all, which are sorted.
fn quantile(sorted: &[Duration], percent: usize) -> Duration {
    let position = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted.get(position).copied().unwrap_or_default()
}

pub(crate) fn json(lines: &[Line]) -> String {
    serde_json::to_string_pretty(lines).unwrap_or_default()
}

pub(crate) fn table(lines: &[Line]) -> String {
    let mut table = String::new();
    let head = ["server", "changes", "requests", "failed", "longest ms", "quiet ms", "gap p50", "p99", "max"];
    let [server, rest @ ..] = head;
    let mut change = "";
    for line in lines {
        if line.change != change {
            change = &line.change;
            writeln!(table, "{change}; {} members, {} clients", line.members, line.clients).unwrap_or_default();
            write!(table, "  {server:<8}").unwrap_or_default();
            rest.iter().for_each(|name| write!(table, "{name:>11}").unwrap_or_default());
            table.push('\n');
        }
        write!(table, "  {:<8}{:>11}{:>11}{:>11}", line.server, line.changes, line.requests, line.failed)
            .unwrap_or_default();
        for value in [line.longest, line.quiet_longest, line.gap_p50, line.gap_p99, line.gap_max] {
            write!(table, "{value:>11.1}").unwrap_or_default();
        }
        let counters = if line.is_exact() { "all counters are exact" } else { "WRONG COUNTERS" };
        writeln!(table, "   {} without an outcome, {counters}", line.without_outcome).unwrap_or_default();
        line.wrong.iter().for_each(|wrong| writeln!(table, "    {wrong}").unwrap_or_default());
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_of_the_list() {
        let sorted: Vec<_> = (1..=20).map(Duration::from_millis).collect();
        let found = [1, 50, 99, 100].map(|percent| quantile(&sorted, percent).as_millis());
        assert_eq!(found, [1, 10, 20, 20]);
        assert_eq!(quantile(&[], 50), Duration::ZERO);
    }
}
