//! Floods of calls that are each allowed.

use crate::measure::{Bounds, FloodReport};
use crate::raw::{Connection, DATA, END_STREAM, frame, headers};
use futures::StreamExt as _;
use prost::Message as _;
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::etcdserverpb::{
    LeaseGrantRequest, PutRequest, RangeRequest, RequestOp, SnapshotRequest, TxnRequest, WatchCancelRequest,
    WatchCreateRequest, WatchRequest,
};
use rpc::etcdserverpb::{
    kv_client::KvClient, lease_client::LeaseClient, maintenance_client::MaintenanceClient, watch_client::WatchClient,
};
use std::io;
use std::time::{Duration, Instant};
use testbed::Server;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

const CALLS_AT_A_TIME: usize = 64;
/// Time limit of one response in a flood.
const PATIENCE: Duration = Duration::from_secs(20);
/// The data of large reads: this many keys with values of that many bytes.
const KEYS: u64 = 50_000;
const VALUE_BYTES: usize = 256;
/// Messages within messages, and brackets within brackets.
const DEPTH: usize = 10_000;

pub(super) async fn connect(server: &Server) -> io::Result<Channel> {
    let endpoint = Endpoint::from_shared(server.endpoint()).map_err(io::Error::other)?;
    endpoint.connect().await.map_err(io::Error::other)
}

/// Runs `call` with growing numbers until a bound is reached; returns the number of runs.
pub(super) async fn at_a_time<F: Future<Output = ()>>(bounds: Bounds, together: usize, call: impl Fn(u64) -> F) -> u64 {
    let deadline = Instant::now() + bounds.time;
    let numbers = (0..bounds.count).take_while(|_| Instant::now() < deadline);
    let calls = futures::stream::iter(numbers).map(call).buffer_unordered(together);
    calls.fold(0, async |done, ()| done + 1).await
}

/// Transactions in transactions, and brackets in brackets.
pub async fn deep_messages(server: &Server, bounds: Bounds) -> io::Result<FloodReport> {
    let port = server.place().client_port;
    let mut deep = Vec::new();
    for _ in 0..DEPTH {
        // Field 2 of a transaction is an operation, field 4 of that a transaction.
        deep = [vec![0x22], length(deep.len()), deep].concat();
        deep = [vec![0x12], length(deep.len()), deep].concat();
    }
    let json = format!("{}{}", "{\"success\":[{\"request_txn\":".repeat(DEPTH), "}]}".repeat(DEPTH));
    let sent = at_a_time(bounds, CALLS_AT_A_TIME / 4, |number| {
        let (deep, json) = (&deep, &json);
        async move {
            if number % 2 == 0 {
                drop(ask(port, "/etcdserverpb.KV/Txn", deep).await);
            } else {
                drop(post(port, "/v3/kv/txn", json).await);
            }
        }
    })
    .await;
    let refused = ask(port, "/etcdserverpb.KV/Txn", &deep).await?;
    Ok(FloodReport { sent, answer: format!("refused with {} bytes of data", refused.len()) })
}

fn length(mut length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while length >= 0x80 {
        bytes.push(u8::try_from(length % 0x80).unwrap_or(0) | 0x80);
        length /= 0x80;
    }
    bytes.push(u8::try_from(length).unwrap_or(0));
    bytes
}

/// Messages that announce two gigabytes.
pub async fn huge_lengths(server: &Server, bounds: Bounds) -> io::Result<FloodReport> {
    let port = server.place().client_port;
    let sent = at_a_time(bounds, CALLS_AT_A_TIME, |_| async move {
        let asked = async {
            let mut connection = Connection::open(port).await?;
            let stream = connection.sender.begin(&headers("/etcdserverpb.KV/Put")).await?;
            let body = [&[0, 0x7f, 0xff, 0xff, 0xff][..], &[0; 10_000]].concat();
            connection.sender.send(&frame(DATA, 0, stream, &body)).await?;
            connection.answer(stream).await
        };
        drop(tokio::time::timeout(PATIENCE, asked).await);
    })
    .await;
    Ok(FloodReport { sent, answer: "refused".to_owned() })
}

