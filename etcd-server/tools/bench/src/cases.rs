//! The measured cases, in their order.

mod away;
mod history;
mod large;
mod small;

use std::{path::PathBuf, time::Duration};

use crate::{
    load::Sample,
    report::{Report, load_figures},
    target::{BenchError, Target},
};

/// Sizes and times of a run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    pub(crate) round: Duration,
    /// Keys of the cases about small requests.
    pub(crate) keys: u64,
    pub(crate) large_keys: u64,
    pub(crate) history: u64,
    /// Members of each cluster.
    pub(crate) members: usize,
    pub(crate) parent: Option<PathBuf>,
}

/// One thing to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    Empty,
    PutOne,
    PutMany,
    PutVeryMany,
    GetLinearizable,
    GetSerializable,
    RangeThousand,
    CompareAndSwap,
    KeepAlive,
    Watch,
    Large,
    History,
    Away,
}

impl Case {
    pub(crate) const ALL: [Self; 13] = [
        Self::Empty,
        Self::PutOne,
        Self::PutMany,
        Self::PutVeryMany,
        Self::GetLinearizable,
        Self::GetSerializable,
        Self::RangeThousand,
        Self::CompareAndSwap,
        Self::KeepAlive,
        Self::Watch,
        Self::Large,
        Self::History,
        Self::Away,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::PutOne => "put-1",
            Self::PutMany => "put-256",
            Self::PutVeryMany => "put-1000",
            Self::GetLinearizable => "get-linearizable",
            Self::GetSerializable => "get-serializable",
            Self::RangeThousand => "range-1000",
            Self::CompareAndSwap => "compare-and-swap",
            Self::KeepAlive => "keep-alive",
            Self::Watch => "watch-500",
            Self::Large => "large",
            Self::History => "history",
            Self::Away => "away",
        }
    }

    pub(crate) fn description(self) -> &'static str {
        match self {
            Self::Empty => "health check, 256 clients on 16 connections: what a call costs before any work",
            Self::PutOne => "one client, one put of 256 bytes after another",
            Self::PutMany => "256 clients on 16 connections put 256 bytes on random keys",
            Self::PutVeryMany => "1,000 clients on 64 connections put 256 bytes on random keys",
            Self::GetLinearizable => "256 clients on 16 connections read random keys, linearizable",
            Self::GetSerializable => "256 clients on 16 connections read random keys, serializable",
            Self::RangeThousand => "16 clients on 4 connections read 1,000 keys with their values",
            Self::CompareAndSwap => {
                "64 clients on 16 connections read a key and swap it by a transaction; one operation is both"
            }
            Self::KeepAlive => "256 leases on 16 connections are kept alive, one stream each",
            Self::Watch => {
                "500 watchers on one prefix on 16 connections; operations are events delivered, latency is that of the puts"
            }
            Self::Large => "a million keys: memory, restart, full list, page of 500 with its count, backup",
            Self::History => {
                "puts at 1,000 a second while nothing else, a watcher far back, a compaction, a backup runs"
            }
            Self::Away => {
                "puts at 1,000 a second while a member of several that was away for a long history comes back (--members 3)"
            }
        }
    }
}

/// Measures `chosen` on every server and adds the figures to the report.
pub(crate) async fn run(
    chosen: &[Case],
    commands: &[(&'static str, String)],
    plan: &Plan,
    report: &mut Report,
) -> Result<(), BenchError> {
    let small: Vec<_> =
        chosen.iter().copied().filter(|case| !matches!(case, Case::Large | Case::History | Case::Away)).collect();
    if !small.is_empty() {
        run_small(&small, commands, plan, report).await?;
    }
    for case in chosen {
        let mut by_server = Vec::new();
        for (label, command) in commands {
            if *case == Case::Large {
                by_server.push(large::measure(&mut Target::start(label, command, plan).await?, plan).await?);
            } else if *case == Case::History {
                by_server.push(history::measure(&Target::start(label, command, plan).await?, plan).await?);
            } else if *case == Case::Away && plan.members > 1 {
                by_server.push(away::measure(&mut Target::start(label, command, plan).await?, plan).await?);
            }
        }
        report.add(case.name(), &by_server);
    }
    Ok(())
}

/// The servers stay up through all cases about small requests and take turns; the idle one costs
/// next to nothing.
async fn run_small(
    cases: &[Case],
    commands: &[(&'static str, String)],
    plan: &Plan,
    report: &mut Report,
) -> Result<(), BenchError> {
    let mut targets = Vec::new();
    for (label, command) in commands {
        let target = Target::start(label, command, plan).await?;
        small::fill(&target, plan.keys).await?;
        targets.push(target);
    }
    for case in cases {
        let mut rounds: Vec<Vec<Sample>> = vec![Vec::new(); targets.len()];
        for _ in 0..plan.rounds {
            for (target, rounds) in targets.iter().zip(&mut rounds) {
                rounds.push(small::round(*case, target, plan).await?);
            }
        }
        let figures: Vec<_> = rounds.iter().map(|rounds| load_figures(rounds)).collect();
        report.add(case.name(), &figures);
    }
    Ok(())
}
