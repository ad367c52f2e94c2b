//! Connections that mean no good, on real sockets.

use crate::client::Client;
use crate::daemon::{Daemon, Ports};
use crate::pki::Pki;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The beginning of a ClientHello, and no more.
const HALF_A_HELLO: &[u8] = &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc];

/// D03, GHSA-6vch-q96h-7gc3: connections that never finish their handshake are closed in time and
/// keep no client out.
#[tokio::test(flavor = "multi_thread")]
async fn handshakes_that_never_end_keep_nobody_out() {
    let pki = Pki::new();
    let mut daemon = Daemon::start(&pki.flags(), Ports::Shared);
    let client = Client::new(&pki, Some(&pki.user("alice")));
    let begun = Instant::now();
    let mut silent = Vec::new();
    for number in 0..2_000 {
        let mut stream = TcpStream::connect(("127.0.0.1", daemon.client)).await.unwrap();
        if number % 2 == 0 {
            stream.write_all(HALF_A_HELLO).await.unwrap();
        }
        silent.push(stream);
    }
    let mut took: Vec<Duration> = Vec::new();
    for _ in 0..100 {
        let asked = Instant::now();
        client.grpc(daemon.client).await.unwrap();
        took.push(asked.elapsed());
    }
    took.sort();
    eprintln!("2,000 silent connections; handshake and read of others: p50 {:?}, p99 {:?}", took[50], took[98]);
    assert!(took[98] < Duration::from_secs(2), "{:?}", took[98]);
    for stream in &mut silent {
        let ended = tokio::time::timeout(Duration::from_secs(15), stream.read(&mut [0; 64])).await;
        assert!(ended.is_ok(), "a silent connection was never closed");
    }
    eprintln!("all closed after {:?}", begun.elapsed());
    assert!(daemon.is_running());
}

/// The test of the test: an etcd of 3.4 keeps such a connection for ever, and is found out.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_etcd_is_found_out_by_its_silent_connections() {
    let Some(dir) = std::env::var_os("ETCD_OLD_BIN_DIR") else {
        skip::report("set ETCD_OLD_BIN_DIR to a directory with an etcd of 3.4");
        return;
    };
    let pki = Pki::new();
    let etcd = std::path::Path::new(&dir).join("etcd");
    let daemon = Daemon::start_by(etcd.to_str().unwrap(), &pki.flags(), Ports::Shared);
    let mut stream = TcpStream::connect(("127.0.0.1", daemon.client)).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(15), stream.read(&mut [0; 64])).await;
    assert!(ended.is_err(), "it was closed: this etcd does not have the hole");
}

/// Clients cannot take the last descriptor: those beyond their share wait to be accepted, and get
/// in when others leave.
#[tokio::test(flavor = "multi_thread")]
async fn a_listener_survives_more_clients_than_descriptors() {
    let pki = Pki::new();
    let limited = format!("prlimit --nofile=160 {}", env!("CARGO_BIN_EXE_etcd-server"));
    let mut daemon = Daemon::start_by(&limited, &pki.flags(), Ports::Shared);
    let client = Client::new(&pki, Some(&pki.user("alice")));
    let mut silent = Vec::new();
    for _ in 0..400 {
        silent.push(TcpStream::connect(("127.0.0.1", daemon.client)).await.unwrap());
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(daemon.is_running());
    assert!(!daemon.log().contains("failed to accept a connection"), "{}", daemon.log());
    drop(silent);
    let begun = Instant::now();
    while client.grpc(daemon.client).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(30), "never came back: {}", daemon.log());
    }
    assert!(daemon.is_running());
}
