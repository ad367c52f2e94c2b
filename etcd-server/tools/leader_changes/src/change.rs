//! A cluster under load whose leader is changed.

use crate::clients::{self, Counter, Finished, Shared};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use testbed::{Cluster, ClusterError, Settings, StartError};

/// Time that a cluster has for its next leader.
const LEADER_LIMIT: Duration = Duration::from_secs(30);
/// Time before and after each change that belongs to it.
const BEFORE: Duration = Duration::from_millis(300);
const AFTER: Duration = Duration::from_millis(1500);

/// The way in which the leader is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Leadership is transferred; clients at all members.
    Move,
    /// The leader gets SIGTERM and is started again; clients at the others.
    Terminate,
    /// The leader is killed and started again; clients at the others.
    Kill,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Move, Self::Terminate, Self::Kill];

    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Move => "move-leader, clients at all members",
            Self::Terminate => "SIGTERM of the leader, clients at the others",
            Self::Kill => "kill -9 of the leader, clients at the others",
        }
    }
}

/// A measurement.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) command: String,
    pub(crate) members: usize,
    pub(crate) clients: usize,
    pub(crate) rate: u32,
    pub(crate) changes: usize,
    pub(crate) kind: Kind,
    pub(crate) parent: Option<PathBuf>,
    /// The directory for the members' logs.
    pub(crate) logs: Option<PathBuf>,
}

/// One change as clients noticed it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Noticed {
    pub(crate) failed: usize,
    pub(crate) longest: Duration,
    /// The longest time between two acknowledgements.
    pub(crate) gap: Duration,
}

/// All changes, and the counters at the end.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) changes: Vec<Noticed>,
    /// The longest request while nothing was changed.
    pub(crate) quiet_longest: Duration,
    pub(crate) requests: usize,
    pub(crate) unknown: u64,
    /// Counters that are less than what was acknowledged, or more than all requests.
    pub(crate) wrong: Vec<String>,
}

