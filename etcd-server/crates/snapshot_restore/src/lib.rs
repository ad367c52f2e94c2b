//! Import of etcd's backend file into our state: for a raft snapshot, and for a backup being
//! restored.
//!
//! The small buckets hold the very bytes of our tables, under keys that differ at most in their
//! spelling. Bucket `key` is replayed in the order of history, so that counts, hashes and the table
//! of live keys come out as if every change had been applied here. Everything is checked as it is
//! read; a file with a flaw gives an error, and the partial result is useless.
#![forbid(unsafe_code)]

use apply::Attachments;
use backend_file::backend::{self, HistoryKey, RecordError};
use backend_file::bolt::{BoltError, BoltFile, ReadAt};
use bytes::Bytes;
use lease::Lessor;
use mvcc::KeySpace;
use prost::Message as _;
use proto::raftpb::ConfState;
use schema::{Batch, Table, View, meta};
use types::{Fault, MainRevision, Revision};

/// Changes written together.
const CHANGES_PER_BATCH: usize = 4096;
/// Bytes after which a batch is written.
const BYTES_PER_BATCH: usize = 16 << 20;

/// An empty state to be filled.
pub trait Target: View {
    /// Writes one batch, visible when it returns.
    fn commit(&self, fill: &mut dyn FnMut(&mut dyn Batch) -> Result<(), Error>) -> Result<(), Error>;
}

/// The reason why a file cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read as bbolt.
    #[error(transparent)]
    File(#[from] BoltError),
    /// An entry of it makes no sense.
    #[error("bucket {bucket:?}: {error}")]
    Record {
        /// The bucket.
        bucket: &'static str,
        /// The defect.
        error: RecordError,
    },
    /// It lacks a bucket of every backend file.
    #[error("it has no bucket {0:?}: not a backend file of etcd")]
    NoBucket(&'static str),
    /// Revisions must ascend.
    #[error("revision {found:?} follows {before:?}")]
    Order {
        /// The revision before.
        before: Revision,
        /// The one behind it.
        found: Revision,
    },
    /// The state cannot be written.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// The position of a state in the log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Position {
    /// Index of the last entry in the state.
    pub index: u64,
    /// Its term.
    pub term: u64,
    /// The voters and learners at that index.
    pub conf_state: ConfState,
}

/// The content of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Restored {
    /// As the file says it; all zero in files before etcd 3.5.
    pub position: Position,
    /// The newest main revision.
    pub revision: i64,
    /// Changes in the history.
    pub changes: u64,
    /// Keys and history, in bytes of the file.
    pub bytes: u64,
}

/// Fills an empty `target` from `file`. The caller writes the position in the log and the member
/// itself: [`write_position`]. `progress` receives the number of changes done so far.
pub fn restore<R: ReadAt, T: Target>(
    file: &BoltFile<R>,
    target: &T,
    progress: &mut dyn FnMut(u64),
) -> Result<Restored, Error> {
    let position = position(file)?;
    target.commit(&mut |batch| small_tables(file, batch))?;
    let mut restored = keys(file, target, progress)?;
    restored.position = position;
    Ok(restored)
}

/// Writes where in the log the state stands.
pub fn write_position(position: &Position, batch: &mut dyn Batch) {
    meta::write_u64(batch, meta::APPLIED_INDEX, position.index);
    meta::write_u64(batch, meta::APPLIED_TERM, position.term);
    batch.put(Table::Meta, meta::CONF_STATE, &position.conf_state.encode_to_vec());
}

