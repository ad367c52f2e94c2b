//! Records and the hard state: the content of the log, and its bytes inside a frame.
//!
//! A record is 32 bytes of header and its data: crc u32, length u32, index u64, term u64, kind u8,
//! seven zeros (little endian). The checksum starts from the segment's seed, so that a record read
//! back alone is verified and cannot stem from an earlier use of the file.

use bytes::Bytes;

/// Bytes before a record's data.
pub(crate) const RECORD_HEADER_BYTES: usize = 32;

/// Bytes of an encoded hard state.
pub(crate) const HARD_STATE_BYTES: usize = 24;

/// The longest data a record may carry. etcd's own limit for a message between members is 512 MiB;
/// this leaves room above it.
pub const RECORD_BYTES_MAX: usize = 1 << 30;

/// One entry of the raft log; only index and term mean something here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The term in which a leader proposed it; never falls along the log.
    pub term: u64,
    /// The position in the log; the first is 1.
    pub index: u64,
    /// The entry's kind, opaque to the log.
    pub kind: u8,
    /// The entry's data, opaque to the log; at most [`RECORD_BYTES_MAX`].
    pub data: Bytes,
}

impl Record {
    /// Bytes it takes in the log: its header and its data.
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        (RECORD_HEADER_BYTES + self.data.len()) as u64
    }
}

/// Raft's hard state. Losing `term` or `vote` breaks safety: they are durable before a vote leaves
/// this member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HardState {
    /// The latest term this member has seen.
    pub term: u64,
    /// The member voted for in that term; zero for none.
    pub vote: u64,
    /// The highest index known to be committed.
    pub commit: u64,
}

impl HardState {
    pub(crate) fn encode(self) -> [u8; HARD_STATE_BYTES] {
        let mut bytes = [0; HARD_STATE_BYTES];
        bytes[0..8].copy_from_slice(&self.term.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.vote.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.commit.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        Some(Self { term: u64_at(bytes, 0)?, vote: u64_at(bytes, 8)?, commit: u64_at(bytes, 16)? })
    }
}

/// The header of a record, checked against its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub(crate) index: u64,
    pub(crate) term: u64,
    pub(crate) kind: u8,
    /// Length of the data in bytes.
    pub(crate) length: u32,
}

/// Bytes that `record` takes inside a frame.
pub(crate) fn encoded_bytes(record: &Record) -> usize {
    RECORD_HEADER_BYTES + record.data.len()
}

/// Appends `record` to `out`. The data is at most [`RECORD_BYTES_MAX`] long.
pub(crate) fn encode(record: &Record, seed: u32, out: &mut Vec<u8>) {
    assert!(record.data.len() <= RECORD_BYTES_MAX, "entry {} has {} bytes", record.index, record.data.len());
    let start = out.len();
    let length = u32::try_from(record.data.len()).expect("data is bounded by RECORD_BYTES_MAX");
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&record.index.to_le_bytes());
    out.extend_from_slice(&record.term.to_le_bytes());
    out.extend_from_slice(&[record.kind, 0, 0, 0, 0, 0, 0, 0]);
    out.extend_from_slice(&record.data);
    let crc = crc32c::crc32c_append(seed, &out[start + 4..]);
    out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
}

/// The record at the start of `bytes`; nothing when it is cut or its checksum is wrong.
pub(crate) fn decode(bytes: &[u8], seed: u32) -> Option<RecordHeader> {
    let header = RecordHeader {
        length: u32_at(bytes, 4)?,
        index: u64_at(bytes, 8)?,
        term: u64_at(bytes, 16)?,
        kind: *bytes.get(24)?,
    };
    let end = RECORD_HEADER_BYTES.checked_add(usize::try_from(header.length).ok()?)?;
    let sealed = bytes.get(4..end)?;
    (crc32c::crc32c_append(seed, sealed) == u32_at(bytes, 0)?).then_some(header)
}

/// The little-endian number at `at`.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// The little-endian number at `at`.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}
