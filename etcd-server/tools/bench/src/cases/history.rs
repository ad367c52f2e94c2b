//! Latency of puts at a fixed rate, while something else goes over a long history.

use std::{future::Future, time::Duration};

use proto::etcdserverpb::{
    CompactionRequest, RangeRequest, WatchCreateRequest, WatchRequest, watch_request::RequestUnion,
};
use rpc::etcdserverpb::{kv_client::KvClient, watch_client::WatchClient};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{
    Plan,
    large::read_backup,
    small::{key, put_request},
};
use crate::{
    load::{Sample, closed_loop, open_loop, sample},
    report::{Figure, median},
    target::{ANSWER_BYTES_MAX, BenchError, Target},
};

/// Rate of the puts whose latency is measured.
const PUTS_PER_SECOND: u32 = 1000;
/// Keys that the history is spread over.
const HISTORY_KEYS: u64 = 10_000;
/// Steps in which the history is compacted, so that compaction goes on through the whole
/// measurement.
const COMPACTIONS: i64 = 5;

pub(super) async fn measure(target: &Target, plan: &Plan) -> Result<Vec<Figure>, BenchError> {
    write_history(target, plan.history).await?;
    let mut quiet = Vec::new();
    let mut behind = Vec::new();
    let mut backup = Vec::new();
    for _ in 0..plan.rounds {
        quiet.push(puts_during(target, plan, std::future::pending()).await?);
        behind.push(puts_during(target, plan, catch_up(target, plan.history)).await?);
        backup.push(puts_during(target, plan, backups(target)).await?);
    }
    // Last, since a history can be compacted once only.
    let compaction = [puts_during(target, plan, compactions(target, plan.round)).await?];
    let p99 = |rounds: &[Sample]| median(rounds.iter().map(|round| round.p99_micros).collect());
    let quiet_p99 = p99(&quiet);
    Ok(vec![
        Figure::lower("put p50, quiet", "us", median(quiet.iter().map(|round| round.p50_micros).collect())),
        Figure::lower("put p99, quiet", "us", quiet_p99),
        Figure::lower("put p99, watcher catching up", "us", p99(&behind)),
        Figure::lower("  against quiet", "x", p99(&behind) / quiet_p99),
        Figure::lower("put p99, during backups", "us", p99(&backup)),
        Figure::lower("  against quiet", "x", p99(&backup) / quiet_p99),
        Figure::lower("put p99, during compaction", "us", p99(&compaction)),
        Figure::lower("  against quiet", "x", p99(&compaction) / quiet_p99),
    ])
}

/// One put per revision, by many clients until there are enough.
pub(super) async fn write_history(target: &Target, revisions: u64) -> Result<(), BenchError> {
    let connections = target.connections(16).await?;
    let client = |number: usize| {
        let kv = KvClient::new(connections[number % connections.len()].clone());
        let mut rng = fastrand::Rng::with_seed(number as u64);
        move || {
            let mut kv = kv.clone();
            let request = put_request(key(rng.u64(..HISTORY_KEYS)));
            async move { kv.put(request).await.map(drop) }
        }
    };
    while u64::try_from(revision(target).await?).unwrap_or(0) < revisions {
        closed_loop(target, 256, Duration::from_secs(1), client).await?;
    }
    Ok(())
}

pub(super) async fn revision(target: &Target) -> Result<i64, BenchError> {
    let mut kv = KvClient::new(target.connection().await?);
    let read =
        kv.range(RangeRequest { key: "key".into(), ..RangeRequest::default() }).await.map_err(target.failed())?;
    Ok(read.into_inner().header.unwrap_or_default().revision)
}

/// Puts at the fixed rate while `other` runs, which must not end by itself but with an error.
pub(super) async fn puts_during(
    target: &Target,
    plan: &Plan,
    other: impl Future<Output = Result<(), BenchError>>,
) -> Result<Sample, BenchError> {
    let connections = target.connections(16).await?;
    let mut rng = fastrand::Rng::with_seed(1);
    let call = || {
        let mut kv = KvClient::new(connections[rng.usize(..connections.len())].clone());
        let request = put_request(key(rng.u64(..HISTORY_KEYS)));
        async move { kv.put(request).await.map(drop) }
    };
    let puts = sample(target, open_loop(target, PUTS_PER_SECOND, plan.round, call));
    tokio::select! {
        measured = puts => measured,
        failed = other => Err(failed.err().unwrap_or_else(|| target.failed()(Status::internal("the load beside the puts ended")))),
    }
}

/// A watcher that starts far back; as soon as it has caught up, the next one.
async fn catch_up(target: &Target, history: u64) -> Result<(), BenchError> {
    let connection = target.connection().await?;
    let back = i64::try_from(history).unwrap_or(i64::MAX);
    loop {
        let newest = revision(target).await?;
        watch_until(connection.clone(), (newest - back).max(1), newest).await.map_err(target.failed())?;
    }
}

async fn watch_until(connection: tonic::transport::Channel, start_revision: i64, newest: i64) -> Result<(), Status> {
    let (requests, receiver) = mpsc::channel(1);
    let create = WatchCreateRequest {
        key: "key/".into(),
        range_end: "key0".into(),
        start_revision,
        ..WatchCreateRequest::default()
    };
    let create = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
    requests.try_send(create).map_err(|error| Status::internal(error.to_string()))?;
    let mut client = WatchClient::new(connection).max_decoding_message_size(ANSWER_BYTES_MAX);
    let mut responses = client.watch(ReceiverStream::new(receiver)).await?.into_inner();
    while let Some(response) = responses.message().await? {
        let reached = response.events.last().and_then(|event| event.kv.as_ref()).map_or(0, |kv| kv.mod_revision);
        if reached >= newest {
            return Ok(());
        }
    }
    Err(Status::cancelled("the watch stream ended"))
}

async fn backups(target: &Target) -> Result<(), BenchError> {
    let connection = target.connection().await?;
    loop {
        read_backup(connection.clone()).await.map_err(target.failed())?;
    }
}

/// Compacts the history in steps over `duration`, then does nothing more.
async fn compactions(target: &Target, duration: Duration) -> Result<(), BenchError> {
    let mut kv = KvClient::new(target.connection().await?);
    let newest = revision(target).await?;
    let mut steps = tokio::time::interval(duration / u32::try_from(COMPACTIONS).unwrap_or(1));
    for step in 1..=COMPACTIONS {
        steps.tick().await;
        let request = CompactionRequest { revision: newest / COMPACTIONS * step, physical: true };
        kv.compact(request).await.map_err(target.failed())?;
    }
    std::future::pending().await
}
