//! A large key space: the cost of holding it, starting with it, listing it and backing it up.

use std::time::Instant;

use proto::etcdserverpb::{RangeRequest, SnapshotRequest};
use rpc::etcdserverpb::{kv_client::KvClient, maintenance_client::MaintenanceClient};
use testbed::memory_peak_reset;
use tonic::Status;

use super::{
    Plan,
    small::{fill, key},
};
use crate::{
    load::{Sample, closed_loop, float, sample},
    report::{Figure, load_figures, mebibytes},
    target::{ANSWER_BYTES_MAX, BenchError, Target},
};

/// Keys in one page, as Kubernetes asks for them.
const PAGE: i64 = 500;

pub(super) async fn measure(target: &mut Target, plan: &Plan) -> Result<Vec<Figure>, BenchError> {
    let keys = plan.large_keys;
    let mut figures = vec![Figure::higher("keys", "", float(keys))];
    let before = target.usage()?.cpu;
    fill(target, keys).await?;
    let filled = target.usage()?;
    let cpu_micros = (filled.cpu.saturating_sub(before)).as_secs_f64() * 1e6;
    figures.push(Figure::lower("filling, 100 puts a txn: CPU/key", "us", cpu_micros / float(keys)));
    figures.push(Figure::lower("resident memory after filling", "MiB", mebibytes(float(filled.resident_bytes))));
    figures.push(Figure::lower("data on disk", "MiB", mebibytes(float(target.server.disk_bytes()))));

    target.server.restart().await?;
    figures.push(Figure::lower("start to healthy", "ms", target.server.start_time().as_secs_f64() * 1e3));
    figures.push(Figure::lower("resident memory after start", "MiB", mebibytes(float(target.usage()?.resident_bytes))));

    let mut rounds = Vec::new();
    for _ in 0..plan.rounds {
        rounds.push(pages(target, plan).await?);
    }
    let mut page_figures = load_figures(&rounds).into_iter();
    let names = ["page of 500 with count: a second", "page: latency p50", "page: latency p99", "page: server CPU"];
    figures.extend(names.into_iter().zip(page_figures.by_ref()).map(|(name, figure)| Figure { name, ..figure }));
    figures.extend(full_list(target, keys).await?);
    figures.extend(backup(target).await?);
    Ok(figures)
}

/// Pages from anywhere in the first half of the key space to its end, each with the count of all
/// that is left.
async fn pages(target: &Target, plan: &Plan) -> Result<Sample, BenchError> {
    let connection = target.connection().await?;
    let keys = plan.large_keys;
    let client = |number: usize| {
        let kv = KvClient::new(connection.clone()).max_decoding_message_size(ANSWER_BYTES_MAX);
        let mut rng = fastrand::Rng::with_seed(number as u64);
        move || {
            let mut kv = kv.clone();
            let first = rng.u64(..keys / 2);
            let request = RangeRequest {
                key: key(first).into(),
                range_end: "key0".into(),
                limit: PAGE,
                ..RangeRequest::default()
            };
            async move {
                let count = kv.range(request).await?.into_inner().count;
                let right = u64::try_from(count).is_ok_and(|count| count == keys - first);
                if right { Ok(()) } else { Err(Status::data_loss(format!("counted {count} of {}", keys - first))) }
            }
        }
    };
    sample(target, closed_loop(target, 4, plan.round, client)).await
}

async fn full_list(target: &Target, keys: u64) -> Result<[Figure; 3], BenchError> {
    let mut kv = KvClient::new(target.connection().await?).max_decoding_message_size(ANSWER_BYTES_MAX);
    memory_peak_reset(target.server.pid())?;
    let before = target.usage()?;
    let begun = Instant::now();
    let everything = RangeRequest { key: "key/".into(), range_end: "key0".into(), ..RangeRequest::default() };
    let read = kv.range(everything).await.map_err(target.failed())?.into_inner().kvs.len() as u64;
    let seconds = begun.elapsed().as_secs_f64();
    if read != keys {
        return Err(target.failed()(Status::data_loss(format!("listed {read} of {keys} keys"))));
    }
    let after = target.usage()?;
    Ok([
        Figure::lower("full list: time", "ms", seconds * 1e3),
        Figure::lower("full list: server CPU", "ms", after.cpu.saturating_sub(before.cpu).as_secs_f64() * 1e3),
        Figure::lower("full list: peak above idle", "MiB", above(after.resident_peak_bytes, before.resident_bytes)),
    ])
}

async fn backup(target: &Target) -> Result<[Figure; 3], BenchError> {
    let connection = target.connection().await?;
    memory_peak_reset(target.server.pid())?;
    let before = target.usage()?;
    let begun = Instant::now();
    let bytes = read_backup(connection).await.map_err(target.failed())?;
    let seconds = begun.elapsed().as_secs_f64();
    let after = target.usage()?;
    Ok([
        Figure::higher("backup: speed", "MiB/s", mebibytes(float(bytes)) / seconds),
        Figure::lower("backup: server CPU", "ms", after.cpu.saturating_sub(before.cpu).as_secs_f64() * 1e3),
        Figure::lower("backup: peak above idle", "MiB", above(after.resident_peak_bytes, before.resident_bytes)),
    ])
}

/// Reads a whole backup and returns its size in bytes.
pub(super) async fn read_backup(connection: tonic::transport::Channel) -> Result<u64, Status> {
    let mut client = MaintenanceClient::new(connection).max_decoding_message_size(ANSWER_BYTES_MAX);
    let mut chunks = client.snapshot(SnapshotRequest {}).await?.into_inner();
    let mut bytes = 0;
    while let Some(chunk) = chunks.message().await? {
        bytes += chunk.blob.len() as u64;
    }
    Ok(bytes)
}

fn above(peak_bytes: u64, idle_bytes: u64) -> f64 {
    mebibytes(float(peak_bytes.saturating_sub(idle_bytes)))
}
