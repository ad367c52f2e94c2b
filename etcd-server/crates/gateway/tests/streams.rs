//! Streams: one line per message, both directions at once, half-closed at the end of the body.

use std::sync::atomic::Ordering;

use crate::client::{Client, ask, post, request};
use crate::service::SNAPSHOT_PIECES;

const HEADER: &str = r#""header":{"cluster_id":"13985637432575640401","member_id":"15161684485828181158","revision":"2","raft_term":"2"}"#;

fn chunked(path: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
}

fn created(watch_id: &str) -> String {
    format!("{{\"result\":{{{HEADER}{watch_id},\"created\":true}}}}\n")
}

#[tokio::test]
async fn a_watch_answers_while_its_requests_go_on() {
    let mut client = Client::new();
    client.send(chunked("/v3/watch")).await;
    client.send_chunk(r#"{"create_request":{"key":"YQ=="}}"#).await;
    let head = client.read_until("\r\n\r\n").await;
    assert!(
        head.starts_with(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nGrpc-Metadata-Content-Type: application/grpc\r\n"
        ),
        "{head}"
    );
    assert_eq!(client.read_chunk().await.unwrap(), created(""));
    // Messages may be cut anywhere and need no line break between them.
    client.send_chunk(r#"{"create_request":{"key":"YQ==","watch"#).await;
    client.send_chunk("_id\":7}} \n{\"create_request\":{\"watchId\":\"8\"}}{").await;
    assert_eq!(client.read_chunk().await.unwrap(), created(r#","watch_id":"7""#));
    assert_eq!(client.read_chunk().await.unwrap(), created(r#","watch_id":"8""#));
    client.send_chunk("\"create_request\":{}}").await;
    assert_eq!(client.read_chunk().await.unwrap(), created(""));
}

#[tokio::test]
async fn a_watch_outlives_the_end_of_its_body_and_a_bad_message() {
    for last in [r#"{"create_request":{"key":5}}"#, ""] {
        let mut client = Client::new();
        let body = format!(r#"{{"create_request":{{"key":"YQ=="}}}}{last}"#);
        client.send(request("POST", "/v3/watch", "", &body)).await;
        client.read_until("\r\n\r\n").await;
        assert_eq!(client.read_chunk().await.unwrap(), created(""));
        assert!(!client.server.is_finished());
    }
}

#[tokio::test]
async fn keep_alives_end_with_their_requests() {
    let line = format!("{{\"result\":{{{HEADER},\"ID\":\"77\",\"TTL\":\"100\"}}}}\n");
    for (body, want) in [
        (r#"{"ID":77}"#, line.clone()),
        (r#"{"ID":77}{"ID":77}{"ID":77}"#, line.repeat(3)),
        (r#"{"ID":78}"#, format!("{{\"result\":{{{HEADER},\"ID\":\"78\"}}}}\n")),
        (r#"{"ID":77}{"ID":"x"}"#, line.clone()),
        (
            r#"{"ID":77}{"ID":66}"#,
            format!("{line}{{\"error\":{{\"code\":14,\"message\":\"etcdserver: no leader\"}}}}\n"),
        ),
    ] {
        let response = post("/v3/lease/keepalive", body).await;
        assert_eq!((response.status, response.text()), (200, want.as_str()), "{body}");
        assert_eq!(response.header("Content-Type"), "application/json");
    }
}

#[tokio::test]
async fn a_stream_without_messages_is_empty() {
    for body in ["", r#"{"ID":"x"}"#] {
        let response = post("/v3/lease/keepalive", body).await;
        assert_eq!((response.status, response.text(), response.header("Content-Type")), (200, "", ""));
    }
}

#[tokio::test]
async fn a_stream_that_fails_at_once_has_its_own_status() {
    let response = ask(Client::new(), &request("POST", "/v3/maintenance/snapshot", "Authorization: x\r\n", "{}")).await;
    assert_eq!(
        (response.status, response.text()),
        (500, "{\"error\":{\"code\":2,\"message\":\"auth: user name is empty\"}}\n")
    );
    let response = post("/v3/lease/keepalive", r#"{"ID":66}"#).await;
    assert_eq!(
        (response.status, response.text()),
        (503, "{\"error\":{\"code\":14,\"message\":\"etcdserver: no leader\"}}\n")
    );
    let response = post("/v3/maintenance/snapshot", r#"{"x":"#).await;
    assert_eq!((response.status, response.text()), (400, r#"{"code":3, "message":"unexpected EOF"}"#));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_a_stream() {
    let body = r#"{"create_request":{}}"#;
    let response = ask(Client::new(), &request("POST", "/v3/watch", "Grpc-Timeout: 5S\r\n", body)).await;
    let want = format!("{}{{\"error\":{{\"code\":4,\"message\":\"context deadline exceeded\"}}}}\n", created(""));
    assert_eq!((response.status, response.text()), (200, want.as_str()));
}

/// A paused clock only moves when nothing is left to do: then the service has been asked for all it
/// will be asked for.
#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_stops_the_service() {
    let mut client = Client::new();
    client.send(request("POST", "/v3/maintenance/snapshot", "", "{}")).await;
    client.read_until("\r\n\r\n").await;
    tokio::time::advance(std::time::Duration::from_secs(3600)).await;
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    let asked = SNAPSHOT_PIECES.load(Ordering::SeqCst);
    assert!((1..64).contains(&asked), "{asked} pieces of 32 KiB for a pipe of 16 KiB");
    // The service goes on when the client does, and is dropped with it.
    for _ in 0..100 {
        assert!(client.read_chunk().await.unwrap().starts_with(r#"{"result":{"remaining_bytes":"1","blob":"BwcHBw"#));
    }
    drop(client.io);
    client.server.await.unwrap().unwrap_err();
}
