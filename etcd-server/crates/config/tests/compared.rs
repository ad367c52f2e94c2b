//! Configuration files and URLs, row by row as etcd 3.7.1 reads them. With `ETCD_BIN_DIR` the rows
//! are compared with a real one.
#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    clippy::wildcard_enum_match_arm,
    reason = "a table of rows, and helpers of tests: a failure is a failed test"
)]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use config::{ConfigError, Endpoint, Loaded, Quota, Settings, Start};

use crate::support::{Machine, run_words};

/// The lines that `{}` in a row stands for.
const BASE: &str = "listen-client-urls: http://127.0.0.1:0\nlisten-peer-urls: http://127.0.0.1:0\ndata-dir: d\n";

/// A field of etcd's line `starting an etcd server`, and its value; or a refusal.
type Verdict = Result<(&'static str, &'static str), ()>;

const R: Verdict = Err(());

fn quota(value: &'static str) -> Verdict {
    Ok(("quota-backend-bytes", value))
}

fn name(value: &'static str) -> Verdict {
    Ok(("name", value))
}

fn pre_vote(value: &'static str) -> Verdict {
    Ok(("pre-vote", value))
}

fn heartbeat(value: &'static str) -> Verdict {
    Ok(("heartbeat-interval", value))
}

/// `{}` stands for the lines that every file needs.
fn files() -> Vec<(&'static str, Verdict)> {
    vec![
        ("{}name: a\n", name("a")),
        ("\u{feff}{}name: a\n", name("a")),
        ("---\n{}name: a\n", name("a")),
        ("{}name: a\n---\n", name("a")),
        ("{}name: a\n...\n", name("a")),
        ("{}name: a\n---\nname: b\n", name("a")),
        ("{}name: a\n---\n\tbroken: [\n", name("a")),
        ("# a comment\n\n{}name: a # another\n", name("a")),
        ("{}name: a\nname: b\n", name("b")),
        ("{}NAME: a\nname: b\n", name("b")),
        ("{}name: b\nNAME: a\n", name("b")),
        ("{}NAME: a\n", name("a")),
        ("{}name: 'a'\n", name("a")),
        ("{}name: \"a\\u0062\"\n", name("ab")),
        ("{}name: |\n  a\n", name("a\n")),
        ("{}name: >-\n  a\n  b\n", name("a b")),
        ("{}name: a b\n", name("a b")),
        ("{}name: !!str 5\n", name("5")),
        ("{}name: !foo a\n", name("a")),
        ("{}name: 2026-01-02\n", name("2026-01-02")),
        ("{}name: 1.2.3\n", name("1.2.3")),
        ("{}name: 1h\n", name("1h")),
        ("{}name:\n", name("default")),
        ("{}name: ~\n", name("default")),
        ("{}name: null\n", name("default")),
        ("{}name: 5\n", R),
        ("{}name: 5.5\n", R),
        ("{}name: yes\n", R),
        ("{}name: y\n", R),
        ("{}name: [a]\n", R),
        ("{}name: {a: b}\n", R),
        ("{}x: &x a\nname: *x\n", name("a")),
        ("{}x: &x {name: a}\n<<: *x\n", name("a")),
        ("{}x: &x {name: a}\n<<: *x\nname: b\n", name("b")),
        ("{}name: b\nx: &x {name: a}\n<<: *x\n", name("a")),
        ("{}<<: [{name: a}, {name: b}]\n", name("a")),
        ("{}<<: a\n", R),
        ("{}name: *x\n", R),
        ("{}pre-vote: yes\n", pre_vote("true")),
        ("{}pre-vote: no\n", pre_vote("false")),
        ("{}pre-vote: Off\n", pre_vote("false")),
        ("{}pre-vote: ON\n", pre_vote("true")),
        ("{}pre-vote: n\n", pre_vote("false")),
        ("{}pre-vote: False\n", pre_vote("false")),
        ("{}pre-vote: !!bool no\n", pre_vote("false")),
        ("{}pre-vote: 0\n", R),
        ("{}pre-vote: 'false'\n", R),
        ("{}pre-vote: fALSE\n", R),
        ("{}quota-backend-bytes: 8e9\n", quota("8000000000")),
        ("{}quota-backend-bytes: 8.0e9\n", quota("8000000000")),
        ("{}quota-backend-bytes: 8_000_000_000\n", quota("8000000000")),
        ("{}quota-backend-bytes: 0x10\n", quota("16")),
        ("{}quota-backend-bytes: 010\n", quota("8")),
        ("{}quota-backend-bytes: 0o10\n", quota("8")),
        ("{}quota-backend-bytes: 0b101\n", quota("5")),
        ("{}quota-backend-bytes: +5\n", quota("5")),
        ("{}quota-backend-bytes: 5.\n", quota("5")),
        ("{}quota-backend-bytes: !!int 5\n", quota("5")),
        ("{}quota-backend-bytes: 5.5\n", R),
        ("{}quota-backend-bytes: 1e21\n", R),
        ("{}quota-backend-bytes: .inf\n", R),
        ("{}quota-backend-bytes: '5'\n", R),
        ("{}quota-backend-bytes: 8GB\n", R),
        ("{}quota-backend-bytes: !!int x\n", R),
        ("{}quota-backend-bytes: 9223372036854775808\n", R),
        ("{}heartbeat-interval: 50\n", heartbeat("50ms")),
        ("{}heartbeat-interval: -50\n", R),
        ("{}heartbeat-interval: 5e1\n", heartbeat("50ms")),
        ("{}corrupt-check-time: 5000000000\n", Ok(("corrupt-check-time-interval", "5s"))),
        ("{}corrupt-check-time: 5e9\n", Ok(("corrupt-check-time-interval", "5s"))),
        ("{}corrupt-check-time: 5s\n", R),
        ("{}max-concurrent-streams: 4294967296\n", R),
        ("{}max-concurrent-streams: 100\n", Ok(("max-concurrent-streams", "100"))),
        ("{}unknown-key: 5\nname: a\n", name("a")),
        // etcd's sample file has this one, which is a flag alone.
        ("{}discovery-fallback: 'proxy'\nname: a\n", name("a")),
        ("{}enable-v2: true\nname: a\n", name("a")),
        ("{}true: x\nname: a\n", name("a")),
        ("{}5: x\nname: a\n", name("a")),
        ("{}[a]: x\nname: a\n", R),
        ("{}~: x\nname: a\n", R),
        ("{}client-transport-security:\nname: a\n", name("a")),
        ("{}client-transport-security: {}\nname: a\n", name("a")),
        ("{}client-transport-security: 5\n", R),
        ("{}peer-transport-security: [a]\n", R),
        ("{}client-transport-security:\n  cert-fiel: x\nname: a\n", name("a")),
        (
            "{}client-transport-security: {auto-tls: true}\nclient-transport-security: {auto-tls: false}\nname: a\n",
            name("a"),
        ),
        ("{}client-transport-security: {cert-file: 5}\n", R),
        ("{}log-outputs: [stderr]\nname: a\n", name("a")),
        ("{}log-outputs: stderr\n", R),
        ("{}auto-compaction-retention: 1\n", R),
        ("{}auto-compaction-retention: '1'\n", Ok(("auto-compaction-retention", "1h0m0s"))),
        ("{}initial-cluster-token: 'x: y'\n", Ok(("initial-cluster-token", "x: y"))),
        ("{}initial-cluster-state: existing\ninitial-cluster-state: new\n", Ok(("initial-cluster-state", "new"))),
        ("{}host-whitelist: ''\nname: a\n", name("a")),
        ("{}name: a\r\nheartbeat-interval: 60\r\n", heartbeat("60ms")),
        ("{}\n \n  \nname: a\n", name("a")),
        ("{}name: a\n  x: b\n", R),
        ("{}\tname: a\n", R),
        ("{}name: 'a\n", R),
        ("{}name a\n", R),
        ("{}- name\n", R),
    ]
}

