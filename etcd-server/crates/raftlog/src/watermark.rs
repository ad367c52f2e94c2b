//! The watermark: the promises of this member, kept apart from the log so that a shortened log is
//! noticed.
//!
//! One file of three 4 KiB slots. Slots 0 and 1 are written in turn and synced: at least every 4
//! MiB or second of appends, at each new segment, and twice (both slots) before segments are
//! dropped and at each open. Slot 2 is written after every sync of the log without a sync of its
//! own: it costs a microsecond, survives the death of the process, and so makes a later cut of the
//! log visible to the last batch; after a power cut it may be old, and then slots 0 and 1 speak.
//! The newest sound slot counts.

use crate::disk;
use crate::error::OpenError;
use crate::frame::Base;
use crate::inode::Inode;
use crate::record::{HARD_STATE_BYTES, HardState, u64_at};
use crate::segment::{Identity, SEGMENT_HEADER_BYTES, check_envelope, seal_envelope};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use types::{ClusterId, MemberId};

const MAGIC: [u8; 8] = *b"RAFTMARK";
const SLOT_BYTES: u64 = 4096;
const SLOTS: u64 = 3;
const ENCODED_BYTES: usize = 144;

/// The end of the log: the last durable batch, the segment it lies in, and the offset after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) segment: u32,
    pub(crate) offset: u64,
    pub(crate) batch: u64,
}

/// The promised state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) identity: Identity,
    /// Grows with each write of a slot; the highest is the newest.
    pub(crate) generation: u64,
    /// Grows with each open; never used twice.
    pub(crate) incarnation: u64,
    /// The earliest segment that belongs to the log.
    pub(crate) first_segment: u32,
    /// Everything up to here was acknowledged.
    pub(crate) durable: Position,
    /// The last durable entry.
    pub(crate) last: Base,
    /// The last entry dropped from the front.
    pub(crate) base: Base,
    /// The durable hard state.
    pub(crate) hard_state: HardState,
}

/// The open file.
#[derive(Debug)]
pub(crate) struct Watermark {
    file: File,
    generation: u64,
    /// The first segment, the base and the durable batch that were written last: none of them goes
    /// back.
    promised: (u32, u64, u64),
}

/// The content of the file.
#[derive(Debug)]
pub(crate) struct ReadMark {
    pub(crate) newest: Mark,
    /// The newest of the two synced slots: durable on disk, unlike the page cache.
    pub(crate) synced: Mark,
    /// Slots whose checksum is wrong: a torn write, or damage that another slot made good.
    pub(crate) unreadable_slots: usize,
}

/// The watermark's path.
pub(crate) fn watermark_path(directory: &Path) -> PathBuf {
    directory.join("watermark")
}

impl Mark {
    fn encode(&self) -> [u8; ENCODED_BYTES] {
        let mut bytes = [0; ENCODED_BYTES];
        let words = [
            self.identity.member_id.0,
            self.identity.cluster_id.0,
            self.generation,
            self.incarnation,
            u64::from(self.first_segment),
            u64::from(self.durable.segment),
            self.durable.offset,
            self.durable.batch,
            self.last.index,
            self.last.term,
            self.base.index,
            self.base.term,
        ];
        for (at, word) in words.iter().enumerate() {
            bytes[16 + 8 * at..24 + 8 * at].copy_from_slice(&word.to_le_bytes());
        }
        bytes[112..112 + HARD_STATE_BYTES].copy_from_slice(&self.hard_state.encode());
        seal_envelope(&mut bytes, MAGIC);
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| u64_at(bytes, 16 + 8 * at);
        Some(Self {
            identity: Identity { member_id: MemberId(word(0)?), cluster_id: ClusterId(word(1)?) },
            generation: word(2)?,
            incarnation: word(3)?,
            first_segment: u32::try_from(word(4)?).ok()?,
            durable: Position { segment: u32::try_from(word(5)?).ok()?, offset: word(6)?, batch: word(7)? },
            last: Base { index: word(8)?, term: word(9)? },
            base: Base { index: word(10)?, term: word(11)? },
            hard_state: HardState::decode(bytes.get(112..112 + HARD_STATE_BYTES)?)?,
        })
    }
}

