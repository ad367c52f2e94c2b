//! The state as etcd's backend file, for backups and whole-backend hashes.

use backend_file::bolt::{Plan, TRAILER_BYTES, Trailer};
use backend_file::{SpillFile, image};
use bytes::Bytes;
use membership::Membership;
use prost::Message as _;
use proto::raftpb::ConfState;
use schema::{Table, View, meta};
use std::cell::OnceCell;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use storage::{Snapshot, Store};
use types::Fault;

/// The hash of the whole backend.
pub(crate) fn hash(store: &Store) -> Result<u32, Fault> {
    image::hash(&store.snapshot(), &TemporaryFile::beside(store))
}

/// Gives the file of the state as it is now to `take`, part by part, each with the bytes that
/// follow it; stops when `take` says so. The digest comes last, and does not count among the bytes
/// that remain.
pub(crate) fn stream(store: &Store, take: impl FnMut(Bytes, u64) -> bool) -> Result<(), Fault> {
    stream_snapshot(store, &store.snapshot(), Trailer::Sha256, take)
}

/// The position in the log of a file's state.
#[derive(Clone, Debug)]
pub struct Position {
    /// Index of the last entry in it.
    pub index: u64,
    /// Its term.
    pub term: u64,
    /// The voters and learners.
    pub conf_state: ConfState,
    /// The members and the version of the cluster.
    pub members: Membership,
}

/// The state of one moment, as a member sends it to another.
#[derive(Debug)]
pub struct StateFile<'a> {
    store: &'a Store,
    snapshot: Snapshot<'a>,
}

impl<'a> StateFile<'a> {
    /// The state as it is now.
    pub fn now(store: &'a Store) -> Self {
        Self { store, snapshot: store.snapshot() }
    }

    /// Returns its position.
    pub fn position(&self) -> Result<Position, Fault> {
        position(&self.snapshot)
    }

    /// The file without a digest, part by part, until `take` says stop. It has the same bytes each
    /// time.
    pub fn give(&self, mut take: impl FnMut(Bytes) -> bool) -> Result<(), Fault> {
        stream_snapshot(self.store, &self.snapshot, Trailer::Absent, |part, _| take(part))
    }
}

fn position(view: &impl View) -> Result<Position, Fault> {
    let number = |key| meta::read_u64(view, key).map(Option::unwrap_or_default);
    let stored = view.get(Table::Meta, meta::CONF_STATE)?.unwrap_or_default();
    let conf_state = ConfState::decode(stored).map_err(|error| Fault::corrupt("raft configuration", error))?;
    Ok(Position {
        index: number(meta::APPLIED_INDEX)?,
        term: number(meta::APPLIED_TERM)?,
        conf_state,
        members: Membership::load(view)?,
    })
}

fn stream_snapshot(
    store: &Store,
    snapshot: &Snapshot<'_>,
    trailer: Trailer,
    mut take: impl FnMut(Bytes, u64) -> bool,
) -> Result<(), Fault> {
    let spill_file = TemporaryFile::beside(store);
    let buckets = image::buckets(snapshot, &spill_file)?;
    let plan = Plan::measure(&buckets)?;
    let mut remaining = plan.size_bytes();
    for part in plan.write(trailer) {
        let part = part?;
        let is_digest = remaining == 0 && part.len() as u64 == TRAILER_BYTES;
        remaining -= if is_digest { 0 } else { part.len() as u64 };
        if !take(part, remaining) {
            return Ok(());
        }
    }
    Ok(())
}

/// Processors shared by Linux between threads of this and of the usual priority: about 1 to 10.
const BACKUP_NICENESS: i32 = 10;

/// Lowers the priority of the present thread below that of others.
pub(crate) fn give_way() {
    let lowered = rustix::process::setpriority_process(Some(rustix::thread::gettid()), BACKUP_NICENESS);
    if let Err(error) = lowered {
        tracing::debug!(%error, "a backup works at the priority of requests");
    }
}

/// A file without a name beside the state, made when it is first written to; it is gone when it is
/// dropped, however the process ends.
struct TemporaryFile {
    dir: PathBuf,
    file: OnceCell<File>,
}

impl TemporaryFile {
    fn beside(store: &Store) -> Self {
        Self { dir: store.path().parent().unwrap_or(store.path()).to_owned(), file: OnceCell::new() }
    }

    fn file(&self) -> io::Result<&File> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let made = tempfile::tempfile_in(&self.dir)?;
        Ok(self.file.get_or_init(|| made))
    }
}

impl SpillFile for TemporaryFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let written = self.file().and_then(|file| SpillFile::write_all_at(file, bytes, offset));
        written.inspect_err(|error| {
            tracing::warn!(dir = %self.dir.display(), %error, "no room to sort a backup in; it takes longer");
        })
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        SpillFile::read_exact_at(self.file()?, buffer, offset)
    }
}
