//! Whether a client's certificate opens the door: chain, usage, dates, revocation, then the names that etcd's settings allow.

use crate::settings::EndpointSettings;
use certs::{CertificateFacts, Name};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use std::sync::Arc;

/// The verifier of a listener that demands certificates.
#[derive(Debug)]
pub(crate) struct ClientVerifier {
    chain: Arc<dyn ClientCertVerifier>,
    common_names: Vec<String>,
    hostnames: Vec<Name>,
}

impl ClientVerifier {
    pub(crate) fn new(
        settings: &EndpointSettings,
        roots: Arc<RootCertStore>,
        lists: &[CertificateRevocationListDer<'static>],
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
        // Nothing known of an issuer, and a list that has run out, both close the door.
        let builder = builder.with_crls(lists.to_vec()).enforce_revocation_expiration();
        let hostnames = settings.allowed_hostnames.iter().map(|name| Name::parse(name).map_err(|error| error.to_string()));
        Ok(Self {
            chain: builder.build().map_err(|error| error.to_string())?,
            common_names: settings.allowed_common_names.clone(),
            hostnames: hostnames.collect::<Result<_, _>>()?,
        })
    }

    fn allows(&self, certificate: &CertificateDer<'_>) -> bool {
        if self.common_names.is_empty() && self.hostnames.is_empty() {
            return true;
        }
        let Ok(facts) = CertificateFacts::of(certificate) else { return false };
        let common_name = facts.common_name.unwrap_or_default();
        let named = self.common_names.is_empty() || self.common_names.contains(&common_name);
        let hosted = self.hostnames.is_empty() || self.hostnames.iter().any(|wanted| facts.names.iter().any(|own| own.covers(wanted)));
        named && hosted
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chain.verify_client_cert(end_entity, intermediates, now)?;
        if self.allows(end_entity) { Ok(verified) } else { Err(CertificateError::ApplicationVerificationFailure.into()) }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
