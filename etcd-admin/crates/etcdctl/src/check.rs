//! check perf and datascale: loads of known size, and whether the cluster bears them.

use crate::args::{CheckArgs, CheckCommand};
use crate::context::Ctl;
use crate::error::{CtlError, Exit};
use crate::keys::prefix_end;
use crate::print::say;
use admin_client::{Repeat, Session};
use bytes::Bytes;
use futures::future::join_all;
use proto::etcdserverpb::{CompactionRequest, DefragmentRequest, DeleteRangeRequest, PutRequest, RangeRequest};
use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

const DURATION: Duration = Duration::from_secs(60);
const CHUNK_BYTES: usize = 512;

/// The numbers behind `--load`.
struct Load {
    /// Of perf.
    puts_per_second: u32,
    perf_clients: u32,
    /// Of datascale.
    keys: u32,
    scale_clients: u32,
}

fn load(args: &CheckArgs) -> Result<Load, CtlError> {
    let (puts_per_second, perf_clients, keys, scale_clients) = match args.load.as_str() {
        "s" | "small" => (150, 50, 10_000, 50),
        "m" | "medium" => (1_000, 200, 100_000, 200),
        "l" | "large" => (8_000, 500, 1_000_000, 500),
        "xl" | "xLarge" => (15_000, 1_000, 3_000_000, 1_000),
        other => return Err(CtlError::new(Exit::BadFeature, format!("unknown load option {other}"))),
    };
    Ok(Load { puts_per_second, perf_clients, keys, scale_clients })
}

pub(super) async fn run(ctl: &Ctl, command: CheckCommand) -> Result<(), CtlError> {
    match command {
        CheckCommand::Perf(args) => perf(ctl, &args).await,
        CheckCommand::Datascale(args) => datascale(ctl, &args).await,
    }
}

/// Refuses to run where keys are already: they would be deleted at the end.
async fn empty(ctl: &Ctl, prefix: &str) -> Result<(), CtlError> {
    let (key, range_end) = (Bytes::from(prefix.to_owned()), Bytes::from(prefix_end(prefix.as_bytes())));
    let request = RangeRequest { key, range_end, limit: 1, ..RangeRequest::default() };
    let found = ctl.client.call(Repeat::Safe, async |session| session.kv().range(request.clone()).await).await?;
    match found.kvs.first() {
        None => Ok(()),
        Some(_) => {
            let text = format!("prefix {prefix:?} has keys. Delete with 'etcdctl del --prefix {prefix}' first");
            Err(CtlError::new(Exit::InvalidInput, text))
        }
    }
}

/// Returns a key without other writers, and a value.
fn put(prefix: &str, number: u32, key_bytes: usize, value_bytes: usize) -> PutRequest {
    let mut key = format!("{prefix}{number:016x}").into_bytes();
    key.resize(key.len().max(key_bytes), b'k');
    PutRequest { key: key.into(), value: vec![b'v'; value_bytes].into(), ..PutRequest::default() }
}

/// Latencies in seconds of all puts, and those that failed.
#[derive(Default)]
struct Measured {
    seconds: RefCell<Vec<f64>>,
    errors: RefCell<Vec<String>>,
}

