//! Certificates that are accepted although they are weak: one warning for each, with the weakness
//! and the remedy.

use crate::make::{CERT_SIGN, Issuer, Key, Plan, Signature, basic, here, key_usage};
use crate::run::{Server, connect, write_files};
use crate::table::{Row, Table, ca_plan, plain};
use crate::{OURS, own};
use rustls::version::{TLS12, TLS13};
use std::path::Path;

const REMEDY: &str = "issue an X.509 version 3 certificate with CA:FALSE and a key of RSA 2048 or ECDSA P-256";

/// Certificates with subjects of their own, and the weaknesses that the log names.
fn rows(dir: &Path, root: &Issuer) -> Vec<(&'static str, Row, Vec<&'static str>)> {
    let with_names = |name: &str| Plan::new(name).with(here());
    let (small, ec) = (Key::rsa(dir, 1024), Key::p256());
    let version_1 = "it is of X.509 version 1, so its use cannot be restricted";
    let version_2 = "it is of X.509 version 2, so its use cannot be restricted";
    let ca = "it is a CA certificate, so its key can issue other certificates";
    let rsa = "its RSA key of 1024 bits is weak";
    let rows = [
        ("sound", &ec, plain("sound"), vec![]),
        ("version-1", &ec, Plan::new("version-1").version(1), vec![version_1]),
        ("version-2", &ec, Plan::new("version-2").version(2), vec![version_2]),
        ("ca-flag", &ec, with_names("ca-flag").with(basic(true, None)), vec![ca]),
        (
            "ca-key-usage",
            &ec,
            with_names("ca-key-usage").with(basic(true, Some(0))).with(key_usage(CERT_SIGN)),
            vec![ca],
        ),
        ("rsa-1024", &small, plain("rsa-1024"), vec![rsa]),
        ("rsa-1024-version-1", &small, Plan::new("rsa-1024-version-1").version(1), vec![rsa, version_1]),
        ("rsa-1024-ca", &small, with_names("rsa-1024-ca").with(basic(true, None)), vec![rsa, ca]),
    ];
    let made = rows.into_iter().map(|(name, key, plan, weaknesses)| {
        let shown = vec![plan.issue(key, root)];
        (name, Row { name, shown, key: key.clone(), expected: "" }, weaknesses)
    });
    made.collect()
}

fn warnings_of(log: &str, subject: &str) -> Vec<String> {
    let subject = format!("CN={subject}\"");
    log.lines()
        .filter(|line| line.contains("accepted a connection although") && line.contains(&subject))
        .map(str::to_owned)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn warns_once_of_each_weak_client_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let root = Issuer { key: Key::p256(), subject: ca_plan("root").subject };
    let table = Table { trusted: vec![ca_plan("root").self_signed(&root.key)], rows: Vec::new(), issuer: root.clone() };
    write_files(dir.path(), &table, &own(&table));
    let mut server = Server::start(OURS, dir.path(), &[], &[]);
    server.ready().await.unwrap();
    let rows = rows(dir.path(), &root);
    for (name, row, _) in &rows {
        for version in [&TLS13, &TLS12, &TLS13] {
            connect(server.client, row, version).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
    let log = server.log();
    for (name, _, weaknesses) in rows {
        let found = warnings_of(&log, name);
        assert_eq!(found.len(), usize::from(!weaknesses.is_empty()), "{name}: {found:#?}");
        for expected in weaknesses {
            assert!(
                found[0].contains(expected) && found[0].contains(REMEDY),
                "{name}: {expected} is missing in {}",
                found[0]
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn warns_of_weak_certificates_in_its_own_files() {
    let dir = tempfile::tempdir().unwrap();
    let key = Key::rsa(dir.path(), 1024);
    let ca = ca_plan("small").signed(Signature::RsaSha256);
    let root = Issuer { key: key.clone(), subject: ca.subject.clone() };
    let table = Table { trusted: vec![ca.self_signed(&key)], rows: Vec::new(), issuer: root.clone() };
    let plan = Plan::new("node").with(here()).with(basic(true, None)).signed(Signature::RsaSha256);
    let own_key = Key::p256();
    let own = Row { name: "own", shown: vec![plan.issue(&own_key, &root)], key: own_key, expected: "" };
    write_files(dir.path(), &table, &own);
    let mut server = Server::start(OURS, dir.path(), &[], &[]);
    server.ready().await.unwrap();
    let log = server.log();
    for flag in ["--cert-file", "--peer-cert-file"] {
        let warning =
            log.lines().find(|line| line.contains(&format!("{flag} ")) && line.contains("it is a CA certificate"));
        assert!(warning.is_some_and(|line| line.contains("own.pem") && line.contains(REMEDY)), "{flag}: {log}");
    }
    for flag in ["--trusted-ca-file", "--peer-trusted-ca-file"] {
        let warning =
            log.lines().find(|line| line.contains(&format!("{flag} ")) && line.contains("has an RSA key of 1024 bits"));
        assert!(
            warning.is_some_and(|line| line.contains("move to a CA with RSA 2048 or ECDSA P-256")),
            "{flag}: {log}"
        );
    }
}
