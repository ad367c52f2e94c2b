//! Signatures on certificates, and those of small RSA keys in handshakes.

use super::small_rsa::{self, SmallRsa};
use super::{KeyKind, ParsedCertificate};
use webpki::ALL_VERIFICATION_ALGS;

/// The hash of a signature scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemeHash {
    Sha256,
    Sha384,
    Sha512,
}

/// `sha256WithRSAEncryption` and its siblings end in these numbers, behind 1.2.840.113549.1.1.
const PKCS1: [(u8, SchemeHash); 3] = [(11, SchemeHash::Sha256), (12, SchemeHash::Sha384), (13, SchemeHash::Sha512)];
/// The identifier 1.2.840.113549.1.1, without its last number.
const RSA_PREFIX: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
const PSS: u8 = 10;

impl SchemeHash {
    /// The DER in front of the hash in a signature by PKCS #1 version 1.5.
    pub(super) fn identifier(self) -> &'static [u8] {
        match self {
            Self::Sha256 => &[
                0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00,
                0x04, 0x20,
            ],
            Self::Sha384 => &[
                0x30, 0x41, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00,
                0x04, 0x30,
            ],
            Self::Sha512 => &[
                0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0x05, 0x00,
                0x04, 0x40,
            ],
        }
    }
}

/// The reason for which a signature does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureProblem {
    /// SHA-1, MD5, or an algorithm that is not known.
    #[error("cannot verify signature: algorithm unimplemented or insecure")]
    Algorithm,
    #[error("the signature is not one of this key")]
    Mismatch,
}

/// Checks that `child` was signed with the key of `parent`.
pub(super) fn check(child: &ParsedCertificate, parent: &ParsedCertificate) -> Result<(), SignatureProblem> {
    let (message, signature) = (child.signed_part(), child.signature());
    if let Some(key) = parent.small_rsa() {
        return of_small_rsa(&key, child.signature_algorithm(), message, signature);
    }
    let algorithms = ALL_VERIFICATION_ALGS.iter().filter(|algorithm| {
        algorithm.signature_alg_id().as_ref() == child.signature_algorithm()
            && algorithm.public_key_alg_id().as_ref() == parent.key_algorithm()
    });
    let mut problem = SignatureProblem::Algorithm;
    for algorithm in algorithms {
        if algorithm.verify_signature(parent.key(), message, signature).is_ok() {
            return Ok(());
        }
        problem = SignatureProblem::Mismatch;
    }
    Err(problem)
}

fn of_small_rsa(
    key: &SmallRsa<'_>,
    algorithm: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), SignatureProblem> {
    let number =
        algorithm.strip_prefix(RSA_PREFIX).and_then(<[u8]>::first).copied().ok_or(SignatureProblem::Algorithm)?;
    let verifies = if let Some((_, hash)) = PKCS1.iter().find(|(known, _)| *known == number) {
        key.verifies_pkcs1(*hash, message, signature)
    } else if number == PSS {
        // The parameters have to be the usual ones of a hash, as Go demands.
        let same = |known: &&&dyn rustls_pki_types::SignatureVerificationAlgorithm| {
            known.signature_alg_id().as_ref() == algorithm
        };
        let known = ALL_VERIFICATION_ALGS.iter().find(same).ok_or(SignatureProblem::Algorithm)?;
        key.verifies_pss(
            pss_hash(known.signature_alg_id().as_ref()).ok_or(SignatureProblem::Algorithm)?,
            message,
            signature,
        )
    } else {
        return Err(SignatureProblem::Algorithm);
    };
    if verifies { Ok(()) } else { Err(SignatureProblem::Mismatch) }
}

/// The hash that the parameters of PSS name.
fn pss_hash(algorithm: &[u8]) -> Option<SchemeHash> {
    use rustls_pki_types::alg_id;
    [
        (alg_id::RSA_PSS_SHA256, SchemeHash::Sha256),
        (alg_id::RSA_PSS_SHA384, SchemeHash::Sha384),
        (alg_id::RSA_PSS_SHA512, SchemeHash::Sha512),
    ]
    .into_iter()
    .find_map(|(known, hash)| (known.as_ref() == algorithm).then_some(hash))
}

/// Checks a signature in a handshake with the RSA key of a certificate that is too small for
/// aws-lc. `None` if its key is another.
#[must_use]
pub fn verify_small_rsa(
    certificate: &ParsedCertificate,
    hash: SchemeHash,
    is_pss: bool,
    message: &[u8],
    signature: &[u8],
) -> Option<Result<(), SignatureProblem>> {
    let key = certificate.small_rsa()?;
    let verifies =
        if is_pss { key.verifies_pss(hash, message, signature) } else { key.verifies_pkcs1(hash, message, signature) };
    Some(if verifies { Ok(()) } else { Err(SignatureProblem::Mismatch) })
}

impl ParsedCertificate {
    fn small_rsa(&self) -> Option<SmallRsa<'_>> {
        match self.key_kind() {
            KeyKind::Rsa { bits } if small_rsa::BITS.contains(bits) => {
                let (modulus, exponent) = self.rsa_numbers()?;
                Some(SmallRsa { modulus, exponent })
            }
            KeyKind::Rsa { .. } | KeyKind::Ecdsa(_) | KeyKind::Ed25519 | KeyKind::Other(_) => None,
        }
    }
}
