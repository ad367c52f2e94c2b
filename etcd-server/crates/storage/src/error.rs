//! The reasons why a state directory cannot be opened.

use std::path::{Path, PathBuf};

/// An error with the finding and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A later version of this program wrote it.
    #[error(
        "state in {path} has format {found}, newer than {known}, the newest this version reads: install the version that wrote it"
    )]
    NewerFormat {
        /// The directory.
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
        /// The directory.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// Ours.
        known: u64,
    },
    /// RocksDB refuses the directory.
    #[error(
        "open state in {path}: {detail}; nothing was changed: restore this member from a backup or rebuild it from its peers"
    )]
    Refused {
        /// The directory.
        path: PathBuf,
        /// The error of RocksDB.
        detail: String,
    },
    /// RocksDB writes a little when it opens a directory, and there is no room for it.
    #[error("open state in {path}: {detail}: make room on its file system and start again; what is there is as it was")]
    NoRoom {
        /// The directory.
        path: PathBuf,
        /// The error of RocksDB.
        detail: String,
    },
    /// Reading it failed.
    #[error(transparent)]
    Fault(#[from] types::Fault),
}

impl OpenError {
    /// Returns the error of RocksDB when it cannot open `path`.
    pub(crate) fn refused(path: &Path, detail: String) -> Self {
        let path = path.to_owned();
        if detail.contains("No space left on device") {
            Self::NoRoom { path, detail }
        } else {
            Self::Refused { path, detail }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_no_reason_to_restore_anything() {
        let told = |detail: &str| OpenError::refused(Path::new("/d"), detail.to_owned()).to_string();
        let full =
            told("IO error: No space left on device: While appending to file: /d/000012.log: No space left on device");
        assert!(full.contains("make room") && !full.contains("backup"), "{full}");
        assert!(told("Corruption: bad block").contains("restore this member from a backup"));
    }
}
