//! Clients that mean harm, or are many, cost bounded memory.

use crate::daemon::{Client, start};
use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client::SendRequest;
use http::{HeaderMap, Request};
use proto::etcdserverpb::RangeRequest;
use testbed::Server;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const MIB: u64 = 1 << 20;

/// The most memory the server has ever used.
fn peak(server: &Server) -> u64 {
    server.usage().unwrap().resident_peak_bytes
}

fn assert_within(server: &Server, limit: u64, what: &str) {
    let peak = peak(server);
    println!("{what}: peak memory {} MiB", peak / MIB);
    assert!(peak <= limit, "{what}: {} MiB, more than {}", peak / MIB, limit / MIB);
}

/// Returns a bare HTTP/2 connection, which has no limits of a client library.
async fn connection(server: &Server) -> SendRequest<Bytes> {
    let address = server.endpoint().replace("http://", "");
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) =
        h2::client::Builder::new().initial_max_send_streams(100_000).handshake(stream).await.unwrap();
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            println!("connection ended: {error}");
        }
    });
    sender.ready().await.unwrap()
}

fn call(path: &str) -> Request<()> {
    Request::post(format!("http://etcd{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap()
}

/// Sends one gRPC message and returns `grpc-status`, or nothing when the stream was cut.
async fn ask(sender: &mut SendRequest<Bytes>, path: &str, message: &[u8]) -> Option<String> {
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap());
    framed.extend_from_slice(message);
    let (response, mut body) =
        sender.send_request(call(path), false).inspect_err(|error| println!("not sent: {error}")).ok()?;
    // The server may stop listening before everything is sent.
    drop(body.send_data(framed.freeze(), true));
    let mut response = response.await.inspect_err(|error| println!("no answer: {error}")).ok()?;
    let status = |headers: &HeaderMap| headers.get("grpc-status").map(|status| status.to_str().unwrap().to_owned());
    if let Some(status) = status(response.headers()) {
        return Some(status);
    }
    while let Some(data) = response.body_mut().data().await {
        response.body_mut().flow_control().release_capacity(data.ok()?.len()).ok()?;
    }
    response
        .body_mut()
        .trailers()
        .await
        .inspect_err(|error| println!("no trailers: {error}"))
        .ok()?
        .as_ref()
        .and_then(status)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_too_large_are_refused_cheaply() {
    let server = start(None, &[]).await;
    let message = vec![0; 32 << 20];
    for _ in 0..20 {
        let mut sender = connection(&server).await;
        let status = ask(&mut sender, "/etcdserverpb.KV/Put", &message).await;
        assert!(status.is_some_and(|status| status != "0"), "refused, with an answer");
    }
    Client::connect(&server.endpoint()).await.put("a", "still served").await.unwrap();
    assert_within(&server, 256 * MIB, "20 messages of 32 MiB");
}

/// A transaction in a transaction, `depth` times, as a client would encode it if it could.
fn nested(depth: usize) -> Vec<u8> {
    let varint = |mut number: usize, to: &mut Vec<u8>| {
        while number >= 0x80 {
            to.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
            number >>= 7;
        }
        to.push(u8::try_from(number).unwrap());
    };
    // Built backwards: field 2 (success) holds an operation whose field 4 holds the inner
    // transaction.
    let mut reversed = Vec::new();
    for _ in 0..depth {
        for tag in [0x22, 0x12] {
            let mut header = vec![tag];
            varint(reversed.len(), &mut header);
            reversed.extend(header.into_iter().rev());
        }
    }
    reversed.reverse();
    reversed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deep_transactions_are_refused_cheaply() {
    let server = start(None, &[]).await;
    let mut sender = connection(&server).await;
    // The deepest that is let in can also be read back from the log; deeper ones are refused by
    // rule or cannot be decoded.
    for (depth, expected) in [(40, "0"), (41, "3"), (49, "3"), (50, "3"), (1_000, "13"), (100_000, "13")] {
        let status = ask(&mut sender, "/etcdserverpb.KV/Txn", &nested(depth)).await;
        assert_eq!(status.as_deref(), Some(expected), "{depth} deep");
    }
    Client::connect(&server.endpoint()).await.put("a", "still served").await.unwrap();
    assert_within(&server, 256 * MIB, "deep transactions");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_requests_at_a_time() {
    let server = start(None, &[]).await;
    let mut requests = JoinSet::new();
    for _ in 0..20 {
        let client = Client::connect(&server.endpoint()).await;
        for number in 0..500 {
            let client = client.clone();
            requests.spawn(async move { client.put(format!("key-{number}"), "x".repeat(4096)).await });
        }
    }
    for response in requests.join_all().await {
        response.unwrap();
    }
    assert_within(&server, 768 * MIB, "10,000 requests of 4 KiB at a time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_thousand_requests_that_never_come_to_an_end() {
    let server = start(None, &[]).await;
    let mut kept = Vec::new();
    let mut opened = 0;
    for _ in 0..50 {
        let mut sender = connection(&server).await;
        for _ in 0..1000 {
            match sender.send_request(call("/etcdserverpb.KV/Put"), false) {
                Ok(half_open) => kept.push(half_open),
                Err(_) => break,
            }
            opened += 1;
        }
        // Answered behind them, so the server has seen them all.
        assert_eq!(ask(&mut sender, "/etcdserverpb.Maintenance/Status", &[]).await.as_deref(), Some("0"));
    }
    println!("{opened} half-open requests");
    Client::connect(&server.endpoint()).await.put("a", "still served").await.unwrap();
    assert_within(&server, 1024 * MIB, "half-open requests");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_everything_costs_little_however_large_it_is() {
    const KEYS: usize = 150;
    let server = start(None, &[]).await;
    let client = Client::connect(&server.endpoint()).await;
    let value = |number: usize| format!("{number}-{}", "v".repeat(1 << 20));
    for number in 0..KEYS {
        client.put(format!("key-{number:03}"), value(number)).await.unwrap();
    }
    let all = RangeRequest { key: "key-".into(), range_end: "key.".into(), ..RangeRequest::default() };
    testbed::memory_peak_reset(server.pid()).unwrap();
    let idle = server.usage().unwrap().resident_bytes;
    let found = client.range(all.clone()).await;
    assert_eq!((found.count, found.more, found.kvs.len()), (150, false, KEYS));
    assert!(
        found
            .kvs
            .iter()
            .enumerate()
            .all(|(number, kv)| kv.key == format!("key-{number:03}") && kv.value == value(number))
    );
    let grown = peak(&server).saturating_sub(idle);
    println!("a list of {KEYS} MiB: {} MiB above idle", grown / MIB);
    assert!(grown < 64 * MIB);
    // The options of a list hold for a large one too.
    let limited = client.range(RangeRequest { limit: 100, ..all.clone() }).await;
    assert_eq!((limited.count, limited.more, &limited.kvs[..]), (150, true, &found.kvs[..100]));
    client.put("key-000", "new").await.unwrap();
    let past = client.range(RangeRequest { revision: found.header.unwrap().revision, ..all.clone() }).await;
    assert_eq!((past.count, past.kvs), (150, found.kvs));
    let refused = client.try_range(RangeRequest { revision: 10_000, ..all }).await.unwrap_err();
    assert_eq!(refused.message(), "etcdserver: mvcc: required revision is a future revision");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_gives_up_a_large_list_leaves_nothing_behind() {
    let server = start(None, &[]).await;
    let client = Client::connect(&server.endpoint()).await;
    for number in 0..20 {
        client.put(format!("key-{number:03}"), "v".repeat(1 << 20)).await.unwrap();
    }
    let all = RangeRequest { key: "key-".into(), range_end: "key.".into(), ..RangeRequest::default() };
    // More than may be sent at a time: the cancelled ones have made room.
    for _ in 0..60 {
        let mut sender = connection(&server).await;
        let message = prost::Message::encode_to_vec(&all);
        let mut framed = BytesMut::new();
        framed.put_u8(0);
        framed.put_u32(u32::try_from(message.len()).unwrap());
        framed.extend_from_slice(&message);
        let (response, mut body) = sender.send_request(call("/etcdserverpb.KV/Range"), false).unwrap();
        body.send_data(framed.freeze(), true).unwrap();
        let mut response = response.await.unwrap();
        assert!(response.body_mut().data().await.unwrap().is_ok());
    }
    assert_eq!(client.range(all).await.kvs.len(), 20);
}
