//! Accepted but weak certificates of clients and members: each is logged once.

use crate::tls_files::weakness_of;
use certs::verify::ParsedCertificate;
use parking_lot::Mutex;
use rustls_pki_types::CertificateDer;
use std::collections::BTreeSet;

/// Number of certificates that are remembered; later ones are not logged, so that no client can
/// fill the log or the memory.
const REMEMBERED_MAX: usize = 1_000;

#[derive(Debug, Default)]
pub(crate) struct WeakCertificates {
    /// Issuers with serial numbers.
    told: Mutex<BTreeSet<(Vec<u8>, Vec<u8>)>>,
}

impl WeakCertificates {
    /// Logs the weakness of an accepted certificate, with the remedy, unless that has been done.
    pub(crate) fn tell(&self, endpoint: &'static str, certificate: &CertificateDer<'_>) {
        let Ok(parsed) = ParsedCertificate::of(certificate) else { return };
        let Some(weakness) = weakness_of(&parsed) else { return };
        let mut told = self.told.lock();
        if told.len() < REMEMBERED_MAX && told.insert((parsed.issuer().to_vec(), parsed.serial().to_vec())) {
            tracing::warn!(
                endpoint,
                subject = parsed.subject_text(),
                issuer = parsed.issuer_text(),
                "accepted a connection although {weakness}"
            );
        }
    }
}
