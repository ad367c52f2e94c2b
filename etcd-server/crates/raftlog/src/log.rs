//! The log: one writer that appends, syncs, drops from the front and restarts.
//!
//! Invariants: a batch is acknowledged only after its fdatasync; a segment is begun only when
//! everything before is durable; the watermark never promises more than is durable; after the first
//! failed write or sync every call fails.

use crate::disk;
use crate::error::OpenError;
use crate::frame::{self, Base, Content, Stamp};
use crate::index::Place;
use crate::reader::{Reader, Shared};
use crate::record::{HardState, RECORD_BYTES_MAX, Record};
use crate::recovery::{self, Recovered};
use crate::replay::Replay;
use crate::segment::{Identity, SEGMENT_HEADER_BYTES, Segment, SegmentHeader};
use crate::spare::{Space, Spares};
use crate::watermark::{Mark, Position, Watermark, watermark_path};
use parking_lot::RwLock;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use types::Fault;

/// A synced watermark follows after this many bytes of appends …
const WATERMARK_BYTES: u64 = 4 << 20;

/// … or this long after the last one, whichever comes first.
const WATERMARK_INTERVAL: Duration = Duration::from_secs(1);

/// The frame buffer is given back when a batch made it larger than this.
const BUFFER_BYTES_KEPT: usize = 4 << 20;

/// The expectation of the caller that a log must, or must not, exist. Only the caller can notice
/// that the whole directory is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Presence {
    /// A first start: a log in which anything was acknowledged is refused.
    New,
    /// A restart: an empty directory is refused.
    Existing,
    /// No expectation.
    #[default]
    Either,
}

/// Options for opening a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Size of a segment in bytes, a multiple of 4 KiB from 8 KiB to 2 GiB. May change between
    /// opens.
    pub segment_bytes: u64,
    /// The caller's expectation.
    pub presence: Presence,
    /// The last entry whose effects the caller has in a state of its own: a log that ends before
    /// it, or begins after the entry that follows it, belongs to another time and is refused.
    pub applied_index: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, presence: Presence::Either, applied_index: None }
    }
}

/// The raft log of one member. Reading goes through [`Log::reader`].
#[derive(Debug)]
pub struct Log {
    directory: PathBuf,
    identity: Identity,
    options: Options,
    shared: Arc<Shared>,
    watermark: Watermark,
    spares: Spares,
    incarnation: u64,
    first_segment: u32,
    current: Arc<Segment>,
    /// The offset of the next frame.
    offset: u64,
    next_batch: u64,
    durable_batch: u64,
    hard_state: HardState,
    /// Bytes appended since the last synced watermark.
    unmarked_bytes: u64,
    marked_at: Instant,
    buffer: Vec<u8>,
}

/// The result of recovery.
pub(crate) struct Parts<'a> {
    pub(crate) directory: &'a Path,
    pub(crate) identity: Identity,
    pub(crate) options: Options,
    pub(crate) watermark: Watermark,
    pub(crate) mark: &'a Mark,
    pub(crate) replay: Replay,
    pub(crate) current: Arc<Segment>,
    pub(crate) offset: u64,
}

