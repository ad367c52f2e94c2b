//! The checksum behind a snapshot, over all of its bytes: pieces received across restarts of a
//! process are one file.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use xxhash_rust::xxh3::Xxh3;

/// Bytes behind the file.
pub(super) const BYTES: u64 = 16;

/// Bytes read at once.
const BLOCK_BYTES: usize = 1 << 20;

/// Sums up a file part by part.
#[derive(Default)]
pub(super) struct Checksum(Xxh3);

impl Checksum {
    pub(super) fn add(&mut self, part: &[u8]) {
        self.0.update(part);
    }

    pub(super) fn finish(&self) -> [u8; 16] {
        self.0.digest128().to_be_bytes()
    }
}

/// Returns `true` if `file` ends with the checksum of its content, which is then cut off.
pub(super) fn verify_and_cut(file: &mut File) -> io::Result<bool> {
    let Some(length) = file.metadata()?.len().checked_sub(BYTES) else { return Ok(false) };
    file.rewind()?;
    let mut checksum = Checksum::default();
    let mut block = vec![0; BLOCK_BYTES];
    let mut rest = length;
    while rest > 0 {
        let room = usize::try_from(rest).map_or(BLOCK_BYTES, |rest| rest.min(BLOCK_BYTES));
        file.read_exact(&mut block[..room])?;
        checksum.add(&block[..room]);
        rest -= room as u64;
    }
    let mut expected = [0; 16];
    file.read_exact(&mut expected)?;
    if checksum.finish() != expected {
        return Ok(false);
    }
    file.set_len(length)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn file(parts: &[&[u8]]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        for part in parts {
            file.write_all(part).unwrap();
        }
        file
    }

    #[test]
    fn a_file_is_held_to_its_checksum() {
        let content = vec![7_u8; BLOCK_BYTES + 5];
        let mut checksum = Checksum::default();
        checksum.add(&content[..100]);
        checksum.add(&content[100..]);
        let mut whole = file(&[&content, &checksum.finish()]);
        assert!(verify_and_cut(&mut whole).unwrap());
        assert_eq!(whole.metadata().unwrap().len(), content.len() as u64);
        let mut flipped = content.clone();
        flipped[BLOCK_BYTES] ^= 1;
        assert!(!verify_and_cut(&mut file(&[&flipped, &checksum.finish()])).unwrap());
        assert!(!verify_and_cut(&mut file(&[&content[1..], &checksum.finish()])).unwrap());
        assert!(!verify_and_cut(&mut file(&[b"short"])).unwrap());
    }
}
