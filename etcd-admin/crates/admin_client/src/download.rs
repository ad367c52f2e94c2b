//! A snapshot from a member into a file: digest checked on the way, whole or not there at all.
//!
//! Written to `FILE.part`, readable by its owner only, synced, and then renamed; the directory is
//! synced too. A download that fails removes its part. One that is killed leaves it: the next one,
//! or `snapshot prune`, removes it. A part that is being written is locked.

use crate::session::Session;
use backend_file::bolt::{TRAILER_BYTES, has_trailer};
use proto::etcdserverpb::SnapshotRequest;
use sha2::{Digest as _, Sha256};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use tonic::Status;

/// The written file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downloaded {
    pub bytes: u64,
    /// Storage version, as the server reports it; empty before 3.6.
    pub version: String,
    /// The digest at the end of the file, which is that of all before it.
    pub sha256: [u8; 32],
}

/// The reason why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    #[error("{}", .0.message())]
    Call(Status),
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    /// etcd's own words for a stream that ended early.
    #[error("sha256 checksum not found [bytes: {0}]")]
    NoDigest(u64),
    #[error("the digest at its end is not that of what came: the snapshot was damaged on its way; take it again")]
    WrongDigest,
}

/// A hash of all but the last 32 bytes of a stream.
#[derive(Debug, Default)]
struct Trailing {
    digest: Sha256,
    tail: Vec<u8>,
    bytes: u64,
}

impl Trailing {
    fn take(&mut self, part: &[u8]) {
        self.bytes += part.len() as u64;
        self.tail.extend_from_slice(part);
        let keep = usize::try_from(TRAILER_BYTES).unwrap_or(usize::MAX);
        if let Some(ready) = self.tail.len().checked_sub(keep) {
            self.digest.update(&self.tail[..ready]);
            self.tail.drain(..ready);
        }
    }

    fn finish(self) -> Result<[u8; 32], DownloadError> {
        let expected = <[u8; 32]>::try_from(&self.tail[..]).map_err(|_| DownloadError::NoDigest(self.bytes))?;
        if !has_trailer(self.bytes) {
            return Err(DownloadError::NoDigest(self.bytes));
        }
        if <[u8; 32]>::from(self.digest.finalize()) == expected {
            Ok(expected)
        } else {
            Err(DownloadError::WrongDigest)
        }
    }
}

/// A file that grows under the name of its part. Dropped before it is complete, it is removed.
#[derive(Debug)]
pub struct Part {
    file: File,
    part: PathBuf,
    path: PathBuf,
    complete: bool,
}

impl Part {
    /// Begins the part of `path`, where nothing may be yet.
    ///
    /// # Errors
    /// `AlreadyExists` if `path` is there or another process writes it.
    pub fn begin(path: &Path) -> Result<Self, DownloadError> {
        let must_be_free =
            || if path.exists() { Err(taken(path, "it is there already: nothing is overwritten")) } else { Ok(()) };
        must_be_free()?;
        let part = Self::open(path)?;
        // Another process may have finished and renamed it between the two.
        must_be_free()?;
        Ok(part)
    }

    /// Begins the part of `path`, which may be there.
    fn open(path: &Path) -> Result<Self, DownloadError> {
        let part = part_of(path);
        let failed = |source| DownloadError::File { path: part.clone(), source };
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&part).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(taken(path, "another process is writing it")),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        file.set_len(0).map_err(failed)?;
        Ok(Self { file, part, path: path.to_owned(), complete: false })
    }

    /// As [`Part::begin`] below `dir`, for `STEM.db` or, where that is taken, `STEM-2.db` and so
    /// on.
    pub fn begin_numbered(dir: &Path, stem: &str) -> Result<Self, DownloadError> {
        for number in 1..NUMBERS_MAX {
            let suffix = if number == 1 { String::new() } else { format!("-{number}") };
            match Self::begin(&dir.join(format!("{stem}{suffix}.db"))) {
                Err(DownloadError::File { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {}
                begun => return begun,
            }
        }
        Self::begin(&dir.join(format!("{stem}.db")))
    }

    /// Returns the place of the complete file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Syncs the written file and renames it to its final name.
    fn finish(mut self) -> Result<(), DownloadError> {
        self.file.sync_all().map_err(|source| DownloadError::File { path: self.part.clone(), source })?;
        put_in_place(&self.part, &self.path)?;
        self.complete = true;
        Ok(())
    }
}

fn taken(path: &Path, what: &str) -> DownloadError {
    DownloadError::File { path: path.to_owned(), source: io::Error::new(io::ErrorKind::AlreadyExists, what.to_owned()) }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.complete {
            // The first error is the one to report.
            drop(std::fs::remove_file(&self.part));
        }
    }
}

