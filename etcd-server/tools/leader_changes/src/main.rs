//! `leader-changes`: what clients notice while the leader of a cluster changes, and whether each of
//! their requests is executed exactly once.
//!
//! Every client increments a counter of its own, one request after another at a steady rate, through
//! one member. The leader is changed again and again: by a transfer, by SIGTERM, by kill -9. At the
//! end each counter must be what was acknowledged; requests without an outcome may have been
//! executed or not, and are counted apart.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool that reports to whoever started it")]

mod change;
mod clients;
mod report;

use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::change::{Kind, Plan};

/// Change the leader of a cluster under load and print what its clients notice
#[derive(Debug, Parser)]
struct Flags {
    /// Command of our server; etcd's flags are appended.
    #[arg(long, value_name = "COMMAND", required_unless_present = "etcd")]
    ours: Option<String>,
    /// Command of the server to compare with.
    #[arg(long, value_name = "COMMAND")]
    etcd: Option<String>,
    /// Members of each cluster.
    #[arg(long, default_value_t = 3)]
    members: usize,
    /// Clients, spread over the members that do not lead.
    #[arg(long, default_value_t = 48)]
    clients: usize,
    /// Requests per second of all clients together.
    #[arg(long, default_value_t = 1500)]
    rate: u32,
    /// Changes of each kind.
    #[arg(long, default_value_t = 20)]
    changes: usize,
    /// Only changes of this kind; may be given several times.
    #[arg(long = "kind", value_name = "KIND", value_enum)]
    kinds: Vec<Kind>,
    /// Parent of data directories: on a real disk, since puts are synced
    #[arg(long, value_name = "DIRECTORY")]
    data: Option<PathBuf>,
    /// Keep the members' logs in this directory.
    #[arg(long, value_name = "DIRECTORY")]
    logs: Option<PathBuf>,
    /// Write the figures here as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    match measure(&flags).await {
        Ok(exact) => ExitCode::from(u8::from(!exact)),
        Err(error) => {
            eprintln!("leader-changes: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns `true` if every counter is what was acknowledged.
async fn measure(flags: &Flags) -> Result<bool, change::ChangeError> {
    let kinds = if flags.kinds.is_empty() { Kind::ALL.to_vec() } else { flags.kinds.clone() };
    let commands = [("ours", &flags.ours), ("etcd", &flags.etcd)];
    let mut lines = Vec::new();
    for kind in kinds {
        for (label, command) in &commands {
            let Some(command) = command else { continue };
            let plan = Plan {
                command: command.clone(),
                members: flags.members,
                clients: flags.clients,
                rate: flags.rate,
                changes: flags.changes,
                kind,
                parent: flags.data.clone(),
                logs: flags.logs.as_ref().map(|logs| logs.join(format!("{label}-{kind:?}").to_lowercase())),
            };
            eprintln!("{label}: {} changes, {}", plan.changes, kind.describe());
            lines.push(report::Line::new(label, &plan, &change::run(&plan).await?));
        }
    }
    println!("{}", report::table(&lines));
    if let Some(file) = &flags.json {
        std::fs::write(file, report::json(&lines))?;
    }
    Ok(lines.iter().all(report::Line::is_exact))
}
