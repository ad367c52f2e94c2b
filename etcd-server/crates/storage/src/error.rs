//! Why a state folder cannot be opened.

use std::path::PathBuf;

/// Each says what was found, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A later version of this program wrote it.
    #[error("state in {path} has format {found}, newer than {known}, the newest this version reads: install the version that wrote it")]
    NewerFormat {
        /// The folder.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// Ours.
        known: u64,
    },
    /// An earlier version of this program wrote it, in a way that this one does not read.
    #[error(
        "state in {path} has format {found}, older than {known}, the only one this version reads: \
             take a backup with the version that wrote it, and restore that"
    )]
    OlderFormat {
        /// The folder.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// Ours.
        known: u64,
    },
    /// RocksDB refuses the folder.
    #[error("open state in {path}: {detail}; nothing was changed: restore this member from a backup or rebuild it from its peers")]
    Refused {
        /// The folder.
        path: PathBuf,
        /// What RocksDB said.
        detail: String,
    },
    /// Reading it failed.
    #[error(transparent)]
    Fault(#[from] types::Fault),
}
