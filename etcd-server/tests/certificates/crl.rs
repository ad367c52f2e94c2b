//! CRL files, compared with etcd 3.7.1: which certificates they refuse at the client port and at
//! the peer port, and which files are refused as a whole.

use crate::der::{self, INTEGER, SEQUENCE, element, sequence};
use crate::make::{Issuer, Key, Plan, Signature, extension, pem, time};
use crate::run::{Server, connect, write_files};
use crate::table::{Row, Table, ca_plan, plain};
use crate::{OURS, judge, own};
use rustls::version::TLS13;
use std::path::Path;
use time::{Duration, OffsetDateTime};

/// The serial number of the certificate that is presented, and of the intermediate CA that comes
/// with it.
const LEAF: &[u8] = &[0x12, 0x34, 0x56];
const INTERMEDIATE: &[u8] = &[0x65, 0x43, 0x21];
const ROOT: &[u8] = &[0x77];
const OTHER: &[u8] = &[0x11, 0x11];

/// A CRL to be made.
struct List {
    version: Option<u8>,
    revoked: Vec<(Vec<u8>, Vec<u8>)>,
    this_update: OffsetDateTime,
    next_update: Option<OffsetDateTime>,
    extensions: Vec<Vec<u8>>,
    damaged: bool,
}

impl List {
    fn of(serials: &[&[u8]]) -> Self {
        let now = OffsetDateTime::now_utc();
        Self {
            version: Some(1),
            revoked: serials.iter().map(|serial| (serial.to_vec(), Vec::new())).collect(),
            this_update: now - Duration::days(1),
            next_update: Some(now + Duration::days(1)),
            extensions: vec![extension("2.5.29.20", false, &element(INTEGER, &[7]))],
            damaged: false,
        }
    }

    fn signed_by(&self, issuer: &Issuer) -> Vec<u8> {
        let algorithm = Signature::EcdsaSha256.identifier();
        let entries: Vec<_> = self.revoked.iter().map(|(serial, extensions)| self.entry(serial, extensions)).collect();
        let mut parts = self.version.map(|version| element(INTEGER, &[version])).into_iter().collect::<Vec<_>>();
        parts.extend([algorithm.clone(), issuer.subject.clone(), time(self.this_update)]);
        parts.extend(self.next_update.map(time));
        if !entries.is_empty() {
            parts.push(sequence(&entries));
        }
        if !self.extensions.is_empty() {
            parts.push(element(0xa0, &sequence(&self.extensions)));
        }
        let signed = sequence(&parts);
        let mut signature = issuer.key.sign(Signature::EcdsaSha256, &signed);
        if self.damaged {
            *signature.last_mut().unwrap() ^= 1;
        }
        sequence(&[signed, algorithm, der::bits(&signature)])
    }

    fn entry(&self, serial: &[u8], extensions: &[u8]) -> Vec<u8> {
        let extensions = if extensions.is_empty() { Vec::new() } else { element(SEQUENCE, extensions) };
        sequence(&[element(INTEGER, serial), time(self.this_update), extensions])
    }

