//! A snapshot from a member into a file: digest checked on the way, whole or not there at all.
//!
//! Written to `FILE.part`, readable by its owner only, synced, and then renamed; the folder is synced too. What is left of an interrupted
//! download is overwritten by the next one.

use crate::client::Session;
use backup::bolt::{TRAILER_BYTES, has_trailer};
use proto::etcdserverpb::SnapshotRequest;
use sha2::{Digest as _, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use tonic::Status;

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Downloaded {
    pub(crate) bytes: u64,
    /// Storage version, as the server tells it; empty before 3.6.
    pub(crate) version: String,
    /// The digest at the end of the file, which is that of all before it.
    pub(crate) sha256: [u8; 32],
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DownloadError {
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

/// Hashes all but the last 32 bytes of what passes.
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
        if <[u8; 32]>::from(self.digest.finalize()) == expected { Ok(expected) } else { Err(DownloadError::WrongDigest) }
    }
}

/// Takes the state of the member at the other end. `progress` is told the bytes so far and those that are still to come.
pub(crate) async fn download(session: &Session, path: &Path, mut progress: impl FnMut(u64, u64)) -> Result<Downloaded, DownloadError> {
    let part = part_of(path);
    let failed = |source| DownloadError::File { path: part.clone(), source };
    let mut parts = session.maintenance().snapshot(SnapshotRequest {}).await.map_err(DownloadError::Call)?.into_inner();
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part).map_err(failed)?;
    let mut trailing = Trailing::default();
    let mut version = String::new();
    while let Some(answer) = parts.message().await.map_err(DownloadError::Call)? {
        file.write_all(&answer.blob).map_err(failed)?;
        trailing.take(&answer.blob);
        progress(trailing.bytes, answer.remaining_bytes);
        if !answer.version.is_empty() {
            version = answer.version;
        }
    }
    let bytes = trailing.bytes;
    let sha256 = trailing.finish()?;
    file.sync_all().map_err(failed)?;
    drop(file);
    put_in_place(&part, path)?;
    Ok(Downloaded { bytes, version, sha256 })
}

/// The name under which a file grows.
pub(crate) fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

/// Renames a file that is complete and synced; durable when it returns.
pub(crate) fn put_in_place(part: &Path, path: &Path) -> Result<(), DownloadError> {
    let failed = |source| DownloadError::File { path: path.to_owned(), source };
    std::fs::rename(part, path).map_err(failed)?;
    File::open(certs::files::folder_of(path)).and_then(|folder| folder.sync_all()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

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
