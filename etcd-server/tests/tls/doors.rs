//! Accepted clients: every kind of client on every listener, by each version, on the first
//! connection and on the second.

use crate::client::Client;
use crate::daemon::{Daemon, Ports};
use crate::pki::{Leaf, Pki, expired, leaf};
use certs::Profile;
use rustls::version::{TLS12, TLS13};
use time::OffsetDateTime;

/// A way to ask for something, and where.
#[derive(Clone, Copy, Debug)]
enum Door {
    Grpc,
    Json,
    Web,
    Metrics,
}

impl Door {
    async fn is_open(self, daemon: &Daemon, ports: Ports, client: &Client) -> Result<(), String> {
        let http = if ports == Ports::Split { daemon.http } else { daemon.client };
        let good = |response: String| if response.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(response) };
        match self {
            Self::Grpc => client.grpc(daemon.client).await,
            Self::Json => good(client.http(http, "POST", "/v3/kv/range", r#"{"key":"YQ=="}"#).await?),
            Self::Web => client.http2(daemon.client, "/health").await.map(drop),
            Self::Metrics => good(client.http(daemon.metrics, "GET", "/metrics", "").await?),
        }
    }
}

/// GHSA-3wh4-j44w-pg92 among others: 5 clients × 2 versions × 2 connections × 7 doors.
#[tokio::test(flavor = "multi_thread")]
async fn every_door_is_closed_to_those_who_are_not_trusted() {
    let pki = Pki::new();
    let (alice, mallory) = (pki.user("alice"), pki.user("mallory"));
    let stranger = leaf(&pki.stranger, Profile::Client, "alice", &[], OffsetDateTime::now_utc());
    let old = expired(&pki.ca);
    pki.write_list(&[&mallory]);
    let clients: [(&str, Option<&Leaf>, bool); 5] = [
        ("alice", Some(&alice), true),
        ("nobody", None, false),
        ("a stranger", Some(&stranger), false),
        ("an expired one", Some(&old), false),
        ("a revoked one", Some(&mallory), false),
    ];
    let mut tried = 0;
    for (ports, doors) in [
        (Ports::Shared, &[Door::Grpc, Door::Json, Door::Web, Door::Metrics][..]),
        (Ports::Split, &[Door::Grpc, Door::Json, Door::Metrics]),
    ] {
        let daemon = Daemon::start(&pki.flags_with_list(), ports);
        for door in doors {
            for (who, shown, welcome) in clients {
                for version in [&TLS12, &TLS13] {
                    let client = Client::speaking(&pki, shown, &[version]);
                    for connection in 1..=2 {
                        let outcome = door.is_open(&daemon, ports, &client).await;
                        assert_eq!(
                            outcome.is_ok(),
                            welcome,
                            "{who} by {door:?} of {ports:?}, {version:?}, connection {connection}: {outcome:?}"
                        );
                        tried += 1;
                    }
                }
            }
        }
    }
    eprintln!("{tried} doors tried");
    assert_eq!(tried, 140);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_port_speaks_grpc_and_both_versions_of_http() {
    let pki = Pki::new();
    let daemon = Daemon::start(&pki.flags(), Ports::Shared);
    let client = Client::new(&pki, Some(&pki.user("alice")));
    client.grpc(daemon.client).await.unwrap();
    assert!(client.http(daemon.client, "GET", "/version", "").await.unwrap().contains("etcdserver"));
    let (status, body) = client.http2(daemon.client, "/version").await.unwrap();
    assert!(status == 200 && body.contains("etcdserver"), "{status} {body}");
    assert_eq!(client.http2(daemon.client, "/nowhere").await.unwrap().0, 404);
    let page = client.http(daemon.metrics, "GET", "/metrics", "").await.unwrap();
    for name in [
        "etcd_tls_certificate_days_left{",
        "etcd_tls_handshakes_total{",
        "etcd_tls_connections{",
        "etcd_server_has_leader",
    ] {
        assert!(page.contains(name), "{name}: {page}");
    }
    assert!(daemon.log().contains("serving client traffic securely"));
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_and_secure_ports_stand_side_by_side() {
    let pki = Pki::new();
    let daemon = Daemon::start(&pki.flags(), Ports::Shared);
    let client = Client::new(&pki, Some(&pki.user("alice")));
    client.put(daemon.client, "secure").await.unwrap();
    let channel = tonic::transport::Endpoint::from_shared(format!("http://127.0.0.1:{}", daemon.plain))
        .unwrap()
        .connect()
        .await
        .unwrap();
    let read = proto::etcdserverpb::RangeRequest { key: "secure".into(), ..Default::default() };
    let found = rpc::etcdserverpb::kv_client::KvClient::new(channel).range(read).await.unwrap().into_inner();
    assert_eq!(found.count, 1);
    // Plain words on the secure port get a clear answer.
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", daemon.client)).await.unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    assert!(response.contains("Client sent an HTTP request to an HTTPS server."), "{response}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_is_served_by_both_schemes() {
    let pki = Pki::new();
    let [port] = testbed::free_ports().unwrap();
    let urls = format!("https://127.0.0.1:{port},http://127.0.0.1:{port}");
    let flags: Vec<_> = pki.flags().into_iter().chain([format!("--listen-metrics-urls={urls}")]).collect();
    let daemon = Daemon::start(&flags, Ports::Shared);
    let client = Client::new(&pki, Some(&pki.user("alice")));
    assert!(client.http(port, "GET", "/health", "").await.unwrap().starts_with("HTTP/1.1 200"));
    assert!(
        Client::new(&pki, None).http(port, "GET", "/health", "").await.is_err(),
        "TLS demands a certificate as before"
    );
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    drop(daemon);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_self_signed_daemon_can_be_believed_by_its_own_certificate() {
    let pki = Pki::new();
    let daemon = Daemon::start(&["--auto-tls".to_owned()], Ports::Shared);
    daemon.wait_for_log("made a self-signed certificate");
    // A client with another CA does not trust it.
    assert!(Client::new(&pki, None).grpc(daemon.client).await.is_err());
}
