//! Verification of certificate chains by the rules of Go's crypto/x509, which etcd relies on.
//!
//! Not webpki: it refuses certificates that etcd's users have (X.509 version 1, leaves with
//! CA:TRUE, a trusted certificate that is shown itself, RSA keys below 2048 bits), and it takes
//! anchors that Go refuses (expired ones, ones that may not sign certificates). Trying webpki first
//! and these rules second would admit the union of both. So there is one set of rules, here, and
//! the table of certificates in `etcd-server/tests/certificates` compares it with a real etcd in
//! both directions. Two parts stay with libraries: x509-parser reads certificates, and the
//! algorithms of webpki and aws-lc check signatures; only RSA keys of 1024 to 2047 bits, which no
//! library in the tree checks for all schemes of TLS, have a check of their own (`small_rsa`).
//!
//! Stricter than Go, on purpose: chains whose certificates require explicit policies are refused
//! (Go evaluates the policies), as are mail addresses with a quoted local part below name
//! constraints, and keys on P-224.

mod certificate;
mod constraints;
mod der;
mod hostname;
mod revocation;
mod signature;
mod small_rsa;
mod trust_store;

pub use certificate::{KeyKind, ParsedCertificate};
pub use revocation::{RevocationLists, RevocationRule};
pub use signature::{SchemeHash, SignatureProblem, verify_small_rsa};
pub use trust_store::{TrustStore, VerifiedPath};

/// In which role a certificate is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    Server,
    Client,
}

/// The reason for which a certificate is not trusted. Texts are Go's where Go has one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainProblem {
    #[error("x509: certificate has expired or is not yet valid: it expired at {0}")]
    Expired(String),
    #[error("x509: certificate has expired or is not yet valid: it begins to be valid at {0}")]
    NotValidYet(String),
    #[error(
        "x509: certificate signed by unknown authority (issuer {issuer:?}): no trusted CA given has issued it, or an intermediate certificate is missing"
    )]
    UnknownIssuer { issuer: String },
    #[error("x509: certificate signed by unknown authority: CA {issuer:?} may not vouch for it: {reason}")]
    IssuerRefused { issuer: String, reason: String },
    #[error(
        "x509: certificate specifies an incompatible key usage: its extended key usage, or that of its CA, does not allow this role"
    )]
    WrongUsage,
    /// etcd's text.
    #[error("transport: certificate serial {serial} revoked")]
    Revoked { serial: String },
    #[error("revocation lists are given, and none of them is of issuer {issuer:?}")]
    UnknownRevocation { issuer: String },
    #[error("the revocation list of issuer {issuer:?} has expired")]
    RevocationListExpired { issuer: String },
    #[error("x509: a root or intermediate certificate is not authorized to sign for this name: {0}")]
    NameConstraint(String),
    #[error("x509: unhandled critical extension {0}")]
    UnhandledExtension(String),
    #[error("x509: {0}")]
    Malformed(String),
    #[error("x509: {0}")]
    Other(String),
}