/// The reason why a measurement ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("read the counters: {0}")]
    Read(#[from] tonic::Status),
    #[error("a client task ended early: {0}")]
    Task(#[from] tokio::task::JoinError),
    #[error("write the figures: {0}")]
    Io(#[from] std::io::Error),
}

pub(crate) async fn run(plan: &Plan) -> Result<Measured, ChangeError> {
    let mut settings = Settings::new(&plan.command);
    let level = if plan.logs.is_some() { "info" } else { "error" };
    settings.flags = ["--log-level", level].map(str::to_owned).to_vec();
    settings.parent.clone_from(&plan.parent);
    let mut cluster = Cluster::start(settings, plan.members).await?;
    let shared = Arc::new(Shared::new(plan.members));
    let pause = Duration::from_secs(1) * u32::try_from(plan.clients).unwrap_or(u32::MAX) / plan.rate;
    let mut tasks = Vec::new();
    for number in 0..plan.clients {
        let member = number % plan.members;
        let endpoint = cluster.channel(member).await?;
        tasks.push(clients::start(Arc::clone(&shared), member, number, endpoint, pause));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    shared.take();
    tokio::time::sleep(AFTER).await;
    let quiet = shared.take();
    let quiet_longest = longest(&quiet);
    let (mut changes, mut requests) = (Vec::new(), quiet.len());
    for _ in 0..plan.changes {
        let leader = cluster.leader(LEADER_LIMIT).await?;
        if plan.kind != Kind::Move {
            shared.exclude(leader).await;
        }
        tokio::time::sleep(BEFORE).await;
        shared.take();
        let (begun, at) = (Instant::now(), time::OffsetDateTime::now_utc());
        change(plan.kind, &mut cluster, leader).await?;
        tokio::time::sleep(AFTER).await;
        let next = cluster.leader(LEADER_LIMIT).await?;
        // Requests that still wait belong to this change.
        shared.wait_for_those_of(begun).await;
        if plan.kind != Kind::Move {
            cluster.members[leader].relaunch()?;
            cluster.members[leader].healthy().await?;
            shared.include_all();
            tokio::time::sleep(BEFORE).await;
        }
        let finished = shared.take();
        requests += finished.len();
        let noticed = notice(begun, &finished);
        eprintln!(
            "{} leader {leader} -> {next}: {} failed, longest {:?}, gap {:?}",
            at.time(),
            noticed.failed,
            noticed.longest,
            noticed.gap
        );
        changes.push(noticed);
    }
    // Requests of the slowest kind end within their limit.
    shared.stop();
    let mut counters = Vec::new();
    for task in tasks {
        counters.push(task.await?);
    }
    let unknown = counters.iter().map(|counter| counter.unknown).sum();
    let wrong = check(&mut cluster, counters).await?;
    if let Some(directory) = &plan.logs {
        keep_logs(&cluster, directory)?;
    }
    Ok(Measured { changes, quiet_longest, requests, unknown, wrong })
}

fn keep_logs(cluster: &Cluster, directory: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    cluster.members.iter().enumerate().try_for_each(|(number, member)| {
        std::fs::copy(member.log_file(), directory.join(format!("member{number}.log"))).map(drop)
    })
}

async fn change(kind: Kind, cluster: &mut Cluster, leader: usize) -> Result<(), ChangeError> {
    match kind {
        Kind::Move => cluster.move_leader(leader, (leader + 1) % cluster.members.len()).await?,
        Kind::Terminate => {
            cluster.members[leader].terminate(Duration::from_secs(20));
            cluster.members[leader].kill();
        }
        Kind::Kill => cluster.members[leader].kill(),
    }
    Ok(())
}

fn longest(finished: &[Finished]) -> Duration {
    finished.iter().map(|request| request.ended - request.begun).max().unwrap_or_default()
}

fn notice(begun: Instant, finished: &[Finished]) -> Noticed {
    let mut acknowledged: Vec<_> =
        finished.iter().filter(|request| request.success).map(|request| request.ended).collect();
    acknowledged.sort_unstable();
    let until = begun + AFTER;
    let during = acknowledged.windows(2).filter(|pair| pair[1] > begun && pair[0] < until);
    Noticed {
        failed: finished.iter().filter(|request| !request.success).count(),
        longest: longest(finished),
        gap: during.map(|pair| pair[1] - pair[0]).max().unwrap_or(AFTER),
    }
}

/// Returns the counters that are wrong.
async fn check(cluster: &mut Cluster, counters: Vec<Counter>) -> Result<Vec<String>, ChangeError> {
    let leader = cluster.leader(LEADER_LIMIT).await?;
    let mut kv = cluster.kv(leader).await?;
    let mut wrong = Vec::new();
    for Counter { key, acknowledged, unknown } in counters {
        let value = clients::value(&mut kv, &key).await?;
        if value < acknowledged || value > acknowledged + unknown {
            wrong.push(format!("{key}: {value}, acknowledged {acknowledged}, without an outcome {unknown}"));
        }
    }
    Ok(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_and_failures_of_a_change_are_noticed() {
        let begin = Instant::now();
        let at = |milliseconds| begin + Duration::from_millis(milliseconds);
        let request = |begun, ended, success| Finished { begun: at(begun), ended: at(ended), success };
        let finished = [
            request(0, 1, true),
            request(90, 95, true),
            request(100, 400, false),
            request(100, 350, true),
            request(360, 370, true),
            request(1700, 1701, true),
        ];
        let noticed = notice(at(100), &finished);
        assert_eq!((noticed.failed, noticed.longest), (1, Duration::from_millis(300)));
        assert_eq!(noticed.gap, Duration::from_millis(1331), "the last one begins within the change");
        assert_eq!(notice(at(100), &finished[..5]).gap, Duration::from_millis(255));
    }
}
