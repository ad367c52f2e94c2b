//! Honest or slow clients, in numbers: the effect of one of them on all others.

use super::calls::{at_a_time, connect};
use crate::bystander::Latency;
use crate::measure::{Bounds, FloodReport};
use crate::raw::{Connection, DATA, SETTINGS, WINDOW_UPDATE, frame, headers, message};
use bytes::Bytes;
use prost::Message as _;
use proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{
    LeaseGrantRequest, LeaseKeepAliveRequest, LeaseKeepAliveResponse, PutRequest, RangeRequest, RequestOp, TxnRequest,
};
use proto::v3lockpb::LockRequest;
use rpc::etcdserverpb::{kv_client::KvClient, lease_client::LeaseClient};
use rpc::v3lockpb::lock_client::LockClient;
use std::collections::HashSet;
use std::io;
use std::time::{Duration, Instant};
use testbed::Server;
use tokio::task::JoinSet;
use tonic::transport::Channel;

/// Clients that put while others wait for a lock.
const PUTTERS: u64 = 32;
/// The time over which throughput is measured.
const MEASURED: Duration = Duration::from_secs(5);
/// Waiters on one connection.
const WAITERS_PER_CONNECTION: usize = 500;
/// Lease time to live in seconds.
const LEASE_TTL: i64 = 60;
/// Rounds over all leases of a connection.
const ROUNDS: usize = 3;
/// The data of large readers: this many keys with values of that many bytes, 25 MB.
const LARGE_KEYS: u64 = 25_000;
const LARGE_VALUE_BYTES: usize = 1_000;
/// A slow reader takes so much at a time, and pauses.
const SLOW_BYTES: u32 = 4 << 10;
const SLOW_PAUSE: Duration = Duration::from_secs(1);

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::other(error)
}

/// Puts per second of [`PUTTERS`] clients.
async fn put_throughput(channel: &Channel) -> f64 {
    let begun = Instant::now();
    let putters = (0..PUTTERS).map(|putter| {
        let mut kv = KvClient::new(channel.clone());
        async move {
            let mut done = 0_u32;
            while begun.elapsed() < MEASURED {
                let put =
                    PutRequest { key: format!("putter/{putter}").into(), value: "v".into(), ..PutRequest::default() };
                done += u32::from(kv.put(put).await.is_ok());
            }
            done
        }
    });
    let done: u32 = futures::future::join_all(putters).await.into_iter().sum();
    f64::from(done) / begun.elapsed().as_secs_f64()
}

