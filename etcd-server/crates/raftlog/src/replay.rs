//! Replay: reading segments back into the index, and judging the place where the frames end.
//!
//! Reads in windows, so memory is bounded by the largest frame, and that by its file's size, which
//! the sealed header states.

use crate::error::OpenError;
use crate::frame::{Base, Body, FRAME_ALIGNMENT, FRAME_HEADER_BYTES, FRAME_MAGIC, FrameHeader};
use crate::index::{Index, Place};
use crate::record::HardState;
use crate::segment::{SEGMENT_HEADER_BYTES, Segment};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

const WINDOW_BYTES: u64 = 1 << 20;

/// The log as far as it has been read.
#[derive(Debug)]
pub(crate) struct Replay {
    pub(crate) index: Index,
    pub(crate) hard_state: HardState,
    pub(crate) next_batch: u64,
    /// The highest incarnation met; frames of an earlier one no longer continue the log.
    pub(crate) incarnation: u64,
}

/// The end of the frames of a segment.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) offset: u64,
    /// The content found instead of a frame.
    pub(crate) reason: &'static str,
    /// Bytes from `offset` on that an interrupted write left; zero when the log ends cleanly.
    pub(crate) torn_bytes: u64,
}

/// A segment's file, read through a buffer.
struct Window<'a> {
    segment: &'a Segment,
    start: u64,
    buffer: Vec<u8>,
}

enum Next {
    Frame(FrameHeader, Body),
    End { reason: &'static str, torn_bytes: u64 },
}

impl Replay {
    /// Before the first live segment's frames.
    pub(crate) fn before(first: &Segment) -> Self {
        Self {
            index: Index::starting_at(first.header.prior),
            hard_state: first.header.hard_state,
            next_batch: first.header.first_batch,
            incarnation: 0,
        }
    }

    /// Reads one segment's frames into the index.
    pub(crate) fn segment(&mut self, segment: &Arc<Segment>) -> Result<End, OpenError> {
        self.index.segments.insert(segment.header.sequence, Arc::clone(segment));
        let mut window = Window { segment, start: 0, buffer: Vec::new() };
        let mut offset = SEGMENT_HEADER_BYTES;
        loop {
            match self.next(&mut window, offset).map_err(OpenError::io(format!("read {}", segment.path.display())))? {
                Next::End { reason, torn_bytes } => return Ok(End { offset, reason, torn_bytes }),
                Next::Frame(header, body) => {
                    self.take(segment, offset, &body).map_err(|reason| OpenError::Damaged {
                        file: segment.path.clone(),
                        offset,
                        reason,
                    })?;
                    self.next_batch += 1;
                    self.incarnation = header.stamp.incarnation;
                    offset += FRAME_HEADER_BYTES as u64 + u64::from(header.body_bytes);
                }
            }
        }
    }

    fn next(&self, window: &mut Window<'_>, offset: u64) -> io::Result<Next> {
        let ends = |reason| Ok(Next::End { reason, torn_bytes: 0 });
        let (seed, size) = (window.segment.seed, window.segment.header.size);
        let Some(bytes) = window.bytes(offset, FRAME_HEADER_BYTES as u64)? else { return ends("the segment is full") };
        let Some(header) = FrameHeader::decode(bytes, seed) else {
            return ends(if bytes.iter().all(|byte| *byte == 0) {
                "only zeros follow"
            } else {
                "no frame of this segment follows"
            });
        };
        let continues = header.stamp.segment == u64::from(window.segment.header.sequence)
            && header.stamp.batch == self.next_batch
            && header.stamp.incarnation >= self.incarnation;
        if !continues {
            return ends("a frame of another place or an earlier life follows");
        }
        let frame_bytes = FRAME_HEADER_BYTES as u64 + u64::from(header.body_bytes);
        let torn = |reason| Ok(Next::End { reason, torn_bytes: frame_bytes.min(size - offset) });
        let Some(body) = window.bytes(offset + FRAME_HEADER_BYTES as u64, u64::from(header.body_bytes))? else {
            return torn("the frame is longer than its segment");
        };
        if !header.seals(body, seed) {
            return torn("the frame's checksum is wrong");
        }
        match header.decode_body(body, seed) {
            Some(body) => Ok(Next::Frame(header, body)),
            None => torn("the frame's records cannot be read"),
        }
    }

