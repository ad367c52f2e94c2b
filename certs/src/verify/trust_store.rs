//! Trusted certificates, and the search for a chain from a certificate to one of them.

use super::{ChainProblem, KeyKind, ParsedCertificate, SignatureProblem, Usage, signature};
use rustls_pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use time::OffsetDateTime;

/// Signatures that are checked for one certificate at most, as in Go: a chain can be made to branch
/// without end.
const SIGNATURE_CHECKS_MAX: usize = 100;
/// Larger RSA keys are refused in handshakes, as in Go.
const RSA_BITS_MAX: usize = 8192;

/// Trusted certificates, read once. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct TrustStore {
    inside: Arc<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    trusted: Vec<ParsedCertificate>,
    by_subject: BTreeMap<Vec<u8>, Vec<usize>>,
    fingerprints: BTreeSet<[u8; 32]>,
}

/// A certificate that has been verified.
#[derive(Clone, Debug)]
pub struct VerifiedPath {
    /// All certificates that were shown, the verified one first.
    pub shown: Vec<ParsedCertificate>,
    /// The place of the trusted certificate that vouches, in the order in which they were given.
    pub anchor: usize,
    /// The issuers in the chain, each with its certificate, from the leaf's upwards. Empty if the
    /// certificate itself is trusted.
    pub issuers: Vec<ParsedCertificate>,
}

