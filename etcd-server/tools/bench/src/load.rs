//! Clients that call as fast as they get responses, or at a fixed rate, and their latencies.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tonic::Status;

use crate::target::{BenchError, Target};

/// One round of one case on one server.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sample {
    pub(crate) operations: f64,
    pub(crate) wall_seconds: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) p50_micros: f64,
    pub(crate) p99_micros: f64,
    pub(crate) resident_bytes: f64,
    pub(crate) resident_peak_bytes: f64,
}

/// Latencies of one client in microseconds.
type Latencies = Vec<u64>;

/// Runs `measured` and returns its cost for the server. `measured` returns the number of operations
/// and their latencies.
pub(crate) async fn sample<F>(target: &Target, measured: F) -> Result<Sample, BenchError>
where
    F: Future<Output = Result<(u64, Latencies), BenchError>>,
{
    let before = target.usage()?;
    let begun = Instant::now();
    let (operations, latencies) = measured.await?;
    let wall = begun.elapsed();
    let after = target.usage()?;
    let (p50_micros, p99_micros) = percentiles(latencies);
    Ok(Sample {
        operations: float(operations),
        wall_seconds: wall.as_secs_f64(),
        cpu_seconds: after.cpu.saturating_sub(before.cpu).as_secs_f64(),
        p50_micros,
        p99_micros,
        resident_bytes: float(after.resident_bytes),
        resident_peak_bytes: float(after.resident_peak_bytes),
    })
}

/// Counts and sizes stay far below 2^52, where a float is still exact.
#[allow(clippy::cast_precision_loss, reason = "exact below 2^52; a report needs four digits")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

/// Longer waits count as this one: ten minutes.
const LATENCY_MICROS_MAX: u64 = 600_000_000;

fn percentiles(latencies: Latencies) -> (f64, f64) {
    let Ok(mut histogram) = Histogram::<u64>::new_with_max(LATENCY_MICROS_MAX, 3) else { return (0.0, 0.0) };
    latencies.into_iter().for_each(|micros| histogram.saturating_record(micros));
    (float(histogram.value_at_quantile(0.5)), float(histogram.value_at_quantile(0.99)))
}

/// Runs `clients` tasks that call again as soon as they have a response, for `duration`. `client`
/// makes the calls of one of them, by its number.
pub(crate) async fn closed_loop<C, F>(
    target: &Target,
    clients: usize,
    duration: Duration,
    client: impl Fn(usize) -> C,
) -> Result<(u64, Latencies), BenchError>
where
    C: FnMut() -> F + Send + 'static,
    F: Future<Output = Result<(), Status>> + Send,
{
    let mut tasks = JoinSet::new();
    let deadline = Instant::now() + duration;
    for number in 0..clients {
        let mut call = client(number);
        tasks.spawn(async move {
            let mut latencies = Latencies::new();
            let mut begun = Instant::now();
            while begun < deadline {
                call().await?;
                let answered = Instant::now();
                latencies.push(micros(answered - begun));
                begun = answered;
            }
            Ok(latencies)
        });
    }
    collect(target, tasks).await
}

/// Calls at `per_second` for `duration`, whether or not earlier ones are answered. Latency counts
/// from when a call was due.
pub(crate) async fn open_loop<C, F>(
    target: &Target,
    per_second: u32,
    duration: Duration,
    mut call: C,
) -> Result<(u64, Latencies), BenchError>
where
    C: FnMut() -> F,
    F: Future<Output = Result<(), Status>> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    let mut due = tokio::time::Instant::now();
    let end = due + duration;
    let pause = Duration::from_secs(1) / per_second;
    while due < end {
        tokio::time::sleep_until(due).await;
        let calling = call();
        tasks.spawn(async move { calling.await.map(|()| vec![micros(due.elapsed())]) });
        due += pause;
    }
    collect(target, tasks).await
}

async fn collect(
    target: &Target,
    mut tasks: JoinSet<Result<Latencies, Status>>,
) -> Result<(u64, Latencies), BenchError> {
    let mut all = Latencies::new();
    while let Some(finished) = tasks.join_next().await {
        all.extend(finished?.map_err(target.failed())?);
    }
    Ok((all.len() as u64, all))
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_all_values() {
        let (p50, p99) = percentiles((1..=1000).collect());
        assert!((499.0..=501.0).contains(&p50) && (989.0..=991.0).contains(&p99), "{p50} {p99}");
        let (p50, _) = percentiles(vec![1, 5_000_000, u64::MAX]);
        assert!((4_990_000.0..=5_010_000.0).contains(&p50), "{p50}");
        assert_eq!(percentiles(Vec::new()), (0.0, 0.0));
    }
}
