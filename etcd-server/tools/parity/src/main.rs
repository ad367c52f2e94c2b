//! `parity`: gives random programs to two servers and prints where they differ.
//!
//! Exit code 0: no difference; 1: a difference, or a server that does not start; 2: wrong usage.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool that reports to whoever started it")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Parser;
use parity::{ACCEPTED, Difference, Outcome, Pair, PairSettings, Program, Wire, generate, run, shrink};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Gives the same random requests to two servers and compares every answer.
#[derive(Debug, Parser)]
struct Flags {
    /// Command of the server under test (side A); etcd's flags are appended.
    #[arg(long, visible_alias = "a-cmd", value_name = "COMMAND")]
    ours: String,
    /// Command of the server that is right (side B).
    #[arg(long, visible_alias = "b-cmd", value_name = "COMMAND")]
    etcd: String,
    /// First seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of seeds, each on two fresh servers
    #[arg(long, default_value_t = 20)]
    seeds: u64,
    /// Steps of each program.
    #[arg(long, default_value_t = 2000)]
    ops: usize,
    /// Start no further seed after so many seconds.
    #[arg(long, value_name = "SECONDS")]
    time_limit: Option<u64>,
    /// Programs that run at the same time, each on its own two servers.
    #[arg(long, default_value_t = 4)]
    pairs: usize,
    /// Run this program instead of random ones.
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// Go on after a difference.
    #[arg(long)]
    keep_going: bool,
    /// Seconds to spend on shrinking each failing program.
    #[arg(long, default_value_t = 120)]
    shrink: u64,
    /// Directory for data directories [default: a memory filesystem if there is one, since no
    /// response depends on the disk]
    #[arg(long, value_name = "DIRECTORY")]
    data: Option<PathBuf>,
    /// Directory for failing programs
    #[arg(long, default_value = ".", value_name = "DIRECTORY")]
    out: PathBuf,
    /// Leave out methods whose name begins with this, as `Maintenance/` or `Watch`; without `Watch`
    /// no stream is opened at all.
    #[arg(long, value_name = "METHOD")]
    without: Vec<String>,
    /// Print how often each method was called and refused.
    #[arg(long)]
    coverage: bool,
}

/// The shared state of all workers.
#[derive(Debug)]
struct Work {
    flags: Flags,
    settings: PairSettings,
    wire: Wire,
    begun: Instant,
    next_seed: AtomicU64,
    stop: AtomicBool,
    total: Mutex<Total>,
}