async fn ask(port: u16, path: &str, message: &[u8]) -> io::Result<Vec<u8>> {
    let mut connection = Connection::open(port).await?;
    let stream = connection.sender.begin(&headers(path)).await?;
    let body = crate::raw::message(message);
    // Within the first window of 64 KiB, in frames of the usual size.
    let parts: Vec<_> = body.chunks(16_000).collect();
    for (number, part) in parts.iter().enumerate() {
        let flags = if number + 1 == parts.len() { END_STREAM } else { 0 };
        connection.sender.send(&frame(DATA, flags, stream, part)).await?;
    }
    let answered = tokio::time::timeout(PATIENCE, connection.answer(stream)).await;
    Ok(answered.map_err(io::Error::other)??.data)
}

async fn post(port: u16, path: &str, body: &str) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    read.map_err(io::Error::other)??;
    Ok(answer)
}

fn create(key: u64) -> WatchRequest {
    let create = WatchCreateRequest { key: format!("watched/{key}").into(), ..WatchCreateRequest::default() };
    WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) }
}

/// Sends a stream of watch requests and reads the responses; returns their number.
async fn watch(
    channel: Channel,
    requests: impl Iterator<Item = WatchRequest> + Send + 'static,
    answers_max: u64,
) -> u64 {
    let (sender, receiver) = mpsc::channel(64);
    let sending = tokio::spawn(async move {
        for request in requests {
            if sender.send(request).await.is_err() {
                return;
            }
        }
        // Kept open until the receiver is dropped.
        sender.closed().await;
    });
    let mut answered = 0;
    if let Ok(Ok(answers)) =
        tokio::time::timeout(PATIENCE, WatchClient::new(channel).watch(ReceiverStream::new(receiver))).await
    {
        let mut answers = answers.into_inner();
        while answered < answers_max
            && matches!(tokio::time::timeout(PATIENCE, answers.message()).await, Ok(Ok(Some(_))))
        {
            answered += 1;
        }
    }
    sending.abort();
    answered
}

/// Watchers on one stream, made and cancelled; one of those that come later still works.
pub async fn watches(server: &Server, bounds: Bounds) -> io::Result<FloodReport> {
    let channel = connect(server).await?;
    let count = bounds.count;
    let requests = (0..count).map(create).chain((0..count).map(|id| {
        let cancel = WatchCancelRequest { watch_id: id.cast_signed() };
        WatchRequest { request_union: Some(RequestUnion::CancelRequest(cancel)) }
    }));
    let answered = tokio::time::timeout(bounds.time, watch(channel.clone(), requests, count * 2)).await.unwrap_or(0);
    let later = watch(channel, std::iter::once(create(0)), 1).await;
    Ok(FloodReport { sent: count * 2, answer: format!("{answered} answers; {later} of 1 later watch works") })
}

/// The same on a thousand streams.
pub async fn watch_streams(server: &Server, bounds: Bounds) -> io::Result<FloodReport> {
    const STREAMS: u64 = 1_000;
    let channel = connect(server).await?;
    let each = bounds.count / STREAMS;
    let streams =
        (0..STREAMS).map(|stream| watch(channel.clone(), (stream * each..(stream + 1) * each).map(create), each));
    let answered: u64 = futures::future::join_all(streams).await.into_iter().sum();
    let later = watch(channel, std::iter::once(create(0)), 1).await;
    Ok(FloodReport { sent: each * STREAMS, answer: format!("{answered} answers; {later} of 1 later watch works") })
}

/// Puts the data of large reads.
pub async fn fill(server: &Server) -> io::Result<()> {
    let kv = KvClient::new(connect(server).await?);
    let bounds = Bounds { count: KEYS / 100, time: Duration::from_secs(120) };
    at_a_time(bounds, CALLS_AT_A_TIME, |number| {
        let mut kv = kv.clone();
        let put = |key: u64| {
            let put = PutRequest {
                key: format!("large/{key:08}").into(),
                value: vec![b'x'; VALUE_BYTES].into(),
                ..PutRequest::default()
            };
            RequestOp { request: Some(Request::RequestPut(put)) }
        };
        let txn =
            TxnRequest { success: (0..100).map(|key| put(number * 100 + key)).collect(), ..TxnRequest::default() };
        async move { drop(kv.txn(txn).await) }
    })
    .await;
    Ok(())
}

