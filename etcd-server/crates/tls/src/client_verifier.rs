//! The check of a client's certificate: chain, usage, dates, revocation, then the names that etcd's
//! settings allow.

use crate::rejection;
use crate::shown;
use crate::trust::{AllowedNames, Trust, Version, check_signature, moment};
use certs::Usage;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};
use std::sync::Arc;

/// The verifier of a listener that demands certificates.
#[derive(Debug)]
pub(crate) struct ClientVerifier {
    trust: Trust,
    allowed: AllowedNames,
    subjects: Vec<DistinguishedName>,
    provider: Arc<CryptoProvider>,
}

impl ClientVerifier {
    pub(crate) fn new(trust: Trust, allowed: AllowedNames, provider: &Arc<CryptoProvider>) -> Self {
        // Go names the CAs that were configured, and none of the system's.
        let named = if trust.is_system { &[][..] } else { trust.store.certificates() };
        let subjects = named.iter().map(|trusted| DistinguishedName::from(trusted.subject().to_vec())).collect();
        Self { trust, allowed, subjects, provider: Arc::clone(provider) }
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.subjects
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        shown::note(end_entity);
        let chain: Vec<_> = std::iter::once(end_entity).chain(intermediates).cloned().collect();
        let verified = self.trust.verify(&chain, Usage::Client, moment(now));
        let path = verified.map_err(|problem| rejection::refuse(end_entity, &problem))?;
        self.allowed.check(end_entity, &path.shown[0])?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        check_signature(
            Version::Tls12,
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        check_signature(
            Version::Tls13,
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
