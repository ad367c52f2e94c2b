//! Errors of files and of handshakes.

use crate::rejection::Rejection;
use std::io;
use std::path::{Path, PathBuf};

/// The reason why files cannot be used: one line that names setting, file and reason.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("{setting}: {source}")]
    File { setting: &'static str, source: certs::Error },
    #[error("{setting} {}: {reason}", path.display())]
    Content { setting: &'static str, path: PathBuf, reason: String },
    #[error("{setting}: {reason}")]
    Setting { setting: &'static str, reason: String },
}

impl LoadError {
    pub(crate) fn content(setting: &'static str, path: &Path, reason: &impl ToString) -> Self {
        Self::Content { setting, path: path.to_owned(), reason: reason.to_string() }
    }

    pub(crate) fn setting(setting: &'static str, reason: &impl ToString) -> Self {
        Self::Setting { setting, reason: reason.to_string() }
    }
}

/// The reason why a connection was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    #[error("the handshake was not completed in time")]
    Timeout,
    #[error("gave way to newer connections: too many handshakes are under way")]
    Crowded,
    #[error(transparent)]
    Tls(#[from] io::Error),
    /// The certificate of the other side was refused.
    #[error(transparent)]
    Certificate(Box<Rejection>),
    /// etcd's text.
    #[error("tls: {address:?} does not match any of DNSNames {names:?}")]
    Address { address: String, names: Vec<String> },
    /// Go's text, which etcd logs for a certificate with addresses alone.
    #[error("x509: certificate is valid for {valid}, not {address}")]
    OtherAddress { address: String, valid: String },
    #[error("the certificate has been dropped from trust while the handshake was under way")]
    Dropped,
}
