//! The data directory: is it ours, is it private, and does no other process use it?
//!
//! Everything is looked at before anything is changed. With `--wal-dir` the raft log lies in a
//! directory of its own, and `member/log` is a link to it, so that everything that reads a member's
//! data finds it in one place.

use crate::host::ownership::{self, WrongOwner};
use config::Settings;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A process that was killed holds its lock until the kernel has taken its memory back.
const LOCK_WAIT: Duration = Duration::from_secs(5);
const LOCK_INTERVAL: Duration = Duration::from_millis(50);

/// The reason why the data directory is refused. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataDirError {
    #[error("{doing} {path}: {source}")]
    Io { doing: &'static str, path: PathBuf, source: std::io::Error },
    #[error("data directory {0} is not a directory")]
    NotADirectory(PathBuf),
    #[error("data directory {path} can be entered by others (mode {mode:o}): run chmod 700 {path}")]
    Open { path: PathBuf, mode: u32 },
    #[error(transparent)]
    WrongOwner(#[from] WrongOwner),
    #[error(
        "{0} is an etcd v3 data directory, which cannot be served as it is: take a snapshot of it and import that with etcd-admin, or choose another --data-dir"
    )]
    RealEtcd(PathBuf),
    #[error("data directory {path} is in use: file already locked by process {holder}")]
    Locked { path: PathBuf, holder: String },
    #[error(
        "the raft log of this member is in {found}, and --wal-dir is {wanted}: start without --wal-dir, or stop the member and move the log there with `mv {found} {wanted}`"
    )]
    LogElsewhere { found: PathBuf, wanted: PathBuf },
    #[error(
        "--wal-dir {0} is not empty, and this data directory has no member: it holds the log of another one; choose an empty directory"
    )]
    LogOfAnother(PathBuf),
}

impl DataDirError {
    /// Returns `true` if it may be otherwise a moment later.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Io { .. } | Self::Locked { .. } => true,
            Self::NotADirectory(_)
            | Self::Open { .. }
            | Self::WrongOwner(_)
            | Self::RealEtcd(_)
            | Self::LogElsewhere { .. }
            | Self::LogOfAnother(_) => false,
        }
    }
}

/// The directories that the settings ask for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    data: &'a Path,
    log: Option<&'a Path>,
    strict: bool,
}

impl<'a> Wanted<'a> {
    pub(crate) fn of(settings: &'a Settings) -> Self {
        let member = &settings.member;
        Self { data: &member.data_dir, log: member.raft_log_dir.as_deref(), strict: settings.tls.strict_files }
    }

    fn link(&self) -> PathBuf {
        self.data.join("member").join("log")
    }
}

/// A data directory that is ours for as long as this lives.
#[derive(Debug)]
pub(crate) struct DataDir {
    member: PathBuf,
    _lock: Flock<File>,
}

impl DataDir {
    /// Makes the directory if it is not there, and locks it.
    pub(crate) fn open(wanted: &Wanted<'_>) -> Result<Self, DataDirError> {
        std::iter::once(wanted.data).chain(wanted.log).try_for_each(ownership::refuse_root)?;
        check(wanted)?;
        let member = wanted.data.join("member");
        make(&member, "create data directory")?;
        let lock = lock(&member.join("lock"), wanted.data)?;
        place_log(wanted)?;
        Ok(Self { member, _lock: lock })
    }

    /// Returns the file whose lock keeps other processes out.
    pub(crate) fn lock_file(&self) -> PathBuf {
        self.member.join("lock")
    }

    /// Returns the directory of state and log.
    pub(crate) fn member(&self) -> &Path {
        &self.member
    }
}

/// Returns `true` if a member has lived in this data directory before.
pub(crate) fn is_used(path: &Path) -> bool {
    replica::is_used(&path.join("member"))
}

/// Refuses a real etcd's data, before the other members are asked about a member whose data is
/// merely of another kind.
pub(crate) fn check_kind(path: &Path) -> Result<(), DataDirError> {
    if path.join("member/snap/db").exists() { Err(DataDirError::RealEtcd(path.to_owned())) } else { Ok(()) }
}

