//! Unix sockets, open and encrypted, serve the same as ports.

use crate::client::Client;
use crate::daemon::SOON;
use crate::pki::Pki;
use bytes::Bytes;
use prost::Message as _;
use proto::etcdserverpb::RangeRequest;
use std::path::Path;
use testbed::{Place, Server, Settings};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::UnixStream;

/// The answer, which is empty when the other side has hung up.
async fn http(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> String {
    let mut response = Vec::new();
    // A refused client may learn of it before its request is sent; and some connections end without
    // a close frame.
    drop(stream.write_all(b"GET /version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await);
    drop(stream.flush().await);
    drop(stream.read_to_end(&mut response).await);
    String::from_utf8_lossy(&response).into_owned()
}

/// The status of a read over gRPC.
async fn grpc(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Option<String> {
    let (mut sender, connection) = h2::client::handshake(stream).await.unwrap();
    let driven = tokio::spawn(async move { drop(connection.await) });
    let request = http::Request::post("http://etcd/etcdserverpb.KV/Range")
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    let (response, mut body) = sender.send_request(request.body(()).unwrap(), false).unwrap();
    let range = RangeRequest { key: "a".into(), ..RangeRequest::default() }.encode_to_vec();
    body.send_data(Bytes::from(siege::raw::message(&range)), true).unwrap();
    let mut body = response.await.unwrap().into_body();
    while let Some(part) = body.data().await {
        body.flow_control().release_capacity(part.unwrap().len()).unwrap();
    }
    let trailers = body.trailers().await.unwrap();
    driven.abort();
    trailers.and_then(|trailers| trailers.get("grpc-status").map(|status| status.to_str().unwrap().to_owned()))
}

fn etcdctl(program: &Path, pki: &Pki, endpoint: &str) -> (bool, String) {
    let mut command = std::process::Command::new(program);
    command.args([
        "--endpoints",
        endpoint,
        "--dial-timeout",
        "5s",
        "--command-timeout",
        "10s",
        "put",
        "greeting",
        "hello",
    ]);
    if endpoint.starts_with("unixs") {
        command
            .arg("--cacert")
            .arg(pki.path("ca.crt"))
            .arg("--cert")
            .arg(pki.path("user.crt"))
            .arg("--key")
            .arg(pki.path("user.key"));
    }
    let ended = command.env_clear().output().unwrap();
    (ended.status.success(), String::from_utf8_lossy(&ended.stderr).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn unix_sockets_serve_grpc_and_http_open_and_encrypted() {
    let pki = Pki::new();
    let place = Place::free("node").unwrap();
    let (open, secure) = (pki.path("open.socket"), pki.path("secure.socket"));
    let mut settings = Settings::new(env!("CARGO_BIN_EXE_etcd-server"));
    let urls = format!("http://127.0.0.1:{},unix://{},unixs://{}", place.client_port, open.display(), secure.display());
    settings.flags = pki.flags();
    settings.flags.extend(["--listen-client-urls".to_owned(), urls]);
    let entry = place.entry();
    let mut server = Server::launch(settings, place, vec!["--initial-cluster".to_owned(), entry]).unwrap();
    server.healthy().await.unwrap();
    let alice = pki.user("alice");
    let (trusted, nobody) = (Client::new(&pki, Some(&alice)), Client::new(&pki, None));
    let connect = async |path: &Path| tokio::time::timeout(SOON, UnixStream::connect(path)).await.unwrap().unwrap();
    assert!(http(connect(&open).await).await.contains("etcdserver"));
    assert_eq!(grpc(connect(&open).await).await.as_deref(), Some("0"));
    let encrypted =
        async |client: &Client, protocol: &[u8]| client.over(connect(&secure).await, "localhost", protocol).await;
    assert!(http(encrypted(&trusted, b"http/1.1").await.unwrap()).await.contains("etcdserver"));
    assert_eq!(grpc(encrypted(&trusted, b"h2").await.unwrap()).await.as_deref(), Some("0"));
    // By TLS 1.3 a client without a certificate learns of it with the first response.
    if let Ok(stream) = encrypted(&nobody, b"http/1.1").await {
        assert!(!http(stream).await.contains("etcdserver"));
    }
    pki.write("user.crt", alice.pem.as_bytes());
    pki.write("user.key", alice.key.as_bytes());
    match std::env::var_os("ETCD_BIN_DIR") {
        Some(dir) => {
            let program = Path::new(&dir).join("etcdctl");
            let (worked, told) = etcdctl(&program, &pki, &format!("unix://{}", open.display()));
            assert!(worked, "{told}");
        }
        None => skip::report("the real etcdctl: set ETCD_BIN_DIR to a directory with it"),
    }
    // A second start finds the sockets that the first has left behind.
    server.kill();
    server.restart().await.unwrap();
    assert!(http(connect(&open).await).await.contains("etcdserver"));
}
