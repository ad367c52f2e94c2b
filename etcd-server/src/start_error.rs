//! Errors of a start.

use crate::background::token_files;
use crate::host::data_dir;
use crate::listen::listeners;
use config::ConfigError;
use types::Fault;

/// The reason why the daemon did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error(transparent)]
    Configuration(#[from] ConfigError),
    /// Settings that contradict other members or name servers.
    #[error("{0}")]
    Setting(String),
    #[error(transparent)]
    Dir(#[from] data_dir::DataDirError),
    #[error(transparent)]
    Open(#[from] replica::OpenError),
    #[error(transparent)]
    Listen(#[from] listeners::ListenError),
    #[error(transparent)]
    Token(#[from] token_files::Refused),
    #[error(transparent)]
    Encryption(#[from] tls::LoadError),
    /// Logged already.
    #[error("the member has been permanently removed from the cluster")]
    Removed,
    #[error("start the runtime: {0}")]
    Runtime(std::io::Error),
    #[error(transparent)]
    Fault(#[from] Fault),
}
