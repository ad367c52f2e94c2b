//! One flood, measured: its cost for the server, and the latencies of an honest client meanwhile
//! and before.

use crate::bystander::{Bystander, Latency};
use std::io;
use std::time::{Duration, Instant};
use testbed::{Server, memory_peak_reset};

/// The bystander alone, for comparison.
const IDLE: Duration = Duration::from_secs(2);

/// The bounds of a flood.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Number of frames, requests or clients.
    pub count: u64,
    /// Time for all of it.
    pub time: Duration,
}

/// The result of a flood.
#[derive(Clone, Debug, Default)]
pub struct FloodReport {
    pub sent: u64,
    /// The reaction of the server.
    pub answer: String,
}

/// Everything about one flood.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub name: &'static str,
    pub told: FloodReport,
    pub took: Duration,
    /// Processor time of the server, less the cost of the honest client alone in as much time.
    pub cpu: Duration,
    /// Resident memory at its highest above where it began.
    pub grown_bytes: u64,
    pub idle: Latency,
    pub during: Latency,
}

/// Runs a flood against `server` with a bystander beside it.
pub async fn measure<F: Future<Output = io::Result<FloodReport>>>(
    server: &Server,
    name: &'static str,
    token: Option<String>,
    flood: F,
) -> io::Result<Outcome> {
    let endpoint = server.endpoint();
    let bystander = || Bystander::begin(&endpoint, token.clone());
    let before = server.usage()?;
    let alone = bystander().await.map_err(io::Error::other)?;
    tokio::time::sleep(IDLE).await;
    let idle = alone.end().await;
    let idle_cpu = server.usage()?.cpu.saturating_sub(before.cpu);
    memory_peak_reset(server.pid())?;
    let (before, begun) = (server.usage()?, Instant::now());
    let beside = bystander().await.map_err(io::Error::other)?;
    let told = flood.await?;
    let took = begun.elapsed();
    let during = beside.end().await;
    let after = server.usage()?;
    let of_bystander = idle_cpu.mul_f64(took.as_secs_f64() / IDLE.as_secs_f64());
    Ok(Outcome {
        name,
        told,
        took,
        cpu: after.cpu.saturating_sub(before.cpu).saturating_sub(of_bystander),
        grown_bytes: after.resident_peak_bytes.saturating_sub(before.resident_bytes),
        idle,
        during,
    })
}

/// The head of the table of outcomes.
pub const TABLE_HEAD: &str = "| flood | server | sent | in | CPU | memory | bystander p50 / p99 / max (alone: p99) | lost | answer |\n|---|---|---|---|---|---|---|---|---|";

impl Outcome {
    /// A row of the table.
    #[must_use]
    pub fn row(&self, server: &str) -> String {
        let milliseconds = |latency: Duration| format!("{:.1}", latency.as_secs_f64() * 1000.0);
        let Self { name, told, took, cpu, grown_bytes, idle, during } = self;
        format!(
            "| {name} | {server} | {} | {:.1} s | {:.2} s | {} MiB | {} / {} / {} ({}) ms | {} | {} |",
            told.sent,
            took.as_secs_f64(),
            cpu.as_secs_f64(),
            grown_bytes >> 20,
            milliseconds(during.p50),
            milliseconds(during.p99),
            milliseconds(during.max),
            milliseconds(idle.p99),
            during.lost,
            told.answer
        )
    }
}
