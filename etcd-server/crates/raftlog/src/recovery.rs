//! Opening: read everything, refuse or accept, and only then change the disk.
//!
//! Accepting makes the accepted tail durable again by writing it once more: after a failed sync the
//! page cache may show bytes that the disk never got, and the reported end of the log must survive
//! the next power cut.

use crate::disk;
use crate::error::OpenError;
use crate::frame::Base;
use crate::log::{Log, Options, Parts, Presence};
use crate::reader::{Entries, Reader};
use crate::record::HardState;
use crate::replay::{End, Replay, last_nonzero, witness_after};
use crate::segment::{Identity, SEGMENT_HEADER_BYTES, Segment, segment_path, sequence_of};
use crate::spare::Spares;
use crate::watermark::{ReadMark, Watermark, watermark_path};
use std::collections::BTreeSet;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The log as it was found.
#[derive(Debug)]
pub struct Recovered {
    /// The last durable hard state.
    pub hard_state: HardState,
    /// The entry before the first one, which raft calls the snapshot's index. Zero in a new log.
    pub base_index: u64,
    /// The term of that entry.
    pub base_term: u64,
    /// The first index held; `last_index + 1` when there is none.
    pub first_index: u64,
    /// The last index held.
    pub last_index: u64,
    /// Counts the opens of this log; never the same twice. For read-index contexts.
    pub incarnation: u64,
    /// The part cut from the end: a write that was interrupted before it was acknowledged.
    pub torn_tail: Option<TornTail>,
    /// Watermark slots with a wrong checksum that another slot made good; worth a warning.
    pub unreadable_watermark_slots: usize,
    reader: Reader,
}

/// An interrupted write that was cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment.
    pub file: PathBuf,
    /// The new end of the log.
    pub offset: u64,
    /// Number of bytes that were cut.
    pub bytes: u64,
    /// The defect of these bytes.
    pub reason: &'static str,
}

impl Recovered {
    /// The entries from `index` on, in order.
    pub fn entries_from(&self, index: u64) -> Entries {
        self.reader.entries_from(index)
    }
}

/// See [`Log::open`].
pub(crate) fn open(directory: &Path, identity: Identity, options: Options) -> Result<(Log, Recovered), OpenError> {
    let found = Found::survey(directory)?;
    if found.is_empty() {
        if options.presence == Presence::Existing {
            let promise = "this member has state that the log belongs to".to_owned();
            return Err(OpenError::Missing { file: watermark_path(directory), promise });
        }
        disk::create_directory(directory).map_err(OpenError::io(format!("create {}", directory.display())))?;
        Watermark::create(directory, identity)
            .map_err(OpenError::io(format!("create {}", watermark_path(directory).display())))?;
    } else if !found.watermark {
        let promise = "the segments beside it are there".to_owned();
        return Err(OpenError::Missing { file: watermark_path(directory), promise });
    }
    let (watermark, mark) = Watermark::open(directory, identity)?;
    if options.presence == Presence::New && mark.newest.durable.batch > 0 {
        return Err(OpenError::Exists { directory: directory.to_owned() });
    }
    let segments = found.live_segments(directory, identity, &mark)?;
    let Some(first) = segments.first() else {
        check_same_time(directory, (1, 0), options.applied_index)?;
        return start(directory, identity, options, watermark, &mark);
    };
    let mut replay = Replay::before(first);
    let end = replay_all(&mut replay, &segments)?;
    let last = segments.last().expect("there is a first one");
    check_promises(&replay, last, &end, &mark)?;
    adopt_base(&mut replay, &mark, last)?;
    check_same_time(directory, (replay.index.base().index + 1, replay.index.last_index()), options.applied_index)?;
    let torn_tail = find_torn(last, &end).map_err(OpenError::io(format!("read {}", last.path.display())))?;
    let doing = format!("make the end of {} durable", last.path.display());
    persist_tail(last, &end, &mark, torn_tail.as_ref()).map_err(OpenError::io(doing))?;
    found.remove_before(directory, mark.newest.first_segment)?;
    let (current, offset) = (Arc::clone(last), end.offset);
    let parts = Parts { directory, identity, options, watermark, mark: &mark.newest, replay, current, offset };
    finish(parts, torn_tail, mark.unreadable_slots)
}

