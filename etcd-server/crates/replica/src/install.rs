//! The state of another member: prepared beside the present one, then put in its place.

use crate::state_dir;
use backend_file::bolt::BoltFile;
use proto::raftpb::{ConfState, Message};
use raftlog::Identity;
use schema::{Batch, Table, View, meta};
use snapshot_restore::{Error, Position, Target};
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};
use storage::{Store, StoreOptions};
use types::Fault;

/// A complete state on disk, durable, without readers yet.
pub struct Prepared {
    pub(crate) store: Store,
    pub(crate) index: u64,
    sync_time: Duration,
}

impl Prepared {
    /// The time that making it durable took.
    pub fn sync_time(&self) -> Duration {
        self.sync_time
    }
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared").field("store", &self.store).field("index", &self.index).finish()
    }
}

/// The reason why a snapshot of another member is useless.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The raft message.
    #[error("the message has no snapshot")]
    NoSnapshot,
    /// The file.
    #[error(transparent)]
    File(#[from] Error),
    /// The state beside the present one.
    #[error(transparent)]
    Open(#[from] storage::OpenError),
    /// The directory.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The file is of another moment than the message says.
    #[error("the file holds the state at index {found}, the message has {expected}")]
    Index {
        /// The index of the file.
        found: u64,
        /// The index of the message.
        expected: u64,
    },
}

/// A store as a backend file fills it.
pub(crate) struct Filling<'a>(pub(crate) &'a Store);

impl View for Filling<'_> {
    type Cursor<'a>
        = <Store as View>::Cursor<'a>
    where
        Self: 'a;

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<bytes::Bytes>, Fault> {
        self.0.get(table, key)
    }

    fn cursor(&self, table: Table, end: Option<&[u8]>) -> Result<Self::Cursor<'_>, Fault> {
        self.0.cursor(table, end)
    }

    fn first_with_prefix(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
    ) -> Result<Option<(bytes::Bytes, bytes::Bytes)>, Fault> {
        self.0.first_with_prefix(table, prefix, from)
    }
}

impl Target for Filling<'_> {
    fn commit(&self, fill: &mut dyn FnMut(&mut dyn Batch) -> Result<(), Error>) -> Result<(), Error> {
        let mut batch = self.0.batch();
        fill(&mut batch)?;
        Ok(self.0.write(batch)?)
    }
}

/// Makes a state of the backend `file` that came with `message`, in a directory of its own below
/// `member`. Takes time proportional to the file.
pub(crate) fn prepare(
    member: &Path,
    own: Identity,
    options: &StoreOptions,
    message: &Message,
    file: &File,
) -> Result<Prepared, PrepareError> {
    let metadata =
        message.snapshot.as_ref().and_then(|snapshot| snapshot.metadata.as_ref()).ok_or(PrepareError::NoSnapshot)?;
    let path = state_dir::fresh(member, metadata.index)?;
    let store = Store::open(&path, options)?;
    let filled =
        fill(&store, own, metadata.index, metadata.term, metadata.conf_state.clone().unwrap_or_default(), file);
    match filled {
        Ok(sync_time) => Ok(Prepared { store, index: metadata.index, sync_time }),
        Err(error) => {
            discard(store);
            Err(error)
        }
    }
}

fn fill(
    store: &Store,
    own: Identity,
    index: u64,
    term: u64,
    conf_state: ConfState,
    file: &File,
) -> Result<Duration, PrepareError> {
    let file = BoltFile::open(file).map_err(Error::from)?;
    let restored = snapshot_restore::restore(&file, &Filling(store), &mut |_| {})?;
    if restored.position.index != index {
        return Err(PrepareError::Index { found: restored.position.index, expected: index });
    }
    let mut batch = store.batch();
    snapshot_restore::write_position(&Position { index, term, conf_state }, &mut batch);
    meta::write_u64(&mut batch, meta::MEMBER_ID, own.member_id.0);
    meta::write_u64(&mut batch, meta::CLUSTER_ID, own.cluster_id.0);
    // A start that finds the state in place and the log not yet takes the log's place from here.
    meta::write_u64(&mut batch, meta::INSTALLED_INDEX, index);
    meta::write_u64(&mut batch, meta::INSTALLED_TERM, term);
    store.write(batch).map_err(Error::from)?;
    let begun = Instant::now();
    store.flush().map_err(Error::from)?;
    Ok(begun.elapsed())
}

/// Removes a state that has no readers any more. Files that cannot be removed are removed at the
/// next start.
pub(crate) fn discard(store: Store) {
    let path = store.path().to_owned();
    drop(store);
    if let Err(error) = std::fs::remove_dir_all(&path) {
        tracing::warn!(path = %path.display(), %error, "failed to remove a state that is of no use any more");
    }
}
