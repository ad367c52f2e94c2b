//! `robustness`: real members under load and faults, and the resulting violations.
//!
//! Exit code 0: nothing was violated; 1: something was, or nothing could be run; 2: wrong usage.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool that reports to whoever started it")]

use clap::{Parser, ValueEnum as _};
use robustness::{ClusterError, Options, Report, Scenario, run};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Inject faults into clusters of real members under load, and check their responses and watch
/// events
#[derive(Debug, Parser)]
struct Flags {
    /// Command of the server; etcd's flags are appended.
    #[arg(long, value_name = "COMMAND")]
    server: String,
    /// Command of another build of the server, for the scenario other-build.
    #[arg(long, value_name = "COMMAND")]
    other_server: Option<String>,
    /// A further flag of the server.
    #[arg(long = "flag", value_name = "FLAG", allow_hyphen_values = true)]
    flags: Vec<String>,
    /// The first seed; scenario after scenario takes the next one.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Scenarios to run; all by default.
    #[arg(long, value_name = "NAME")]
    scenario: Vec<Scenario>,
    /// Runs to make; by default one for each scenario.
    #[arg(long)]
    runs: Option<u64>,
    /// Begin no further run after so many minutes; without `--runs`, go round until then.
    #[arg(long)]
    minutes: Option<u64>,
    /// Members that found each group; by default drawn from the seed.
    #[arg(long)]
    members: Option<usize>,
    /// Clients that ask.
    #[arg(long, default_value_t = 8)]
    clients: usize,
    /// Watchers that come and go.
    #[arg(long, default_value_t = 6)]
    watchers: usize,
    /// Milliseconds that a client thinks between two requests.
    #[arg(long, default_value_t = 10)]
    think: u64,
    /// Keep data in plain directories, and leave out scenarios that need filesystems of their own
    #[arg(long)]
    no_disks: bool,
    /// Go on after a violation, or a run that could not be made.
    #[arg(long)]
    keep_going: bool,
    /// Directory for the histories of violations
    #[arg(long, default_value = ".", value_name = "DIRECTORY")]
    out: PathBuf,
}

#[derive(Debug, Default)]
struct Tally {
    runs: u64,
    violated: u64,
    operations: usize,
    events: usize,
    healed_in: Duration,
}

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    let scenarios =
        if flags.scenario.is_empty() { Scenario::value_variants().to_vec() } else { flags.scenario.clone() };
    let options = Options {
        command: flags.server.clone(),
        other_command: flags.other_server.clone(),
        flags: flags.flags.clone(),
        members: flags.members,
        clients: flags.clients,
        watchers: flags.watchers,
        think: Duration::from_millis(flags.think),
        disks: !flags.no_disks,
    };
    let limit = flags.minutes.map(|minutes| Duration::from_secs(60 * minutes));
    let runs = flags.runs.unwrap_or(if limit.is_some() { u64::MAX } else { scenarios.len() as u64 });
    let (begun, mut tally) = (Instant::now(), BTreeMap::<Scenario, Tally>::new());
    let mut not_run = 0;
    for (number, scenario) in (0..runs).zip(scenarios.iter().cycle()) {
        if limit.is_some_and(|limit| begun.elapsed() > limit) {
            break;
        }
        let seed = flags.seed + number;
        match run(*scenario, seed, &options).await {
            Ok(report) => {
                let violated = !report.violations.is_empty();
                count(tally.entry(*scenario).or_default(), &report);
                tell(*scenario, seed, &report);
                if violated && (keep(*scenario, seed, &report, &flags).is_err() || !flags.keep_going) {
                    break;
                }
            }
            Err(error @ ClusterError::Unable(_)) => println!("{} seed {seed}: left out: {error}", scenario.name()),
            Err(error) => {
                eprintln!("robustness: {} seed {seed}: not run: {error}", scenario.name());
                not_run += 1;
                if !flags.keep_going {
                    break;
                }
            }
        }
    }
    summary(&tally);
    let clean = not_run == 0 && tally.values().all(|tally| tally.violated == 0) && !tally.is_empty();
    if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn events(report: &Report) -> usize {
    report
        .history
        .streams
        .iter()
        .flat_map(|stream| &stream.deliveries)
        .map(|deliveries| deliveries.response.events.len())
        .sum()
}

fn count(tally: &mut Tally, report: &Report) {
    tally.runs += 1;
    tally.violated += u64::from(!report.violations.is_empty());
    tally.operations += report.history.operations.len();
    tally.events += events(report);
    tally.healed_in = tally.healed_in.max(report.healed_in);
}

fn tell(scenario: Scenario, seed: u64, report: &Report) {
    let operations = report.history.operations.len();
    let unknown = report.history.operations.iter().filter(|operation| operation.is_unknown()).count();
    let (members, revisions, events) = (report.members, report.history.last_revision, events(report));
    let verdict =
        if report.violations.is_empty() { "ok".to_owned() } else { format!("{} VIOLATIONS", report.violations.len()) };
    println!(
        "{} seed {seed}, {members} members: {operations} operations ({unknown} unknown), {revisions} revisions, {events} events in {} streams, healed in {:.1} s: {verdict}",
        scenario.name(),
        report.history.streams.len(),
        report.healed_in.as_secs_f64(),
    );
}

/// Writes the history, and the command that repeats the run.
fn keep(scenario: Scenario, seed: u64, report: &Report, flags: &Flags) -> std::io::Result<()> {
    const TOLD_MAX: usize = 10;
    for violation in report.violations.iter().take(TOLD_MAX) {
        println!("  {}", violation.to_string().chars().take(1000).collect::<String>());
    }
    let file = flags.out.join(format!("robustness-{}-{seed}.txt", scenario.name()));
    let violations: Vec<_> = report.violations.iter().map(ToString::to_string).collect();
    let text = format!("{}\n\n{}\n{}", violations.join("\n"), report.history.to_text(), report.logs.join("\n\n"));
    fs::write(&file, text)?;
    let members = flags.members.map_or_else(String::new, |members| format!(" --members {members}"));
    println!(
        "  history: {}\n  again: robustness --server '{}' --scenario {} --seed {seed}{members}",
        display(&file),
        flags.server,
        scenario.name()
    );
    Ok(())
}

fn display(path: &Path) -> String {
    path.display().to_string()
}

fn summary(tally: &BTreeMap<Scenario, Tally>) {
    println!(
        "\n| rows | scenario | runs | violated | operations | events | healed within |\n|---|---|---|---|---|---|---|"
    );
    for (scenario, tally) in tally {
        let Tally { runs, violated, operations, events, healed_in } = tally;
        println!(
            "| {} | {} | {runs} | {violated} | {operations} | {events} | {:.1} s |",
            scenario.rows(),
            scenario.name(),
            healed_in.as_secs_f64()
        );
    }
}