/// Checks whether it may be opened, as far as possible without creating or locking anything.
pub(crate) fn check(wanted: &Wanted<'_>) -> Result<(), DataDirError> {
    let path = wanted.data;
    let mode = match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => Some(found.mode()),
        Ok(_) => return Err(DataDirError::NotADirectory(path.to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(source) => return Err(DataDirError::Io { doing: "check data directory", path: path.to_owned(), source }),
    };
    ownership::check(path)?;
    if let Some(log) = wanted.log {
        ownership::check(log)?;
    }
    check_kind(path)?;
    if let Some(mode) = mode.filter(|mode| mode & 0o077 != 0) {
        let exposed = DataDirError::Open { path: path.to_owned(), mode: mode & 0o7777 };
        if wanted.strict {
            return Err(exposed);
        }
        tracing::warn!(setting = "--data-dir", "{exposed}");
    }
    check_log(wanted)
}

/// Checks that the log is where the settings have it.
fn check_log(wanted: &Wanted<'_>) -> Result<(), DataDirError> {
    let link = wanted.link();
    let found = std::fs::canonicalize(&link).ok();
    let Some(log) = wanted.log else {
        if let Some(found) = found.filter(|_| link.is_symlink()) {
            tracing::warn!(setting = "--wal-dir", path = %found.display(), "the raft log stays in the directory that an earlier start was given");
        }
        return Ok(());
    };
    let target = std::fs::canonicalize(log).ok();
    match found {
        Some(found) if Some(&found) != target.as_ref() => {
            Err(DataDirError::LogElsewhere { found, wanted: log.to_owned() })
        }
        None if !is_used(wanted.data) && !is_empty(log) => Err(DataDirError::LogOfAnother(log.to_owned())),
        Some(_) | None => Ok(()),
    }
}

fn is_empty(dir: &Path) -> bool {
    std::fs::read_dir(dir).map_or(true, |mut entries| entries.next().is_none())
}

/// Makes the directory of the log, and the link to it, where there is none yet.
fn place_log(wanted: &Wanted<'_>) -> Result<(), DataDirError> {
    let Some(log) = wanted.log else { return Ok(()) };
    make(log, "create the directory of --wal-dir")?;
    let failed = |source| DataDirError::Io { doing: "link to", path: log.to_owned(), source };
    let link = wanted.link();
    let target = std::fs::canonicalize(log).map_err(failed)?;
    if std::fs::read_link(&link).is_ok_and(|found| found == target) {
        return Ok(());
    }
    // A link to the same directory under another name stays; a dangling one is replaced.
    if link.exists() {
        return Ok(());
    }
    if link.is_symlink() {
        std::fs::remove_file(&link).map_err(failed)?;
    }
    symlink(&target, &link).map_err(failed)?;
    File::open(wanted.data.join("member")).and_then(|dir| dir.sync_all()).map_err(failed)
}

fn make(path: &Path, doing: &'static str) -> Result<(), DataDirError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| DataDirError::Io { doing, path: path.to_owned(), source })
}

fn lock(file: &Path, dir: &Path) -> Result<Flock<File>, DataDirError> {
    let failed = |source| DataDirError::Io { doing: "lock", path: file.to_owned(), source };
    let begun = Instant::now();
    loop {
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(file)
            .map_err(failed)?;
        match Flock::lock(opened, FlockArg::LockExclusiveNonblock) {
            Ok(mut lock) => {
                lock.set_len(0)
                    .and_then(|()| lock.rewind())
                    .and_then(|()| write!(lock, "{}", std::process::id()))
                    .map_err(failed)?;
                return Ok(lock);
            }
            Err(_) if begun.elapsed() < LOCK_WAIT => std::thread::sleep(LOCK_INTERVAL),
            Err((mut held, _)) => {
                let mut holder = String::new();
                held.read_to_string(&mut holder).map_err(failed)?;
                return Err(DataDirError::Locked { path: dir.to_owned(), holder });
            }
        }
    }
}
