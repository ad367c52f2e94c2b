//! `bench`: the cost of operations, on one or two servers, on one machine, with one client.
//!
//! Each case is run in short rounds, the servers in turn, and the median of the rounds is printed,
//! so that disturbances of the machine affect both. Server CPU comes from the kernel, so it counts
//! also where the client takes most of the machine.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool that reports to whoever started it")]

mod cases;
mod load;
mod report;
mod target;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;

use crate::{
    cases::{Case, Plan},
    report::Report,
    target::BenchError,
};

/// Load one or two servers and print the cost of operations
#[derive(Debug, Parser)]
struct Flags {
    /// Command of our server; etcd's flags are appended.
    #[arg(long, value_name = "COMMAND", required_unless_present = "etcd")]
    ours: Option<String>,
    /// Command of the server to compare with.
    #[arg(long, value_name = "COMMAND")]
    etcd: Option<String>,
    /// Small numbers and short rounds: about two minutes for two servers.
    #[arg(long)]
    quick: bool,
    /// Only cases whose name starts with this; may be given several times.
    #[arg(long = "case", value_name = "NAME")]
    cases: Vec<String>,
    /// Rounds of each case on each server.
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds of one round.
    #[arg(long)]
    seconds: Option<u64>,
    /// Keys of the cases about a large key space.
    #[arg(long)]
    large_keys: Option<u64>,
    /// Revisions of the cases about a long history.
    #[arg(long)]
    history: Option<u64>,
    /// Members of each cluster, all on this machine; connections are spread over them and their
    /// costs added up.
    #[arg(long, default_value_t = 1)]
    members: usize,
    /// Parent of data directories: on a real disk, since puts are synced
    #[arg(long, value_name = "DIRECTORY")]
    data: Option<PathBuf>,
    /// Write the figures here as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Name the cases and end.
    #[arg(long)]
    list: bool,
}

impl Flags {
    fn plan(&self) -> Plan {
        let or = |given: Option<u64>, quick, full| given.unwrap_or(if self.quick { quick } else { full });
        Plan {
            rounds: self.rounds.unwrap_or(if self.quick { 3 } else { 5 }).max(1),
            round: Duration::from_secs(or(self.seconds, 1, 3).max(1)),
            keys: if self.quick { 20_000 } else { 100_000 },
            large_keys: or(self.large_keys, 100_000, 1_000_000).max(1000),
            history: or(self.history, 50_000, 300_000).max(1000),
            members: self.members,
            parent: self.data.clone(),
        }
    }

    fn wants(&self, case: Case) -> bool {
        self.cases.is_empty() || self.cases.iter().any(|name| case.name().starts_with(name.as_str()))
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    if flags.list {
        Case::ALL.iter().for_each(|case| println!("{:<18} {}", case.name(), case.description()));
        return ExitCode::SUCCESS;
    }
    match measure(&flags).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(flags: &Flags) -> Result<(), BenchError> {
    let chosen: Vec<_> = Case::ALL.into_iter().filter(|case| flags.wants(*case)).collect();
    if chosen.is_empty() {
        return Err(BenchError::NoSuchCase(flags.cases.join(" ")));
    }
    let commands: Vec<_> = [("ours", &flags.ours), ("etcd", &flags.etcd)]
        .into_iter()
        .filter_map(|(label, command)| command.clone().map(|command| (label, command)))
        .collect();
    let mut report = Report::new(commands.iter().map(|(label, _)| *label).collect());
    cases::run(&chosen, &commands, &flags.plan(), &mut report).await?;
    println!("{}", report.table());
    if let Some(file) = &flags.json {
        std::fs::write(file, report.json())?;
    }
    Ok(())
}