/// The files of the directory.
struct Found {
    watermark: bool,
    segments: BTreeSet<u32>,
}

impl Found {
    fn survey(directory: &Path) -> Result<Self, OpenError> {
        let doing = format!("list {}", directory.display());
        let mut found = Self { watermark: false, segments: BTreeSet::new() };
        let entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(OpenError::io(doing)(error)),
        };
        for entry in entries {
            let name = entry.map_err(OpenError::io(&doing))?.file_name();
            let name = name.to_string_lossy();
            found.watermark |= name == "watermark";
            found.segments.extend(sequence_of(&name));
        }
        Ok(found)
    }

    fn is_empty(&self) -> bool {
        !self.watermark && self.segments.is_empty()
    }

    /// Opens the segments that the watermark promises, and those begun since; none may be missing
    /// in between.
    fn live_segments(
        &self,
        directory: &Path,
        identity: Identity,
        mark: &ReadMark,
    ) -> Result<Vec<Arc<Segment>>, OpenError> {
        let (first, promised) = (mark.newest.first_segment, mark.newest.durable.segment);
        let highest = self.segments.last().copied().unwrap_or_default();
        let mut segments = Vec::new();
        for sequence in first..=promised.max(highest) {
            if !self.segments.contains(&sequence) {
                let promise = format!("the log spans segments {first} to {}", promised.max(highest));
                return Err(OpenError::Missing { file: segment_path(directory, sequence), promise });
            }
            segments.push(Arc::new(Segment::open(directory, sequence, identity)?));
        }
        Ok(segments)
    }

    /// Removes segments that were dropped from the front but not yet recycled.
    fn remove_before(&self, directory: &Path, first: u32) -> Result<(), OpenError> {
        for sequence in self.segments.range(..first) {
            let path = segment_path(directory, *sequence);
            std::fs::remove_file(&path).map_err(OpenError::io(format!("remove {}", path.display())))?;
        }
        Ok(())
    }
}

/// Replays every segment; each but the last must end exactly where its successor says.
fn replay_all(replay: &mut Replay, segments: &[Arc<Segment>]) -> Result<End, OpenError> {
    let mut end = End { offset: 0, reason: "", torn_bytes: 0 };
    for (at, segment) in segments.iter().enumerate() {
        if at > 0 && (segment.header.first_batch != replay.next_batch || segment.header.previous_end != end.offset) {
            let next = &segment.header;
            let reason = format!(
                "{}, but the next segment records that it ends at {} before batch {}",
                end.reason, next.previous_end, next.first_batch
            );
            return Err(OpenError::Damaged { file: segments[at - 1].path.clone(), offset: end.offset, reason });
        }
        end = replay.segment(segment)?;
    }
    Ok(end)
}

/// Refuses a log that ends before acknowledged entries.
fn check_promises(replay: &Replay, last: &Segment, end: &End, mark: &ReadMark) -> Result<(), OpenError> {
    let promised = &mark.newest;
    let found_state = replay.hard_state;
    let state_lost = promised.hard_state.term > found_state.term
        || (promised.hard_state.term == found_state.term
            && promised.hard_state.vote != 0
            && promised.hard_state.vote != found_state.vote);
    if replay.next_batch <= promised.durable.batch || state_lost {
        return Err(OpenError::Shorter {
            file: last.path.clone(),
            found_batch: replay.next_batch - 1,
            found_index: replay.index.last_index(),
            promised_batch: promised.durable.batch,
            promised_index: promised.last.index,
            promised_term: promised.last.term,
            reason: format!("at offset {}: {}", end.offset, end.reason),
        });
    }
    let doing = format!("read {}", last.path.display());
    if let Some(witness) = witness_after(last, end.offset, replay.next_batch).map_err(OpenError::io(doing))? {
        let reason = format!(
            "{}, but a frame at {witness} was written after batch {} had been acknowledged",
            end.reason, replay.next_batch
        );
        return Err(OpenError::Damaged { file: last.path.clone(), offset: end.offset, reason });
    }
    Ok(())
}

/// Refuses when the state that the caller has does not meet the log.
fn check_same_time(
    directory: &Path,
    (first_index, last_index): (u64, u64),
    applied_index: Option<u64>,
) -> Result<(), OpenError> {
    let Some(applied_index) = applied_index else { return Ok(()) };
    if applied_index > last_index || applied_index + 1 < first_index {
        return Err(OpenError::Apart { directory: directory.to_owned(), first_index, last_index, applied_index });
    }
    Ok(())
}

