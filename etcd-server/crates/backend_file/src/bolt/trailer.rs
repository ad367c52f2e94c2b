//! The digest behind a backup file.

use super::error::BoltError;
use super::read_at::ReadAt;
use sha2::{Digest as _, Sha256};

/// Bytes of the trailer: a raw SHA-256 of all bytes before it.
pub const TRAILER_BYTES: u64 = 32;

/// Pages are whole multiples of this, so the remainder shows whether a trailer is there.
const SECTOR_BYTES: u64 = 512;

/// The result of examining the trailer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digest {
    /// The file has none: it is a raw data file, or cut.
    Absent,
    /// It is that of the file.
    Right,
    /// It is another.
    Wrong {
        /// The digest in the trailer.
        expected: [u8; 32],
        /// The digest of the file.
        got: [u8; 32],
    },
}

/// Returns `true` if a file of `size` bytes carries a trailer, by etcd's rule.
pub fn has_trailer(size: u64) -> bool {
    size % SECTOR_BYTES == TRAILER_BYTES
}

/// Compares the trailer, if there is one, with the digest of the bytes before it. Reads the file
/// once, in small pieces.
pub fn verify_trailer(source: &impl ReadAt) -> Result<Digest, BoltError> {
    let size = source.size_bytes().map_err(|source| BoltError::Io { offset: 0, bytes: 0, source })?;
    if !has_trailer(size) {
        return Ok(Digest::Absent);
    }
    let mut buffer = vec![0; 128 << 10];
    let mut digest = Sha256::new();
    let end = size - TRAILER_BYTES;
    let mut offset = 0;
    while offset < end {
        let bytes = usize::try_from(end - offset).map_or(buffer.len(), |rest| rest.min(buffer.len()));
        let part = &mut buffer[..bytes];
        source.read_exact_at(part, offset).map_err(|source| BoltError::Io { offset, bytes, source })?;
        digest.update(&*part);
        offset += bytes as u64;
    }
    let mut expected = [0; 32];
    source.read_exact_at(&mut expected, end).map_err(|source| BoltError::Io { offset: end, bytes: 32, source })?;
    let got: [u8; 32] = digest.finalize().into();
    Ok(if expected == got { Digest::Right } else { Digest::Wrong { expected, got } })
}