impl Log {
    /// Opens the log in `directory`, or begins one. Reads every live segment. A refusal changes
    /// nothing on disk.
    ///
    /// # Errors
    /// Any [`OpenError`]: damage, a log shorter than promised, missing or foreign files, a newer
    /// format, the system.
    pub fn open(directory: &Path, identity: Identity, options: Options) -> Result<(Self, Recovered), OpenError> {
        let size = options.segment_bytes;
        if !size.is_multiple_of(4096) || !(2 * SEGMENT_HEADER_BYTES..=2 << 30).contains(&size) {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "not a multiple of 4096 from 8192 to 2147483648");
            return Err(OpenError::Io { doing: format!("use a segment size of {size} bytes"), source });
        }
        recovery::open(directory, identity, options)
    }

    /// Writes entries and hard state and makes them durable: [`Log::write`], then [`Log::sync`].
    ///
    /// # Errors
    /// A fault; the log is unusable afterwards, and whether the batch is there is unknown until the
    /// next open.
    pub fn append(&mut self, entries: &[Record], hard_state: Option<HardState>) -> Result<(), Fault> {
        self.write(entries, hard_state)?;
        self.sync()
    }

    /// Writes entries and hard state as one batch, not yet durable. An entry whose index is there
    /// already cuts it and all after. A batch larger than a segment is split; its commit index then
    /// comes with the last part.
    ///
    /// # Errors
    /// As [`Log::append`]; also when the entries do not follow each other or leave a hole.
    pub fn write(&mut self, entries: &[Record], hard_state: Option<HardState>) -> Result<(), Fault> {
        self.guarded(|log| {
            log.validate(entries)?;
            log.write_batches(entries, hard_state)
        })
    }

    /// Makes everything written durable, with one fdatasync; nothing is done when there is nothing
    /// to sync.
    ///
    /// # Errors
    /// As [`Log::append`]. The sync is never tried again.
    pub fn sync(&mut self) -> Result<(), Fault> {
        self.guarded(Self::sync_current)
    }

    /// Forgets entries up to and with `upto`, which must be durable in the state. Whole segments
    /// are dropped and reused.
    ///
    /// # Errors
    /// A fault; also when `upto` is beyond the last entry.
    pub fn truncate_front(&mut self, upto: u64) -> Result<(), Fault> {
        self.guarded(|log| {
            let last = log.shared.index.read().last_index();
            if upto > last {
                return Err(Fault::store("truncate raft log", format!("up to {upto}, but the last entry is {last}")));
            }
            log.sync_current()?;
            log.shared.index.write().truncate_front(upto);
            log.drop_unused_segments()?;
            log.note_mark()
        })
    }

    /// Restarts the log after a raft snapshot at `index`: all entries are dropped, the next one is
    /// `index + 1`. Durable when it returns, together with `hard_state`.
    ///
    /// # Errors
    /// A fault; also when the snapshot is older than entries dropped from the front.
    pub fn install(&mut self, index: u64, term: u64, hard_state: Option<HardState>) -> Result<(), Fault> {
        self.guarded(|log| {
            let base = log.shared.index.read().base();
            if index < base.index {
                return Err(Fault::store(
                    "restart raft log",
                    format!("at {index}, but it begins after {}", base.index),
                ));
            }
            let room_needed = frame::frame_bytes_max(&[]) as u64;
            if log.room() < room_needed {
                log.begin_segment(log.options.segment_bytes)?;
            }
            log.put(&Content { hard_state, restart: Some(Base { index, term }), entries: &[] })?;
            log.sync_current()?;
            log.drop_unused_segments()
        })
    }

    /// Stores a synced watermark if anything was appended since the last one: for a member that
    /// went idle, and before a clean stop.
    ///
    /// # Errors
    /// A fault.
    pub fn mark(&mut self) -> Result<(), Fault> {
        self.guarded(|log| {
            log.sync_current()?;
            if log.unmarked_bytes > 0 { log.store_mark() } else { Ok(()) }
        })
    }

    /// Records that entries up to `commit` are committed, without a sync: the record survives the
    /// death of the process, and after a power cut it may be old. Without it a member that is
    /// killed loses which of its entries were committed, and could not notice that a cluster which
    /// was restored from an older copy has lost them.
    ///
    /// While entries wait for [`Log::sync`] the record is written together with that.
    ///
    /// # Errors
    /// A fault.
    pub fn note_commit(&mut self, commit: u64) -> Result<(), Fault> {
        self.guarded(|log| {
            let last = log.shared.index.read().last_index();
            assert!(commit <= last, "entry {commit} is committed, but the log ends at {last}");
            if commit <= log.hard_state.commit {
                return Ok(());
            }
            log.hard_state.commit = commit;
            if log.durable_batch + 1 == log.next_batch { log.note_mark() } else { Ok(()) }
        })
    }

    /// A handle for reading, for any thread.
    pub fn reader(&self) -> Reader {
        Reader { shared: Arc::clone(&self.shared) }
    }

    /// The hard state as last written.
    pub fn hard_state(&self) -> HardState {
        self.hard_state
    }

    /// Returns the space for further writes, and the state of the next segment.
    ///
    /// # Errors
    /// A fault when the file system cannot be queried.
    pub fn space(&self) -> Result<Space, Fault> {
        let doing = || format!("get the free space of {}", self.directory.display());
        let disk = nix::sys::statvfs::statvfs(&self.directory).map_err(|error| Fault::io(doing(), error.into()))?;
        Ok(Space {
            segment_remaining_bytes: self.room(),
            spare: self.spares.state(),
            filesystem_available_bytes: disk.blocks_available() * disk.fragment_size(),
        })
    }
}