    fn but(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

/// A CRL file, and the verdicts on a certificate with serial number [`LEAF`] from an intermediate
/// CA: at the client port and at the peer port; `-`: the member does not start.
struct Case {
    name: &'static str,
    file: Vec<u8>,
    etcd: &'static str,
    /// Where they differ, `docs/compatibility.md` has the reason.
    ours: &'static str,
}

fn cases(root: &Issuer, intermediate: &Issuer) -> Vec<Case> {
    let stranger = Issuer { key: Key::p256(), subject: ca_plan("stranger").subject };
    let now = OffsetDateTime::now_utc();
    let yesterday = Some(now - Duration::hours(1));
    let reason = |code: u8| extension("2.5.29.21", false, &element(0x0a, &[code]));
    let critical = || extension("1.3.6.1.4.1.55555.1", true, &[5, 0]);
    let mut cases = Vec::new();
    let mut same = |name, verdicts, file| cases.push(Case { name, file, etcd: verdicts, ours: verdicts });
    same("names the certificate", "rr", List::of(&[LEAF]).signed_by(intermediate));
    same("names the certificate among others", "rr", List::of(&[OTHER, LEAF, ROOT]).signed_by(intermediate));
    same("names another certificate", "aa", List::of(&[OTHER]).signed_by(intermediate));
    same("names no certificate", "aa", List::of(&[]).signed_by(intermediate));
    same("names the intermediate CA", "rr", List::of(&[INTERMEDIATE]).signed_by(root));
    same("names the root CA", "aa", List::of(&[ROOT]).signed_by(root));
    same("of the root CA names the certificate", "rr", List::of(&[LEAF]).signed_by(root));
    same("of an unknown CA names the certificate", "rr", List::of(&[LEAF]).signed_by(&stranger));
    same("of an unknown CA names another", "aa", List::of(&[OTHER]).signed_by(&stranger));
    same("with a damaged signature", "rr", List::of(&[LEAF]).but(|list| list.damaged = true).signed_by(intermediate));
    same(
        "expired, names the certificate",
        "rr",
        List::of(&[LEAF]).but(|list| list.next_update = yesterday).signed_by(intermediate),
    );
    same(
        "expired, names another",
        "aa",
        List::of(&[OTHER]).but(|list| list.next_update = yesterday).signed_by(intermediate),
    );
    same("without a next update", "rr", List::of(&[LEAF]).but(|list| list.next_update = None).signed_by(intermediate));
    same(
        "not valid yet",
        "rr",
        List::of(&[LEAF]).but(|list| list.this_update = now + Duration::days(2)).signed_by(intermediate),
    );
    same("without extensions", "rr", List::of(&[LEAF]).but(|list| list.extensions.clear()).signed_by(intermediate));
    same(
        "with a critical extension",
        "rr",
        List::of(&[LEAF]).but(|list| list.extensions.push(critical())).signed_by(intermediate),
    );
    for (name, code) in [("reason: key compromise", 1), ("reason: on hold", 6), ("reason: removed from the CRL", 8)] {
        same(name, "rr", List::of(&[LEAF]).but(|list| list.revoked[0].1 = reason(code)).signed_by(intermediate));
    }
    same(
        "entry with a critical extension",
        "rr",
        List::of(&[LEAF]).but(|list| list.revoked[0].1 = critical()).signed_by(intermediate),
    );
    let named = List::of(&[LEAF]).signed_by(intermediate);
    let mut differs = |name, etcd, ours, file| cases.push(Case { name, file, etcd, ours });
    differs("in PEM form", "rr", "rr", pem("X509 CRL", &named).into_bytes());
    differs(
        "in PEM form, names another",
        "rr",
        "aa",
        pem("X509 CRL", &List::of(&[OTHER]).signed_by(intermediate)).into_bytes(),
    );
    let two = [List::of(&[OTHER]).signed_by(root), List::of(&[OTHER]).signed_by(intermediate)];
    differs("two in one file", "rr", "aa", two.map(|list| pem("X509 CRL", &list)).concat().into_bytes());
    differs("empty file", "rr", "-", Vec::new());
    differs("other bytes", "rr", "-", b"no CRL".to_vec());
    differs("cut off", "rr", "-", named[..named.len() - 3].to_vec());
    differs("a certificate", "rr", "-", Plan::new("no CRL").self_signed(&Key::p256()));
    cases
}

async fn verdicts(command: &str, dir: &Path, file: &[u8], row: &Row) -> String {
    std::fs::write(dir.join("list.crl"), file).unwrap();
    let flags = ["--client-crl-file", "list.crl", "--peer-crl-file", "list.crl"].map(str::to_owned);
    let mut server = Server::start(command, dir, &[], &flags);
    if server.ready().await.is_err() {
        return "-".to_owned();
    }
    let mut verdicts = String::new();
    for port in [server.client, server.peer] {
        verdicts.push(if connect(port, row, &TLS13).await.is_ok() { 'a' } else { 'r' });
    }
    verdicts
}

/// Runs every case on a server, and returns the differences from `expected`.
async fn differences(command: &str, expected: impl Fn(&Case) -> &'static str) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let (root_key, between, key) = (Key::p256(), Key::p256(), Key::p256());
    let root = Issuer { key: root_key.clone(), subject: ca_plan("root").subject };
    let intermediate = Issuer { key: between.clone(), subject: ca_plan("between").subject };
    let shown = vec![
        plain("leaf").serial(LEAF).issue(&key, &intermediate),
        ca_plan("between").serial(INTERMEDIATE).issue(&between, &root),
    ];
    let row = Row { name: "presented", shown, key, expected: "" };
    let trusted = vec![ca_plan("root").serial(ROOT).self_signed(&root_key)];
    let table = Table { trusted, rows: Vec::new(), issuer: root.clone() };
    write_files(dir.path(), &table, &own(&table));
    let mut differences = Vec::new();
    for case in cases(&root, &intermediate) {
        let found = verdicts(command, dir.path(), &case.file, &row).await;
        if found != expected(&case) {
            differences.push(format!("{}: expected {}, found {found}", case.name, expected(&case)));
        }
    }
    differences
}

#[tokio::test(flavor = "multi_thread")]
async fn refuses_the_certificates_that_crls_name() {
    let found = differences(OURS, |case| case.ours).await;
    assert!(found.is_empty(), "{found:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn verdicts_on_crls_are_those_of_etcd() {
    let Some(etcd) = judge() else {
        skip::report("ETCD_BIN_DIR has no etcd 3.7");
        return;
    };
    let found = differences(&etcd, |case| case.etcd).await;
    assert!(found.is_empty(), "{found:#?}");
}
