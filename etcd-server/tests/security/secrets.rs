//! A canary in every secret: afterwards it is nowhere that it has no business to be.

use crate::calls::post_json;
use crate::client::Client;
use crate::daemon::{Daemon, Ports};
use crate::pki::Pki;
use crate::suspect::{CANARY, Suspect, ours, password};
use proto::etcdserverpb::{AuthUserChangePasswordRequest, AuthenticateRequest, PutRequest, RangeRequest};
use std::path::Path;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A key: etcd's lines about slow requests have keys in clear, and sizes in place of values.
const KEY: &str = "key-in-clear";

/// Returns the files below `dir` that contain one of the secrets, each with the secret's number.
pub(crate) fn files_that_hold(dir: &Path, secrets: &[&[u8]]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_that_hold(&path, secrets));
        } else if let Ok(content) = std::fs::read(&path) {
            let held = secrets.iter().enumerate().filter(|(_, secret)| holds(&content, secret));
            found.extend(held.map(|(number, _)| format!("{} holds secret {number}", path.display())));
        }
    }
    found
}

fn holds(content: &[u8], secret: &[u8]) -> bool {
    let (first, rest) = secret.split_first().expect("a secret is not empty");
    let begins = content.iter().enumerate().filter(|(_, byte)| *byte == first);
    begins.into_iter().any(|(at, _)| content[at + 1..].starts_with(rest))
}

async fn page(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).await.unwrap();
    page
}

/// Makes all mistakes with secrets, at the lowest level of logging.
async fn use_secrets(suspect: &Suspect) {
    let root = Some("root");
    for user in ["root", "bare", "no-such-user"] {
        let wrong = AuthenticateRequest { name: user.to_owned(), password: format!("{CANARY}-wrong") };
        suspect.ask(None, "Auth", "Authenticate", &wrong).await.unwrap_err();
    }
    suspect
        .ask(root, "KV", "Put", &PutRequest { key: KEY.into(), value: CANARY.into(), ..Default::default() })
        .await
        .unwrap();
    suspect
        .ask(Some("bare"), "KV", "Range", &RangeRequest { key: KEY.into(), ..Default::default() })
        .await
        .unwrap_err();
    let port = suspect.server.place().client_port;
    let json = format!(r#"{{"name":"root","password":"{}"}}"#, password("root"));
    for token in [format!("{CANARY}.1"), format!("Bearer {CANARY}"), format!("eyJhbGciOiJIUzI1NiJ9.{CANARY}.{CANARY}")]
    {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let refused = post_json(stream, "/v3/kv/range", &[("Authorization", token)], r#"{"key":"YQ=="}"#).await;
        assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    }
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    assert!(post_json(stream, "/v3/auth/authenticate", &[], &json).await.starts_with("HTTP/1.1 200"));
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let broken = format!(r#"{{"name":"root","password":"{CANARY}""#);
    assert!(post_json(stream, "/v3/auth/authenticate", &[], &broken).await.starts_with("HTTP/1.1 400"));
    // Last, because signed tokens are too old after it.
    let change =
        AuthUserChangePasswordRequest { name: "bare".to_owned(), password: password("changed"), ..Default::default() };
    suspect.ask(root, "Auth", "UserChangePassword", &change).await.unwrap();
    let long = AuthUserChangePasswordRequest {
        name: "bare".to_owned(),
        password: password(&"x".repeat(100)),
        ..Default::default()
    };
    suspect.ask(root, "Auth", "UserChangePassword", &long).await.unwrap_err();
}

/// Keys and values are data, and a simple token travels in the log of requests, as etcd's members
/// expect it: apart from these nothing.
#[tokio::test(flavor = "multi_thread")]
async fn passwords_and_simple_tokens_stay_out_of_logs_disk_and_metrics() {
    let mut suspect = Suspect::start(ours(&[
        "--log-level",
        "debug",
        "--warning-apply-duration",
        "1ns",
        "--warning-unary-request-duration",
        "1ns",
    ]))
    .await;
    use_secrets(&suspect).await;
    let page = page(suspect.server.place().client_port).await;
    assert!(!page.contains(CANARY), "a secret is on the metrics page");
    let dir = suspect.server.data_dir().parent().unwrap().to_owned();
    let words = [password(""), format!("{CANARY}-wrong"), format!("{CANARY}.1"), format!("Bearer {CANARY}")];
    let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    assert_eq!(files_that_hold(&dir, &words), Vec::<String>::new(), "while it runs");
    suspect.server.stop();
    assert_eq!(files_that_hold(&dir, &words), Vec::<String>::new(), "after it has ended");
    let tokens: Vec<&[u8]> = suspect.tokens.values().map(|token| token.as_bytes()).collect();
    let of_tokens = files_that_hold(&dir, &tokens);
    assert!(of_tokens.iter().all(|found| found.contains("/member/log/")), "{of_tokens:?}");
    let log = std::fs::read_to_string(dir.join("log")).unwrap();
    assert!(
        !log.contains(CANARY),
        "values, passwords or tokens are in the log: {:?}",
        log.lines().find(|line| line.contains(CANARY))
    );
    assert!(log.contains("took too long"), "the log tells of no request, so that its silence proves nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_tokens_and_their_key_stay_out_of_logs_and_disk() {
    let pki = Pki::new();
    let key = format!("{CANARY}-key-of-tokens-that-nobody-may-see");
    pki.write("token.key", key.as_bytes());
    let token = format!("jwt,sign-method=HS256,priv-key={}", pki.path("token.key").display());
    let mut suspect = Suspect::start(ours(&["--log-level", "debug", "--auth-token", &token])).await;
    use_secrets(&suspect).await;
    suspect.server.stop();
    let dir = suspect.server.data_dir().parent().unwrap().to_owned();
    let tokens = suspect.tokens.values().cloned().chain([key, password("")]).collect::<Vec<_>>();
    let secrets: Vec<&[u8]> = tokens.iter().map(|secret| secret.as_bytes()).collect();
    assert_eq!(files_that_hold(&dir, &secrets), Vec::<String>::new());
}

/// The key of a certificate is nowhere but in its file, and a core of the process is never written.
#[tokio::test(flavor = "multi_thread")]
async fn private_keys_stay_where_they_are() {
    let pki = Pki::new();
    let mut flags = pki.flags_with_list();
    flags.extend(["--log-level".to_owned(), "debug".to_owned()]);
    let daemon = Daemon::start(&flags, Ports::Shared);
    let client = Client::new(&pki, Some(&pki.user("alice")));
    client.grpc(daemon.client).await.unwrap();
    pki.write_server(&pki.leaf(certs::Profile::Server, "etcd1", &["127.0.0.1", "localhost"]));
    daemon.wait_for_log("reloaded TLS files");
    let key = std::fs::read_to_string(pki.path("server.key")).unwrap();
    let line = key.lines().nth(1).unwrap();
    assert_eq!(files_that_hold(daemon.dir(), &[line.as_bytes()]), Vec::<String>::new());
    let page = client.http(daemon.metrics, "GET", "/metrics", "").await.unwrap();
    assert!(!page.contains(line));
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", daemon.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
}