impl Log {
    pub(crate) fn first_segment(
        directory: &Path,
        identity: Identity,
        size: u64,
        spares: &Spares,
    ) -> io::Result<Segment> {
        let spare = spares.take(size)?;
        let header = SegmentHeader {
            identity,
            sequence: 1,
            nonce: nonce(),
            size: spare.size,
            first_batch: 1,
            recycled: spare.recycled,
            ..SegmentHeader::default()
        };
        Segment::begin(directory, &spare.path, spare.file, header)
    }

    /// Puts the recovered parts together and stores the new incarnation in every slot.
    pub(crate) fn assemble(parts: Parts<'_>, incarnation: u64) -> Result<Self, OpenError> {
        let doing = format!("prepare segments in {}", parts.directory.display());
        let spares = Spares::start(parts.directory, parts.options.segment_bytes).map_err(OpenError::io(doing))?;
        let mark_path = watermark_path(parts.directory);
        let inode = parts.watermark.inode().map_err(OpenError::io(format!("look at {}", mark_path.display())))?;
        let shared =
            Shared { index: RwLock::new(parts.replay.index), poison: OnceLock::new(), watermark: (mark_path, inode) };
        let mut log = Self {
            directory: parts.directory.to_owned(),
            identity: parts.identity,
            options: parts.options,
            shared: Arc::new(shared),
            watermark: parts.watermark,
            spares,
            incarnation,
            first_segment: parts.mark.first_segment,
            current: parts.current,
            offset: parts.offset,
            next_batch: parts.replay.next_batch,
            durable_batch: parts.replay.next_batch - 1,
            hard_state: parts.replay.hard_state,
            unmarked_bytes: 0,
            marked_at: Instant::now(),
            buffer: Vec::new(),
        };
        let mark = log.current_mark();
        log.watermark.store_everywhere(&mark).map_err(OpenError::io("store the raft log's watermark"))?;
        Ok(log)
    }

