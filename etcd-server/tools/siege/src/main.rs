//! Floods our server and a real etcd in turn, and prints the cost as a table.

use clap::Parser;
use siege::floods::{Flood, calls, fairness, logins};
use siege::measure::{Bounds, Outcome, TABLE_HEAD, measure};
use std::io;
use std::time::Duration;
use testbed::{Server, Settings};

/// Floods servers that it starts on loopback, each flood beside a client that means well
#[derive(Debug, Parser)]
struct Arguments {
    /// Our server
    #[arg(long)]
    ours: String,
    /// A real etcd, to be treated likewise
    #[arg(long)]
    etcd: Option<String>,
    /// A flood by its name; may be given again; all if not said
    #[arg(long)]
    flood: Vec<String>,
    /// Number of frames, requests or clients [default: the usual one of each flood]
    #[arg(long)]
    count: Option<u64>,
    /// Seconds that a flood may take
    #[arg(long, default_value_t = 20)]
    seconds: u64,
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the table is what the tool is for")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let known = Flood::all();
    if let Some(unknown) = arguments.flood.iter().find(|name| !known.iter().any(|flood| flood.name() == name.as_str()))
    {
        let names = known.iter().map(|flood| flood.name()).collect::<Vec<_>>().join(", ");
        return Err(format!("no flood is called {unknown}: there are {names}").into());
    }
    println!("{TABLE_HEAD}");
    for flood in known
        .into_iter()
        .filter(|flood| arguments.flood.is_empty() || arguments.flood.iter().any(|name| name == flood.name()))
    {
        for (name, command) in [("ours", Some(&arguments.ours)), ("etcd", arguments.etcd.as_ref())] {
            let Some(command) = command else { continue };
            match one(flood, command, &arguments).await {
                Ok(outcome) => println!("{}", outcome.row(name)),
                Err(error) => println!("| {} | {name} | failed: {error} |", flood.name()),
            }
        }
    }
    Ok(())
}

/// A fresh server for each flood, so that none pays for another's.
async fn one(flood: Flood, command: &str, arguments: &Arguments) -> Result<Outcome, Box<dyn std::error::Error>> {
    let mut settings = Settings::new(command);
    settings.flags = ["--quota-backend-bytes", "4000000000"].map(str::to_owned).to_vec();
    if flood == Flood::Logins {
        // The cost of a token is measured, not that of a password.
        settings.flags.extend(["--bcrypt-cost", "4"].map(str::to_owned));
    }
    let mut server = Server::start(settings).await?;
    if matches!(flood, Flood::Ranges | Flood::Snapshots) {
        calls::fill(&server).await?;
    }
    if flood.reads_large() {
        fairness::fill_large(&server).await?;
    }
    let token = if flood.needs_users() { Some(logins::set_up(&server).await?) } else { None };
    let count = arguments.count.unwrap_or_else(|| flood.usual_count());
    let bounds = Bounds { count, time: Duration::from_secs(time_of(flood, arguments.seconds)) };
    let outcome = measure(&server, flood.name(), token, flood.run(&server, bounds)).await?;
    if !server.is_running() {
        return Err(io::Error::other(format!("the server ended: {}", server.log_tail())).into());
    }
    Ok(outcome)
}

/// Slow clients take their time by nature.
fn time_of(flood: Flood, seconds: u64) -> u64 {
    if matches!(flood, Flood::SlowHeaders | Flood::SlowBodies) { seconds.max(45) } else { seconds }
}
