//! Revocation lists: which certificates they name, and which issuers they speak for.

use super::certificate::without_zeros;
use super::{ChainProblem, VerifiedPath};
use crate::{Error, RevocationListFacts};
use rustls_pki_types::CertificateRevocationListDer;
use std::collections::BTreeSet;
use std::sync::Arc;
use time::OffsetDateTime;

/// The strictness of the check against revocation lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationRule {
    /// etcd's: a certificate is refused if a CRL names its serial number, regardless of the issuer;
    /// all else is admitted.
    Named,
    /// As [`RevocationRule::Named`], and every issuer in a chain needs a list of its own, signed by
    /// it and in date.
    Covered,
}

/// Revocation lists, read once. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct RevocationLists {
    inside: Arc<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    lists: Vec<List>,
    /// Without leading zeros.
    serials: BTreeSet<Vec<u8>>,
}

#[derive(Debug)]
struct List {
    encoded: Vec<u8>,
    issuer: String,
    next_update: Option<OffsetDateTime>,
}

impl RevocationLists {
    /// Reads the lists.
    ///
    /// # Errors
    /// The error of the first list that cannot be read.
    pub fn of(lists: &[CertificateRevocationListDer<'_>]) -> Result<Self, Error> {
        let mut inside = Inside::default();
        for list in lists {
            let facts = RevocationListFacts::of(list)?;
            inside.serials.extend(facts.revoked.iter().map(|(serial, _)| without_zeros(serial).to_vec()));
            inside.lists.push(List { encoded: list.to_vec(), issuer: facts.issuer, next_update: facts.next_update });
        }
        Ok(Self { inside: Arc::new(inside) })
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.inside.lists.is_empty()
    }

    /// Checks a verified certificate and its chain. Without CRLs, nothing is revoked.
    ///
    /// # Errors
    /// The certificate that is revoked, or whose CRL is missing.
    pub fn check(&self, path: &VerifiedPath, rule: RevocationRule, now: OffsetDateTime) -> Result<(), ChainProblem> {
        if let Some(revoked) = path.shown.iter().find(|certificate| self.inside.serials.contains(certificate.serial()))
        {
            return Err(ChainProblem::Revoked { serial: revoked.serial_text() });
        }
        if self.is_empty() || rule == RevocationRule::Named {
            return Ok(());
        }
        for issuer in &path.issuers {
            let subject = || issuer.subject_text().to_owned();
            let own = |list: &&List| {
                list.issuer == issuer.subject_text()
                    && RevocationListFacts::is_signed_by(&list.encoded, issuer.encoded())
            };
            let mut own = self.inside.lists.iter().filter(own).peekable();
            if own.peek().is_none() {
                return Err(ChainProblem::UnknownRevocation { issuer: subject() });
            }
            if own.all(|list| list.next_update.is_none_or(|next| next < now)) {
                return Err(ChainProblem::RevocationListExpired { issuer: subject() });
            }
        }
        Ok(())
    }
}