    fn guarded<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        self.shared.check()?;
        work(self).inspect_err(|fault| {
            self.shared.poison.get_or_init(|| fault.to_string());
        })
    }

    fn validate(&self, entries: &[Record]) -> Result<(), Fault> {
        let Some(first) = entries.first() else { return Ok(()) };
        let index = self.shared.index.read();
        let fits = first.index > index.base().index && first.index <= index.last_index() + 1;
        let follow = entries.windows(2).all(|pair| pair[0].index + 1 == pair[1].index && pair[0].term <= pair[1].term);
        let small = entries.iter().all(|entry| entry.data.len() <= RECORD_BYTES_MAX);
        if fits && follow && small {
            return Ok(());
        }
        let (from, to) = (index.base().index + 1, index.last_index());
        Err(Fault::store("append to raft log", format!("entries from {} do not continue {from}..={to}", first.index)))
    }

    fn write_batches(&mut self, entries: &[Record], hard_state: Option<HardState>) -> Result<(), Fault> {
        if entries.is_empty() && hard_state.is_none() {
            return Ok(());
        }
        let mut rest = entries;
        loop {
            let whole = frame::frame_bytes_max(rest) as u64;
            if whole <= self.room() {
                return self.put(&Content { hard_state, restart: None, entries: rest });
            }
            let fits_fresh = whole <= self.options.segment_bytes - SEGMENT_HEADER_BYTES;
            let fitting = frame::entries_fitting(rest, self.room());
            if fits_fresh || fitting == 0 {
                let first_alone = frame::frame_bytes_max(&rest[..rest.len().min(1)]) as u64 + SEGMENT_HEADER_BYTES;
                self.begin_segment(first_alone.next_multiple_of(4096).max(self.options.segment_bytes))?;
                continue;
            }
            // Term and vote must not come after entries of that term; the commit index must not
            // come before the entries.
            let early = hard_state.map(|state| HardState { commit: self.hard_state.commit, ..state });
            self.put(&Content { hard_state: early, restart: None, entries: &rest[..fitting] })?;
            rest = &rest[fitting..];
        }
    }

    /// Bytes left for frames in the current segment.
    fn room(&self) -> u64 {
        self.current.header.size - self.offset
    }

    /// Writes one frame, which fits, and enters it into the index.
    fn put(&mut self, content: &Content<'_>) -> Result<(), Fault> {
        let sequence = self.current.header.sequence;
        let stamp = Stamp {
            batch: self.next_batch,
            durable_batch: self.durable_batch,
            incarnation: self.incarnation,
            segment: u64::from(sequence),
        };
        let mut places = Vec::with_capacity(content.entries.len());
        let start = self.offset;
        frame::encode(content, stamp, self.current.seed, &mut self.buffer, |record, at| {
            let offset = u32::try_from(start + at as u64).expect("segments are below 4 GiB");
            let length = u32::try_from(record.data.len()).expect("data was checked");
            places.push((Base { index: record.index, term: record.term }, Place { segment: sequence, offset, length }));
        });
        let bytes = self.buffer.len() as u64;
        assert!(bytes <= self.room(), "a frame of {bytes} bytes is written into the last {}", self.room());
        assert!(
            places.len() == content.entries.len(),
            "{} of {} entries have a place",
            places.len(),
            content.entries.len()
        );
        disk::write(&self.current.file, &self.buffer, start)
            .map_err(|error| Fault::io(format!("write {} at offset {start}", self.current.path.display()), error))?;
        let mut index = self.shared.index.write();
        if let Some(base) = content.restart {
            index.restart(base);
        }
        for (entry, place) in places {
            index.push(entry, place);
        }
        drop(index);
        let HardState { term, vote, commit } = self.hard_state;
        self.hard_state = content.hard_state.unwrap_or(self.hard_state);
        assert!(self.hard_state.term >= term, "the term moves back from {term} to {}", self.hard_state.term);
        assert!(
            self.hard_state.term > term || vote == 0 || self.hard_state.vote == vote,
            "the vote of term {term} for {vote:x} becomes one for {:x}",
            self.hard_state.vote
        );
        assert!(
            self.hard_state.commit >= commit,
            "the commit index moves back from {commit} to {}",
            self.hard_state.commit
        );
        self.next_batch += 1;
        self.offset += bytes;
        self.unmarked_bytes += bytes;
        assert!(
            self.offset.is_multiple_of(frame::FRAME_ALIGNMENT as u64),
            "the next frame would start at {}",
            self.offset
        );
        if self.buffer.capacity() > BUFFER_BYTES_KEPT {
            self.buffer = Vec::new();
        }
        Ok(())
    }

    fn sync_current(&mut self) -> Result<(), Fault> {
        assert!(
            self.durable_batch < self.next_batch,
            "batch {} is durable, and {} is the next one",
            self.durable_batch,
            self.next_batch
        );
        if self.durable_batch + 1 == self.next_batch {
            return Ok(());
        }
        disk::sync_data(&self.current.file)
            .map_err(|error| Fault::io(format!("sync {}", self.current.path.display()), error))?;
        self.durable_batch = self.next_batch - 1;
        if self.unmarked_bytes >= WATERMARK_BYTES || self.marked_at.elapsed() >= WATERMARK_INTERVAL {
            return self.store_mark();
        }
        self.note_mark()
    }

    fn note_mark(&mut self) -> Result<(), Fault> {
        let mark = self.current_mark();
        self.watermark.note(&mark).map_err(|error| Fault::io("note the raft log's watermark", error))
    }

    /// Returns the current promise; only called when everything written is durable.
    fn current_mark(&self) -> Mark {
        assert_eq!(self.durable_batch + 1, self.next_batch, "a watermark promises only what is durable");
        let index = self.shared.index.read();
        Mark {
            identity: self.identity,
            generation: 0,
            incarnation: self.incarnation,
            first_segment: self.first_segment,
            durable: Position { segment: self.current.header.sequence, offset: self.offset, batch: self.durable_batch },
            last: index.last(),
            base: index.base(),
            hard_state: self.hard_state,
        }
    }

    fn store_mark(&mut self) -> Result<(), Fault> {
        let mark = self.current_mark();
        self.watermark
            .store(&mark)
            .and_then(|()| self.watermark.note(&mark))
            .map_err(|error| Fault::io("store the raft log's watermark", error))?;
        self.unmarked_bytes = 0;
        self.marked_at = Instant::now();
        Ok(())
    }

    /// Goes on in a new segment of `size` bytes, once everything in the current one is durable.
    fn begin_segment(&mut self, size: u64) -> Result<(), Fault> {
        self.sync_current()?;
        let before = &self.current.header;
        let sequence =
            before.sequence.checked_add(1).ok_or_else(|| Fault::store("begin segment", "no number is left"))?;
        let doing = || format!("begin segment {sequence} in {}", self.directory.display());
        let spare = self.spares.take(size).map_err(|error| Fault::io(doing(), error))?;
        assert!(spare.size >= size, "segment {sequence} has {} bytes, and {size} are needed", spare.size);
        assert!(
            self.durable_batch + 1 == self.next_batch,
            "segment {sequence} begins at batch {}, and {} is durable",
            self.next_batch,
            self.durable_batch
        );
        let header = SegmentHeader {
            identity: self.identity,
            sequence,
            nonce: nonce(),
            size: spare.size,
            first_batch: self.next_batch,
            previous_end: self.offset,
            prior: self.shared.index.read().last(),
            hard_state: self.hard_state,
            recycled: spare.recycled,
        };
        let segment = Segment::begin(&self.directory, &spare.path, spare.file, header)
            .map_err(|error| Fault::io(doing(), error))?;
        self.current = Arc::new(segment);
        self.offset = SEGMENT_HEADER_BYTES;
        let replaced = self.shared.index.write().segments.insert(sequence, Arc::clone(&self.current));
        assert!(replaced.is_none(), "segment {sequence} is begun twice");
        self.store_mark()
    }

    /// Gives back the segments before the first live entry, after the watermark no longer promises
    /// them.
    fn drop_unused_segments(&mut self) -> Result<(), Fault> {
        let current = self.current.header.sequence;
        let needed = self.shared.index.read().first_segment_in_use().unwrap_or(current);
        if needed <= self.first_segment {
            return Ok(());
        }
        assert!(needed <= current, "segment {needed} is needed, and {current} is the last one");
        self.first_segment = needed;
        let mark = self.current_mark();
        self.watermark.store_everywhere(&mark).map_err(|error| Fault::io("store the raft log's watermark", error))?;
        let mut index = self.shared.index.write();
        let kept = index.segments.split_off(&needed);
        let dropped = std::mem::replace(&mut index.segments, kept);
        drop(index);
        for segment in dropped.into_values() {
            let path = segment.path.clone();
            // A reader may still hold it: then the file is deleted, never written over.
            let done = match Arc::try_unwrap(segment) {
                Ok(segment) => self.spares.give_back(&path, segment.file, segment.header.size),
                Err(_) => std::fs::remove_file(&path),
            };
            done.map_err(|error| Fault::io(format!("drop {}", path.display()), error))?;
        }
        Ok(())
    }
}

