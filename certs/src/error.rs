//! Errors of certificates, keys and their files.

use std::path::PathBuf;

/// An error that names the attempted operation and, where there is one, the remedy. None holds
/// secret material.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{action}: {reason}")]
    Make { action: &'static str, reason: String },
    #[error("no {wanted} found: {found}")]
    Missing { wanted: &'static str, found: String },
    #[error("read a certificate: {0}")]
    Certificate(String),
    #[error("read a revocation list: {0}")]
    RevocationList(String),
    #[error("read a signing request: {0}")]
    Request(String),
    #[error("read a private key: {0}")]
    Key(String),
    #[error("the private key is encrypted: give its passphrase")]
    PassphraseNeeded,
    #[error("the private key cannot be decrypted: wrong passphrase, or damaged file")]
    WrongPassphrase,
    #[error("the passphrase is too short: at least {least} characters")]
    PassphraseShort { least: usize },
    #[error("the key does not belong to the certificate")]
    KeyMismatch,
    #[error("{0}")]
    Refused(String),
    #[error("{action} {path}: {source}")]
    File { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{path}: {reason}")]
    Content { path: PathBuf, reason: String },
    #[error("{path}: {source}")]
    At { path: PathBuf, source: Box<Error> },
    #[error("{path} can be read by others (mode {mode:04o}): chmod 600 {path}")]
    Exposed { path: PathBuf, mode: u32 },
    #[error("{path} exists already, and nothing is overwritten")]
    Exists { path: PathBuf },
}

impl Error {
    pub(crate) fn make(action: &'static str, reason: &impl ToString) -> Self {
        Self::Make { action, reason: reason.to_string() }
    }

    pub(crate) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::File { action, path: path.into(), source }
    }

    /// The same, said of a file.
    #[must_use]
    pub fn at(self, path: impl Into<PathBuf>) -> Self {
        Self::At { path: path.into(), source: Box::new(self) }
    }
}
