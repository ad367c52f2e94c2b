//! CAs and certificates of a test, as files in a directory.

use certs::{Ca, CaPlan, KeyAlgorithm, LeafPlan, Name, PrivateKey, Profile, Revocation, RevocationReason};
use std::path::PathBuf;
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};

const YEAR: Duration = Duration::days(365);

/// A certificate with its key, in PEM form.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    pub(crate) der: Vec<u8>,
    pub(crate) pem: String,
    pub(crate) key: String,
}

/// One CA for clients and servers, one without trust, and the files of a server.
#[derive(Debug)]
pub(crate) struct Pki {
    pub(crate) dir: TempDir,
    pub(crate) ca: Ca,
    pub(crate) stranger: Ca,
}

impl Pki {
    pub(crate) fn new() -> Self {
        let pki = Self { dir: tempfile::tempdir().unwrap(), ca: ca("ca"), stranger: ca("ca") };
        pki.write_server(&pki.leaf(Profile::Server, "etcd1", &["127.0.0.1", "localhost"]));
        pki.write("ca.crt", pki.ca.certificate().pem.as_bytes());
        pki.write_list(&[]);
        pki
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &[u8]) {
        certs::files::replace(&self.path(name), content, 0o600).unwrap();
    }

    pub(crate) fn write_server(&self, leaf: &Leaf) {
        self.write("server.key", leaf.key.as_bytes());
        self.write("server.crt", leaf.pem.as_bytes());
    }

    /// Publishes a list of these.
    pub(crate) fn write_list(&self, revoked: &[&Leaf]) {
        self.write("crl.der", &list(&self.ca, revoked));
    }

    pub(crate) fn leaf(&self, profile: Profile, common_name: &str, names: &[&str]) -> Leaf {
        leaf(&self.ca, profile, common_name, names, OffsetDateTime::now_utc())
    }

    pub(crate) fn user(&self, name: &str) -> Leaf {
        self.leaf(Profile::Client, name, &[])
    }

    /// Flags of a daemon that demands certificates.
    pub(crate) fn flags(&self) -> Vec<String> {
        let path = |name: &str| self.path(name).display().to_string();
        let named = [("--cert-file", "server.crt"), ("--key-file", "server.key"), ("--trusted-ca-file", "ca.crt")];
        named.iter().flat_map(|(flag, name)| [(*flag).to_owned(), path(name)]).collect()
    }

    pub(crate) fn flags_with_list(&self) -> Vec<String> {
        let mut flags = self.flags();
        flags.extend(["--client-crl-file".to_owned(), self.path("crl.der").display().to_string()]);
        flags
    }
}

pub(crate) fn ca(name: &str) -> Ca {
    let plan = CaPlan { common_name: name.to_owned(), lifetime: YEAR * 10, constraints: Vec::new() };
    let begin = OffsetDateTime::now_utc() - YEAR * 2;
    Ca::create(&plan, PrivateKey::generate(KeyAlgorithm::P256).unwrap(), begin).unwrap()
}

pub(crate) fn leaf(ca: &Ca, profile: Profile, common_name: &str, names: &[&str], at: OffsetDateTime) -> Leaf {
    let plan = LeafPlan {
        profile,
        common_name: common_name.to_owned(),
        names: names.iter().map(|name| Name::parse(name).unwrap()).collect(),
        lifetime: YEAR,
        loopback_only: true,
    };
    let key = PrivateKey::generate(KeyAlgorithm::P256).unwrap();
    let made = ca.issue(&plan, &key, at).unwrap();
    Leaf { der: made.der, pem: made.pem, key: key.to_pem().to_string() }
}

pub(crate) fn expired(ca: &Ca) -> Leaf {
    leaf(ca, Profile::Client, "alice", &[], OffsetDateTime::now_utc() - YEAR - Duration::days(1))
}

pub(crate) fn list(ca: &Ca, revoked: &[&Leaf]) -> Vec<u8> {
    let now = OffsetDateTime::now_utc();
    let revocation = |leaf: &&Leaf| Revocation {
        serial: certs::CertificateFacts::of(&leaf.der).unwrap().serial,
        at: now,
        reason: RevocationReason::KeyCompromise,
    };
    let revoked: Vec<_> = revoked.iter().map(revocation).collect();
    ca.revocation_list(&revoked, 1, now, Duration::days(7)).unwrap()
}
