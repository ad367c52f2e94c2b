//! Reading entries, from any thread, while the log is being appended to.
//!
//! Places are looked up under the index's lock; the disk is read without it. Each record is checked
//! by its own checksum, so the returned entries equal the appended ones. An entry is readable as
//! soon as it is written, before it is durable.

use crate::error::ReadError;
use crate::index::{Index, Place};
use crate::inode::{Inode, Loss};
use crate::record::{self, RECORD_HEADER_BYTES, Record};
use crate::segment::Segment;
use bytes::Bytes;
use parking_lot::RwLock;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use types::Fault;

/// Entries of one segment are read together while the span stays below this.
const SPAN_BYTES_MAX: u64 = 1 << 20;

/// A cursor of [`Entries`] fetches this many bytes at a time.
const FETCH_BYTES: u64 = 1 << 20;

/// The state that the writer shares with its readers.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) index: RwLock<Index>,
    /// The reason why the log is unusable, once it is.
    pub(crate) poison: OnceLock<String>,
    /// The watermark's path and the inode that it must lead to.
    pub(crate) watermark: (PathBuf, Inode),
}

impl Shared {
    pub(crate) fn check(&self) -> Result<(), Fault> {
        match self.poison.get() {
            None => Ok(()),
            Some(reason) => Err(Fault::store("use raft log", format!("it failed before: {reason}"))),
        }
    }
}

/// A handle for reading; cheap to clone.
#[derive(Clone, Debug)]
pub struct Reader {
    pub(crate) shared: Arc<Shared>,
}

/// Consecutive places in one segment, read by one call.
struct Span {
    segment: Arc<Segment>,
    places: Vec<Place>,
}

impl Reader {
    /// Returns a live segment or the watermark whose path no longer leads to the open file. A
    /// restart would not find what is appended to it.
    pub fn lost_file(&self) -> Option<(PathBuf, Loss)> {
        let (path, inode) = &self.shared.watermark;
        if let Some(loss) = inode.loss_at(path) {
            return Some((path.clone(), loss));
        }
        let segments: Vec<_> = self.shared.index.read().segments.values().cloned().collect();
        segments.iter().find_map(|segment| {
            let loss = segment.inode.loss_at(&segment.path)?;
            // The writer takes a segment out of the index before it renames or deletes the file.
            let is_live = self.shared.index.read().segments.contains_key(&segment.header.sequence);
            is_live.then(|| (segment.path.clone(), loss))
        })
    }

    /// The first index held; one above the last when the log is empty.
    pub fn first_index(&self) -> u64 {
        self.shared.index.read().base().index + 1
    }

    /// The last index written; one below the first when the log is empty.
    pub fn last_index(&self) -> u64 {
        self.shared.index.read().last_index()
    }

    /// The term of an entry, or of the one before the first.
    pub fn term(&self, index: u64) -> Result<u64, ReadError> {
        self.shared.check()?;
        let entries = self.shared.index.read();
        entries.term(index).ok_or_else(|| absent(&entries, index))
    }

    /// The entries `lo..hi`, as many as fit into `bytes_max` of data but at least one if the range
    /// is not empty.
    pub fn entries(&self, lo: u64, hi: u64, bytes_max: u64) -> Result<Vec<Record>, ReadError> {
        self.shared.check()?;
        let spans = self.spans(lo, hi, bytes_max)?;
        let mut records = Vec::new();
        let mut expected = lo;
        for span in &spans {
            span.read(&mut expected, &mut records)?;
        }
        Ok(records)
    }

    /// All entries from `lo` on, fetched a piece at a time.
    pub fn entries_from(&self, lo: u64) -> Entries {
        Entries { reader: self.clone(), next: lo, fetched: Vec::new().into_iter(), failed: false }
    }

    fn spans(&self, lo: u64, hi: u64, bytes_max: u64) -> Result<Vec<Span>, ReadError> {
        let entries = self.shared.index.read();
        if lo <= entries.base().index {
            return Err(absent(&entries, lo));
        }
        if hi > entries.last_index() + 1 {
            return Err(absent(&entries, hi - 1));
        }
        let mut spans: Vec<Span> = Vec::new();
        let mut total = 0_u64;
        for index in lo..hi {
            let place = entries.place(index).ok_or_else(|| absent(&entries, index))?;
            total += u64::from(place.length);
            if index > lo && total > bytes_max {
                break;
            }
            match spans.last_mut() {
                Some(span) if span.takes(place) => span.places.push(place),
                Some(_) | None => {
                    let segment = entries.segments.get(&place.segment).expect("a live entry lies in a live segment");
                    spans.push(Span { segment: Arc::clone(segment), places: vec![place] });
                }
            }
        }
        Ok(spans)
    }
}

fn absent(entries: &Index, asked: u64) -> ReadError {
    if asked <= entries.base().index {
        ReadError::Compacted { asked, first_index: entries.base().index + 1 }
    } else {
        ReadError::Unavailable { asked, last_index: entries.last_index() }
    }
}

fn end_of(place: Place) -> u64 {
    u64::from(place.offset) + RECORD_HEADER_BYTES as u64 + u64::from(place.length)
}

impl Span {
    fn takes(&self, place: Place) -> bool {
        let first = self.places[0];
        place.segment == first.segment && end_of(place) - u64::from(first.offset) <= SPAN_BYTES_MAX
    }

    fn read(&self, expected: &mut u64, records: &mut Vec<Record>) -> Result<(), Fault> {
        let start = u64::from(self.places[0].offset);
        let end = end_of(*self.places.last().expect("a span has a place"));
        let mut buffer = vec![0; usize::try_from(end - start).expect("a span is bounded by its segment")];
        let doing = || format!("read {} at offset {start}", self.segment.path.display());
        self.segment.file.read_exact_at(&mut buffer, start).map_err(|error| Fault::io(doing(), error))?;
        let buffer = Bytes::from(buffer);
        for place in &self.places {
            let at = usize::try_from(u64::from(place.offset) - start).expect("within the buffer");
            let header = record::decode(&buffer[at..], self.segment.seed)
                .filter(|header| header.index == *expected && header.length == place.length)
                .ok_or_else(|| {
                    Fault::corrupt(self.segment.path.display(), format!("entry {expected} at offset {}", place.offset))
                })?;
            let data_at = at + RECORD_HEADER_BYTES;
            let data = buffer.slice(data_at..data_at + usize::try_from(place.length).expect("within the buffer"));
            records.push(Record { term: header.term, index: header.index, kind: header.kind, data });
            *expected += 1;
        }
        Ok(())
    }
}

/// Entries in order, up to the end of the log; ends after the first error.
#[derive(Debug)]
pub struct Entries {
    reader: Reader,
    next: u64,
    fetched: std::vec::IntoIter<Record>,
    failed: bool,
}

impl Iterator for Entries {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(record) = self.fetched.next() {
            self.next = record.index + 1;
            return Some(Ok(record));
        }
        let end = self.reader.last_index() + 1;
        if self.failed || self.next >= end {
            return None;
        }
        match self.reader.entries(self.next, end, FETCH_BYTES) {
            Ok(records) => {
                self.fetched = records.into_iter();
                self.next()
            }
            Err(error) => {
                self.failed = true;
                Some(Err(error))
            }
        }
    }
}
