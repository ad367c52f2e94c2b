//! Whether a certificate is trusted: by the same rules as in a handshake.

#![expect(clippy::wildcard_enum_match_arm, reason = "webpki's errors are many, and most are told as they are")]

use crate::CertificateFacts;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use std::time::Duration;
use time::OffsetDateTime;
use webpki::{
    ALL_VERIFICATION_ALGS, CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, OwnedCertRevocationList, RevocationCheckDepth,
    RevocationOptionsBuilder, UnknownStatusPolicy, anchor_from_trusted_cert,
};

/// In which role a certificate is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    Server,
    Client,
}

/// Why a certificate is not trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainProblem {
    #[error("it has expired")]
    Expired,
    #[error("it is not valid yet")]
    NotValidYet,
    #[error("no authority given has issued it, or an intermediate certificate is missing")]
    UnknownIssuer,
    #[error("its extended key usage does not allow this role")]
    WrongUsage,
    #[error("it has been revoked")]
    Revoked,
    #[error("the revocation lists say nothing about its issuer")]
    UnknownRevocation,
    #[error("the revocation list of its issuer has expired")]
    RevocationListExpired,
    #[error("its names are outside of what its authority may issue for")]
    NameConstraint,
    #[error("{0}")]
    Other(String),
}

/// A certificate with what came along, and what it is to be held against.
#[derive(Clone, Copy, Debug)]
pub struct Chain<'a> {
    /// The certificate first, then intermediates.
    pub shown: &'a [CertificateDer<'a>],
    pub authorities: &'a [CertificateDer<'a>],
    /// Empty when there are none. Otherwise there must be one of each issuer in the chain, signed by it and in date.
    pub revocation_lists: &'a [CertificateRevocationListDer<'a>],
}

impl Chain<'_> {
    /// The authority that vouches for the certificate, as its place in `authorities`.
    ///
    /// # Errors
    /// Why nobody does.
    pub fn verify(&self, usage: Usage, now: OffsetDateTime) -> Result<usize, ChainProblem> {
        let other = |error: webpki::Error| ChainProblem::Other(error.to_string());
        let [leaf, intermediates @ ..] = self.shown else { return Err(ChainProblem::Other("there is no certificate".to_owned())) };
        let leaf = EndEntityCert::try_from(leaf).map_err(other)?;
        let anchors: Vec<_> = self.authorities.iter().map(anchor_from_trusted_cert).collect::<Result<_, _>>().map_err(other)?;
        let lists = self.revocation_lists.iter().map(|list| OwnedCertRevocationList::from_der(list).map(CertRevocationList::from));
        let lists: Vec<_> = lists.collect::<Result<_, _>>().map_err(other)?;
        let lists: Vec<_> = lists.iter().collect();
        let revocation = RevocationOptionsBuilder::new(&lists).ok().map(|options| {
            options
                .with_depth(RevocationCheckDepth::Chain)
                .with_status_policy(UnknownStatusPolicy::Deny)
                .with_expiration_policy(ExpirationPolicy::Enforce)
                .build()
        });
        let usage = match usage {
            Usage::Server => KeyUsage::server_auth(),
            Usage::Client => KeyUsage::client_auth(),
        };
        let seconds = u64::try_from(now.unix_timestamp()).unwrap_or_default();
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let path = leaf
            .verify_for_usage(ALL_VERIFICATION_ALGS, &anchors, intermediates, time, usage, revocation, None)
            .map_err(|error| problem(&error))?;
        let anchor = path.anchor();
        let place = anchors.iter().position(|candidate| {
            candidate.subject == anchor.subject && candidate.subject_public_key_info == anchor.subject_public_key_info
        });
        Ok(place.expect("the anchor is one of those given"))
    }
}

fn problem(error: &webpki::Error) -> ChainProblem {
    use webpki::Error;
    match error {
        Error::CertExpired { .. } => ChainProblem::Expired,
        Error::CertNotValidYet { .. } => ChainProblem::NotValidYet,
        // The second is what another authority of the same name looks like.
        Error::UnknownIssuer | Error::InvalidSignatureForPublicKey => ChainProblem::UnknownIssuer,
        Error::RequiredEkuNotFoundContext(_) => ChainProblem::WrongUsage,
        Error::CertRevoked => ChainProblem::Revoked,
        Error::UnknownRevocationStatus => ChainProblem::UnknownRevocation,
        Error::CrlExpired { .. } => ChainProblem::RevocationListExpired,
        Error::NameConstraintViolation => ChainProblem::NameConstraint,
        other => ChainProblem::Other(other.to_string()),
    }
}

impl Chain<'_> {
    /// What the certificate itself says.
    pub(crate) fn leaf_facts(&self) -> Option<CertificateFacts> {
        self.shown.first().and_then(|leaf| CertificateFacts::of(leaf).ok())
    }
}