    fn take(&mut self, segment: &Segment, offset: u64, body: &Body) -> Result<(), String> {
        if let Some(hard_state) = body.hard_state {
            self.hard_state = hard_state;
        }
        if let Some(base) = body.restart {
            self.index.restart(base);
        }
        for (record, at) in &body.records {
            let last = self.index.last_index();
            if record.index == 0 || record.index > last + 1 {
                return Err(format!("entry {} follows entry {last}", record.index));
            }
            if record.index <= self.index.base().index {
                // Overwrites entries of a segment dropped since; the watermark's base, checked
                // later, lies at or above.
                self.index.restart(Base { index: record.index - 1, term: 0 });
            }
            let before = self.index.term(record.index - 1).unwrap_or_default();
            if record.term < before {
                return Err(format!("entry {} of term {} follows one of term {before}", record.index, record.term));
            }
            let offset = offset + (FRAME_HEADER_BYTES + at) as u64;
            let offset = u32::try_from(offset).map_err(|_| "offset above 4 GiB".to_owned())?;
            let place = Place { segment: segment.header.sequence, offset, length: record.length };
            self.index.push(Base { index: record.index, term: record.term }, place);
        }
        Ok(())
    }
}

/// A later frame, after `end`, that was written when `batch` had been acknowledged: its offset. It
/// proves damage at `end`.
pub(crate) fn witness_after(segment: &Segment, end: u64, batch: u64) -> io::Result<Option<u64>> {
    let mut window = Window { segment, start: 0, buffer: Vec::new() };
    let mut offset = end + FRAME_ALIGNMENT as u64;
    while let Some(bytes) = window.bytes(offset, FRAME_HEADER_BYTES as u64)? {
        let header = if bytes.starts_with(&FRAME_MAGIC) { FrameHeader::decode(bytes, segment.seed) } else { None };
        if header.is_some_and(|header| header.stamp.durable_batch >= batch) {
            return Ok(Some(offset));
        }
        offset += FRAME_ALIGNMENT as u64;
    }
    Ok(None)
}

/// Returns the end of the non-zero bytes from `offset` on, in a segment that was zeroed when it was
/// begun.
pub(crate) fn last_nonzero(segment: &Segment, offset: u64) -> io::Result<u64> {
    let mut window = Window { segment, start: 0, buffer: Vec::new() };
    let (mut at, mut end) = (offset, offset);
    while at < segment.header.size {
        let piece = (segment.header.size - at).min(WINDOW_BYTES);
        let bytes = window.bytes(at, piece)?.unwrap_or_default();
        if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
            end = at + last as u64 + 1;
        }
        at += piece;
    }
    Ok(end)
}

impl Window<'_> {
    /// `length` bytes at `offset`; nothing when the segment ends before.
    fn bytes(&mut self, offset: u64, length: u64) -> io::Result<Option<&[u8]>> {
        let size = self.segment.header.size;
        if offset.checked_add(length).is_none_or(|end| end > size) {
            return Ok(None);
        }
        let held = self.start + self.buffer.len() as u64;
        if offset < self.start || offset + length > held {
            let take = length.max(WINDOW_BYTES).min(size - offset);
            self.buffer.resize(usize::try_from(take).map_err(io::Error::other)?, 0);
            self.start = offset;
            self.segment.file.read_exact_at(&mut self.buffer, offset)?;
        }
        let from = usize::try_from(offset - self.start).map_err(io::Error::other)?;
        let to = from + usize::try_from(length).map_err(io::Error::other)?;
        Ok(self.buffer.get(from..to))
    }
}
