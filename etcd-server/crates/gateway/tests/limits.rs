//! The cost of a hostile client: bounded time and bounded memory, and a clear response where HTTP
//! has one.

use crate::client::{Client, HttpResponse, MESSAGE_BYTES_MAX, ask, request};

#[tokio::test(start_paused = true)]
async fn refuses_a_large_text_by_its_announced_size() {
    let mut client = Client::new();
    client.send("POST /v3/kv/put HTTP/1.1\r\nHost: x\r\nContent-Length: 9437184\r\n\r\n{").await;
    let response = HttpResponse::parse(&client.read_to_end().await);
    let want = r#"{"code":8, "message":"grpc: received message larger than max (9437184 vs. 8388608)"}"#;
    assert_eq!((response.status, response.text()), (429, want));
}

/// Read for a while, so that the client finds the reason, and then closed.
#[tokio::test]
async fn cuts_off_a_body_without_end() {
    const DRAINED_BYTES_MAX: usize = 64 << 20;
    let mut client = Client::new();
    client.send("POST /v3/kv/put HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    client.send_chunk(r#"{"value":""#).await;
    let chunk = "A".repeat(64 * 1024);
    let (mut reading, mut writing) = tokio::io::split(client.io);
    let flood = async {
        use tokio::io::AsyncWriteExt as _;
        let mut sent = 0;
        while writing.write_all(format!("{:x}\r\n{chunk}\r\n", chunk.len()).as_bytes()).await.is_ok() {
            sent += chunk.len();
        }
        sent
    };
    let mut raw = Vec::new();
    let (read, sent) = tokio::join!(tokio::io::AsyncReadExt::read_to_end(&mut reading, &mut raw), flood);
    read.ok();
    assert_eq!(HttpResponse::parse(&raw).status, 429);
    assert!(sent < DRAINED_BYTES_MAX + 4 * MESSAGE_BYTES_MAX + 1_048_576, "{sent} bytes were taken");
}

#[tokio::test]
async fn limits_the_message_and_not_its_text() {
    let put = |bytes: usize| format!(r#"{{"key":"YQ==","value":"{}"}}"#, "A".repeat(bytes.div_ceil(3) * 4));
    assert_eq!(ask(Client::new(), &request("POST", "/v3/kv/put", "", &put(2_097_000))).await.status, 200);
    let response = ask(Client::new(), &request("POST", "/v3/kv/put", "", &put(2_100_000))).await;
    let want = r#"{"code":8, "message":"grpc: received message larger than max (2100008 vs. 2097152)"}"#;
    assert_eq!((response.status, response.text()), (429, want));
    let spaced = format!("{{{}}}", " ".repeat(3_000_000));
    assert_eq!(ask(Client::new(), &request("POST", "/v3/kv/put", "", &spaced)).await.status, 200);
}

#[tokio::test]
async fn deep_nesting_costs_an_error() {
    for (path, unit, close, want) in [
        ("/v3/kv/range", r#"{"a":"#, "", r#"{"code":3, "message":"invalid character '{' exceeded max depth"}"#),
        (
            "/v3/kv/txn",
            r#"{"success":[{"request_txn":"#,
            "}]}",
            "{\"code\":3, \"message\":\"proto:\u{a0}exceeded max recursion depth\"}",
        ),
    ] {
        let times = if close.is_empty() { 10_001 } else { 3_000 };
        let body = format!("{}{{}}{}", unit.repeat(times), close.repeat(times));
        let response = ask(Client::new(), &request("POST", path, "", &body)).await;
        assert_eq!((response.status, response.text()), (400, want));
    }
}

#[tokio::test(start_paused = true)]
async fn headers_that_do_not_come_end_the_connection() {
    for sent in ["", "GET /health HTTP/1.1\r\nHost:"] {
        let mut client = Client::new();
        client.send(sent).await;
        assert_eq!(client.read_to_end().await, b"");
        assert_eq!(client.server.await.unwrap(), Err("request headers were not received in time".to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_may_be_idle_between_requests_but_not_for_ever() {
    let mut client = Client::new();
    client.send("GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await;
    client.read_until("\"reason\":\"\"}").await;
    tokio::time::advance(std::time::Duration::from_secs(60)).await;
    client.send("GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await;
    client.read_until("\"reason\":\"\"}").await;
    assert_eq!(client.read_to_end().await, b"");
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_is_given_up() {
    let mut client = Client::new();
    client.send("POST /v3/kv/put HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{").await;
    let response = HttpResponse::parse(&client.read_to_end().await);
    let want = r#"{"code":4, "message":"request body was not received in time"}"#;
    assert_eq!((response.status, response.text()), (408, want));
}

#[tokio::test(start_paused = true)]
async fn half_a_message_half_closes_a_stream() {
    let mut client = Client::new();
    client.send("POST /v3/lease/keepalive HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    client.send_chunk(r#"{"ID":77}"#).await;
    client.read_until("\r\n\r\n").await;
    assert!(client.read_chunk().await.unwrap().contains(r#""ID":"77""#));
    client.send_chunk(r#"{"ID":"#).await;
    assert_eq!(client.read_chunk().await, None);
}

#[tokio::test]
async fn absurd_heads_are_refused() {
    let long = format!("GET /health HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(200_000));
    let many = format!("GET /health HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(1000));
    for (sent, status) in [
        (long.as_str(), 431),
        (many.as_str(), 431),
        ("hello world\r\n\r\n", 400),
        ("\u{16}\u{3}\u{1}\u{2}\r\n\r\n", 400),
        ("GET /health HTTP/1.1\r\n\r\n", 400),
        ("GET /v3/a%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("POST /v3/kv/range HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}{}{}", 400),
    ] {
        let sent = sent.replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1);
        assert_eq!(ask(Client::new(), &sent).await.status, status, "{:.60}", sent);
    }
}

#[tokio::test]
async fn shutting_down_answers_the_request_at_hand() {
    use std::sync::Arc;
    let (io, server_io) = tokio::io::duplex(4096);
    let member = Arc::new(crate::service::FakeMember::default());
    let gateway = gateway::Gateway::new(crate::service::routes(), member, crate::client::settings());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = async { drop(stopped.await) };
    let serving = gateway::serve_connection(server_io, gateway, gateway::Peer::default(), stopped);
    let mut client = Client::over(io, async { serving.await.map_err(|error| error.to_string()) });
    client.send("POST /v3/lease/keepalive HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    client.send_chunk(r#"{"ID":77}"#).await;
    client.read_until("\r\n\r\n").await;
    client.read_chunk().await.unwrap();
    stop.send(()).unwrap();
    client.send_chunk(r#"{"ID":77}"#).await;
    client.read_chunk().await.unwrap();
    client.send("0\r\n\r\n").await;
    assert_eq!(client.read_chunk().await, None);
    client.server.await.unwrap().unwrap();
}