/// Returns a number that cannot be guessed.
fn nonce() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Operation, fail_next};
    use bytes::Bytes;

    fn open(directory: &Path) -> (Log, Recovered) {
        Log::open(directory, Identity::default(), Options { segment_bytes: 8192, ..Options::default() }).unwrap()
    }

    fn entry(index: u64) -> Record {
        Record { term: 1, index, kind: 0, data: Bytes::from(vec![1; 700]) }
    }

    fn assert_poisoned(log: &mut Log) {
        assert!(log.append(&[entry(9)], None).is_err());
        assert!(log.write(&[], Some(HardState::default())).is_err());
        assert!(log.sync().is_err());
        assert!(log.mark().is_err());
        assert!(log.truncate_front(0).is_err());
        assert!(log.install(100, 1, None).is_err());
        assert!(log.reader().term(1).is_err());
        assert!(log.reader().entries(1, 2, 1).is_err());
    }

    #[test]
    fn failed_write_poisons_the_log() {
        let directory = tempfile::tempdir().unwrap();
        let (mut log, _) = open(directory.path());
        log.append(&[entry(1)], None).unwrap();
        fail_next(Operation::Write);
        assert!(log.append(&[entry(2)], None).is_err());
        assert_poisoned(&mut log);
        drop(log);
        assert_eq!(open(directory.path()).1.last_index, 1);
    }

    #[test]
    fn failed_sync_poisons_the_log_and_is_not_repeated() {
        let directory = tempfile::tempdir().unwrap();
        let (mut log, _) = open(directory.path());
        log.append(&[entry(1)], None).unwrap();
        log.write(&[entry(2)], None).unwrap();
        fail_next(Operation::Sync);
        assert!(log.sync().unwrap_err().to_string().starts_with("sync "));
        assert_poisoned(&mut log);
        drop(log);
        assert!(open(directory.path()).1.last_index >= 1);
    }

    #[test]
    fn failure_while_a_segment_begins_poisons_the_log_and_loses_nothing() {
        for operation in [Operation::Write, Operation::Sync] {
            let directory = tempfile::tempdir().unwrap();
            let (mut log, _) = open(directory.path());
            for index in 1..=5 {
                log.append(&[entry(index)], None).unwrap();
            }
            fail_next(operation);
            assert!(log.append(&[entry(6)], None).unwrap_err().to_string().contains("segment 2"));
            assert_poisoned(&mut log);
            drop(log);
            assert_eq!(open(directory.path()).1.last_index, 5);
        }
    }

    #[test]
    fn failed_open_leaves_a_log_that_opens() {
        let directory = tempfile::tempdir().unwrap();
        let (mut log, _) = open(directory.path());
        log.append(&[entry(1)], None).unwrap();
        drop(log);
        fail_next(Operation::Sync);
        assert!(Log::open(directory.path(), Identity::default(), Options::default()).is_err());
        assert_eq!(open(directory.path()).1.last_index, 1);
    }

    #[test]
    fn buffer_of_a_large_batch_is_given_back() {
        let directory = tempfile::tempdir().unwrap();
        let (mut log, _) = open(directory.path());
        log.append(&[entry(1)], None).unwrap();
        assert!(log.buffer.capacity() > 0, "the next batch needs no new one");
        log.append(&[Record { data: Bytes::from(vec![1; BUFFER_BYTES_KEPT]), ..entry(2) }], None).unwrap();
        assert!(log.buffer.capacity() < BUFFER_BYTES_KEPT);
    }

    #[test]
    fn entries_that_leave_a_hole_are_a_fault() {
        let directory = tempfile::tempdir().unwrap();
        let (mut log, _) = open(directory.path());
        assert!(log.append(&[entry(2)], None).is_err());
    }

    #[test]
    fn noted_commit_survives_the_end_of_the_process() {
        let directory = tempfile::tempdir().unwrap();
        let (mut log, _) = open(directory.path());
        log.append(&[entry(1), entry(2), entry(3)], Some(HardState { term: 1, vote: 2, commit: 0 })).unwrap();
        log.note_commit(2).unwrap();
        log.note_commit(1).unwrap();
        drop(log);
        let (mut log, recovered) = open(directory.path());
        assert_eq!(recovered.hard_state, HardState { term: 1, vote: 2, commit: 2 });
        // Together with the sync that entries wait for.
        log.write(&[entry(4)], None).unwrap();
        log.note_commit(3).unwrap();
        log.sync().unwrap();
        drop(log);
        assert_eq!(open(directory.path()).1.hard_state, HardState { term: 1, vote: 2, commit: 3 });
    }

    #[test]
    fn term_and_vote_are_durable_in_a_batch_of_their_own() {
        let directory = tempfile::tempdir().unwrap();
        let (mut log, _) = open(directory.path());
        let state = HardState { term: 7, vote: 3, commit: 0 };
        log.append(&[], Some(state)).unwrap();
        drop(log);
        assert_eq!(open(directory.path()).1.hard_state, state);
    }
}
