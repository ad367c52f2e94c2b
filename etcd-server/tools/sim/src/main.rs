//! Runs seeds.

use clap::Parser;
use sim::{Bug, Options, Planted};
use std::process::ExitCode;

/// A whole cluster in one thread, under a seed.
#[derive(Parser, Debug)]
struct Arguments {
    /// Seeds to run: from the first up to, not including, the second.
    #[arg(long, value_name = "A..B", value_parser = parse_range, default_value = "0..100")]
    seeds: std::ops::Range<u64>,
    /// The one seed to run.
    #[arg(long)]
    seed: Option<u64>,
    /// Members that found the cluster; drawn from each seed when not given.
    #[arg(long)]
    members: Option<u64>,
    /// Print every event.
    #[arg(long)]
    trace: bool,
    /// Plant a bug, and look for it.
    #[arg(long)]
    plant: Option<Bug>,
    /// Plant every bug in turn, and tell by how many seeds each is found.
    #[arg(long)]
    planted: bool,
}

fn parse_range(text: &str) -> Result<std::ops::Range<u64>, String> {
    let (from, to) = text.split_once("..").ok_or("two numbers with .. between them")?;
    let number = |text: &str| text.parse().map_err(|error| format!("{text}: {error}"));
    Ok(number(from)?..number(to)?)
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let seeds = arguments.seed.map_or(arguments.seeds.clone(), |seed| seed..seed + 1);
    let options = Options { members: arguments.members, tracing: arguments.trace, planted: Planted(arguments.plant) };
    // A panic is a violation like others, and is reported as one.
    std::panic::set_hook(Box::new(|_| {}));
    if arguments.planted { report::planted(seeds, &options) } else { report::seeds(seeds, &options) }
}

#[expect(clippy::print_stdout, reason = "a tool tells what it found")]
mod report {
    use super::{ExitCode, Options, Planted};
    use sim::{End, KINDS, Tally};
    use std::ops::Range;

    pub(crate) fn seeds(seeds: Range<u64>, options: &Options) -> ExitCode {
        let (mut failed, mut total, mut operations) = (0, [0; 3], Tally::default());
        let count = seeds.end - seeds.start;
        for seed in seeds {
            match sim::run(seed, options) {
                Ok(outcome) => {
                    let figures = [outcome.events, outcome.committed, outcome.watched];
                    operations.add(&outcome.operations);
                    total.iter_mut().zip(figures).for_each(|(sum, figure)| *sum += figure);
                    if options.tracing {
                        println!("seed {seed}: {outcome:?}");
                    }
                }
                Err(violation) => {
                    failed += 1;
                    let members = options.members.map_or_else(String::new, |members| format!(" --members {members}"));
                    println!(
                        "seed {seed}: {}\n  replay: cargo run --release -p sim -- --seed {seed}{members} --trace",
                        violation.0
                    );
                }
            }
        }
        for (kind, [succeeded, refused, not_taken, unknown]) in KINDS.iter().zip(operations.0) {
            println!("{kind:>16}: {succeeded} succeeded, {refused} refused, {not_taken} not taken, {unknown} unknown");
        }
        let ([events, committed, watched], done) = (total, operations.of(End::Succeeded));
        println!(
            "{count} seeds, {failed} failed; {events} events, {committed} entries, {done} operations, {watched} events watched"
        );
        if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    pub(crate) fn planted(seeds: Range<u64>, options: &Options) -> ExitCode {
        let mut all_found = true;
        for bug in sim::planted::all() {
            let options =
                Options { planted: Planted(Some(bug)), members: options.members.or(bug.members()), ..*options };
            let found = seeds.clone().find_map(|seed| Some((seed, sim::run(seed, &options).err()?)));
            all_found &= found.is_some();
            match found {
                Some((seed, violation)) => {
                    println!("{bug:?}: seed {seed}: {}", violation.0.chars().take(100).collect::<String>())
                }
                None => println!("{bug:?}: not found in {seeds:?}"),
            }
        }
        if all_found { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
