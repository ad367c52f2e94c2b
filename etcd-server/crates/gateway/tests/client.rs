//! A gateway on one end of a pipe, and a small HTTP/1.1 client on the other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gateway::{AllowList, Gateway, Limits, Peer, Settings, serve_connection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::task::JoinHandle;

use crate::service::{self, FakeMember};

pub(crate) const MESSAGE_BYTES_MAX: usize = 2_097_152;

pub(crate) fn settings() -> Settings {
    Settings {
        enable_gateway: true,
        cors: AllowList::new(["*"]),
        host_whitelist: AllowList::new(["*"]),
        client_cert_auth: false,
        request_timeout: Duration::from_secs(7),
        limits: Limits::for_request_bytes(1_572_864),
    }
}

/// One connection to a gateway of its own.
pub(crate) struct Client {
    pub(crate) io: DuplexStream,
    pub(crate) server: JoinHandle<Result<(), String>>,
    unread: Vec<u8>,
}

impl Client {
    pub(crate) fn new() -> Client {
        Client::with(settings(), Peer::default(), FakeMember::default())
    }

    pub(crate) fn with(settings: Settings, peer: Peer, member: FakeMember) -> Client {
        let (io, server_io) = tokio::io::duplex(16 * 1024);
        let gateway = Gateway::new(service::routes(), Arc::new(member), settings);
        let serving = serve_connection(server_io, gateway, peer, std::future::pending());
        Client::over(io, async { serving.await.map_err(|error| error.to_string()) })
    }

    /// A client of a member that is ready once the signal is given.
    pub(crate) fn held_until(ready: tokio::sync::watch::Receiver<bool>) -> Client {
        let (io, server_io) = tokio::io::duplex(16 * 1024);
        let gateway = Gateway::new(service::routes(), Arc::new(FakeMember::default()), settings()).held_until(ready);
        let serving = serve_connection(server_io, gateway, Peer::default(), std::future::pending());
        Client::over(io, async { serving.await.map_err(|error| error.to_string()) })
    }

    pub(crate) fn over(io: DuplexStream, serving: impl Future<Output = Result<(), String>> + Send + 'static) -> Client {
        Client { io, server: tokio::spawn(serving), unread: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.io.write_all(bytes.as_ref()).await.unwrap();
    }

    pub(crate) async fn send_chunk(&mut self, text: &str) {
        self.send(format!("{:x}\r\n{text}\r\n", text.len())).await;
    }

    /// Reads up to and including `end`.
    pub(crate) async fn read_until(&mut self, end: &str) -> String {
        loop {
            if let Some(at) = self.unread.windows(end.len()).position(|window| window == end.as_bytes()) {
                let rest = self.unread.split_off(at + end.len());
                return String::from_utf8(std::mem::replace(&mut self.unread, rest)).unwrap();
            }
            self.read_more().await;
        }
    }

    pub(crate) async fn read_bytes(&mut self, count: usize) -> Vec<u8> {
        while self.unread.len() < count {
            self.read_more().await;
        }
        let rest = self.unread.split_off(count);
        std::mem::replace(&mut self.unread, rest)
    }

    async fn read_more(&mut self) {
        let count = self.io.read_buf(&mut self.unread).await.unwrap();
        assert!(count > 0, "closed after {:?}", String::from_utf8_lossy(&self.unread));
    }

    /// The next chunk of a chunked body, or `None` after the last.
    pub(crate) async fn read_chunk(&mut self) -> Option<String> {
        let size = self.read_until("\r\n").await;
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        let data = self.read_bytes(size).await;
        assert_eq!(self.read_bytes(2).await, b"\r\n");
        (size > 0).then(|| String::from_utf8(data).unwrap())
    }

    pub(crate) async fn read_to_end(&mut self) -> Vec<u8> {
        // A client that sent too much may find the pipe broken; the response before that counts.
        self.io.read_to_end(&mut self.unread).await.ok();
        std::mem::take(&mut self.unread)
    }
}

/// An answer, taken apart; `date`, `connection` and framing headers left out, the body joined from
/// its chunks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HttpResponse {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl HttpResponse {
    pub(crate) fn parse(raw: &[u8]) -> HttpResponse {
        let end = raw
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .unwrap_or_else(|| panic!("{:?}", String::from_utf8_lossy(raw)));
        let head = String::from_utf8(raw[..end].to_vec()).unwrap();
        let (status, headers) = head.split_once("\r\n").unwrap_or((&head, ""));
        let headers: BTreeMap<_, _> = headers
            .lines()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let chunked = headers.contains_key("Transfer-Encoding");
        let body = if chunked { join_chunks(&raw[end + 4..]) } else { raw[end + 4..].to_vec() };
        let framing = ["Date", "Connection", "Content-Length", "Transfer-Encoding"];
        let headers = headers.into_iter().filter(|(name, _)| !framing.contains(&name.as_str())).collect();
        HttpResponse { status: status.split(' ').nth(1).unwrap().parse().unwrap(), headers, body }
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

fn join_chunks(mut raw: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(at) = raw.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&raw[..at]).unwrap(), 16).unwrap();
        body.extend_from_slice(&raw[at + 2..at + 2 + size]);
        raw = &raw[at + 2 + size + 2..];
    }
    body
}

/// The text of a request with a body; `headers` are whole lines.
pub(crate) fn request(method: &str, target: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {target} HTTP/1.1\r\nHost: member.example\r\nContent-Length: {length}\r\n{headers}Connection: close\r\n\r\n{body}"
    )
}

/// Sends one request on a connection of its own.
pub(crate) async fn ask(client: Client, request: &str) -> HttpResponse {
    let (mut reading, mut writing) = tokio::io::split(client.io);
    let mut raw = Vec::new();
    // Both at once: the gateway may answer, and close, before it has read everything.
    let (read, _written) = tokio::join!(reading.read_to_end(&mut raw), writing.write_all(request.as_bytes()));
    read.unwrap();
    HttpResponse::parse(&raw)
}

pub(crate) async fn post(path: &str, body: &str) -> HttpResponse {
    ask(Client::new(), &request("POST", path, "", body)).await
}

pub(crate) async fn get(path: &str) -> HttpResponse {
    ask(Client::new(), &request("GET", path, "", "")).await
}
