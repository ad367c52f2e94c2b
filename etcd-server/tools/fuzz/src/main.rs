//! Tries every decoder with hostile input and ends with 1 when one of them panicked.

use clap::Parser;
use fuzz::{Report, run, targets};
use std::process::ExitCode;

/// Tries every decoder with input made by seeds
#[derive(Debug, Parser)]
struct Arguments {
    /// Inputs for each decoder
    #[arg(long, default_value_t = 1_000_000)]
    inputs: u64,
    /// The first seed; with --inputs 1 it makes one input again
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// A decoder by its name; may be given again; all if not said
    #[arg(long)]
    target: Vec<String>,
}

#[expect(clippy::print_stdout, reason = "the table is what the tool is for")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut panics = 0;
    println!("| decoder | inputs | taken | panics | time | slowest |\n|---|---|---|---|---|---|");
    for (name, ready) in targets::ALL {
        if !arguments.target.is_empty() && !arguments.target.iter().any(|target| target == name) {
            continue;
        }
        let report = run(name, &mut *ready(), arguments.seed..arguments.seed + arguments.inputs);
        println!("{}", row(&report));
        panics += report.panics.len();
    }
    ExitCode::from(u8::from(panics > 0))
}

fn row(report: &Report) -> String {
    let Report { name, tried, taken, took, slowest, panics } = report;
    let seeds =
        if panics.is_empty() { String::new() } else { format!(" (seeds {:?})", &panics[..panics.len().min(10)]) };
    format!(
        "| {name} | {tried} | {taken} | {}{seeds} | {:.0} s | {:.1} ms |",
        panics.len(),
        took.as_secs_f64(),
        slowest.as_secs_f64() * 1000.0
    )
}
