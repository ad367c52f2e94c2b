//! The trust of an endpoint, and the checks that both directions of a connection share.

use crate::rejection;
use certs::verify::{
    ParsedCertificate, RevocationLists, RevocationRule, SchemeHash, TrustStore, VerifiedPath, verify_small_rsa,
};
use certs::{ChainProblem, Usage};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};
use time::OffsetDateTime;

/// Trusted certificates and revocation lists of one reading of the files.
#[derive(Clone, Debug)]
pub(crate) struct Trust {
    pub(crate) store: TrustStore,
    /// `true` if the certificates are the system's.
    pub(crate) is_system: bool,
    pub(crate) lists: RevocationLists,
    pub(crate) rule: RevocationRule,
}

impl Trust {
    /// Verifies the certificates of the other side, revocation included.
    pub(crate) fn verify(
        &self,
        shown: &[CertificateDer<'_>],
        usage: Usage,
        now: OffsetDateTime,
    ) -> Result<VerifiedPath, ChainProblem> {
        let path = self.store.verify(shown, usage, now)?;
        self.lists.check(&path, self.rule, now)?;
        Ok(path)
    }
}

/// Names that settings allow, which etcd holds against certificates of both directions.
#[derive(Clone, Debug, Default)]
pub(crate) struct AllowedNames {
    pub(crate) common_names: Vec<String>,
    pub(crate) hostnames: Vec<String>,
}

impl AllowedNames {
    pub(crate) fn check(&self, certificate: &CertificateDer<'_>, leaf: &ParsedCertificate) -> Result<(), Error> {
        let own = leaf.common_name().unwrap_or_default();
        let named = self.common_names.is_empty() || self.common_names.iter().any(|allowed| allowed == own);
        let hosted = self.hostnames.is_empty() || self.hostnames.iter().any(|allowed| leaf.stands_for(allowed));
        if named && hosted {
            return Ok(());
        }
        // etcd's text and its alert (bad_certificate), and the names that were expected.
        let wanted = if named { &self.hostnames } else { &self.common_names };
        let reason = format!("client certificate authentication failed: none of the allowed names {wanted:?} is in it");
        Err(rejection::refuse_with(certificate, reason, CertificateError::NotValidForName))
    }
}

pub(crate) fn moment(now: UnixTime) -> OffsetDateTime {
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// The version of a handshake, for its signature.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    Tls12,
    Tls13,
}

/// Checks the signature by which the other side proves that it holds the key of its certificate.
///
/// rustls has functions for this, which read the certificate with webpki and hence refuse the same
/// ones as webpki.
pub(crate) fn check_signature(
    version: Version,
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let parsed = ParsedCertificate::of(certificate).map_err(|problem| rejection::refuse(certificate, &problem))?;
    let refused = || {
        rejection::refuse_with(
            certificate,
            "the handshake is not signed with its key".to_owned(),
            CertificateError::BadSignature,
        )
    };
    let scheme = signed.scheme;
    if version == Version::Tls13 && !is_for_tls13(scheme) {
        return Err(rustls::PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
    }
    if let Some((hash, is_pss)) = rsa_scheme(scheme)
        && let Some(verdict) = verify_small_rsa(&parsed, hash, is_pss, message, signed.signature())
    {
        return verdict.map(|()| HandshakeSignatureValid::assertion()).map_err(|_| refused());
    }
    let candidates = algorithms.mapping.iter().find(|(known, _)| *known == scheme).map(|(_, candidates)| *candidates);
    let candidates = candidates.ok_or(rustls::PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
    // In TLS 1.3 a scheme names the curve, which is the first candidate's.
    let candidates = if version == Version::Tls13 { &candidates[..candidates.len().min(1)] } else { candidates };
    let fits = candidates.iter().filter(|candidate| candidate.public_key_alg_id().as_ref() == parsed.key_algorithm());
    if fits.into_iter().any(|candidate| candidate.verify_signature(parsed.key(), message, signed.signature()).is_ok()) {
        Ok(HandshakeSignatureValid::assertion())
    } else {
        Err(refused())
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "schemes are many, and those of RSA are listed")]
fn rsa_scheme(scheme: SignatureScheme) -> Option<(SchemeHash, bool)> {
    Some(match scheme {
        SignatureScheme::RSA_PKCS1_SHA256 => (SchemeHash::Sha256, false),
        SignatureScheme::RSA_PKCS1_SHA384 => (SchemeHash::Sha384, false),
        SignatureScheme::RSA_PKCS1_SHA512 => (SchemeHash::Sha512, false),
        SignatureScheme::RSA_PSS_SHA256 => (SchemeHash::Sha256, true),
        SignatureScheme::RSA_PSS_SHA384 => (SchemeHash::Sha384, true),
        SignatureScheme::RSA_PSS_SHA512 => (SchemeHash::Sha512, true),
        _ => return None,
    })
}

fn is_for_tls13(scheme: SignatureScheme) -> bool {
    matches!(
        scheme,
        SignatureScheme::ECDSA_NISTP256_SHA256
            | SignatureScheme::ECDSA_NISTP384_SHA384
            | SignatureScheme::ECDSA_NISTP521_SHA512
            | SignatureScheme::ED25519
            | SignatureScheme::RSA_PSS_SHA256
            | SignatureScheme::RSA_PSS_SHA384
            | SignatureScheme::RSA_PSS_SHA512
    )
}
