//! The reason for which the certificate of the other side was refused, carried from the verifier to
//! the log line.
//!
//! rustls keeps only the class of a refusal, which decides the alert. Certificate and reason are
//! needed by the operator, so the verifier leaves them in the task that does the handshake.

use certs::ChainProblem;
use certs::verify::ParsedCertificate;
use rustls::CertificateError;
use rustls_pki_types::CertificateDer;
use std::cell::RefCell;
use std::io;

tokio::task_local! {
    static REJECTION: RefCell<Option<Rejection>>;
}

/// A certificate that was refused, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("tls: failed to verify certificate: {reason} (subject {subject:?}, issuer {issuer:?}, serial {serial})")]
pub struct Rejection {
    pub subject: String,
    pub issuer: String,
    /// Hexadecimal.
    pub serial: String,
    pub reason: String,
    /// The class of the reason.
    pub refused: Refused,
}

/// A class of reasons for which a certificate is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It does not contain the host.
    Name,
    /// It has expired or is not valid yet.
    Validity,
    /// No trusted CA has issued it.
    Issuer,
    /// It was issued for another use.
    Usage,
    Revoked,
    /// The revocation list is missing or has expired.
    RevocationList,
    /// Everything else.
    Content,
}

impl Refused {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the enumeration of another crate may grow")]
    fn of(class: &CertificateError) -> Self {
        match class {
            CertificateError::NotValidForName => Self::Name,
            CertificateError::Expired | CertificateError::NotValidYet => Self::Validity,
            CertificateError::UnknownIssuer => Self::Issuer,
            CertificateError::InvalidPurpose => Self::Usage,
            CertificateError::Revoked => Self::Revoked,
            CertificateError::UnknownRevocationStatus | CertificateError::ExpiredRevocationList => Self::RevocationList,
            _ => Self::Content,
        }
    }
}

impl Rejection {
    fn of(certificate: &CertificateDer<'_>, reason: String, class: &CertificateError) -> Self {
        let parsed = ParsedCertificate::of(certificate).ok();
        let text =
            |text: fn(&ParsedCertificate) -> String| parsed.as_ref().map_or_else(|| "unreadable".to_owned(), text);
        Self {
            subject: text(|certificate| certificate.subject_text().to_owned()),
            issuer: text(|certificate| certificate.issuer_text().to_owned()),
            serial: text(ParsedCertificate::serial_text),
            reason,
            refused: Refused::of(class),
        }
    }
}

/// Leaves the reason for [`during`], and returns the error by which rustls chooses the alert.
pub(crate) fn refuse(certificate: &CertificateDer<'_>, problem: &ChainProblem) -> rustls::Error {
    let class = class(problem);
    note(certificate, problem.to_string(), &class);
    class.into()
}

/// As [`refuse`], with a reason of the caller's.
pub(crate) fn refuse_with(certificate: &CertificateDer<'_>, reason: String, class: CertificateError) -> rustls::Error {
    note(certificate, reason, &class);
    class.into()
}

fn note(certificate: &CertificateDer<'_>, reason: String, class: &CertificateError) {
    let rejection = Rejection::of(certificate, reason, class);
    // Outside of a handshake of ours there is no one to read it.
    drop(REJECTION.try_with(|noted| noted.replace(Some(rejection))));
}

/// Runs a handshake; an error comes with the certificate that the verifier refused, if that was the
/// cause.
pub(crate) async fn during<T>(
    handshake: impl Future<Output = io::Result<T>>,
) -> Result<T, (io::Error, Option<Rejection>)> {
    let run = async {
        let done = handshake.await;
        done.map_err(|error| (error, REJECTION.try_with(RefCell::take).ok().flatten()))
    };
    REJECTION.scope(RefCell::new(None), run).await
}

/// The alerts are those of Go's library, as far as rustls has a class for them.
fn class(problem: &ChainProblem) -> CertificateError {
    match problem {
        ChainProblem::Expired(_) | ChainProblem::NotValidYet(_) => CertificateError::Expired,
        ChainProblem::UnknownIssuer { .. } | ChainProblem::IssuerRefused { .. } => CertificateError::UnknownIssuer,
        ChainProblem::WrongUsage => CertificateError::InvalidPurpose,
        ChainProblem::Revoked { .. } => CertificateError::Revoked,
        ChainProblem::UnknownRevocation { .. } => CertificateError::UnknownRevocationStatus,
        ChainProblem::RevocationListExpired { .. } => CertificateError::ExpiredRevocationList,
        ChainProblem::UnhandledExtension(_) => CertificateError::UnhandledCriticalExtension,
        ChainProblem::Malformed(_) | ChainProblem::NameConstraint(_) | ChainProblem::Other(_) => {
            CertificateError::BadEncoding
        }
    }
}
