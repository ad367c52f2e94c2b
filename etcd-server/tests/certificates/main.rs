//! The certificates that are accepted, compared with etcd 3.7.1 row by row: at the client port, at
//! the peer port, and from other members.
//!
//! `ETCD_BIN_DIR` with an etcd 3.7.1 has the recorded verdicts compared with its own. Needs
//! openssl, which makes RSA keys of odd sizes.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "helpers of tests: a failure is a failed test, figures are printed"
)]

mod crl;
mod der;
mod make;
mod run;
mod table;
mod weak;

use crate::make::{Key, Plan};
use crate::run::{Listener, Server, connect, write_files};
use crate::table::{Row, Table, table};
use rustls::version::{TLS12, TLS13};
use std::path::Path;

const OURS: &str = env!("CARGO_BIN_EXE_etcd-server");

/// The etcd to compare with, if one is there that says it is 3.7.
fn judge() -> Option<String> {
    let program = format!("{}/etcd", std::env::var("ETCD_BIN_DIR").ok()?);
    let version = std::process::Command::new(&program).arg("--version").output().ok()?;
    String::from_utf8_lossy(&version.stdout).contains("etcd Version: 3.7.").then_some(program)
}

/// The certificate of the servers under test.
fn own(table: &Table) -> Row {
    let key = Key::p256();
    let plan = Plan::new("node").with(make::usages(&[make::SERVER, make::CLIENT])).with(make::here());
    Row { name: "own", shown: vec![plan.issue(&key, &table.issuer)], key, expected: "" }
}

/// The verdicts of one server on every row, with reasons.
async fn verdicts(command: &str, dir: &Path, table: &Table) -> Vec<(String, String)> {
    let mut server = Server::start(command, dir, &[], &[]);
    server.ready().await.unwrap();
    let mut found = Vec::new();
    for row in &table.rows {
        let (mut verdict, mut reasons) = (String::new(), String::new());
        for port in [server.client, server.peer] {
            let newer = connect(port, row, &TLS13).await;
            let older = connect(port, row, &TLS12).await;
            assert_eq!(newer.is_ok(), older.is_ok(), "{}: TLS 1.3 {newer:?}, TLS 1.2 {older:?}", row.name);
            verdict.push(if newer.is_ok() { 'a' } else { 'r' });
            reasons.push_str(&format!("{newer:?} "));
        }
        found.push((verdict, reasons));
    }
    drop(server);
    let mut listeners = Vec::new();
    for row in &table.rows {
        listeners.push(Listener::of(row).await);
    }
    let ports: Vec<_> = listeners.iter().map(|listener| listener.port).collect();
    let server = Server::start(command, dir, &ports, &[]);
    for (listener, (verdict, reasons)) in listeners.into_iter().zip(&mut found) {
        let outcome = listener.outcome().await;
        verdict.push(if outcome.is_ok() { 'a' } else { 'r' });
        reasons.push_str(&format!("{outcome:?}"));
    }
    drop(server);
    found
}

fn differences(table: &Table, found: &[(String, String)]) -> Vec<String> {
    let rows = table.rows.iter().zip(found).filter(|(row, (verdict, _))| row.expected != verdict);
    rows.map(|(row, (verdict, reasons))| format!("{}: expected {}, found {verdict}: {reasons}", row.name, row.expected))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn accepts_the_certificates_that_etcd_accepts() {
    let dir = tempfile::tempdir().unwrap();
    let table = table(dir.path());
    write_files(dir.path(), &table, &own(&table));
    let found = differences(&table, &verdicts(OURS, dir.path(), &table).await);
    assert!(found.is_empty(), "{}", found.join("\n"));
    println!("{} rows, {} verdicts", table.rows.len(), table.rows.len() * 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recorded_verdicts_are_those_of_etcd() {
    let Some(judge) = judge() else {
        skip::report("ETCD_BIN_DIR names no etcd 3.7");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let table = table(dir.path());
    write_files(dir.path(), &table, &own(&table));
    let found = differences(&table, &verdicts(&judge, dir.path(), &table).await);
    assert!(found.is_empty(), "{}", found.join("\n"));
}
