//! Member data made of a backend file, for restores: the start of a new cluster.
//!
//! Every member of the new cluster is given the same history at the same place of the log, index
//! and all, and nothing in the log before it; so they differ only in their identities. The
//! directory must be empty; the remains of an interrupted import are useless.

use crate::install::Filling;
use crate::state_dir;
use apply::Attachments;
use backend_file::bolt::{BoltFile, ReadAt};
use lease::Lessor;
use membership::{Member, Version, check_own_version};
use mvcc::KeySpace;
use proto::raftpb::ConfState;
use raftlog::{HardState, Identity, Log};
use schema::{Batch, Cursor as _, Table, View as _, meta};
use snapshot_restore::{Error, Position};
use std::path::Path;
use storage::{Store, StoreOptions};
use types::{ClusterId, Fault, MainRevision, MemberId};

/// The term in which every new cluster begins.
const FIRST_TERM: u64 = 1;

/// The treatment of the file's revisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Raise {
    /// Keep them: a watcher of the old cluster may see known revisions with other contents.
    Exact,
    /// The newest one is raised by so many, and all up to there are marked as compacted.
    By(MainRevision),
}

/// The identity of the new member, and its cluster.
#[derive(Clone, Debug)]
pub struct ImportPlan {
    /// This one of `members`.
    pub member: MemberId,
    /// Of all of them.
    pub cluster: ClusterId,
    /// The voters that the new cluster begins with.
    pub members: Vec<Member>,
    /// The treatment of revisions.
    pub raise: Raise,
    /// The version of this program; a file of a newer cluster is refused.
    pub own_version: Version,
}

/// The result of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The newest revision of the file.
    pub revision_found: MainRevision,
    /// The newest revision of the new cluster.
    pub revision: MainRevision,
    /// Changes in the history.
    pub changes: u64,
}

/// The reason why the import failed; the directory is useless then.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A member has lived there.
    #[error("{0} holds the data of a member")]
    Used(String),
    /// The file.
    #[error(transparent)]
    File(#[from] Error),
    /// The state.
    #[error(transparent)]
    Store(#[from] storage::OpenError),
    /// The log.
    #[error(transparent)]
    Log(#[from] raftlog::OpenError),
    /// The disk.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Fills `dir`, the member's own below its data directory. `progress` receives the number of
/// changes done so far.
///
/// # Errors
/// When the directory is in use, the file has a flaw or is of a newer cluster, or the disk fails.
///
/// # Panics
/// If the newest revision becomes a lower one.
pub fn import<R: ReadAt>(
    dir: &Path,
    plan: &ImportPlan,
    file: &BoltFile<R>,
    progress: &mut dyn FnMut(u64),
) -> Result<Imported, ImportError> {
    if state_dir::is_used(dir) {
        return Err(ImportError::Used(dir.display().to_string()));
    }
    let state = state_dir::current(dir).map_err(|error| Fault::io(format!("look into {}", dir.display()), error))?;
    let store = Store::open(&state, &StoreOptions::default())?;
    let restored = snapshot_restore::restore(file, &Filling(&store), progress)?;
    let revision = raise(&store, plan.raise)?;
    assert!(revision >= restored.revision, "revision {} is raised to {revision}", restored.revision);
    let index = plan.members.len() as u64;
    found(&store, plan, index)?;
    store.flush()?;
    let identity = Identity { member_id: plan.member, cluster_id: plan.cluster };
    let (mut log, _) = Log::open(&dir.join("log"), identity, raftlog::Options::default())?;
    log.install(index, FIRST_TERM, Some(HardState { term: FIRST_TERM, vote: 0, commit: index }))?;
    log.mark()?;
    Ok(Imported { revision_found: restored.revision, revision, changes: restored.changes })
}

fn raise(store: &Store, raise: Raise) -> Result<MainRevision, Fault> {
    let mut space = KeySpace::load(store)?;
    let Raise::By(by) = raise else { return Ok(space.current()) };
    let revision = space.current().saturating_add(by.max(0));
    let mut batch = store.batch();
    if revision > space.current() {
        let mut lessor = Lessor::load(store, 0)?;
        space.write(store, &mut batch, &mut Attachments(&mut lessor)).bump(revision)?;
    }
    if space.compacted() < revision {
        space.compact(revision, &mut batch).map_err(|refusal| Fault::store("mark all as compacted", refusal))?;
    }
    space.settle(store, &mut batch)?;
    store.write(batch)?;
    Ok(revision)
}

/// Writes the members, and the start of the log.
fn found(store: &Store, plan: &ImportPlan, index: u64) -> Result<(), Fault> {
    if let Some(version) = membership::Membership::load(store)?.cluster_version() {
        check_own_version(plan.own_version, version)?;
    }
    let mut batch = store.batch();
    for table in [Table::Members, Table::RemovedMembers] {
        let mut cursor = store.scan(table)?;
        while let Some((key, _)) = cursor.item() {
            batch.delete(table, key);
            cursor.next()?;
        }
    }
    for member in &plan.members {
        batch.put(Table::Members, &member.id.0.to_be_bytes(), member.to_json().as_bytes());
    }
    let mut voters: Vec<u64> = plan.members.iter().map(|member| member.id.0).collect();
    voters.sort_unstable();
    let conf_state = ConfState { voters, ..ConfState::default() };
    snapshot_restore::write_position(&Position { index, term: FIRST_TERM, conf_state }, &mut batch);
    meta::write_u64(&mut batch, meta::MEMBER_ID, plan.member.0);
    meta::write_u64(&mut batch, meta::CLUSTER_ID, plan.cluster.0);
    meta::write_u64(&mut batch, meta::INSTALLED_INDEX, index);
    meta::write_u64(&mut batch, meta::INSTALLED_TERM, FIRST_TERM);
    store.write(batch)
}
