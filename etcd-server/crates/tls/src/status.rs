//! The status of an endpoint: certificates with their ends, handshakes, connections by CA.

use certs::{CertificateFacts, RevocationListFacts};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use time::OffsetDateTime;

/// A certificate or revocation list in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateStatus {
    /// The setting that named its file.
    pub setting: &'static str,
    pub subject: String,
    /// SHA-256 in hexadecimal; empty for a list.
    pub fingerprint: String,
    pub not_after: OffsetDateTime,
}

impl CertificateStatus {
    pub(crate) fn of(setting: &'static str, facts: &CertificateFacts) -> Self {
        Self {
            setting,
            subject: facts.subject.clone(),
            fingerprint: facts.fingerprint_hex(),
            not_after: facts.not_after,
        }
    }

    pub(crate) fn of_list(setting: &'static str, facts: &RevocationListFacts, not_after: OffsetDateTime) -> Self {
        Self { setting, subject: facts.issuer.clone(), fingerprint: String::new(), not_after }
    }

    /// Returns `true` for a revocation list.
    #[must_use]
    pub fn is_list(&self) -> bool {
        self.fingerprint.is_empty()
    }

    /// Whole days until the end; negative when it has passed.
    #[must_use]
    pub fn days_left(&self, now: OffsetDateTime) -> i64 {
        (self.not_after - now).whole_seconds().div_euclid(86_400)
    }
}

/// Handshakes since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HandshakeCounts {
    pub accepted: u64,
    /// Failed, or refused because of the certificate.
    pub refused: u64,
    pub timed_out: u64,
    /// Gave way to newer ones.
    pub crowded_out: u64,
}

/// Everything at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub certificates: Vec<CertificateStatus>,
    pub handshakes: HandshakeCounts,
    /// SHA-256 of the CA (hexadecimal) → live connections with certificates of it.
    pub connections: BTreeMap<String, u64>,
    /// Reloads since the start that worked, and that kept the old files.
    pub reloads: (u64, u64),
}

/// The counters behind [`HandshakeCounts`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) accepted: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) timed_out: AtomicU64,
    pub(crate) crowded_out: AtomicU64,
    pub(crate) reloads: AtomicU64,
    pub(crate) reloads_failed: AtomicU64,
}

impl Counters {
    pub(crate) fn handshakes(&self) -> HandshakeCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        HandshakeCounts {
            accepted: read(&self.accepted),
            refused: read(&self.refused),
            timed_out: read(&self.timed_out),
            crowded_out: read(&self.crowded_out),
        }
    }

    pub(crate) fn reloads(&self) -> (u64, u64) {
        (self.reloads.load(Ordering::Relaxed), self.reloads_failed.load(Ordering::Relaxed))
    }
}