/// Everything at once, by many; every other one leaves before it has the answer.
pub async fn ranges(server: &Server, bounds: Bounds) -> io::Result<FloodReport> {
    let port = server.place().client_port;
    let channel = connect(server).await?;
    let all = RangeRequest { key: "\0".into(), range_end: "\0".into(), ..RangeRequest::default() };
    let sent = at_a_time(bounds, CALLS_AT_A_TIME, |number| {
        let (channel, all) = (channel.clone(), all.clone());
        async move {
            if number % 2 == 0 {
                let mut kv = KvClient::new(channel).max_decoding_message_size(1 << 30);
                drop(tokio::time::timeout(PATIENCE, kv.range(all)).await);
            } else if let Ok(mut connection) = Connection::open(port).await {
                let (fields, body) = (headers("/etcdserverpb.KV/Range"), crate::raw::message(&all.encode_to_vec()));
                drop(connection.request(&fields, &body).await);
                // The head of the answer, and away.
                for _ in 0..3 {
                    drop(tokio::time::timeout(Duration::from_secs(1), connection.receiver.next()).await);
                }
            }
        }
    })
    .await;
    Ok(FloodReport { sent, answer: format!("{KEYS} keys each") })
}

/// Backups that are begun and left.
pub async fn snapshots(server: &Server, bounds: Bounds) -> io::Result<FloodReport> {
    let channel = connect(server).await?;
    let together = usize::try_from(bounds.count).unwrap_or(usize::MAX);
    let sent = at_a_time(bounds, together, |_| {
        let mut maintenance = MaintenanceClient::new(channel.clone());
        async move {
            let begun = async {
                if let Ok(parts) = maintenance.snapshot(SnapshotRequest {}).await {
                    drop(parts.into_inner().message().await);
                }
            };
            drop(tokio::time::timeout(PATIENCE, begun).await);
        }
    })
    .await;
    Ok(FloodReport { sent, answer: "left after the first part".to_owned() })
}

/// Grants leases without a use.
pub async fn leases(server: &Server, bounds: Bounds) -> io::Result<FloodReport> {
    let channel = connect(server).await?;
    let sent = at_a_time(bounds, CALLS_AT_A_TIME * 4, |_| {
        let mut lease = LeaseClient::new(channel.clone());
        async move { drop(lease.lease_grant(LeaseGrantRequest { ttl: 3600, id: 0 }).await) }
    })
    .await;
    Ok(FloodReport { sent, answer: "granted".to_owned() })
}

/// Sends unknown client names, methods and versions, and checks that the metrics page does not
/// grow.
pub async fn labels(server: &Server, bounds: Bounds) -> io::Result<FloodReport> {
    let port = server.place().client_port;
    let page = async || Ok::<_, io::Error>(get(port, "/metrics").await?.len());
    let before = page().await?;
    let sent = at_a_time(bounds, CALLS_AT_A_TIME, |number| async move {
        let mut fields = headers(&format!("/etcdserverpb.KV/Method{number}"));
        fields.push((b"client-api-version".to_vec(), format!("9.{number}").into_bytes()));
        fields.push((b"user-agent".to_vec(), format!("agent-{number}").into_bytes()));
        let range = RangeRequest { key: "a".into(), ..RangeRequest::default() }.encode_to_vec();
        if let Ok(mut connection) = Connection::open(port).await {
            // One call of a method that does not exist, one of a method that does, both with odd
            // names.
            for path in [format!("/etcdserverpb.KV/Method{number}"), "/etcdserverpb.KV/Range".to_owned()] {
                fields[2].1 = path.into_bytes();
                let asked = async {
                    let stream = connection.request(&fields, &crate::raw::message(&range)).await?;
                    connection.answer(stream).await
                };
                drop(tokio::time::timeout(PATIENCE, asked).await);
            }
        }
        drop(get(port, &format!("/odd/{number}")).await);
    })
    .await;
    let after = page().await?;
    Ok(FloodReport { sent, answer: format!("the metrics page has {} KiB, {} before", after >> 10, before >> 10) })
}

async fn get(port: u16, path: &str) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer)
}
