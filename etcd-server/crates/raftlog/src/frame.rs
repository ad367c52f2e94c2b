//! A frame: the content of one write to a segment, and the header by which it is found again.
//!
//! ```text
//!  0 magic u32 │ 4 crc of 8..56 u32 │ 8 body length u32 │ 12 body crc u32 │ 16 batch u64 │ 24 durable batch u64
//! 32 incarnation u64 │ 40 segment u64 │ 48 records u32 │ 52 flags u32 │ 56 body: [hard state] [restart] records, zeros to 8
//! ```
//!
//! Invariants: both checksums start from the segment's seed and the header names its segment, so
//! stale bytes of a recycled file are never a frame; batches count up by one over the whole log;
//! incarnations never fall, so frames of an earlier life beyond its end are never taken for a
//! continuation. "Durable batch" is the last batch synced when this frame was written: a later
//! frame with a durable batch ≥ N proves that batch N was acknowledged.

use crate::record::{self, HARD_STATE_BYTES, HardState, RECORD_HEADER_BYTES, Record, RecordHeader, u32_at, u64_at};

/// Bytes before a frame's body.
pub(crate) const FRAME_HEADER_BYTES: usize = 56;

/// Frames start at multiples of this.
pub(crate) const FRAME_ALIGNMENT: usize = 8;

/// The first bytes of every frame.
pub(crate) const FRAME_MAGIC: [u8; 4] = *b"RLF1";

const RESTART_BYTES: usize = 16;
const FLAG_HARD_STATE: u32 = 1;
const FLAG_RESTART: u32 = 2;

/// The beginning of a log: the entry before the first one it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Base {
    pub(crate) index: u64,
    pub(crate) term: u64,
}

/// The fields that make a frame part of one place in one log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) batch: u64,
    pub(crate) durable_batch: u64,
    pub(crate) incarnation: u64,
    pub(crate) segment: u64,
}

/// The content of one frame, as it is written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Content<'a> {
    pub(crate) hard_state: Option<HardState>,
    /// The log restarts after this entry: everything before is forgotten.
    pub(crate) restart: Option<Base>,
    pub(crate) entries: &'a [Record],
}

/// A frame's header, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) stamp: Stamp,
    pub(crate) body_bytes: u32,
    body_crc: u32,
    records: u32,
    flags: u32,
}

/// The content of one frame, as it is read: records by header and place in the body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Body {
    pub(crate) hard_state: Option<HardState>,
    pub(crate) restart: Option<Base>,
    /// Each record's header and the offset of that header in the body.
    pub(crate) records: Vec<(RecordHeader, usize)>,
}

/// Bytes of a frame with these entries, at most (a hard state and a restart are counted).
pub(crate) fn frame_bytes_max(entries: &[Record]) -> usize {
    let records: usize = entries.iter().map(record::encoded_bytes).sum();
    (FRAME_HEADER_BYTES + HARD_STATE_BYTES + RESTART_BYTES + records).next_multiple_of(FRAME_ALIGNMENT)
}

/// Returns the number of leading entries that fit into `room` bytes as one frame.
pub(crate) fn entries_fitting(entries: &[Record], room: u64) -> usize {
    let mut bytes = frame_bytes_max(&[]) as u64;
    entries
        .iter()
        .take_while(|entry| {
            bytes += record::encoded_bytes(entry) as u64;
            bytes.next_multiple_of(FRAME_ALIGNMENT as u64) <= room
        })
        .count()
}

/// Encodes a frame into `out` (emptied first); calls `placed` with each entry's offset in the
/// frame.
pub(crate) fn encode(
    content: &Content<'_>,
    stamp: Stamp,
    seed: u32,
    out: &mut Vec<u8>,
    mut placed: impl FnMut(&Record, usize),
) {
    assert!(
        stamp.durable_batch < stamp.batch,
        "batch {} is written when {} is durable",
        stamp.batch,
        stamp.durable_batch
    );
    out.clear();
    out.resize(FRAME_HEADER_BYTES, 0);
    let mut flags = 0;
    if let Some(hard_state) = content.hard_state {
        flags |= FLAG_HARD_STATE;
        out.extend_from_slice(&hard_state.encode());
    }
    if let Some(base) = content.restart {
        flags |= FLAG_RESTART;
        out.extend_from_slice(&base.index.to_le_bytes());
        out.extend_from_slice(&base.term.to_le_bytes());
    }
    for entry in content.entries {
        placed(entry, out.len());
        record::encode(entry, seed, out);
    }
    out.resize(out.len().next_multiple_of(FRAME_ALIGNMENT), 0);
    let body = &out[FRAME_HEADER_BYTES..];
    let header = FrameHeader {
        stamp,
        body_bytes: u32::try_from(body.len()).expect("a frame fits its segment, which is below 4 GiB"),
        body_crc: crc32c::crc32c_append(seed, body),
        records: u32::try_from(content.entries.len()).expect("fewer entries than bytes"),
        flags,
    };
    out[..FRAME_HEADER_BYTES].copy_from_slice(&header.encode(seed));
}

