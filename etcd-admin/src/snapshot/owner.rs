//! Ownership of files that root has written.

use admin_ui::error::CliError;
use std::os::unix::fs::{MetadataExt as _, lchown};
use std::path::Path;

/// Gives a file that root has written to the owner and the group of its directory, which are to
/// read it: the timer that drops snapshots, the daemon. Files of other users are left alone. The
/// owner of the directory may have put a link in the file's place meanwhile: then it gets the link,
/// and not its target.
pub(crate) fn give_to_owner_of_dir(path: &Path) -> Result<(), CliError> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    let given =
        std::fs::metadata(certs::files::dir_of(path)).and_then(|dir| lchown(path, Some(dir.uid()), Some(dir.gid())));
    given.map_err(|error| CliError::at(path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_gives_it_away_and_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("snapshot");
        std::fs::write(&path, "content").unwrap();
        let own = std::fs::metadata(&path).unwrap();
        let other = if nix::unistd::geteuid().is_root() { (65_534, 65_533) } else { (own.uid(), own.gid()) };
        lchown(dir.path(), Some(other.0), Some(other.1)).unwrap();
        give_to_owner_of_dir(&path).unwrap();
        let given = std::fs::metadata(&path).unwrap();
        assert_eq!((given.uid(), given.gid()), other);
        let (elsewhere, link) = (tempfile::NamedTempFile::new().unwrap(), dir.path().join("link"));
        std::os::unix::fs::symlink(elsewhere.path(), &link).unwrap();
        give_to_owner_of_dir(&link).unwrap();
        assert_eq!(elsewhere.path().metadata().unwrap().uid(), own.uid());
    }
}