/// One client: takes the next number as long as `more` gives one.
async fn client(session: &Session, measured: &Measured, mut more: impl AsyncFnMut() -> Option<PutRequest>) {
    while let Some(request) = more().await {
        let begun = Instant::now();
        match session.kv().put(request).await {
            Ok(_) => measured.seconds.borrow_mut().push(begun.elapsed().as_secs_f64()),
            Err(status) => measured.errors.borrow_mut().push(status.message().to_owned()),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count of requests of one minute")]
async fn perf(ctl: &Ctl, args: &CheckArgs) -> Result<(), CtlError> {
    let load = load(args)?;
    let prefix = args.prefix.as_deref().unwrap_or("/etcdctl-check-perf/");
    empty(ctl, prefix).await?;
    let session = ctl.client.session().await?;
    let (measured, next, begun) = (Measured::default(), Cell::new(0_u32), Instant::now());
    let pause = Duration::from_secs(1) / load.puts_per_second;
    join_all((0..load.perf_clients).map(|_| {
        client(&session, &measured, async || {
            let number = next.get();
            next.set(number + 1);
            let due = pause * number;
            if due >= DURATION {
                return None;
            }
            tokio::time::sleep(due.saturating_sub(begun.elapsed())).await;
            // A client that cannot keep up stops all the same.
            (begun.elapsed() < DURATION).then(|| put(prefix, number, 256, 1024))
        })
    }))
    .await;
    let took = begun.elapsed().max(DURATION).as_secs_f64();
    tidy(ctl, prefix, args).await?;
    let seconds = measured.seconds.into_inner();
    let count = seconds.len().max(1) as f64;
    let slowest = seconds.iter().copied().fold(0.0, f64::max);
    let mean = seconds.iter().sum::<f64>() / count;
    let deviation = (seconds.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
    let throughput = (seconds.len() as f64 / took).trunc() + 1.0;
    let mut good = true;
    let mut line = |passed: bool, pass: String, fail: String| {
        good &= passed;
        say(if passed { format!("PASS: {pass}\n") } else { format!("{fail}\n") }.as_bytes())
    };
    for error in measured.errors.into_inner() {
        line(false, String::new(), format!("FAIL: too many errors\nFAIL: ERROR({error}) -> 1"))?;
    }
    let enough = throughput > f64::from(load.puts_per_second) * 0.9;
    line(
        enough,
        format!("Throughput is {throughput:.0} writes/s"),
        format!("FAIL: Throughput too low: {throughput:.0} writes/s"),
    )?;
    line(
        slowest <= 0.5,
        format!("Slowest request took {slowest:.6}s"),
        format!("Slowest request took too long: {slowest:.6}s"),
    )?;
    line(deviation <= 0.1, format!("Stddev is {deviation:.6}s"), format!("Stddev too high: {deviation:.6}s"))?;
    say(if good { b"PASS\n" } else { b"FAIL\n" })?;
    if good { Ok(()) } else { Err(CtlError::new(Exit::Error, "")) }
}

#[expect(clippy::cast_precision_loss, reason = "megabytes for eyes")]
async fn datascale(ctl: &Ctl, args: &CheckArgs) -> Result<(), CtlError> {
    let load = load(args)?;
    let prefix = args.prefix.as_deref().unwrap_or("/etcdctl-check-datascale/");
    empty(ctl, prefix).await?;
    let before = resident_bytes(ctl).await?;
    say(format!(
        "Start data scale check for work load [{} key-value pairs, {} bytes per key-value, {} concurrent clients].\n",
        load.keys,
        2 * CHUNK_BYTES,
        load.scale_clients
    )
    .as_bytes())?;
    let session = ctl.client.session().await?;
    let (measured, next) = (Measured::default(), Cell::new(0_u32));
    join_all((0..load.scale_clients).map(|_| {
        client(&session, &measured, async || {
            let number = next.get();
            next.set(number + 1);
            (number < load.keys).then(|| put(prefix, number, CHUNK_BYTES, CHUNK_BYTES))
        })
    }))
    .await;
    let after = resident_bytes(ctl).await?;
    tidy(ctl, prefix, args).await?;
    let errors = measured.errors.into_inner();
    if let Some(error) = errors.first() {
        say(format!("FAIL: too many errors\nFAIL: ERROR({error}) -> {}\n", errors.len()).as_bytes())?;
        return Err(CtlError::new(Exit::Error, ""));
    }
    let used = after.saturating_sub(before) as f64 / f64::from(1 << 20);
    say(format!("PASS: Approximate system memory used : {used:.2} MB.\n").as_bytes())
}

/// Deletes the written keys, and reclaims the space if requested.
async fn tidy(ctl: &Ctl, prefix: &str, args: &CheckArgs) -> Result<(), CtlError> {
    let (key, range_end) = (Bytes::from(prefix.to_owned()), Bytes::from(prefix_end(prefix.as_bytes())));
    let request = DeleteRangeRequest { key, range_end, prev_kv: false };
    let deleted = ctl
        .client
        .call_within(None, Repeat::Safe, async |session| session.kv().delete_range(request.clone()).await)
        .await?;
    let revision = deleted.header.map_or(0, |header| header.revision);
    if args.auto_compact {
        say(format!("Compacting with revision {revision}\n").as_bytes())?;
        let request = CompactionRequest { revision, physical: true };
        ctl.client.call_within(None, Repeat::Unsafe, async |session| session.kv().compact(request).await).await?;
        say(format!("Compacted with revision {revision}\n").as_bytes())?;
    }
    if args.auto_defrag {
        for endpoint in &ctl.client.settings.endpoints {
            say(format!("Defragmenting {endpoint:?}\n").as_bytes())?;
            let client = ctl.client.at(endpoint)?;
            client
                .call_within(None, Repeat::Unsafe, async |session| {
                    session.maintenance().defragment(DefragmentRequest {}).await
                })
                .await?;
            say(format!("Defragmented {endpoint:?}\n").as_bytes())?;
        }
    }
    Ok(())
}

/// `process_resident_memory_bytes` of the first endpoint.
async fn resident_bytes(ctl: &Ctl) -> Result<u64, CtlError> {
    let missing = || CtlError::error("could not find: process_resident_memory_bytes");
    let page = ctl.client.metrics_page().await.map_err(|error| CtlError::error(format!("fetch error: {error}")))?;
    let line = page.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes ")).ok_or_else(missing)?;
    let bytes: f64 = line.trim().parse().map_err(|_| missing())?;
    // A count of bytes is far below where whole numbers end.
    format!("{bytes:.0}").parse().map_err(|_| missing())
}
