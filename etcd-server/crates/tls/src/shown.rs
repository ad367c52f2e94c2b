//! The certificate that a client shows during a handshake, kept for the log line in case the
//! handshake fails: rustls gives it away only when the handshake succeeds.

use certs::{CertificateFacts, Name};
use rustls_pki_types::CertificateDer;
use std::cell::RefCell;

tokio::task_local! {
    static SHOWN: RefCell<Option<CertificateDer<'static>>>;
}

/// Runs `handshake` and returns the certificate that the client showed meanwhile beside its result.
pub(crate) async fn observed<T>(handshake: impl Future<Output = T>) -> (T, Option<CertificateDer<'static>>) {
    SHOWN
        .scope(RefCell::new(None), async {
            let result = handshake.await;
            (result, SHOWN.with(RefCell::take))
        })
        .await
}

/// Notes the certificate that a client shows, whether it is accepted or not.
pub(crate) fn note(certificate: &CertificateDer<'_>) {
    // Outside of an observed handshake there is no line to keep it for.
    drop(SHOWN.try_with(|shown| shown.replace(Some(certificate.clone().into_owned()))));
}

/// The names of a certificate as etcd logs them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ShownNames {
    pub(crate) ip_addresses: Vec<String>,
    pub(crate) dns_names: Vec<String>,
}

impl ShownNames {
    /// Reads the names of `certificate`; a certificate that cannot be read has none.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Self {
        let mut found = Self::default();
        for name in CertificateFacts::of(certificate).map(|facts| facts.names).unwrap_or_default() {
            match name {
                Name::Dns(name) => found.dns_names.push(name),
                Name::Ip(address) => found.ip_addresses.push(address.to_string()),
                Name::Other(_) => {}
            }
        }
        found
    }
}
