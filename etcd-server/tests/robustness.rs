//! A short fixed round of the robustness harness: groups of members under load while they are
//! killed, paused, cut off and lose power.
//!
//! All scenarios, and for longer: `make robustness`.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a failure is a failed test, figures are printed")]

use robustness::{ClusterError, Options, Scenario, run};
use std::time::Duration;

/// The most likely faults, one of each kind.
const ROUND: [Scenario; 7] = [
    Scenario::KillLeader,
    Scenario::PauseLeader,
    Scenario::IsolateLeader,
    Scenario::OneWay,
    Scenario::FallBehindKilled,
    Scenario::PowerCutAll,
    Scenario::RemoveLeader,
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_promised_holds_under_faults() {
    let options = Options {
        command: env!("CARGO_BIN_EXE_etcd-server").to_owned(),
        other_command: None,
        flags: Vec::new(),
        members: Some(3),
        clients: 6,
        watchers: 4,
        think: Duration::from_millis(15),
        disks: true,
    };
    let mut failed = Vec::new();
    for (seed, scenario) in (1..).zip(ROUND) {
        let report = match run(scenario, seed, &options).await {
            Err(ClusterError::Unable(what)) => {
                skip::report(format_args!("{} needs {what}", scenario.name()));
                continue;
            }
            run => run.unwrap(),
        };
        let (operations, revisions) = (report.history.operations.len(), report.history.last_revision);
        println!(
            "{}: {operations} operations, {revisions} revisions, healed in {:?}",
            scenario.name(),
            report.healed_in
        );
        if !report.violations.is_empty() {
            let file = std::env::temp_dir().join(format!("robustness-{}-{}.txt", scenario.name(), std::process::id()));
            std::fs::write(&file, format!("{}\n{}", report.history.to_text(), report.logs.join("\n\n"))).unwrap();
            failed.push(format!("{}: {:#?}, history in {}", scenario.name(), report.violations, file.display()));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
