//! JSON requests: their limits, their codes, and clients that still send when they are refused.

use crate::client::{http, post, start};
use base64::Engine as _;

fn put(value_bytes: usize) -> String {
    let value = base64::engine::general_purpose::STANDARD.encode(vec![b'x'; value_bytes]);
    format!(r#"{{"key":"YQ==","value":"{value}"}}"#)
}

/// The limit is put on the message, not on its text, and the response waits for the end of the
/// body.
#[tokio::test(flavor = "multi_thread")]
async fn limits_json_messages_as_etcd() {
    let server = start(&[]).await;
    let port = server.place().client_port;
    for (value_bytes, status, text) in [
        (1_570_000, 200, "\"revision\""),
        (1_700_000, 400, "etcdserver: request is too large"),
        (3_000_000, 429, "grpc: received message larger than max (3000008 vs. 2097152)"),
        (30_000_000, 429, "grpc: received message larger than max"),
    ] {
        let (found, body) = post(port, "/v3/kv/put", &put(value_bytes)).await;
        assert!(found == status && body.contains(text), "{value_bytes}: {found} {body:.200}");
    }
    for path in ["/nosuch", "/v3/nosuch"] {
        assert_eq!(post(port, path, &put(10_000_000)).await.0, 404, "{path}");
    }
    let larger = start(&["--max-request-bytes", "10485760"]).await;
    assert_eq!(post(larger.place().client_port, "/v3/kv/put", &put(9_000_000)).await.0, 200);
}

#[tokio::test]
async fn takes_heads_as_etcd() {
    let [metrics_port, _] = testbed::free_ports().unwrap();
    let server = start(&["--listen-metrics-urls", &format!("http://127.0.0.1:{metrics_port}")]).await;
    let port = server.place().client_port;
    for port in [port, metrics_port] {
        let lines: String = (0..300).map(|number| format!("x-{number}: 1\r\n")).collect();
        let many =
            http(port, format!("GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n").as_bytes()).await;
        assert!(many.starts_with("HTTP/1.1 200"), "{port}: {many}");
        let hostless = http(port, b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n").await;
        assert!(hostless.starts_with("HTTP/1.1 400"), "{port}: {hostless}");
        let twice = http(port, b"GET //health?x=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        assert!(
            twice.starts_with("HTTP/1.1 307") && twice.contains("<a href=\"/health?x=1\">Temporary Redirect</a>."),
            "{port}: {twice}"
        );
    }
}