fn position<R: ReadAt>(file: &BoltFile<R>) -> Result<Position, Error> {
    let mut position = Position::default();
    each(file, backend::META, "meta", |key, value| {
        match &key[..] {
            backend::CONSISTENT_INDEX_KEY => position.index = backend::u64_from(&value)?,
            backend::TERM_KEY => position.term = backend::u64_from(&value)?,
            backend::CONF_STATE_KEY => position.conf_state = backend::conf_state_from(&value)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(position)
}

/// Walks over a bucket; one that is missing is an empty one, as etcd takes it.
fn each<R: ReadAt>(
    file: &BoltFile<R>,
    name: &[u8],
    bucket: &'static str,
    mut visit: impl FnMut(Bytes, Bytes) -> Result<(), RecordError>,
) -> Result<(), Error> {
    let Some(entry) = file.bucket(name)? else { return Ok(()) };
    for item in file.items(&entry)? {
        let (key, value) = item?;
        visit(key, value).map_err(|error| Error::Record { bucket, error })?;
    }
    Ok(())
}

fn small_tables<R: ReadAt>(file: &BoltFile<R>, batch: &mut dyn Batch) -> Result<(), Error> {
    for (name, bucket, table) in [
        (backend::ALARM, "alarm", Table::Alarms),
        (backend::AUTH_ROLES, "authRoles", Table::Roles),
        (backend::AUTH_USERS, "authUsers", Table::Users),
        (backend::AUTH, "auth", Table::Meta),
        (backend::CLUSTER, "cluster", Table::Meta),
        (backend::LEASE, "lease", Table::Leases),
    ] {
        each(file, name, bucket, |key, value| {
            batch.put(table, &key, &value);
            Ok(())
        })?;
    }
    for (name, bucket, table) in [
        (backend::MEMBERS, "members", Table::Members),
        (backend::MEMBERS_REMOVED, "members_removed", Table::RemovedMembers),
    ] {
        each(file, name, bucket, |key, value| {
            batch.put(table, &backend::member_id_from(&key)?.0.to_be_bytes(), &value);
            Ok(())
        })?;
    }
    each(file, backend::META, "meta", |key, value| {
        let ours = match &key[..] {
            backend::SCHEDULED_COMPACT_KEY => meta::COMPACT_REVISION,
            backend::FINISHED_COMPACT_KEY => meta::COMPACTED_REVISION,
            _ => return Ok(()),
        };
        meta::write_u64(batch, ours, HistoryKey::decode(&value)?.revision.main.cast_unsigned());
        Ok(())
    })
}

fn keys<R: ReadAt, T: Target>(
    file: &BoltFile<R>,
    target: &T,
    progress: &mut dyn FnMut(u64),
) -> Result<Restored, Error> {
    let entry = file.bucket(backend::KEY)?.ok_or(Error::NoBucket("key"))?;
    let mut items = file.items(&entry)?.peekable();
    let mut space = KeySpace::load(target)?;
    let mut lessor = Lessor::load(target, 0)?;
    let mut restored = Restored::default();
    let mut before = None;
    while items.peek().is_some() {
        let mut bytes = 0;
        target.commit(&mut |batch| {
            for item in items.by_ref().take(CHANGES_PER_BATCH) {
                let (key, value) = item?;
                bytes += key.len() + value.len();
                change(&key, value, &mut before, target, &mut space, &mut lessor, batch)?;
                restored.changes += 1;
                if bytes > BYTES_PER_BATCH {
                    break;
                }
            }
            Ok(space.settle(target, batch)?)
        })?;
        space.visible();
        let sealed = lessor.seal();
        lessor.became_visible(sealed);
        assert!(lessor.pending_rows() == 0, "{} attached keys are pending behind a batch", lessor.pending_rows());
        restored.bytes += bytes as u64;
        progress(restored.changes);
    }
    // A compacted version may have been the newest change.
    space.raise(space.compacted());
    target.commit(&mut |batch| Ok(space.settle(target, batch)?))?;
    restored.revision = space.current();
    if restored.revision == MainRevision::MAX {
        let error = RecordError { record: "revision", flaw: "no revision can follow the newest one".to_owned() };
        return Err(Error::Record { bucket: "key", error });
    }
    assert!(
        space.compacted() <= restored.revision,
        "revision {} is compacted, and the newest one is {}",
        space.compacted(),
        restored.revision
    );
    Ok(restored)
}

fn change<V: View>(
    key: &Bytes,
    value: Bytes,
    before: &mut Option<Revision>,
    view: &V,
    space: &mut KeySpace,
    lessor: &mut Lessor,
    batch: &mut dyn Batch,
) -> Result<(), Error> {
    let record = |error| Error::Record { bucket: "key", error };
    let HistoryKey { revision, tombstone } = HistoryKey::decode(key).map_err(record)?;
    if u32::try_from(revision.sub).is_err() {
        let flaw = format!("a request with {} changes cannot be", revision.sub);
        return Err(record(RecordError { record: "revision", flaw }));
    }
    if let Some(before) = before.replace(revision).filter(|before| *before >= revision) {
        return Err(Error::Order { before, found: revision });
    }
    let kv = backend::put_from(value.clone()).map_err(record)?;
    if kv.key.is_empty() {
        return Ok(space.write(view, batch, &mut Attachments(lessor)).bump(revision.main)?);
    }
    // Encoded again: other versions of etcd may write fields in another order, and readers here
    // rely on ours.
    let stored =
        (!tombstone).then(|| Bytes::from(kv.encode_to_vec())).map(|ours| if ours == value { value } else { ours });
    space.write(view, batch, &mut Attachments(lessor)).restore(revision, &kv.key, stored)?;
    assert!(space.current() == revision.main, "{revision:?} is restored, and the newest one is {}", space.current());
    Ok(())
}
