//! The client's side of connections to other members: the certificate that is shown, and the check
//! of the server's.

use crate::rejection;
use crate::settings::EndpointSettings;
use crate::trust::{AllowedNames, Trust, Version, check_signature, moment};
use certs::Usage;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::Arc;

pub(crate) fn client_config(
    settings: &EndpointSettings,
    provider: &Arc<CryptoProvider>,
    versions: &[&'static SupportedProtocolVersion],
    trust: Trust,
    allowed: AllowedNames,
    shown: Option<Arc<CertifiedKey>>,
) -> Result<ClientConfig, String> {
    // Members that made their own certificates (`--peer-auto-tls`) encrypt connections and know no
    // identities, as in etcd.
    let trust = (!settings.self_signed).then_some(trust);
    let verifier = Arc::new(ServerVerifier { trust, allowed, provider: Arc::clone(provider) });
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider)).with_protocol_versions(versions);
    let builder = builder.map_err(|error| error.to_string())?.dangerous().with_custom_certificate_verifier(verifier);
    let mut config = match shown {
        Some(shown) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(shown))),
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// The verifier of connections to other members.
#[derive(Debug)]
struct ServerVerifier {
    /// `None` trusts every certificate. The proof that the other side holds its key is checked all
    /// the same.
    trust: Option<Trust>,
    allowed: AllowedNames,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(trust) = &self.trust else { return Ok(ServerCertVerified::assertion()) };
        let shown: Vec<_> = std::iter::once(end_entity).chain(intermediates).cloned().collect();
        let verified = trust.verify(&shown, Usage::Server, moment(now));
        let path = verified.map_err(|problem| rejection::refuse(end_entity, &problem))?;
        let (leaf, host) = (&path.shown[0], server_name.to_str());
        if !leaf.stands_for(&host) {
            let names: Vec<_> =
                leaf.dns_names().iter().cloned().chain(leaf.addresses().map(|address| address.to_string())).collect();
            let reason = format!(
                "x509: certificate is valid for {}, not {host}",
                if names.is_empty() { "no host".to_owned() } else { names.join(", ") }
            );
            return Err(rejection::refuse_with(end_entity, reason, CertificateError::NotValidForName));
        }
        // etcd holds the allowed names of `--peer-cert-allowed-cn` against members that it connects
        // to as well.
        self.allowed.check(end_entity, leaf)?;
        Ok(ServerCertVerified::assertion())
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
