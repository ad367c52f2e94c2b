//! The end of connections and streams when a member stops.

use crate::client::{PATIENCE, start};
use prost::Message as _;
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::etcdserverpb::{WatchCreateRequest, WatchRequest};
use siege::raw::{Connection, DATA, GO_AWAY, frame, headers, message};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn ends_json_streams_with_an_error_line() {
    let mut server = start(&[]).await;
    let mut stream = TcpStream::connect(("127.0.0.1", server.place().client_port)).await.unwrap();
    let json = r#"{"create_request":{"key":"YQ=="}}"#;
    let head = format!("POST /v3/watch HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{json}", json.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut received = Vec::new();
    while !String::from_utf8_lossy(&received).contains("\"created\":true") {
        assert_ne!(tokio::time::timeout(PATIENCE, stream.read_buf(&mut received)).await.unwrap().unwrap(), 0);
    }
    let stopping = tokio::task::spawn_blocking(move || server.terminate(PATIENCE));
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut received)).await.expect("the stream did not end").unwrap();
    let received = String::from_utf8_lossy(&received).into_owned();
    assert!(
        received.contains("{\"error\":{\"code\":14,\"message\":\"error reading from server: EOF\"}}\n"),
        "{received}"
    );
    assert!(stopping.await.unwrap().unwrap().success());
}

/// The client acknowledges no PING, so only the second GOAWAY says which streams were taken.
#[tokio::test(flavor = "multi_thread")]
async fn says_the_last_goodbye_to_silent_clients() {
    let mut server = start(&[]).await;
    let mut connection = Connection::open(server.place().client_port).await.unwrap();
    let stream = connection.sender.begin(&headers("/etcdserverpb.Watch/Watch")).await.unwrap();
    let create = WatchCreateRequest { key: "a".into(), ..WatchCreateRequest::default() };
    let request = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
    connection.sender.send(&frame(DATA, 0, stream, &message(&request.encode_to_vec()))).await.unwrap();
    while connection.receiver.next().await.unwrap().unwrap().kind != DATA {}
    let stopping = tokio::task::spawn_blocking(move || server.terminate(PATIENCE));
    let mut last_streams = Vec::new();
    while let Some(received) =
        tokio::time::timeout(PATIENCE, connection.receiver.next()).await.expect("not closed").unwrap()
    {
        if received.kind == GO_AWAY {
            assert_eq!(received.code(), Some(0));
            last_streams.push(u32::from_be_bytes(received.payload[..4].try_into().unwrap()));
        }
    }
    assert_eq!(last_streams, [u32::MAX >> 1, stream]);
    assert!(stopping.await.unwrap().unwrap().success());
}