/// Clients that wait for one lock, beside others that put.
pub async fn lock_waiters(server: &Server, bounds: Bounds) -> io::Result<FloodReport> {
    let putters = connect(server).await?;
    let alone = put_throughput(&putters).await;
    let mut waiting = JoinSet::new();
    let mut channel = connect(server).await?;
    let count = usize::try_from(bounds.count).unwrap_or(usize::MAX);
    let mut lease = LeaseClient::new(channel.clone());
    for waiter in 0..=count {
        if waiter % WAITERS_PER_CONNECTION == 0 {
            channel = connect(server).await?;
        }
        let granted = lease.lease_grant(LeaseGrantRequest { ttl: 3600, id: 0 }).await.map_err(failed)?.into_inner();
        let mut lock = LockClient::new(channel.clone());
        waiting.spawn(async move { lock.lock(LockRequest { name: "lock".into(), lease: granted.id }).await.is_ok() });
    }
    let mut kv = KvClient::new(putters.clone());
    let keys =
        RangeRequest { key: "lock/".into(), range_end: "lock0".into(), count_only: true, ..RangeRequest::default() };
    let entered = Instant::now();
    while kv.range(keys.clone()).await.map_err(failed)?.into_inner().count <= bounds.count.cast_signed() {
        if entered.elapsed() > bounds.time + Duration::from_secs(120) {
            return Err(io::Error::other("the waiters' keys did not appear"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let beside = put_throughput(&putters).await;
    waiting.shutdown().await;
    Ok(FloodReport { sent: bounds.count, answer: format!("{alone:.0} puts/s without waiters, {beside:.0} with") })
}

/// Leases kept alive on one connection, each request in a frame of its own.
pub async fn lease_keepers(server: &Server, bounds: Bounds) -> io::Result<FloodReport> {
    let channel = connect(server).await?;
    let lease = LeaseClient::new(channel);
    let grants = Bounds { time: Duration::from_secs(120), ..bounds };
    let granted = at_a_time(grants, 256, |number| {
        let mut lease = lease.clone();
        let id = number.cast_signed() + 1;
        async move { drop(lease.lease_grant(LeaseGrantRequest { ttl: LEASE_TTL, id }).await) }
    })
    .await;
    let (renewed, took, closed) = keep_alive_in_small_frames(server.place().client_port, granted, ROUNDS).await?;
    let closed = if closed { "the connection was closed" } else { "never closed" };
    Ok(FloodReport {
        sent: granted * ROUNDS as u64,
        answer: format!("{renewed} of {} renewed in {:.1} s, {closed}", granted * ROUNDS as u64, took.as_secs_f64()),
    })
}

/// Renews the leases 1 to `leases` on one stream, as fast as the server lets it, each request in a
/// DATA frame of its own. Returns the number of granted renewals, their duration, and `true` if the
/// server ended the connection.
///
/// # Errors
/// When the connection cannot be made.
pub async fn keep_alive_in_small_frames(port: u16, leases: u64, rounds: usize) -> io::Result<(u64, Duration, bool)> {
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    // Else this client, not the server, ends a connection with many small frames.
    let mut client = h2::client::Builder::new();
    client.data_frame_budget(usize::MAX);
    let (mut sender, connection) = client.handshake(stream).await.map_err(failed)?;
    let driver = tokio::spawn(connection);
    let request = http::Request::post("http://etcd/etcdserverpb.Lease/LeaseKeepAlive")
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    let (response, mut requests) = sender.send_request(request.body(()).map_err(failed)?, false).map_err(failed)?;
    let begun = Instant::now();
    let sending = tokio::spawn(async move {
        for id in (0..rounds).flat_map(|_| 1..=leases) {
            let request = LeaseKeepAliveRequest { id: id.cast_signed() };
            let mut left = Bytes::from(message(&request.encode_to_vec()));
            while !left.is_empty() {
                requests.reserve_capacity(left.len());
                let Some(Ok(room)) = std::future::poll_fn(|cx| requests.poll_capacity(cx)).await else { return None };
                if requests.send_data(left.split_to(room.min(left.len())), false).is_err() {
                    return None;
                }
            }
        }
        Some(requests)
    });
    let mut renewed = 0;
    let mut closed = false;
    match response.await {
        Err(_) => closed = true,
        Ok(response) => {
            let (mut body, mut gathered) = (response.into_body(), bytes::BytesMut::new());
            while renewed < leases * rounds as u64 {
                let Some(Ok(part)) = body.data().await else {
                    closed = true;
                    break;
                };
                drop(body.flow_control().release_capacity(part.len()));
                gathered.extend_from_slice(&part);
                while let Some(length) =
                    gathered.get(1..5).and_then(|length| length.try_into().ok()).map(u32::from_be_bytes)
                {
                    let whole = 5 + length as usize;
                    if gathered.len() < whole {
                        break;
                    }
                    let response = LeaseKeepAliveResponse::decode(&gathered.split_to(whole)[5..]).map_err(failed)?;
                    renewed += u64::from(response.ttl > 0);
                }
            }
        }
    }
    let took = begun.elapsed();
    sending.abort();
    driver.abort();
    Ok((renewed, took, closed))
}

/// Puts 25 MB below `big/`.
///
/// # Errors
/// When the server does not take them.
pub async fn fill_large(server: &Server) -> io::Result<()> {
    let kv = KvClient::new(connect(server).await?);
    let bounds = Bounds { count: LARGE_KEYS / 100, time: Duration::from_secs(120) };
    at_a_time(bounds, 16, |number| {
        let mut kv = kv.clone();
        let put = |key: u64| {
            let value = vec![b'x'; LARGE_VALUE_BYTES].into();
            RequestOp {
                request: Some(Request::RequestPut(PutRequest {
                    key: format!("big/{key:08}").into(),
                    value,
                    ..PutRequest::default()
                })),
            }
        };
        let txn =
            TxnRequest { success: (0..100).map(|key| put(number * 100 + key)).collect(), ..TxnRequest::default() };
        async move { drop(kv.txn(txn).await) }
    })
    .await;
    Ok(())
}

fn all_large() -> RangeRequest {
    RangeRequest { key: "big/".into(), range_end: "big0".into(), ..RangeRequest::default() }
}

/// Returns the latencies of a client of its own that reads the whole 25 MB, over and over for
/// `time`.
async fn large_reads(server: &Server, time: Duration) -> io::Result<Latency> {
    let mut kv = KvClient::new(connect(server).await?).max_decoding_message_size(1 << 30);
    let (begun, mut took, mut lost) = (Instant::now(), Vec::new(), 0);
    while begun.elapsed() < time {
        let asked = Instant::now();
        match tokio::time::timeout(Duration::from_secs(60), kv.range(all_large())).await {
            Ok(Ok(response)) if response.get_ref().kvs.len() as u64 == LARGE_KEYS => {}
            Ok(_) | Err(_) => lost += 1,
        }
        took.push(asked.elapsed());
    }
    took.sort_unstable();
    let at = |share: usize| {
        took.get((took.len() * share / 100).min(took.len().saturating_sub(1))).copied().unwrap_or_default()
    };
    Ok(Latency { p50: at(50), p99: at(99), max: at(100), answers: took.len(), lost })
}

/// A client that asks for `path` and takes the response in small parts with long pauses.
async fn read_slowly(port: u16, path: &str, request: Vec<u8>) -> io::Result<()> {
    let mut connection = Connection::open(port).await?;
    let stream = connection.request(&headers(path), &message(&request)).await?;
    let mut since = Instant::now();
    while let Some(received) = connection.receiver.next().await? {
        match received.kind {
            SETTINGS if received.flags & crate::raw::ACK == 0 => {
                connection.sender.send(&frame(SETTINGS, crate::raw::ACK, 0, &[])).await?
            }
            DATA => {
                tokio::time::sleep(SLOW_PAUSE.saturating_sub(since.elapsed())).await;
                since = Instant::now();
                let more = SLOW_BYTES.to_be_bytes();
                connection
                    .sender
                    .send(&[frame(WINDOW_UPDATE, 0, 0, &more), frame(WINDOW_UPDATE, 0, stream, &more)].concat())
                    .await?;
            }
            crate::raw::RST_STREAM | crate::raw::GO_AWAY => return Ok(()),
            _ => {}
        }
    }
    Ok(())
}

/// Runs `readers` while another client reads 25 MB over and over.
async fn beside_large_reads(server: &Server, bounds: Bounds, mut readers: JoinSet<()>) -> io::Result<FloodReport> {
    // All readers have begun before the other client does.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let during = large_reads(server, bounds.time).await?;
    let left = std::iter::from_fn(|| readers.try_join_next()).count();
    readers.shutdown().await;
    let Latency { p50, p99, max, answers, lost } = during;
    let answer = format!(
        "another client's 25 MB: p50 {:.0} ms, p99 {:.0} ms, max {:.0} ms, {answers} reads, {lost} lost; {left} readers ended",
        p50.as_secs_f64() * 1e3,
        p99.as_secs_f64() * 1e3,
        max.as_secs_f64() * 1e3
    );
    Ok(FloodReport { sent: bounds.count, answer })
}

/// Slow readers of 25 MB.
pub async fn slow_ranges(server: &Server, bounds: Bounds) -> io::Result<FloodReport> {
    slow_readers(server, bounds, "/etcdserverpb.KV/Range", &all_large().encode_to_vec()).await
}

/// Backups that are read slowly.
pub async fn slow_snapshots(server: &Server, bounds: Bounds) -> io::Result<FloodReport> {
    slow_readers(server, bounds, "/etcdserverpb.Maintenance/Snapshot", &[]).await
}

async fn slow_readers(server: &Server, bounds: Bounds, path: &'static str, request: &[u8]) -> io::Result<FloodReport> {
    let port = server.place().client_port;
    let mut readers = JoinSet::new();
    for _ in 0..bounds.count {
        let request = request.to_vec();
        readers.spawn(async move { drop(read_slowly(port, path, request).await) });
    }
    beside_large_reads(server, bounds, readers).await
}

/// Sorted ranges of 25 MB, all at once.
pub async fn sorted_ranges(server: &Server, bounds: Bounds) -> io::Result<FloodReport> {
    let begun = Instant::now();
    let together = usize::try_from(bounds.count).unwrap_or(usize::MAX);
    let channel = connect(server).await?;
    let done = std::sync::Mutex::new(HashSet::new());
    at_a_time(bounds, together, |number| {
        let mut kv = KvClient::new(channel.clone()).max_decoding_message_size(1 << 30);
        let done = &done;
        async move {
            let sorted = RangeRequest {
                sort_order: SortOrder::Descend.into(),
                sort_target: SortTarget::Mod.into(),
                ..all_large()
            };
            let read = tokio::time::timeout(Duration::from_secs(60), kv.range(sorted)).await;
            if matches!(read, Ok(Ok(response)) if response.get_ref().kvs.len() as u64 == LARGE_KEYS) {
                done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(number);
            }
        }
    })
    .await;
    let done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).len();
    Ok(FloodReport {
        sent: bounds.count,
        answer: format!("{done} of {} done in {:.1} s", bounds.count, begun.elapsed().as_secs_f64()),
    })
}
