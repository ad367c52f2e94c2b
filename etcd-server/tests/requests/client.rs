//! Servers and clients of the tests here.

use bytes::Bytes;
use h2::client::SendRequest;
use http::{Method, Request};
use std::time::{Duration, Instant};
use testbed::{Server, Settings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Time limit of requests that end at once, on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn settings(flags: &[&str]) -> Settings {
    let mut settings = Settings::new(env!("CARGO_BIN_EXE_etcd-server"));
    settings.flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
    settings
}

pub(crate) async fn start(flags: &[&str]) -> Server {
    Server::start(settings(flags)).await.unwrap()
}

/// Waits for a state.
pub(crate) async fn until(what: &str, mut reached: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !reached().await {
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The response to a gRPC call, in any form.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) http: u16,
    /// Of the trailers, or of the headers where nothing follows them.
    pub(crate) grpc_status: Option<String>,
    pub(crate) message: String,
}

/// An HTTP/2 connection.
pub(crate) async fn connect(port: u16) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    sender
}

/// A gRPC call with other headers than usual.
pub(crate) async fn call(port: u16, method: Method, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
    let mut sender = connect(port).await;
    let mut request = Request::builder().method(method).uri(format!("http://etcd{path}")).header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (response, mut stream) = sender.send_request(request.body(()).unwrap(), false).unwrap();
    // A server that refuses the head may have ended the stream by now.
    drop(stream.send_data(Bytes::copy_from_slice(body), true));
    let response = tokio::time::timeout(PATIENCE, response).await.expect("no response").unwrap();
    let (parts, mut body) = response.into_parts();
    while let Some(part) = body.data().await {
        let part = part.unwrap();
        body.flow_control().release_capacity(part.len()).unwrap();
    }
    let trailers = body.trailers().await.unwrap().unwrap_or_default();
    let text = |name: &str| {
        let value = trailers.get(name).or_else(|| parts.headers.get(name));
        value.map(|value| decoded(value.to_str().unwrap()))
    };
    let (grpc_status, message) = (text("grpc-status"), text("grpc-message").unwrap_or_default());
    Response { http: parts.status.as_u16(), grpc_status, message }
}

/// A text without its escapes.
fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (code, rest) = part.split_at(2);
        out.push(char::from(u8::from_str_radix(code, 16).unwrap()));
        out.push_str(rest);
    }
    out
}

pub(crate) const GRPC: (&str, &str) = ("content-type", "application/grpc");

/// One HTTP/1.1 request on a connection of its own; the whole response.
pub(crate) async fn http(port: u16, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut response = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut response)).await.expect("no response").unwrap();
    String::from_utf8_lossy(&response).into_owned()
}

/// Sends JSON and returns status and body.
pub(crate) async fn post(port: u16, path: &str, json: &str) -> (u16, String) {
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", json.len());
    let response = http(port, &[head.as_bytes(), json.as_bytes()].concat()).await;
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// The sum of the values of a metric whose line begins so.
pub(crate) async fn metric(port: u16, begins: &str) -> f64 {
    let page = http(port, b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    let values = page
        .lines()
        .filter(|line| line.starts_with(begins))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    values.sum()
}
