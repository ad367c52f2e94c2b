//! The trust in a certificate, by the same rules as in a handshake.

use crate::CertificateFacts;
use crate::verify::{ChainProblem, RevocationLists, RevocationRule, TrustStore, Usage};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use time::OffsetDateTime;

/// A certificate with its chain, and the CAs and CRLs to verify it by.
#[derive(Clone, Copy, Debug)]
pub struct Chain<'a> {
    /// The certificate first, then intermediates.
    pub shown: &'a [CertificateDer<'a>],
    pub cas: &'a [CertificateDer<'a>],
    /// Empty when there are none. Otherwise there must be one of each issuer in the chain, signed
    /// by it and in date.
    pub revocation_lists: &'a [CertificateRevocationListDer<'a>],
}

impl Chain<'_> {
    /// Returns the CA that has issued the certificate, as its place in `cas`.
    ///
    /// # Errors
    /// The reason why none has.
    pub fn verify(&self, usage: Usage, now: OffsetDateTime) -> Result<usize, ChainProblem> {
        let store = TrustStore::of(self.cas).map_err(|(_, problem)| problem)?;
        let lists =
            RevocationLists::of(self.revocation_lists).map_err(|error| ChainProblem::Other(error.to_string()))?;
        let path = store.verify(self.shown, usage, now)?;
        lists.check(&path, RevocationRule::Covered, now)?;
        Ok(path.anchor)
    }

    /// Returns the content of the certificate itself.
    pub(crate) fn leaf_facts(&self) -> Option<CertificateFacts> {
        self.shown.first().and_then(|leaf| CertificateFacts::of(leaf).ok())
    }
}
