//! One run: start, load, faults, end, check.

use crate::check::{Violation, check};
use crate::cluster::{Cluster, ClusterError, ClusterSettings};
use crate::history::{History, Operation, Stream};
use crate::quiesce::{Quiesce, until};
use crate::scenario::{Need, Scenario};
use crate::scenarios::Faults;
use crate::shared_state::{Phase, SharedState};
use crate::traffic::{client, housekeeper};
use crate::watching::{recorder, wanderer};
use fastrand::Rng;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Answers before the faults begin, so that there is something to lose.
const ANSWERS_BEFORE: u64 = 150;
const ANSWERS_PATIENCE: Duration = Duration::from_secs(30);
/// Members that may come while a run lasts; each gets a recorder.
const MEMBERS_MAX: usize = 8;

/// The options of runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server: program and leading arguments. etcd's flags are appended.
    pub command: String,
    /// Another build of it, for the scenario that goes over to one.
    pub other_command: Option<String>,
    /// Further flags of it.
    pub flags: Vec<String>,
    /// Number of initial members; drawn from the seed if absent.
    pub members: Option<usize>,
    /// Clients that ask.
    pub clients: usize,
    /// Watchers beside one recorder at each member.
    pub watchers: usize,
    /// Average pause of clients between two requests.
    pub think: Duration,
    /// `true` if members get file systems of their own where they can be had.
    pub disks: bool,
}

/// The result of a run.
#[derive(Debug)]
pub struct Report {
    /// The members that founded the group.
    pub members: usize,
    /// The observations.
    pub history: History,
    /// The violations among them.
    pub violations: Vec<Violation>,
    /// From the end of the faults until every member took a write.
    pub healed_in: Duration,
    /// The last lines of each member, where something was violated.
    pub logs: Vec<String>,
}

/// Makes the run of a seed.
///
/// # Errors
/// When the machine lacks a requirement of the scenario, or members do not start at all.
pub async fn run(scenario: Scenario, seed: u64, options: &Options) -> Result<Report, ClusterError> {
    let mut random = Rng::with_seed(seed);
    let members = options.members.unwrap_or_else(|| scenario.members(&mut random));
    let catchup_entries = random.u64(10..200);
    let (flags, catchup_entries) = flags(&options.command, catchup_entries, &mut random);
    let disks = scenario.need() == Need::Disks;
    if disks && !options.disks {
        return Err(ClusterError::Unable("root and loop mounts"));
    }
    let settings = ClusterSettings {
        command: options.command.clone(),
        flags: [flags, options.flags.clone()].concat(),
        disks,
        encrypted: scenario.is_encrypted(),
        clocks: scenario.clocks(),
        other_command: options.other_command.clone(),
    };
    let shared_state = Arc::new(SharedState::new(options.think));
    let mut cluster = Cluster::start(settings, members, seed, Arc::clone(&shared_state)).await?;
    if disks && !cluster.has_disk(0) {
        return Err(ClusterError::Unable("root and loop mounts"));
    }
    let load = Load::start(&shared_state, scenario, seed, members, options);
    let mut report = Report {
        members,
        history: History::default(),
        violations: Vec::new(),
        healed_in: Duration::ZERO,
        logs: Vec::new(),
    };
    let mut quiesce = Quiesce::default();
    let last = {
        let mut faults = Faults { cluster: &mut cluster, random: &mut random, catchup_entries };
        let done = go_through(&mut faults, scenario, &mut quiesce, &mut report.healed_in).await;
        match done {
            Ok(last) => last,
            Err(Failure::Machine(error)) => return Err(error),
            Err(Failure::Violated(violation)) => {
                report.violations.push(violation);
                shared_state.recorded()
            }
        }
    };
    shared_state.set_phase(until(last));
    report.history = load.finish().await;
    report.history.operations.append(&mut quiesce.operations);
    report.history.deeds = shared_state.deeds();
    report.history.last_revision = last;
    if report.violations.is_empty() {
        report.violations = check(&report.history);
    }
    for member in 0..cluster.slots.len() {
        let log = cluster.log_tail(member);
        if log.contains("panicked at") {
            report.violations.push(Violation::new("panic", format!("member {member}: {log}")));
        }
        if !report.violations.is_empty() {
            report.logs.push(log);
        }
    }
    Ok(report)
}

enum Failure {
    /// The machine cannot do this.
    Machine(ClusterError),
    /// The members did not do their part.
    Violated(Violation),
}

impl From<ClusterError> for Failure {
    fn from(error: ClusterError) -> Self {
        match error {
            ClusterError::Unable(_) | ClusterError::Io(_) | ClusterError::Transport(_) => Self::Machine(error),
            ClusterError::Start(_) | ClusterError::Call(_) | ClusterError::Unexpected(_) => {
                Self::Violated(Violation::new("available", error.to_string()))
            }
        }
    }
}

