//! Owners of the files below the data directory. A daemon that root has once run there leaves files
//! that the member's own user cannot open, which looks like lost data and is none.

use nix::unistd::{AccessFlags, Gid, Group, Uid, User, access, geteuid};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Why the owners of a data directory do not fit this process. No file was opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WrongOwner {
    /// Files that root makes could not be opened by the owner later.
    #[error(
        "data directory {path} is owned by user {owner}, and this process runs as root: run it as {owner} (systemctl start etcd-server, or \
         runuser -u {owner} -- etcd-server)"
    )]
    Root { path: PathBuf, owner: String },
    #[error(
        "{path} is owned by user {owner}, and user {user} cannot open it; the data is not lost: run chown -R {user}:{group} {directory} and \
         start again"
    )]
    File { path: PathBuf, owner: String, user: String, group: String, directory: PathBuf },
}

/// Checks that this process can open every file below `directory`, which may not exist yet.
///
/// # Errors
/// The first file that it cannot open, in the order of the directory.
pub(crate) fn check(directory: &Path) -> Result<(), WrongOwner> {
    let user = geteuid();
    match foreign_file(directory, user) {
        None => Ok(()),
        Some((path, owner)) => Err(WrongOwner::File {
            path,
            owner: name_of(owner),
            user: name_of(user),
            group: group_of(user),
            directory: directory.to_owned(),
        }),
    }
}

/// Checks that root writes nothing below a directory of another user. Root may look at it.
///
/// # Errors
/// The directory of another user.
pub(crate) fn refuse_root(directory: &Path) -> Result<(), WrongOwner> {
    match std::fs::metadata(directory) {
        Ok(found) if geteuid().is_root() && found.uid() != 0 => {
            Err(WrongOwner::Root { path: directory.to_owned(), owner: name_of(Uid::from_raw(found.uid())) })
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Returns a file or directory of another user that `user` cannot open.
fn foreign_file(path: &Path, user: Uid) -> Option<(PathBuf, Uid)> {
    let found = std::fs::metadata(path).ok()?;
    let is_directory = found.is_dir();
    let wanted =
        AccessFlags::R_OK | AccessFlags::W_OK | if is_directory { AccessFlags::X_OK } else { AccessFlags::empty() };
    if found.uid() != user.as_raw() && access(path, wanted).is_err() {
        return Some((path.to_owned(), Uid::from_raw(found.uid())));
    }
    if !is_directory {
        return None;
    }
    std::fs::read_dir(path).ok()?.flatten().find_map(|entry| foreign_file(&entry.path(), user))
}

fn name_of(user: Uid) -> String {
    User::from_uid(user).ok().flatten().map_or_else(|| user.to_string(), |user| user.name)
}

fn group_of(user: Uid) -> String {
    let group = User::from_uid(user).ok().flatten().map_or(Gid::from_raw(user.as_raw()), |user| user.gid);
    Group::from_gid(group).ok().flatten().map_or_else(|| group.to_string(), |group| group.name)
}