/// JSON is YAML, and needs its own braces.
const JSON: &str = r#"{"listen-client-urls": "http://127.0.0.1:0", "listen-peer-urls": "http://127.0.0.1:0", "data-dir": "d", "name": "a"}"#;

fn field(settings: &Settings, field: &str) -> String {
    let milliseconds = |duration: std::time::Duration| format!("{}ms", duration.as_millis());
    match field {
        "name" => settings.member.name.clone(),
        "pre-vote" => settings.election.pre_vote.to_string(),
        "quota-backend-bytes" => match settings.quota {
            Quota::Bytes(bytes) => bytes.to_string(),
            Quota::Off => "off".to_owned(),
        },
        "heartbeat-interval" => milliseconds(settings.election.heartbeat),
        "corrupt-check-time-interval" => {
            settings.corrupt_check.interval.map_or_else(String::new, |interval| format!("{}s", interval.as_secs()))
        }
        "max-concurrent-streams" => settings.listen.concurrent_streams_max.to_string(),
        "auto-compaction-retention" => match settings.auto_compaction {
            config::AutoCompaction::Periodic(period) => format!("{}h0m0s", period.as_secs() / 3600),
            config::AutoCompaction::Off | config::AutoCompaction::Revision(_) => "off".to_owned(),
        },
        "initial-cluster-token" => settings.cluster.token.clone(),
        "initial-cluster-state" => format!("{:?}", settings.cluster.state).to_lowercase(),
        other => panic!("{other} is not known here"),
    }
}