impl From<Violation> for Failure {
    fn from(violation: Violation) -> Self {
        Self::Violated(violation)
    }
}

/// Load before, during and after the faults; then the end. Returns the last revision.
async fn go_through(
    faults: &mut Faults<'_>,
    scenario: Scenario,
    quiesce: &mut Quiesce,
    healed_in: &mut Duration,
) -> Result<i64, Failure> {
    wait_for_answers(&faults.cluster.shared_state, ANSWERS_BEFORE).await?;
    faults.cluster.shared_state.note(format!("{scenario:?}"));
    faults.inject(scenario).await?;
    let healing = Instant::now();
    faults.cluster.heal().await?;
    quiesce.settle(faults.cluster).await?;
    *healed_in = healing.elapsed();
    faults.cluster.shared_state.note("every member takes writes");
    let more = faults.cluster.shared_state.answered() + ANSWERS_BEFORE / 2;
    wait_for_answers(&faults.cluster.shared_state, more).await?;
    faults.cluster.shared_state.set_phase(Phase::Rest);
    quiesce.outlive_leases(faults.cluster).await?;
    Ok(quiesce.last_words(faults.cluster).await?)
}

async fn wait_for_answers(shared_state: &SharedState, count: u64) -> Result<(), Violation> {
    let begun = Instant::now();
    while shared_state.answered() < count {
        if begun.elapsed() > ANSWERS_PATIENCE {
            return Err(Violation::new(
                "available",
                format!("{} answers, not {count}, within {ANSWERS_PATIENCE:?}", shared_state.answered()),
            ));
        }
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Returns `true` if the server takes a flag: `--version` reads the others first.
fn takes(command: &str, flag: &str) -> bool {
    let mut words = command.split_whitespace();
    let Some(program) = words.next() else { return false };
    let mut asked = Command::new(program);
    asked.args(words).args([flag, "--version"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    asked.status().is_ok_and(|status| status.success())
}

/// Returns settings that make rare events frequent: snapshots after few entries, progress
/// notifications all the time. Returns also the number of entries that a member must miss to need a
/// snapshot.
fn flags(command: &str, catchup_entries: u64, random: &mut Rng) -> (Vec<String>, i64) {
    let mut flags: Vec<String> = ["--heartbeat-interval=50", "--election-timeout=500"].map(str::to_owned).into();
    let snapshot_count = random.u64(20..300);
    flags.push(format!("--snapshot-count={snapshot_count}"));
    let catchup = ["--snapshot-catchup-entries", "--experimental-snapshot-catchup-entries"];
    let catchup = catchup.iter().map(|flag| format!("{flag}={catchup_entries}")).find(|flag| takes(command, flag));
    // Without the flag it is 5,000, as it always was.
    let behind = if catchup.is_some() { catchup_entries } else { 5000 } + 2 * snapshot_count;
    flags.extend(catchup);
    let interval = random.u64(50..1000);
    let notify = ["--watch-progress-notify-interval", "--experimental-watch-progress-notify-interval"];
    flags.extend(notify.iter().map(|flag| format!("{flag}={interval}ms")).find(|flag| takes(command, flag)));
    (flags, i64::try_from(behind).unwrap_or(i64::MAX))
}

/// All clients and watchers.
struct Load {
    clients: JoinSet<Vec<Operation>>,
    watchers: JoinSet<Vec<Stream>>,
}

impl Load {
    fn start(
        shared_state: &Arc<SharedState>,
        scenario: Scenario,
        seed: u64,
        members: usize,
        options: &Options,
    ) -> Self {
        let (mut clients, mut watchers) = (JoinSet::new(), JoinSet::new());
        for number in 0..options.clients {
            // Most use one member only, so that the responses of one member can be followed.
            let pinned = (number % 4 != 3).then_some(number % members);
            clients.spawn(client(Arc::clone(shared_state), number, seed, pinned));
        }
        let busy = matches!(scenario, Scenario::CompactAndKill | Scenario::DefragmentAndKill);
        let pause = Duration::from_millis(if busy { 30 } else { 200 });
        clients.spawn(housekeeper(Arc::clone(shared_state), options.clients, seed, pause));
        for member in 0..MEMBERS_MAX {
            watchers.spawn(recorder(Arc::clone(shared_state), member, member));
        }
        for number in MEMBERS_MAX..MEMBERS_MAX + options.watchers {
            watchers.spawn(wanderer(Arc::clone(shared_state), number, seed));
        }
        Self { clients, watchers }
    }

    /// Everything that they saw.
    async fn finish(self) -> History {
        let operations = self.clients.join_all().await.into_iter().flatten().collect();
        let streams = self.watchers.join_all().await.into_iter().flatten().collect();
        History { operations, streams, ..History::default() }
    }
}
