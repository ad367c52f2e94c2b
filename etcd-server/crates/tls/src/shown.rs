//! The certificate that a client shows during a handshake, kept for the log line in case the handshake fails: rustls gives it away only
//! when the handshake succeeds.

use certs::{CertificateFacts, Name};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};
use std::cell::RefCell;
use std::sync::Arc;

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

/// A verifier that notes the client's certificate before it asks the verifier inside.
#[derive(Debug)]
pub(crate) struct Noting(pub(crate) Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for Noting {
    fn offer_client_auth(&self) -> bool {
        self.0.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        // Outside of an observed handshake there is no line to keep it for.
        drop(SHOWN.try_with(|shown| shown.replace(Some(end_entity.clone().into_owned()))));
        self.0.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.0.requires_raw_public_keys()
    }
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