/// Snapshots with one name within a second.
const NUMBERS_MAX: u32 = 100;

/// Returns the part files in `dir` that no process writes: remains of killed downloads.
///
/// # Errors
/// When the directory cannot be read.
pub fn abandoned_parts(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let is_part = path.to_str().is_some_and(|path| path.ends_with(".db.part"));
        if is_part && File::open(&path).is_ok_and(|file| file.try_lock().is_ok()) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Writes the state of the member at the other end to `path`, as etcdctl does: a file that is there
/// is replaced.
pub async fn download(
    session: &Session,
    path: &Path,
    progress: impl FnMut(u64, u64),
) -> Result<Downloaded, DownloadError> {
    let part = Part::open(path)?;
    download_into(session, part, progress).await
}

/// Writes the state of the member at the other end. `progress` gets the bytes so far and those that
/// are still to come.
pub async fn download_into(
    session: &Session,
    mut part: Part,
    mut progress: impl FnMut(u64, u64),
) -> Result<Downloaded, DownloadError> {
    let path = part.part.clone();
    let failed = |source| DownloadError::File { path: path.clone(), source };
    let mut parts = session.maintenance().snapshot(SnapshotRequest {}).await.map_err(DownloadError::Call)?.into_inner();
    let mut trailing = Trailing::default();
    let mut version = String::new();
    while let Some(response) = parts.message().await.map_err(DownloadError::Call)? {
        part.file.write_all(&response.blob).map_err(failed)?;
        trailing.take(&response.blob);
        progress(trailing.bytes, response.remaining_bytes);
        if !response.version.is_empty() {
            version = response.version;
        }
    }
    let bytes = trailing.bytes;
    let sha256 = trailing.finish()?;
    part.finish()?;
    Ok(Downloaded { bytes, version, sha256 })
}

/// The name under which a file grows.
pub fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

/// Renames a file that is complete and synced; durable when it returns.
pub fn put_in_place(part: &Path, path: &Path) -> Result<(), DownloadError> {
    let failed = |source| DownloadError::File { path: path.to_owned(), source };
    std::fs::rename(part, path).map_err(failed)?;
    File::open(certs::files::dir_of(path)).and_then(|dir| dir.sync_all()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_part_is_removed_and_abandoned_part_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("etcd-1-2-3.db");
        let part = Part::begin(&path).unwrap();
        assert!(part_of(&path).exists() && abandoned_parts(dir.path()).unwrap().is_empty(), "it is being written");
        assert!(Part::begin(&path).is_err(), "two cannot write one file");
        drop(part);
        assert!(!part_of(&path).exists());
        // The part file of a killed process is not locked and not in the way.
        std::fs::write(part_of(&path), b"half").unwrap();
        assert_eq!(abandoned_parts(dir.path()).unwrap(), [part_of(&path)]);
        let mut part = Part::begin(&path).unwrap();
        part.file.write_all(b"whole").unwrap();
        part.finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
        assert!(abandoned_parts(dir.path()).unwrap().is_empty());
    }

    #[test]
    fn snapshots_of_one_second_get_different_names() {
        let dir = tempfile::tempdir().unwrap();
        let names: Vec<Part> = (0..3).map(|_| Part::begin_numbered(dir.path(), "etcd-1-2-3").unwrap()).collect();
        let names: Vec<_> =
            names.iter().map(|part| part.path().file_name().unwrap().to_string_lossy().into_owned()).collect();
        assert_eq!(names, ["etcd-1-2-3.db", "etcd-1-2-3-2.db", "etcd-1-2-3-3.db"]);
    }

    #[test]
    fn the_digest_is_checked_however_the_parts_fall() {
        let content = vec![7; 1024];
        let whole = [&content[..], &Sha256::digest(&content)[..]].concat();
        for size in [1, 31, 33, 512, 2000] {
            let check = |bytes: &[u8]| {
                let mut trailing = Trailing::default();
                bytes.chunks(size).for_each(|part| trailing.take(part));
                trailing.finish()
            };
            assert!(check(&whole).is_ok());
            assert!(matches!(check(&whole[..1040]), Err(DownloadError::NoDigest(1040))));
            let mut flipped = whole.clone();
            flipped[100] ^= 1;
            assert!(matches!(check(&flipped), Err(DownloadError::WrongDigest)));
            assert!(matches!(check(b"short"), Err(DownloadError::NoDigest(5))));
        }
    }
}