impl TrustStore {
    /// Reads trusted certificates.
    ///
    /// # Errors
    /// The place of the first one that cannot be read, and why.
    pub fn of(certificates: &[CertificateDer<'_>]) -> Result<Self, (usize, ChainProblem)> {
        let read = certificates
            .iter()
            .enumerate()
            .map(|(place, der)| ParsedCertificate::of(der).map_err(|problem| (place, problem)));
        Ok(Self::new(read.collect::<Result<_, _>>()?))
    }

    /// Reads trusted certificates, and leaves out those that cannot be read: for those of the
    /// system.
    #[must_use]
    pub fn of_readable(certificates: &[CertificateDer<'_>]) -> Self {
        Self::new(certificates.iter().filter_map(|der| ParsedCertificate::of(der).ok()).collect())
    }

    fn new(trusted: Vec<ParsedCertificate>) -> Self {
        let mut by_subject: BTreeMap<Vec<u8>, Vec<usize>> = BTreeMap::new();
        for (place, certificate) in trusted.iter().enumerate() {
            by_subject.entry(certificate.subject().to_vec()).or_default().push(place);
        }
        let fingerprints = trusted.iter().map(|certificate| Sha256::digest(certificate.encoded()).into()).collect();
        Self { inside: Arc::new(Inside { trusted, by_subject, fingerprints }) }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.inside.trusted.is_empty()
    }

    /// The trusted certificates, in the order in which they were given.
    #[must_use]
    pub fn certificates(&self) -> &[ParsedCertificate] {
        &self.inside.trusted
    }

    /// Verifies the first of the certificates that were shown; the others may stand between it and
    /// a trusted one.
    ///
    /// # Errors
    /// The reason for which it is not trusted.
    pub fn verify(
        &self,
        shown: &[CertificateDer<'_>],
        usage: Usage,
        now: OffsetDateTime,
    ) -> Result<VerifiedPath, ChainProblem> {
        let shown = shown.iter().map(|der| ParsedCertificate::of(der)).collect::<Result<Vec<_>, _>>()?;
        for certificate in &shown {
            if matches!(certificate.key_kind(), KeyKind::Rsa { bits } if *bits > RSA_BITS_MAX) {
                return Err(ChainProblem::Other(format!(
                    "certificate contains an RSA key larger than {RSA_BITS_MAX} bits"
                )));
            }
        }
        let Some(leaf) = shown.first() else { return Err(ChainProblem::Other("there is no certificate".to_owned())) };
        leaf.check(0, now)?;
        if let KeyKind::Other(kind) = leaf.key_kind() {
            return Err(ChainProblem::Other(format!("certificate contains an unsupported public key of type {kind}")));
        }
        let mut search = Search { store: &self.inside, shown: &shown, usage, now, checks: 0, problem: None };
        let fingerprint: [u8; 32] = Sha256::digest(leaf.encoded()).into();
        let found = if self.inside.fingerprints.contains(&fingerprint) {
            search.accepts(&[leaf]).map(|()| (self.place_of(leaf), Vec::new())).ok()
        } else {
            search.above(&mut vec![leaf])
        };
        match found {
            Some((anchor, issuers)) => Ok(VerifiedPath { anchor, issuers, shown }),
            None => Err(search
                .problem
                .unwrap_or_else(|| ChainProblem::UnknownIssuer { issuer: leaf.issuer_text().to_owned() })),
        }
    }

    fn place_of(&self, certificate: &ParsedCertificate) -> usize {
        let found = self.inside.trusted.iter().position(|trusted| trusted.encoded() == certificate.encoded());
        found.expect("a certificate with the fingerprint of a trusted one is trusted")
    }
}

/// One search for a chain.
struct Search<'a> {
    store: &'a Inside,
    shown: &'a [ParsedCertificate],
    usage: Usage,
    now: OffsetDateTime,
    checks: usize,
    /// The first reason for which a chain was given up, for the message.
    problem: Option<ChainProblem>,
}

impl<'a> Search<'a> {
    /// Looks for an issuer of the last certificate of `chain`, trusted ones first, and on from
    /// there.
    fn above(&mut self, chain: &mut Vec<&'a ParsedCertificate>) -> Option<(usize, Vec<ParsedCertificate>)> {
        let child = *chain.last()?;
        let trusted = self.store.by_subject.get(child.issuer()).map(Vec::as_slice).unwrap_or_default();
        let trusted = by_key_id(child, trusted.iter().map(|place| (&self.store.trusted[*place], Some(*place))));
        let between = self.shown[1..].iter().filter(|candidate| candidate.subject() == child.issuer());
        let between = by_key_id(child, between.map(|candidate| (candidate, None)));
        for (candidate, anchor) in trusted.into_iter().chain(between) {
            self.checks += 1;
            if self.checks > SIGNATURE_CHECKS_MAX {
                self.note(ChainProblem::Other(
                    "signature check attempts limit reached while verifying certificate chain".to_owned(),
                ));
                return None;
            }
            if is_in_chain(candidate, chain) {
                continue;
            }
            if let Err(problem) = self.issues(candidate, child, chain.len(), anchor.is_some()) {
                self.problem.get_or_insert(problem);
                continue;
            }
            chain.push(candidate);
            let found = match anchor {
                Some(place) => self
                    .accepts(chain)
                    .ok()
                    .map(|()| (place, chain[1..].iter().map(|issuer| (*issuer).clone()).collect())),
                None => self.above(chain),
            };
            chain.pop();
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// Checks that `candidate` may have issued `child`, and has.
    fn issues(
        &self,
        candidate: &ParsedCertificate,
        child: &ParsedCertificate,
        length: usize,
        is_trusted: bool,
    ) -> Result<(), ChainProblem> {
        let issuer = candidate.subject_text().to_owned();
        let refused = |reason: String| ChainProblem::IssuerRefused { issuer: issuer.clone(), reason };
        candidate.check_issuing().map_err(|reason| refused(reason.to_owned()))?;
        match signature::check(child, candidate) {
            Ok(()) => {}
            // Another certificate of the same name.
            Err(SignatureProblem::Mismatch) => {
                return Err(ChainProblem::UnknownIssuer { issuer: child.issuer_text().to_owned() });
            }
            Err(problem @ SignatureProblem::Algorithm) => return Err(refused(problem.to_string())),
        }
        candidate.check(length - 1, self.now).map_err(|problem| refused(problem.to_string()))?;
        if is_trusted { Ok(()) } else { candidate.check_intermediate().map_err(|reason| refused(reason.to_owned())) }
    }

    /// Checks the properties of a whole chain.
    fn accepts(&mut self, chain: &[&ParsedCertificate]) -> Result<(), ()> {
        let checked = self.check(chain);
        checked.map_err(|problem| self.note(problem))
    }

    fn check(&self, chain: &[&ParsedCertificate]) -> Result<(), ChainProblem> {
        if chain.iter().rev().skip(1).any(|certificate| certificate.requires_policy()) {
            return Err(ChainProblem::Other(
                "certificates that require explicit policies are not supported".to_owned(),
            ));
        }
        if !chain.iter().all(|certificate| certificate.allows(self.usage)) {
            return Err(ChainProblem::WrongUsage);
        }
        for (place, certificate) in
            chain.iter().enumerate().filter(|(_, certificate)| certificate.names().raw.is_some())
        {
            for above in chain[place + 1..].iter().filter_map(|issuer| issuer.constraints()) {
                above.check(certificate.names()).map_err(ChainProblem::NameConstraint)?;
            }
        }
        Ok(())
    }

    /// A chain that exists and is refused says more than candidates that were passed over.
    fn note(&mut self, problem: ChainProblem) {
        self.problem = Some(problem);
    }
}

/// Candidates whose key identifier is the wanted one come first, then those of which only one side
/// names a key.
fn by_key_id<'a>(
    child: &ParsedCertificate,
    candidates: impl Iterator<Item = (&'a ParsedCertificate, Option<usize>)>,
) -> Vec<(&'a ParsedCertificate, Option<usize>)> {
    let wanted = child.key_ids().1;
    let mut candidates: Vec<_> = candidates.collect();
    candidates.sort_by_key(|(candidate, _)| {
        let own = candidate.key_ids().0;
        if own == wanted { 0 } else { 1 + u8::from(own.is_empty() == wanted.is_empty()) }
    });
    candidates
}

/// The same subject, key and alternative names: going on with it would lead in a circle.
fn is_in_chain(candidate: &ParsedCertificate, chain: &[&ParsedCertificate]) -> bool {
    chain.iter().any(|certificate| {
        certificate.subject() == candidate.subject()
            && certificate.key_info() == candidate.key_info()
            && certificate.names().raw == candidate.names().raw
    })
}