impl Watermark {
    /// Creates the file of a new log; it appears whole or not at all.
    pub(crate) fn create(directory: &Path, identity: Identity) -> io::Result<Self> {
        let temporary = directory.join("watermark.new");
        let file = disk::create(&temporary)?;
        disk::write_zeros(&file, 0, SLOTS * SLOT_BYTES)?;
        let durable = Position { segment: 0, offset: SEGMENT_HEADER_BYTES, batch: 0 };
        let mut watermark = Self { file, generation: 0, promised: (0, 0, 0) };
        let mark = Mark { identity, first_segment: 1, durable, ..Mark::default() };
        watermark.store_everywhere(&mark)?;
        watermark.file.sync_all()?;
        std::fs::rename(&temporary, watermark_path(directory))?;
        disk::sync_directory(directory)?;
        Ok(watermark)
    }

    /// Opens the file of an existing log and reads its slots.
    pub(crate) fn open(directory: &Path, identity: Identity) -> Result<(Self, ReadMark), OpenError> {
        let path = watermark_path(directory);
        let doing = format!("read {}", path.display());
        let file = disk::open(&path).map_err(OpenError::io(&doing))?;
        let size = file.metadata().map_err(OpenError::io(&doing))?.len();
        if size != SLOTS * SLOT_BYTES {
            let reason = format!("the file has {size} bytes instead of {}", SLOTS * SLOT_BYTES);
            return Err(OpenError::Damaged { file: path, offset: size, reason });
        }
        let mut slots = Vec::new();
        for slot in 0..SLOTS {
            let mut bytes = [0; ENCODED_BYTES];
            file.read_exact_at(&mut bytes, slot * SLOT_BYTES).map_err(OpenError::io(&doing))?;
            slots.push(sound_slot(&bytes, &path)?);
        }
        let newer = |marks: &[Option<Mark>]| marks.iter().flatten().copied().max_by_key(|mark| mark.generation);
        let (Some(newest), Some(synced)) = (newer(&slots), newer(&slots[..2])) else {
            return Err(OpenError::Damaged {
                file: path,
                offset: 0,
                reason: "neither synced slot has a right checksum".into(),
            });
        };
        if newest.identity != identity {
            return Err(OpenError::Foreign { file: path, found: newest.identity, expected: identity });
        }
        let unreadable_slots = slots.iter().filter(|slot| slot.is_none()).count();
        let promised = promise(&newest);
        Ok((Self { file, generation: newest.generation, promised }, ReadMark { newest, synced, unreadable_slots }))
    }

    /// Returns the inode of the open file.
    pub(crate) fn inode(&self) -> io::Result<Inode> {
        self.file.metadata().map(|metadata| Inode::of(&metadata))
    }

    /// Writes one synced slot; durable when it returns.
    pub(crate) fn store(&mut self, mark: &Mark) -> io::Result<()> {
        self.promise(mark);
        self.generation += 1;
        let slot = self.generation % 2;
        disk::write(&self.file, &Mark { generation: self.generation, ..*mark }.encode(), slot * SLOT_BYTES)?;
        disk::sync_data(&self.file)
    }

    /// Writes all slots, one after the other, so that the loss of any one loses nothing of `mark`.
    pub(crate) fn store_everywhere(&mut self, mark: &Mark) -> io::Result<()> {
        self.store(mark)?;
        self.store(mark)?;
        self.note(mark)
    }

    /// Writes the slot that is not synced. The generation is the next even step's, which keeps the
    /// synced slots alternating.
    pub(crate) fn note(&mut self, mark: &Mark) -> io::Result<()> {
        self.promise(mark);
        self.generation += 2;
        disk::write(&self.file, &Mark { generation: self.generation, ..*mark }.encode(), 2 * SLOT_BYTES)
    }

    /// Checks that a mark takes back nothing that was promised before.
    fn promise(&mut self, mark: &Mark) {
        let (segment, base, batch) = self.promised;
        assert!(mark.first_segment >= segment, "the log begins at segment {}, behind {segment}", mark.first_segment);
        assert!(mark.base.index >= base, "the log begins behind entry {}, not {base}", mark.base.index);
        assert!(mark.durable.batch >= batch, "batch {} is durable behind batch {batch}", mark.durable.batch);
        self.promised = promise(mark);
    }
}

fn promise(mark: &Mark) -> (u32, u64, u64) {
    (mark.first_segment, mark.base.index, mark.durable.batch)
}

/// The mark in a slot; nothing when its checksum is wrong. A newer format is an error of its own.
fn sound_slot(bytes: &[u8], path: &Path) -> Result<Option<Mark>, OpenError> {
    match check_envelope(bytes, &MAGIC, path) {
        Ok(()) => Ok(Mark::decode(bytes)),
        Err(newer @ OpenError::NewerFormat { .. }) => Err(newer),
        Err(_) => Ok(None),
    }
}
