//! The data directory: is it ours, is it private, and is nobody else using it?
//!
//! Everything is looked at before anything is changed.

use nix::fcntl::{Flock, FlockArg};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Why the data directory is refused. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("{doing} {path}: {source}")]
    Io { doing: &'static str, path: PathBuf, source: std::io::Error },
    #[error("data directory {0} is not a directory")]
    NotADirectory(PathBuf),
    #[error("data directory {path} can be entered by others (mode {mode:o}): run chmod 700 {path}")]
    Open { path: PathBuf, mode: u32 },
    #[error(
        "{0} is an etcd v3 data directory, which cannot be served as it is: take a snapshot of it and import that with etcd-admin, or choose another --data-dir"
    )]
    RealEtcd(PathBuf),
    #[error("data directory {path} is in use: file already locked by process {holder}")]
    Locked { path: PathBuf, holder: String },
}

impl Refused {
    /// Whether it may be otherwise a moment later.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Io { .. } | Self::Locked { .. } => true,
            Self::NotADirectory(_) | Self::Open { .. } | Self::RealEtcd(_) => false,
        }
    }
}

/// A data directory that is ours for as long as this lives.
#[derive(Debug)]
pub(crate) struct DataFolder {
    member: PathBuf,
    _lock: Flock<File>,
}

impl DataFolder {
    /// Makes the directory if it is not there, and locks it.
    pub(crate) fn open(path: &Path) -> Result<Self, Refused> {
        check(path)?;
        let member = path.join("member");
        DirBuilder::new().recursive(true).mode(0o700).create(&member).map_err(|source| Refused::Io {
            doing: "create data directory",
            path: member.clone(),
            source,
        })?;
        let lock = lock(&member.join("lock"), path)?;
        Ok(Self { member, _lock: lock })
    }

    /// Where state and log lie.
    pub(crate) fn member(&self) -> &Path {
        &self.member
    }
}

/// Whether a member has lived in this data directory before.
pub(crate) fn is_used(path: &Path) -> bool {
    engine::is_used(&path.join("member"))
}

/// Whether it may be opened, as far as can be told without making or locking anything.
pub(crate) fn check(path: &Path) -> Result<(), Refused> {
    let mode = match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => found.mode(),
        Ok(_) => return Err(Refused::NotADirectory(path.to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(Refused::Io { doing: "look at data directory", path: path.to_owned(), source }),
    };
    if path.join("member/snap/db").exists() {
        return Err(Refused::RealEtcd(path.to_owned()));
    }
    let open_to_others = mode & 0o077;
    if open_to_others != 0 && path.join("member").exists() {
        return Err(Refused::Open { path: path.to_owned(), mode: mode & 0o7777 });
    }
    Ok(())
}

fn lock(file: &Path, folder: &Path) -> Result<Flock<File>, Refused> {
    let failed = |source| Refused::Io { doing: "lock", path: file.to_owned(), source };
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(file).map_err(failed)?;
    match Flock::lock(opened, FlockArg::LockExclusiveNonblock) {
        Ok(mut lock) => {
            lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| write!(lock, "{}", std::process::id())).map_err(failed)?;
            Ok(lock)
        }
        Err((mut held, _)) => {
            let mut holder = String::new();
            held.read_to_string(&mut holder).map_err(failed)?;
            Err(Refused::Locked { path: folder.to_owned(), holder })
        }
    }
}