impl FrameHeader {
    fn encode(&self, seed: u32) -> [u8; FRAME_HEADER_BYTES] {
        let mut bytes = [0; FRAME_HEADER_BYTES];
        bytes[0..4].copy_from_slice(&FRAME_MAGIC);
        bytes[8..12].copy_from_slice(&self.body_bytes.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.body_crc.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.stamp.batch.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.stamp.durable_batch.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.stamp.incarnation.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.stamp.segment.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.records.to_le_bytes());
        bytes[52..56].copy_from_slice(&self.flags.to_le_bytes());
        let crc = crc32c::crc32c_append(seed, &bytes[8..]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header at the start of `bytes`, if there is a whole one of the segment with this seed.
    pub(crate) fn decode(bytes: &[u8], seed: u32) -> Option<Self> {
        let bytes = bytes.get(..FRAME_HEADER_BYTES)?;
        let sealed = bytes.starts_with(&FRAME_MAGIC) && crc32c::crc32c_append(seed, &bytes[8..]) == u32_at(bytes, 4)?;
        if !sealed {
            return None;
        }
        let stamp = Stamp {
            batch: u64_at(bytes, 16)?,
            durable_batch: u64_at(bytes, 24)?,
            incarnation: u64_at(bytes, 32)?,
            segment: u64_at(bytes, 40)?,
        };
        Some(Self {
            stamp,
            body_bytes: u32_at(bytes, 8)?,
            body_crc: u32_at(bytes, 12)?,
            records: u32_at(bytes, 48)?,
            flags: u32_at(bytes, 52)?,
        })
    }

    /// Returns `true` if this header was written for `body`.
    pub(crate) fn seals(&self, body: &[u8], seed: u32) -> bool {
        u32::try_from(body.len()) == Ok(self.body_bytes) && crc32c::crc32c_append(seed, body) == self.body_crc
    }

    /// Decodes a body. `None` if it does not match the header; memory is bounded by the body's
    /// length.
    pub(crate) fn decode_body(&self, body: &[u8], seed: u32) -> Option<Body> {
        let mut decoded = Body::default();
        let mut at = 0;
        if self.flags & FLAG_HARD_STATE != 0 {
            decoded.hard_state = Some(HardState::decode(body)?);
            at += HARD_STATE_BYTES;
        }
        if self.flags & FLAG_RESTART != 0 {
            decoded.restart = Some(Base { index: u64_at(body, at)?, term: u64_at(body, at + 8)? });
            at += RESTART_BYTES;
        }
        for _ in 0..self.records {
            let header = record::decode(body.get(at..)?, seed)?;
            decoded.records.push((header, at));
            at += RECORD_HEADER_BYTES + usize::try_from(header.length).ok()?;
        }
        let padding = body.get(at..)?;
        (self.flags <= 3 && padding.len() < FRAME_ALIGNMENT && padding.iter().all(|byte| *byte == 0)).then_some(decoded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;

    const STAMP: Stamp = Stamp { batch: 4, durable_batch: 3, incarnation: 2, segment: 9 };

    fn sample() -> Vec<u8> {
        let entries = [Record { term: 1, index: 5, kind: 2, data: Bytes::from_static(b"five") }];
        let content =
            Content { hard_state: Some(HardState { term: 1, vote: 2, commit: 4 }), restart: None, entries: &entries };
        let mut out = Vec::new();
        encode(&content, STAMP, 77, &mut out, |_, _| ());
        out
    }

    #[test]
    fn frame_reads_back_as_written() {
        let bytes = sample();
        let header = FrameHeader::decode(&bytes, 77).unwrap();
        assert_eq!(header.stamp, STAMP);
        assert!(header.seals(&bytes[FRAME_HEADER_BYTES..], 77));
        let body = header.decode_body(&bytes[FRAME_HEADER_BYTES..], 77).unwrap();
        assert_eq!(body.hard_state, Some(HardState { term: 1, vote: 2, commit: 4 }));
        assert_eq!(body.records.len(), 1);
    }

    #[test]
    fn frame_of_another_seed_is_no_frame() {
        assert_eq!(FrameHeader::decode(&sample(), 78), None);
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let good = sample();
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let sound =
                FrameHeader::decode(&bytes, 77).is_some_and(|header| header.seals(&bytes[FRAME_HEADER_BYTES..], 77));
            assert!(!sound, "bit {bit} went unnoticed");
        }
    }

    proptest! {
        #[test]
        fn decoders_survive_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400), records: u32, flags in 0_u32..8, seed: u32) {
            FrameHeader::decode(&bytes, seed);
            record::decode(&bytes, seed);
            HardState::decode(&bytes);
            let header = FrameHeader { stamp: STAMP, body_bytes: records, body_crc: 0, records, flags };
            prop_assert!(header.decode_body(&bytes, seed).is_none_or(|body| body.records.len() * RECORD_HEADER_BYTES <= bytes.len()));
        }
    }
}