fn from_text(text: &str) -> Result<Loaded, ConfigError> {
    let machine = Machine { file: Some(text.to_owned()), host: None };
    match run_words(&["--config-file=f".to_owned()], &[], &machine)? {
        Start::Serve(loaded) => Ok(*loaded),
        other => panic!("{other:?}"),
    }
}

#[test]
fn reads_the_files_that_etcd_reads() {
    let mut wrong = Vec::new();
    let rows: Vec<_> = files()
        .into_iter()
        .map(|(text, verdict)| (text.replacen("{}", BASE, 1), verdict))
        .chain([(JSON.to_owned(), name("a"))])
        .collect();
    for (text, verdict) in &rows {
        let found = from_text(text);
        let agrees = match (&found, verdict) {
            (Ok(loaded), Ok((probe, value))) => field(&loaded.settings, probe) == *value,
            (Err(_), Err(())) => true,
            (Ok(_), Err(())) | (Err(_), Ok(_)) => false,
        };
        if !agrees {
            let found = found.map(|loaded| verdict.map(|(probe, _)| field(&loaded.settings, probe)));
            wrong.push(format!(
                "{text:?}: expected {verdict:?}, found {:?}",
                found.map_err(|problem| problem.to_string())
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(rows.len() >= 60, "{}", rows.len());
}

#[test]
fn warns_of_keys_given_twice_and_unknown() {
    for (text, setting) in [
        ("name: a\nname: b", "name"),
        ("NAME: a\nname: b", "name"),
        ("client-transport-security: {cert-fiel: x}", "client-transport-security.cert-fiel"),
        ("peer-transport-security: {auto-tls: true, auto-tls: true}\n", "peer-transport-security.auto-tls"),
    ] {
        let warnings = from_text(text).unwrap().warnings;
        assert!(warnings.iter().any(|warning| warning.setting == setting), "{text:?}: {warnings:?}");
    }
}

#[test]
fn check_config_fails_on_unknown_keys() {
    for (text, says) in [
        ("client-transport-security: {client-cert-aut: true}", "client-transport-security.client-cert-aut"),
        ("peer-transport-security: {trusted-ca: x}", "peer-transport-security.trusted-ca"),
        ("heartbeat: 5", "heartbeat"),
        ("enable-v2:", "enable-v2"),
    ] {
        let machine = Machine { file: Some(text.to_owned()), host: None };
        let words = ["--config-file=f".to_owned(), "--check-config".to_owned()];
        let problem = run_words(&words, &[], &machine).unwrap_err();
        assert!(matches!(&problem, ConfigError::UnknownKeys(keys) if keys.contains(says)), "{text}: {problem}");
        assert_eq!(problem.exit_code(), 1);
        assert!(from_text(text).unwrap().warnings.iter().any(|warning| warning.setting == says), "{text}");
    }
}

/// Verdicts of a URL: listened on by clients, advertised to clients; `a` accepts, `r` refuses.
const URLS: &[(&str, &str)] = &[
    ("http://127.0.0.1:0", "aa"),
    ("http://localhost:0", "aa"),
    ("http://[::1]:0", "aa"),
    ("http://[0:0:0:0:0:0:0:1]:0", "aa"),
    ("http://[::ffff:127.0.0.1]:0", "aa"),
    ("http://0.0.0.0:0", "aa"),
    ("http://[::]:0", "aa"),
    ("HTTP://127.0.0.1:0", "aa"),
    (" http://127.0.0.1:0 ", "aa"),
    ("http://127.0.0.1:", "aa"),
    ("http://127.0.0.1:00", "aa"),
    ("http://user:secret@127.0.0.1:0", "aa"),
    ("http://127.0.0.1:0?a=b", "aa"),
    ("http://127.0.0.1:0#a", "aa"),
    ("http://127.0.0.1:0,http://127.0.0.1:0", "aa"),
    ("http://example.org:2379", "ra"),
    ("http://LOCALHOST:0", "ra"),
    ("http://:2379", "rr"),
    ("http://a_b:2379", "ra"),
    ("http://127.1:0", "ra"),
    ("http://0x7f.1:0", "ra"),
    ("http://127.0.0.1", "rr"),
    ("http://127.0.0.1/", "rr"),
    ("http://127.0.0.1:0/", "rr"),
    ("http://127.0.0.1:0/x", "rr"),
    ("http://::1:0", "rr"),
    ("http://[::1", "rr"),
    ("http://[::1]", "rr"),
    ("http://127.0.0.1:x", "rr"),
    ("http://127.0.0.1:-1", "rr"),
    ("http://127.0.0.1:0:0", "rr"),
    ("http:127.0.0.1:0", "rr"),
    ("http:/127.0.0.1:0", "rr"),
    ("127.0.0.1:0", "rr"),
    ("localhost:0", "rr"),
    ("//127.0.0.1:0", "rr"),
    ("ftp://127.0.0.1:0", "rr"),
    ("", "aa"),
    (" ", "rr"),
    ("http://127.0.0.1:0,", "rr"),
    ("http://127.0.0.1:0;http://127.0.0.1:0", "rr"),
    ("http://%31:0", "rr"),
    ("http://127.0.0.1:0 x", "rr"),
    ("unix://sock:1", "aa"),
    ("unix:///DIR/sock", "aa"),
    ("unix:/DIR/sock", "aa"),
];

/// Differences on purpose: our verdict and the reason.
const URLS_DIFFERENT: &[(&str, &str)] = &[
    // Without a URL for clients etcd starts, and serves none.
    ("", "rr"),
];

fn url_words(url: &str, listens: bool) -> Vec<String> {
    let (listen, advertise) = if listens { (url, "http://127.0.0.1:1") } else { ("http://127.0.0.1:0", url) };
    [
        ("--name", "n"),
        ("--data-dir", "d"),
        ("--listen-peer-urls", "http://127.0.0.1:0"),
        ("--listen-client-urls", listen),
        ("--advertise-client-urls", advertise),
    ]
    .iter()
    .map(|(flag, value)| format!("{flag}={value}"))
    .collect()
}

#[test]
fn takes_the_urls_that_etcd_takes() {
    let mut wrong = Vec::new();
    for (url, expected) in URLS {
        let expected = URLS_DIFFERENT.iter().find(|(different, _)| different == url).map_or(expected, |(_, ours)| ours);
        let verdict: String = [true, false]
            .map(
                |listens| if run_words(&url_words(url, listens), &[], &Machine::default()).is_ok() { 'a' } else { 'r' },
            )
            .iter()
            .collect();
        if verdict != *expected {
            wrong.push(format!("{url:?}: expected {expected}, found {verdict}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(URLS.len() >= 40, "{}", URLS.len());
}

#[test]
fn spellings_of_one_address_are_one_place() {
    let url = |text: &str| config::Url::parse(text).unwrap();
    for (left, right, same) in [
        ("http://[::1]:1", "http://[0:0:0:0:0:0:0:1]:1", true),
        ("http://[2001:DB8::1]:1", "https://[2001:db8:0::1]:1", true),
        ("http://[::1]:1", "http://[::1]:2", false),
        ("http://127.0.0.1:1", "http://localhost:1", false),
        ("unix:///a", "unix:/a", true),
    ] {
        assert_eq!(url(left).is_same_place(&url(right)), same, "{left} {right}");
    }
    assert!(matches!(url("unix:/a").endpoint(), Endpoint::Unix(path) if path == Path::new("/a")));
    let words =
        "--name n --initial-cluster n=http://[::1]:2380 --initial-advertise-peer-urls http://[0:0:0:0:0:0:0:1]:2380";
    crate::support::settings(words).check_bootstrap(&|_| None).unwrap();
}

/// An etcd 3.7, if there is one.
fn judge() -> Option<String> {
    let program = format!("{}/etcd", std::env::var("ETCD_BIN_DIR").ok()?);
    let version = Command::new(&program).arg("--version").output().ok()?;
    String::from_utf8_lossy(&version.stdout).contains("etcd Version: 3.7.").then_some(program)
}

/// etcd's line about its settings, or its end.
fn started(program: &str, dir: &Path, words: &[String]) -> Option<serde_json::Value> {
    let mut command = Command::new(program);
    let mut child = command
        .args(words)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = lines.map_while(Result::ok).find(|line| line.contains("\"starting an etcd server\""));
    child.kill().unwrap();
    child.wait().unwrap();
    line.map(|line| serde_json::from_str(&line).unwrap())
}

#[test]
fn the_recorded_rows_are_those_of_etcd() {
    let Some(program) = judge() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    let fresh = || drop(std::fs::remove_dir_all(dir.path().join("d")));
    for (text, verdict) in files()
        .into_iter()
        .map(|(text, verdict)| (text.replacen("{}", BASE, 1), verdict))
        .chain([(JSON.to_owned(), name("a"))])
    {
        fresh();
        std::fs::write(dir.path().join("f"), &text).unwrap();
        let found = started(&program, dir.path(), &["--config-file=f".to_owned()]);
        let agrees = match (&found, verdict) {
            (Some(line), Ok((probe, value))) => {
                line[probe].as_str().map_or_else(|| line[probe].to_string(), str::to_owned) == value
            }
            (None, Err(())) => true,
            (Some(_), Err(())) | (None, Ok(_)) => false,
        };
        if !agrees {
            wrong.push(format!(
                "{text:?}: recorded {verdict:?}, etcd {:?}",
                found.map(|line| verdict.map(|(probe, _)| line[probe].clone()))
            ));
        }
    }
    for (url, expected) in URLS {
        let verdict = [true, false].map(|listens| {
            fresh();
            let url = url.replace("/DIR", dir.path().to_str().unwrap());
            if started(&program, dir.path(), &url_words(&url, listens)).is_some() { 'a' } else { 'r' }
        });
        let verdict: String = verdict.iter().collect();
        if verdict != *expected {
            wrong.push(format!("{url:?}: recorded {expected}, etcd {verdict}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
