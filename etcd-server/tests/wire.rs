//! The behaviour of clients below the calls: compression and pings.

use crate::daemon::{SOON, start};
use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client::{Connection, SendRequest};
use http::{HeaderMap, Request};
use prost::Message as _;
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::etcdserverpb::{LeaseGrantRequest, PutRequest, RangeRequest, WatchCreateRequest, WatchRequest};
use rpc::etcdserverpb::kv_client::KvClient;
use rpc::etcdserverpb::lease_client::LeaseClient;
use rpc::etcdserverpb::watch_client::WatchClient;
use testbed::{Server, Settings};
use tokio::net::TcpStream;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::transport::Endpoint;

async fn connect(server: &Server) -> (SendRequest<Bytes>, Connection<TcpStream>) {
    let stream = TcpStream::connect(server.endpoint().replace("http://", "")).await.unwrap();
    h2::client::handshake(stream).await.unwrap()
}

/// Sends one message behind `flag`; answers the response's headers and trailers.
async fn ask(
    server: &Server,
    path: &str,
    headers: &[(&'static str, &'static str)],
    flag: u8,
    message: &[u8],
) -> (HeaderMap, HeaderMap) {
    let (sender, connection) = connect(server).await;
    tokio::spawn(async move { drop(connection.await) });
    let mut request =
        Request::post(format!("http://etcd{path}")).header("content-type", "application/grpc").header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut framed = BytesMut::new();
    framed.put_u8(flag);
    framed.put_u32(u32::try_from(message.len()).unwrap());
    framed.extend_from_slice(message);
    let (response, mut body) = sender.ready().await.unwrap().send_request(request.body(()).unwrap(), false).unwrap();
    // The server may have answered, and stopped listening, before everything is sent.
    drop(body.send_data(framed.freeze(), true));
    let mut response = response.await.unwrap();
    let headers = response.headers().clone();
    while let Some(data) = response.body_mut().data().await {
        response.body_mut().flow_control().release_capacity(data.unwrap().len()).unwrap();
    }
    let trailers = response.body_mut().trailers().await.unwrap().unwrap_or_else(|| headers.clone());
    (headers, trailers)
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compressed_calls_are_answered_compressed_and_others_are_not() {
    let server = start(None, &[]).await;
    let channel = Endpoint::from_shared(server.endpoint()).unwrap().connect().await.unwrap();
    let mut kv = KvClient::new(channel.clone()).send_compressed(Gzip).accept_compressed(Gzip);
    let value = Bytes::from(vec![b'x'; 100_000]);
    kv.put(PutRequest { key: "k".into(), value: value.clone(), ..PutRequest::default() }).await.unwrap();
    let found = kv.range(RangeRequest { key: "k".into(), ..RangeRequest::default() }).await.unwrap().into_inner();
    assert_eq!(found.kvs[0].value, value);
    let mut lease = LeaseClient::new(channel.clone()).send_compressed(Gzip).accept_compressed(Gzip);
    assert_eq!(lease.lease_grant(LeaseGrantRequest { ttl: 600, id: 7 }).await.unwrap().into_inner().id, 7);
    let create = WatchCreateRequest { key: "k".into(), start_revision: 1, ..WatchCreateRequest::default() };
    let requests = tokio_stream::iter([WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) }]);
    let requests = tokio_stream::StreamExt::chain(requests, tokio_stream::pending());
    let mut watch = WatchClient::new(channel)
        .send_compressed(Gzip)
        .accept_compressed(Gzip)
        .watch(requests)
        .await
        .unwrap()
        .into_inner();
    assert!(watch.message().await.unwrap().unwrap().created);
    assert_eq!(watch.message().await.unwrap().unwrap().events[0].kv.as_ref().unwrap().value, value);

    let range = RangeRequest { key: "k".into(), ..RangeRequest::default() }.encode_to_vec();
    let list = "/etcdserverpb.Lease/LeaseLeases";
    for (path, message) in [("/etcdserverpb.KV/Range", &range[..]), (list, b"")] {
        let (headers, trailers) = ask(&server, path, &[("grpc-encoding", "gzip")], 1, &gzipped(message)).await;
        assert_eq!(
            (text(&headers, "grpc-encoding"), text(&trailers, "grpc-status")),
            (Some("gzip"), Some("0")),
            "{path}"
        );
        // That a client could read it is no reason to compress.
        let (headers, trailers) = ask(&server, path, &[("grpc-accept-encoding", "gzip,identity")], 0, message).await;
        assert_eq!((text(&headers, "grpc-encoding"), text(&trailers, "grpc-status")), (None, Some("0")), "{path}");
    }
    let (_, trailers) = ask(&server, "/etcdserverpb.KV/Range", &[], 1, &gzipped(&range)).await;
    assert_eq!(text(&trailers, "grpc-status"), Some("13"), "{trailers:?}");
    let (_, trailers) = ask(&server, "/etcdserverpb.KV/Range", &[("grpc-encoding", "snappy")], 1, b"?").await;
    assert_eq!(text(&trailers, "grpc-status"), Some("12"), "{trailers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_message_that_unpacks_to_a_large_one_is_refused_cheaply() {
    let server = start(None, &[]).await;
    let before = server.usage().unwrap().resident_peak_bytes;
    let bomb = gzipped(&vec![0; 512 << 20]);
    assert!(bomb.len() < 1 << 20, "it is small on the wire");
    for path in ["/etcdserverpb.KV/Put", "/etcdserverpb.Lease/LeaseGrant"] {
        let (_, trailers) = ask(&server, path, &[("grpc-encoding", "gzip")], 1, &bomb).await;
        assert_eq!(text(&trailers, "grpc-status"), Some("8"), "{path}: {trailers:?}");
    }
    let grown = server.usage().unwrap().resident_peak_bytes.saturating_sub(before);
    println!("bombs of 512 MiB cost {} KiB", grown >> 10);
    assert!(grown < 16 << 20);
}

/// Pings as fast as possible; returns the number of responses, and the reason why the connection
/// ended.
async fn ping_until_sent_away(server: &Server) -> (usize, Option<h2::Reason>) {
    let (_sender, mut connection) = connect(server).await;
    let mut pings = connection.ping_pong().unwrap();
    let ended = tokio::spawn(connection);
    let mut answered = 0;
    while answered < 50 && pings.ping(h2::Ping::opaque()).await.is_ok() {
        answered += 1;
    }
    let ended = tokio::time::timeout(SOON, ended).await.unwrap().unwrap();
    (answered, ended.err().and_then(|error| error.reason()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_ping_too_often_are_sent_away_as_by_etcd() {
    let ours = start(None, &[]).await;
    expect_sent_away(&ours).await;
    let Some(dir) = std::env::var_os("ETCD_BIN_DIR") else {
        skip::report("no ETCD_BIN_DIR to compare with");
        return;
    };
    let program = std::path::Path::new(&dir).join("etcd");
    expect_sent_away(&Server::start(Settings::new(program.to_str().unwrap())).await.unwrap()).await;
}

/// The fourth ping in a row is one too many. Whether its answer is still seen before the goodbye is
/// left to the sockets.
async fn expect_sent_away(server: &Server) {
    let (answered, reason) = ping_until_sent_away(server).await;
    println!("{answered} pings were answered before {reason:?}");
    assert_eq!(reason, Some(h2::Reason::ENHANCE_YOUR_CALM));
    assert!((3..=4).contains(&answered), "{answered} pings were answered");
}
