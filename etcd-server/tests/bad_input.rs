//! Invalid requests, in the order of `bad_input.txt`: each line is one, the next one its response,
//! status and body.
//!
//! `"@key"` stands for the key in base64. Ids, terms and revisions of headers are not compared. A
//! line that begins with `3.5:` is the response of a real etcd of that version, `3.5: ends` that
//! the whole server ends by a panic. Where `ETCD_BIN_DIR` names one, it gets the requests too.
//! `RECORD_BAD_INPUT=1` rewrites the file from the responses of both.

use base64::Engine as _;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;
use testbed::{Server, Settings};

const CASES: &str = include_str!("bad_input.txt");
const OTHER_VERSION: &str = "3.5: ";
const ENDS: &str = "ends";
const SHORT_ID: usize = 10;
const PATIENCE: Duration = Duration::from_secs(60);

/// A request and its answers.
struct Case {
    line: String,
    ours: String,
    /// The response of etcd, where it differs.
    etcd: Option<String>,
}

fn cases() -> Vec<Case> {
    let mut found: Vec<Case> = Vec::new();
    for line in CASES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let is_request = line
            .split(' ')
            .next()
            .is_some_and(|method| method.len() > 2 && method.chars().all(|letter| letter.is_ascii_uppercase()));
        match (line.strip_prefix(OTHER_VERSION), found.last_mut()) {
            (Some(etcd), Some(case)) => case.etcd = Some(etcd.to_owned()),
            (None, Some(case)) if !is_request => case.ours = line.to_owned(),
            _ => found.push(Case { line: line.to_owned(), ours: String::new(), etcd: None }),
        }
    }
    found
}

/// Keys as JSON carries them, and bodies that are too long to write down.
fn body(written: &str) -> String {
    let many = |count: usize, one: fn(usize) -> String| (0..count).map(one).collect::<Vec<_>>().join(",");
    match written.split_once(' ') {
        Some(("MANY-OPERATIONS", count)) => {
            format!(
                "{{\"success\":[{}]}}",
                many(count.parse().unwrap(), |_| r#"{"request_range":{"key":"YQ=="}}"#.to_owned())
            )
        }
        Some(("MANY-COMPARES", count)) => {
            format!(
                "{{\"compare\":[{}]}}",
                many(count.parse().unwrap(), |_| r#"{"key":"YQ==","target":"VERSION"}"#.to_owned())
            )
        }
        _ => {
            let mut parts = written.split("\"@");
            let mut whole = parts.next().unwrap_or_default().to_owned();
            for part in parts {
                let (key, rest) = part.split_once('"').unwrap();
                write!(whole, "\"{}\"{rest}", base64::engine::general_purpose::STANDARD.encode(key)).unwrap();
            }
            whole
        }
    }
}

fn ask(port: u16, line: &str) -> String {
    let mut words = line.splitn(3, ' ');
    let (method, path, written) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap_or_default());
    let body = body(written);
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut response = Vec::new();
    // A server that responds before the whole request was read may reset the connection behind the
    // response.
    let ended = stream.read_to_end(&mut response);
    assert!(!response.is_empty(), "{line}: {ended:?}");
    let response = String::from_utf8_lossy(&response);
    let (head, body) = response.split_once("\r\n\r\n").unwrap_or((&response, ""));
    let status = head.split(' ').nth(1).unwrap_or_default();
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { body.split("\r\n").skip(1).step_by(2).collect() } else { body.to_owned() };
    format!("{status} {}", comparable(body.trim_end()).replace('\n', "\\n"))
}

/// Returns the body without the parts that differ from server to server.
fn comparable(body: &str) -> String {
    let mut body = body.to_owned();
    for name in ["cluster_id", "member_id", "raft_term", "revision", "memberID", "ID"] {
        let quoted = format!("\"{name}\":\"");
        let mut from = 0;
        while let Some(found) = body[from..].find(&quoted) {
            let begin = from + found + quoted.len();
            let end = begin + body[begin..].find('"').unwrap_or(0);
            // Ids in the request are short, and are compared.
            if name != "ID" || end - begin > SHORT_ID {
                body.replace_range(begin..end, "_");
            }
            from = begin;
        }
    }
    body
}

async fn etcd() -> Option<Server> {
    let dir = std::env::var_os("ETCD_BIN_DIR")?;
    let mut settings = Settings::new(Path::new(&dir).join("etcd").to_str().unwrap());
    settings.flags = vec!["--bcrypt-cost=4".to_owned()];
    Some(Server::start(settings).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_refused_in_etcds_words() {
    let ours = crate::daemon::start(None, &["--bcrypt-cost=4"]).await;
    let etcd = etcd().await;
    let (mut differences, mut recorded) = (Vec::new(), String::new());
    let cases = cases();
    for case in &cases {
        let line = &case.line;
        let told = ask(ours.place().client_port, line);
        let asked = etcd.as_ref().filter(|_| case.etcd.as_deref() != Some(ENDS));
        let told_by_etcd = asked.map_or_else(|| case.etcd.clone(), |etcd| Some(ask(etcd.place().client_port, line)));
        writeln!(recorded, "{line}\n{told}").unwrap();
        if let Some(other) = told_by_etcd.as_ref().filter(|other| **other != told) {
            writeln!(recorded, "{OTHER_VERSION}{other}").unwrap();
        }
        if told != case.ours {
            differences.push(format!("{line}\n  ours:     {told}\n  expected: {}", case.ours));
        }
        if let Some(other) =
            told_by_etcd.filter(|_| asked.is_some()).filter(|other| other != case.etcd.as_ref().unwrap_or(&case.ours))
        {
            differences
                .push(format!("{line}\n  etcd:     {other}\n  expected: {}", case.etcd.as_ref().unwrap_or(&case.ours)));
        }
    }
    if std::env::var_os("RECORD_BAD_INPUT").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bad_input.txt"), recorded).unwrap();
        return;
    }
    println!("{} requests, {} of them asked of etcd too", cases.len(), if etcd.is_some() { cases.len() } else { 0 });
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}
