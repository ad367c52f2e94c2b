//! The cost of hostile connections.

use crate::support::{Client, Rig};
use std::time::{Duration, Instant};
use tls::{HandshakeError, Protocols};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[tokio::test(start_paused = true)]
async fn a_handshake_that_says_nothing_ends_after_ten_seconds() {
    let rig = Rig::new();
    let endpoint = rig.endpoint();
    for begun in [&b""[..], &[0x16, 3, 1, 2, 0, 1, 0][..]] {
        let (mut near, far) = tokio::io::duplex(4096);
        near.write_all(begun).await.unwrap();
        let started = tokio::time::Instant::now();
        let ended = endpoint.acceptor().unwrap().accept(far, None, Protocols::Both).await;
        assert!(matches!(ended, Err(HandshakeError::Timeout)));
        assert_eq!(started.elapsed().as_secs(), 10);
    }
    assert_eq!(endpoint.status().handshakes.timed_out, 2);
}

/// D03: connections that never send a first message keep no client out.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_silent_connections_keeps_nobody_out() {
    let rig = Rig::new();
    let endpoint = rig.endpoint();
    let acceptor = endpoint.acceptor().unwrap();
    let mut silent = Vec::new();
    for _ in 0..2_000 {
        let (near, far) = tokio::io::duplex(64);
        let acceptor = acceptor.clone();
        silent.push((near, tokio::spawn(async move { acceptor.accept(far, None, Protocols::Both).await.err() })));
    }
    let alice = rig.user("alice");
    let client = Client::new(&rig, Some(&alice));
    for _ in 0..20 {
        let begun = Instant::now();
        assert!(client.meet(&endpoint, Protocols::Both).await.is_in());
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    }
    let crowded = endpoint.status().handshakes.crowded_out;
    assert!((2_000 - 512..=2_000 - 512 + 20).contains(&crowded), "{crowded}");
}

#[tokio::test]
async fn plain_http_is_told_so() {
    let rig = Rig::new();
    let (mut near, far) = tokio::io::duplex(4096);
    near.write_all(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    near.shutdown().await.unwrap();
    let refused = rig.endpoint().acceptor().unwrap().accept(far, None, Protocols::Both).await;
    assert_eq!(refused.unwrap_err().to_string(), "tls: first record does not look like a TLS handshake");
    let mut response = String::new();
    near.read_to_string(&mut response).await.unwrap();
    assert_eq!(response, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n");
}

#[tokio::test]
async fn garbage_is_refused_without_a_panic() {
    let rig = Rig::new();
    let endpoint = rig.endpoint();
    let mut state = 7_u64;
    for _ in 0..2_000 {
        let mut bytes: Vec<u8> = (0..200)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                state.to_be_bytes()[0]
            })
            .collect();
        // Half of them look like a hello at first.
        if state.is_multiple_of(2) {
            bytes[..9].copy_from_slice(&[0x16, 3, 1, 0, 180, 1, 0, 0, 176]);
        }
        let (mut near, far) = tokio::io::duplex(4096);
        near.write_all(&bytes).await.unwrap();
        near.shutdown().await.unwrap();
        assert!(endpoint.acceptor().unwrap().accept(far, None, Protocols::Both).await.is_err());
    }
}
