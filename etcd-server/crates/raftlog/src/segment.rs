//! A segment: a file of fixed size, a sealed header, then frames.
//!
//! Invariants: a file named `segment-…` has its full size and a synced header, for it gets that
//! name only afterwards; its seed (from member, sequence and a nonce) starts every checksum inside;
//! the header repeats the knowledge of the log when it was begun, so that dropping earlier segments
//! loses nothing: the entry before, the hard state, and the end of the segment before.

use crate::disk;
use crate::error::OpenError;
use crate::frame::Base;
use crate::inode::Inode;
use crate::record::{HARD_STATE_BYTES, HardState, u32_at, u64_at};
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use types::{ClusterId, MemberId};

/// The first frame of a segment starts here.
pub(crate) const SEGMENT_HEADER_BYTES: u64 = 4096;

/// The version of the files' format; a higher one is refused.
pub(crate) const FORMAT_VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"RAFTLOGS";
const ENCODED_BYTES: usize = 136;

/// The owner of a log. Every file carries it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The member that writes the log.
    pub member_id: MemberId,
    /// The cluster it belongs to.
    pub cluster_id: ClusterId,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of cluster {}", self.member_id, self.cluster_id)
    }
}

/// The content of a segment's header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) identity: Identity,
    /// Counts segments from 1; also in the file's name.
    pub(crate) sequence: u32,
    /// Random, so that no client can craft data that looks like a frame.
    pub(crate) nonce: u64,
    /// The file's size in bytes.
    pub(crate) size: u64,
    /// The batch of the first frame.
    pub(crate) first_batch: u64,
    /// The end of the segment before.
    pub(crate) previous_end: u64,
    /// The last entry of the log when this segment was begun.
    pub(crate) prior: Base,
    /// The hard state when this segment was begun.
    pub(crate) hard_state: HardState,
    /// `true` if stale bytes of an earlier use may follow the last frame, where a fresh segment has
    /// zeros.
    pub(crate) recycled: bool,
}

/// A live segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) header: SegmentHeader,
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    /// Where `path` must lead to for as long as the segment is in use.
    pub(crate) inode: Inode,
    /// The initial value of every checksum in it.
    pub(crate) seed: u32,
}

/// The path of segment `sequence`.
pub(crate) fn segment_path(directory: &Path, sequence: u32) -> PathBuf {
    directory.join(format!("segment-{sequence:016x}"))
}

/// The sequence in a segment's file name.
pub(crate) fn sequence_of(file_name: &str) -> Option<u32> {
    u32::from_str_radix(file_name.strip_prefix("segment-")?, 16).ok()
}

impl SegmentHeader {
    fn encode(&self) -> [u8; ENCODED_BYTES] {
        let mut bytes = [0; ENCODED_BYTES];
        let words = [
            self.identity.member_id.0,
            self.identity.cluster_id.0,
            u64::from(self.sequence),
            self.nonce,
            self.size,
            self.first_batch,
            self.previous_end,
            self.prior.index,
            self.prior.term,
            u64::from(self.recycled),
        ];
        for (at, word) in words.iter().enumerate() {
            bytes[16 + 8 * at..24 + 8 * at].copy_from_slice(&word.to_le_bytes());
        }
        bytes[96..96 + HARD_STATE_BYTES].copy_from_slice(&self.hard_state.encode());
        seal_envelope(&mut bytes, MAGIC);
        bytes
    }

    fn decode(bytes: &[u8; ENCODED_BYTES]) -> Option<Self> {
        Some(Self {
            identity: Identity { member_id: MemberId(u64_at(bytes, 16)?), cluster_id: ClusterId(u64_at(bytes, 24)?) },
            sequence: u32::try_from(u64_at(bytes, 32)?).ok()?,
            nonce: u64_at(bytes, 40)?,
            size: u64_at(bytes, 48)?,
            first_batch: u64_at(bytes, 56)?,
            previous_end: u64_at(bytes, 64)?,
            prior: Base { index: u64_at(bytes, 72)?, term: u64_at(bytes, 80)? },
            recycled: u64_at(bytes, 88)? != 0,
            hard_state: HardState::decode(&bytes[96..96 + HARD_STATE_BYTES])?,
        })
    }