/// Drops the entries before the front, and restores the term before the first entry.
fn adopt_base(replay: &mut Replay, mark: &ReadMark, last: &Segment) -> Result<(), OpenError> {
    let (promised, found) = (mark.newest.base, replay.index.base());
    let damaged = |reason: String| OpenError::Damaged { file: last.path.clone(), offset: 0, reason };
    if promised.index == found.index && found.term == 0 {
        replay.index.learn_base_term(promised.term);
    } else if promised.index > found.index {
        if replay.index.term(promised.index) != Some(promised.term) {
            return Err(damaged(format!("entry {} of term {} is not in the log", promised.index, promised.term)));
        }
        replay.index.truncate_front(promised.index);
    } else if found.index > 0 && found.term == 0 {
        return Err(damaged(format!(
            "the log begins at {}, the watermark records {}",
            found.index + 1,
            promised.index + 1
        )));
    }
    Ok(())
}

fn find_torn(last: &Segment, end: &End) -> std::io::Result<Option<TornTail>> {
    let bytes = if last.header.recycled { end.torn_bytes } else { last_nonzero(last, end.offset)? - end.offset };
    Ok((bytes > 0).then(|| TornTail { file: last.path.clone(), offset: end.offset, bytes, reason: end.reason }))
}

/// Writes the frames after the last synced watermark once more, zeros the cut part, and syncs.
fn persist_tail(last: &Segment, end: &End, mark: &ReadMark, torn: Option<&TornTail>) -> std::io::Result<()> {
    let synced = &mark.synced.durable;
    let from = if synced.segment == last.header.sequence { synced.offset } else { SEGMENT_HEADER_BYTES };
    let mut at = from.min(end.offset);
    let mut buffer = vec![0; 1 << 20];
    while at < end.offset {
        let piece = usize::try_from(end.offset - at).unwrap_or(usize::MAX).min(buffer.len());
        last.file.read_exact_at(&mut buffer[..piece], at)?;
        disk::write(&last.file, &buffer[..piece], at)?;
        at += piece as u64;
    }
    if let Some(torn) = torn {
        disk::write_zeros(&last.file, torn.offset, torn.bytes)?;
    }
    disk::sync_data(&last.file)
}

/// Begins the first segment of a new log.
fn start(
    directory: &Path,
    identity: Identity,
    options: Options,
    watermark: Watermark,
    mark: &ReadMark,
) -> Result<(Log, Recovered), OpenError> {
    let doing = || format!("begin the first segment in {}", directory.display());
    let spares = Spares::start(directory, options.segment_bytes).map_err(OpenError::io(doing()))?;
    let first =
        Log::first_segment(directory, identity, options.segment_bytes, &spares).map_err(OpenError::io(doing()))?;
    drop(spares);
    let current = Arc::new(first);
    let mut replay = Replay::before(&current);
    replay.index.segments.insert(current.header.sequence, Arc::clone(&current));
    let offset = SEGMENT_HEADER_BYTES;
    let parts = Parts { directory, identity, options, watermark, mark: &mark.newest, replay, current, offset };
    finish(parts, None, mark.unreadable_slots)
}

fn finish(
    mut parts: Parts<'_>,
    torn_tail: Option<TornTail>,
    unreadable_watermark_slots: usize,
) -> Result<(Log, Recovered), OpenError> {
    let Base { index: base_index, term: base_term } = parts.replay.index.base();
    let last_index = parts.replay.index.last_index();
    // The commit index is noted in the watermark more often than in the log itself, see
    // [`Log::note_commit`].
    let noted = parts.mark.hard_state.commit.min(last_index);
    parts.replay.hard_state.commit = parts.replay.hard_state.commit.max(noted);
    let hard_state = parts.replay.hard_state;
    let incarnation = parts.replay.incarnation.max(parts.mark.incarnation) + 1;
    let log = Log::assemble(parts, incarnation)?;
    let recovered = Recovered {
        hard_state,
        base_index,
        base_term,
        first_index: base_index + 1,
        last_index,
        incarnation,
        torn_tail,
        unreadable_watermark_slots,
        reader: log.reader(),
    };
    Ok((log, recovered))
}