#[derive(Debug, Default)]
struct Total {
    seeds: u64,
    operations: u64,
    differences: u64,
    accepted: BTreeMap<&'static str, u64>,
    coverage: BTreeMap<String, (u64, u64)>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    match begin(flags).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("parity: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns `true` if no difference was found.
async fn begin(flags: Flags) -> Result<bool, AnyError> {
    let memory = Path::new("/dev/shm");
    let parent = flags.data.clone().or_else(|| memory.is_dir().then(|| memory.to_owned()));
    let record = !flags.without.iter().any(|left_out| "Watch/Watch".starts_with(left_out.as_str()));
    let settings = PairSettings { a: flags.ours.clone(), b: flags.etcd.clone(), parent, record };
    let next_seed = AtomicU64::new(flags.seed);
    let total = Mutex::new(Total::default());
    let work = Work {
        flags,
        settings,
        wire: Wire::new()?,
        begun: Instant::now(),
        next_seed,
        stop: AtomicBool::new(false),
        total,
    };
    let finished = match &work.flags.replay {
        Some(file) => work.replay(file).await,
        None => work.all_seeds().await,
    };
    work.print_summary()?;
    finished?;
    Ok(work.lock()?.differences == 0)
}

impl Work {
    async fn replay(&self, file: &Path) -> Result<(), AnyError> {
        let program = Program::parse(&fs::read_to_string(file)?)?;
        let mut pair = Pair::start(&self.settings).await?;
        let outcome = run(&program, &mut pair, &self.wire).await?;
        let difference = outcome.difference.clone();
        self.count(outcome)?;
        if let Some(difference) = difference {
            print_difference(&file.display().to_string(), &difference);
        }
        Ok(())
    }

    /// The first error of a worker stops the others before their next seed.
    async fn all_seeds(&self) -> Result<(), AnyError> {
        let workers = (0..self.flags.pairs.max(1)).map(|_| async {
            let result = self.seeds().await;
            if result.is_err() {
                self.stop.store(true, Ordering::Relaxed);
            }
            result
        });
        futures::future::join_all(workers).await.into_iter().collect()
    }

    async fn seeds(&self) -> Result<(), AnyError> {
        let limit = self.flags.time_limit.map_or(Duration::MAX, Duration::from_secs);
        while !self.stop.load(Ordering::Relaxed) && self.begun.elapsed() < limit {
            let seed = self.next_seed.fetch_add(1, Ordering::Relaxed);
            if seed - self.flags.seed >= self.flags.seeds {
                break;
            }
            let program = generate(seed, self.flags.ops).without(&self.flags.without);
            let mut pair = Pair::start(&self.settings).await?;
            let outcome = run(&program, &mut pair, &self.wire).await?;
            drop(pair);
            let difference = outcome.difference.clone();
            self.count(outcome)?;
            if let Some(difference) = difference {
                self.report(seed, &program, &difference).await?;
                self.stop.fetch_or(!self.flags.keep_going, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    async fn report(&self, seed: u64, program: &Program, difference: &Difference) -> Result<(), AnyError> {
        print_difference(&format!("seed {seed} with {} steps", self.flags.ops), difference);
        let limit = Duration::from_secs(self.flags.shrink);
        let shrunk = shrink(program, difference, &self.settings, &self.wire, limit).await;
        let (text, name) = match &shrunk {
            Some(shrunk) => {
                let comment =
                    format!("seed {seed}, shrunk from {} to {} steps", program.steps.len(), shrunk.program.steps.len());
                print_difference(&format!("{comment} in {} runs", shrunk.runs), &shrunk.difference);
                (shrunk.program.to_text(&comment), format!("parity-{seed}.txt"))
            }
            None => {
                println!("seed {seed}: did not happen a second time; the whole program is kept");
                (
                    program.to_text(&format!("seed {seed}, not shrunk: did not happen again")),
                    format!("parity-{seed}-unstable.txt"),
                )
            }
        };
        let file = self.flags.out.join(name);
        fs::write(&file, &text)?;
        if shrunk.is_some() {
            print!("{text}");
        }
        println!(
            "replay: parity --ours '{}' --etcd '{}' --replay {}",
            self.settings.a,
            self.settings.b,
            file.display()
        );
        Ok(())
    }

    fn lock(&self) -> Result<std::sync::MutexGuard<'_, Total>, AnyError> {
        self.total.lock().map_err(|_| "a worker died".into())
    }

    fn count(&self, outcome: Outcome) -> Result<(), AnyError> {
        let mut total = self.lock()?;
        total.seeds += 1;
        total.operations += outcome.operations;
        total.differences += u64::from(outcome.difference.is_some());
        for (name, count) in outcome.accepted {
            *total.accepted.entry(name).or_default() += count;
        }
        for (method, (calls, errors)) in outcome.coverage {
            let counts = total.coverage.entry(method).or_default();
            *counts = (counts.0 + calls, counts.1 + errors);
        }
        Ok(())
    }

    fn print_summary(&self) -> Result<(), AnyError> {
        let total = self.lock()?;
        if self.flags.coverage {
            println!("{:<28} {:>9} {:>9}", "method", "calls", "refused");
            total.coverage.iter().for_each(|(method, (calls, errors))| println!("{method:<28} {calls:>9} {errors:>9}"));
        }
        for row in ACCEPTED.iter().filter(|row| total.accepted.contains_key(row.name)) {
            println!("accepted {} ({:?}): {} [{}]", row.name, row.treatment, row.reason, row.source);
        }
        let by_name: Vec<_> = total.accepted.iter().map(|(name, count)| format!("{name} {count}")).collect();
        let seconds = self.begun.elapsed().as_secs_f64();
        println!(
            "parity: {} seeds, {} operations, {} differences, {} accepted (by reason: {}) in {seconds:.1} s",
            total.seeds,
            total.operations,
            total.differences,
            total.accepted.values().sum::<u64>(),
            by_name.join(", "),
        );
        Ok(())
    }
}

fn print_difference(origin: &str, difference: &Difference) {
    println!(
        "difference: {origin}, step {}\n  {}\n  A {}\n  B {}",
        difference.step, difference.what, difference.a, difference.b
    );
}
