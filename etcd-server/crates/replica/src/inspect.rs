//! Inspection of a stopped member's data, without changing any of it.

use crate::{log_task, state_dir};
use consensus::EntryKind;
use membership::{ConfChange, Member, Membership};
use mvcc::KeySpace;
use prost::Message as _;
use proto::raftpb;
use raftlog::{Identity, Log, Options, Presence};
use schema::meta;
use std::collections::BTreeMap;
use std::path::Path;
use storage::{Store, StoreOptions};
use types::{ClusterId, Fault, MainRevision, MemberId};

/// A member as described by its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// Its id.
    pub member: MemberId,
    /// Its cluster.
    pub cluster: ClusterId,
    /// The members in the state.
    pub members: Vec<Member>,
    /// The last entry whose effects are in the state on disk.
    pub applied_index: u64,
    /// The newest main revision of that state; entries of the log behind it may raise it.
    pub revision: MainRevision,
    /// The compacted revision.
    pub compacted: MainRevision,
    /// The last entry of the log.
    pub last_index: u64,
    /// Its term.
    pub last_term: u64,
    /// The newest term that this member knew.
    pub term: u64,
    /// The last entry that it knew to be committed.
    pub commit: u64,
}

/// The reason why the data cannot be inspected.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The directory was never used by a member.
    #[error("it holds no data of a member of ours")]
    Empty,
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

/// Inspects `dir`, the member's own below its data directory. The log is opened as a copy in
/// `scratch`, an existing empty directory, because opening it repairs the remains of a crash.
///
/// # Errors
/// When the data belongs to no member, is damaged, or cannot be read.
pub fn inspect(dir: &Path, scratch: &Path) -> Result<Inspected, InspectError> {
    let looking = |error| Fault::io(format!("look into {}", dir.display()), error);
    let state = state_dir::current(dir).map_err(looking)?;
    let store = Store::look(&state, &StoreOptions::default())?.ok_or(InspectError::Empty)?;
    let number = |key| meta::read_u64(&store, key);
    let (Some(member), Some(cluster)) = (number(meta::MEMBER_ID)?, number(meta::CLUSTER_ID)?) else {
        return Err(InspectError::Empty);
    };
    let applied_index = number(meta::APPLIED_INDEX)?.unwrap_or(0);
    let applied_term = number(meta::APPLIED_TERM)?.unwrap_or(0);
    let identity = Identity { member_id: MemberId(member), cluster_id: ClusterId(cluster) };
    copy(&dir.join("log"), scratch)?;
    let (log, found) = Log::open(scratch, identity, Options { presence: Presence::Existing, ..Options::default() })?;
    let (hard_state, space) = (log.hard_state(), KeySpace::load(&store)?);
    // A crash may have come between a state that came from another member and its log.
    let (last_index, last_term) = match found.last_index {
        behind if behind < applied_index => (applied_index, applied_term),
        last if last == found.base_index => (last, found.base_term),
        last => (last, log.reader().term(last).map_err(|error| Fault::store("read the raft log", error))?),
    };
    Ok(Inspected {
        member: identity.member_id,
        cluster: identity.cluster_id,
        members: members(&store, &log, applied_index)?,
        applied_index,
        revision: space.current(),
        compacted: space.compacted(),
        last_index,
        last_term,
        term: hard_state.term,
        commit: hard_state.commit,
    })
}

/// Returns the members of the state, with the changes in the log behind it. Not all of these need
/// be committed.
fn members(store: &Store, log: &Log, applied_index: u64) -> Result<Vec<Member>, Fault> {
    let mut members: BTreeMap<MemberId, Member> =
        Membership::load(store)?.members().map(|member| (member.id, member.clone())).collect();
    let reader = log.reader();
    for record in reader.entries_from(reader.first_index().max(applied_index + 1)) {
        let entry = log_task::from_record(record.map_err(|error| Fault::store("read the raft log", error))?)?;
        if entry.kind != EntryKind::ConfChange {
            continue;
        }
        let change = raftpb::ConfChange::decode(entry.data).map_err(|error| Fault::corrupt("raft log", error))?;
        match ConfChange::from_raft(&change)? {
            ConfChange::Add(member) => drop(members.insert(member.id, member)),
            ConfChange::Promote(id) => {
                members.entry(id).and_modify(|member| member.is_learner = false).or_default().id = id
            }
            ConfChange::Remove(id) => drop(members.remove(&id)),
            ConfChange::Update { .. } => {}
        }
    }
    Ok(members.into_values().collect())
}

fn copy(from: &Path, to: &Path) -> Result<(), Fault> {
    let failed = |error| Fault::io(format!("copy {} to {}", from.display(), to.display()), error);
    for entry in std::fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        std::fs::copy(entry.path(), to.join(entry.file_name())).map_err(failed)?;
    }
    Ok(())
}