    fn seed(&self) -> u32 {
        let words = [self.identity.member_id.0, u64::from(self.sequence), self.nonce];
        words.iter().fold(0, |crc, word| crc32c::crc32c_append(crc, &word.to_le_bytes()))
    }
}

/// The checksum over everything but itself. Every format to come keeps magic, version and checksum
/// where they are.
fn seal(bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..])
}

impl Segment {
    /// Writes the header into a prepared file and gives it its name; durable when it returns.
    pub(crate) fn begin(directory: &Path, prepared: &Path, file: File, header: SegmentHeader) -> io::Result<Self> {
        assert!(
            header.size > SEGMENT_HEADER_BYTES && header.first_batch > 0,
            "segment {} of {} bytes begins at batch {}",
            header.sequence,
            header.size,
            header.first_batch
        );
        let path = segment_path(directory, header.sequence);
        disk::write(&file, &header.encode(), 0)?;
        disk::sync_data(&file)?;
        std::fs::rename(prepared, &path)?;
        disk::sync_directory(directory)?;
        let inode = Inode::of(&file.metadata()?);
        Ok(Self { seed: header.seed(), header, path, file, inode })
    }

    /// Opens segment `sequence` and checks its header and size against `identity`.
    pub(crate) fn open(directory: &Path, sequence: u32, identity: Identity) -> Result<Self, OpenError> {
        let path = segment_path(directory, sequence);
        let doing = format!("open {}", path.display());
        let file = disk::open(&path).map_err(OpenError::io(&doing))?;
        let metadata = file.metadata().map_err(OpenError::io(&doing))?;
        let (size, inode) = (metadata.len(), Inode::of(&metadata));
        let damaged = |offset: u64, reason: String| OpenError::Damaged { file: path.clone(), offset, reason };
        if size < SEGMENT_HEADER_BYTES {
            return Err(damaged(size, "the file is shorter than its header".into()));
        }
        let mut bytes = [0; ENCODED_BYTES];
        file.read_exact_at(&mut bytes, 0).map_err(OpenError::io(&doing))?;
        check_envelope(&bytes, &MAGIC, &path)?;
        let header = SegmentHeader::decode(&bytes).ok_or_else(|| damaged(0, "the header cannot be read".into()))?;
        if header.identity != identity {
            return Err(OpenError::Foreign { file: path, found: header.identity, expected: identity });
        }
        if header.sequence != sequence {
            return Err(damaged(0, format!("the header is that of segment {}", header.sequence)));
        }
        if header.size != size {
            return Err(damaged(
                size.min(header.size),
                format!("the file has {size} bytes, its header records {}", header.size),
            ));
        }
        Ok(Self { seed: header.seed(), header, path, file, inode })
    }
}

/// Checks magic, checksum and version of a header or slot.
pub(crate) fn check_envelope(bytes: &[u8], magic: &[u8; 8], file: &Path) -> Result<(), OpenError> {
    let damaged = |reason: &str| OpenError::Damaged { file: file.to_owned(), offset: 0, reason: reason.into() };
    if !bytes.starts_with(magic) {
        return Err(damaged("the file does not start as one of ours"));
    }
    if u32_at(bytes, 12) != Some(seal(bytes)) {
        return Err(damaged("the header's checksum is wrong"));
    }
    let found = u32_at(bytes, 8).unwrap_or_default();
    if found > FORMAT_VERSION {
        return Err(OpenError::NewerFormat { file: file.to_owned(), found, supported: FORMAT_VERSION });
    }
    Ok(())
}

/// Puts the checksum of [`check_envelope`] into `bytes`, whose magic and body are set.
pub(crate) fn seal_envelope(bytes: &mut [u8], magic: [u8; 8]) {
    bytes[0..8].copy_from_slice(&magic);
    bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    let crc = seal(bytes);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
}
