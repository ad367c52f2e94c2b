//! The inode behind a path: how an open file is told from another one that took its name.

use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::SystemTime;

/// How a path ceased to lead to the file that is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nothing is at the path.
    Removed,
    /// Another file or directory is at the path.
    Replaced,
}

impl Loss {
    /// Returns the word for messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Replaced => "replaced",
        }
    }
}

/// An inode of the file system.
///
/// Numbers of deleted inodes are used again, so the time of creation is compared where the file
/// system stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inode {
    device: u64,
    number: u64,
    created: Option<SystemTime>,
}

impl Inode {
    /// Returns the inode that `metadata` was read from.
    pub fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), number: metadata.ino(), created: metadata.created().ok() }
    }

    /// Returns the inode at `path`.
    ///
    /// # Errors
    /// When it cannot be looked up.
    pub fn at(path: &Path) -> io::Result<Self> {
        std::fs::metadata(path).map(|metadata| Self::of(&metadata))
    }

    /// Returns how `path` was lost, `None` while it leads to this inode. An error that says nothing
    /// about the file, such as a missing permission, is not a loss.
    pub fn loss_at(self, path: &Path) -> Option<Loss> {
        match Self::at(path) {
            Ok(found) if found == self => None,
            Ok(_) => Some(Loss::Replaced),
            Err(error) => is_absence(&error).then_some(Loss::Removed),
        }
    }
}

/// Returns `true` if a lookup failed because the path does not exist.
pub fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::StaleNetworkFileHandle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn inode_tells_removal_and_replacement_from_presence() {
        let directory = tempfile::tempdir().unwrap();
        let (path, aside) = (directory.path().join("file"), directory.path().join("aside"));
        fs::write(&path, "contents").unwrap();
        let file = fs::File::open(&path).unwrap();
        let inode = Inode::of(&file.metadata().unwrap());
        assert_eq!(inode.loss_at(&path), None);
        fs::rename(&path, &aside).unwrap();
        assert_eq!(inode.loss_at(&path), Some(Loss::Removed));
        fs::copy(&aside, &path).unwrap();
        assert_eq!(inode.loss_at(&path), Some(Loss::Replaced), "an equal copy is another file");
        fs::rename(&aside, &path).unwrap();
        assert_eq!(inode.loss_at(&path), None, "the file is back");
        assert_eq!(inode.loss_at(&path.join("below")), Some(Loss::Removed));
    }
}
