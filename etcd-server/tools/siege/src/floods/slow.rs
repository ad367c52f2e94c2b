//! Clients of the JSON port that take for ever.

use crate::measure::{Bounds, FloodReport};
use std::io;
use std::time::{Duration, Instant};
use testbed::Server;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Between two bytes.
const PACE: Duration = Duration::from_secs(1);

/// Headers that come a byte at a time.
pub async fn headers(server: &Server, bounds: Bounds) -> io::Result<FloodReport> {
    drip(server, bounds, "GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ").await
}

/// A body that comes a byte at a time.
pub async fn bodies(server: &Server, bounds: Bounds) -> io::Result<FloodReport> {
    drip(server, bounds, "POST /v3/kv/range HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n{").await
}

async fn drip(server: &Server, bounds: Bounds, begin: &'static str) -> io::Result<FloodReport> {
    let (port, deadline) = (server.place().client_port, Instant::now() + bounds.time);
    let mut clients = JoinSet::new();
    for _ in 0..bounds.count {
        clients.spawn(one(port, deadline, begin));
    }
    let (mut ended, mut longest) = (0_u64, Duration::ZERO);
    while let Some(client) = clients.join_next().await {
        if let Ok(Some(lived)) = client {
            ended += 1;
            longest = longest.max(lived);
        }
    }
    let answer =
        format!("{ended} of {} ended by the server, the last after {:.0} s", bounds.count, longest.as_secs_f64());
    Ok(FloodReport { sent: bounds.count, answer })
}

/// Returns the time until the server ended it; `None` if it did not.
async fn one(port: u16, deadline: Instant, begin: &'static str) -> Option<Duration> {
    let begun = Instant::now();
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await else { return Some(Duration::ZERO) };
    let mut sent = stream.write_all(begin.as_bytes()).await;
    let mut piece = [0; 1024];
    while Instant::now() < deadline {
        match tokio::time::timeout(PACE, stream.read(&mut piece)).await {
            Ok(Ok(0) | Err(_)) => return Some(begun.elapsed()),
            Ok(Ok(_)) => {}
            Err(_) if sent.is_ok() => sent = stream.write_all(b" ").await,
            Err(_) => return Some(begun.elapsed()),
        }
    }
    None
}
