//! The state as etcd's backend file, for backups and whole-backend hashes.

use backup::bolt::{Plan, TRAILER_BYTES, Trailer};
use backup::image;
use bytes::Bytes;
use membership::Membership;
use prost::Message as _;
use proto::raftpb::ConfState;
use schema::{Table, View, meta};
use storage::Store;
use types::Fault;

/// The hash of the whole backend.
pub(crate) fn hash(store: &Store) -> Result<u32, Fault> {
    image::hash(&store.snapshot())
}

/// Gives the file of the state as it is now to `take`, part by part, each with the bytes that follow it; stops when `take` says so.
/// The digest comes last, and does not count among the bytes that remain.
pub(crate) fn stream(store: &Store, take: impl FnMut(Bytes, u64) -> bool) -> Result<(), Fault> {
    stream_with(store, Trailer::Sha256, |_| {}, take)
}

/// Where in the log the state of a file stands.
#[derive(Clone, Debug)]
pub struct Position {
    /// Index of the last entry in it.
    pub index: u64,
    /// Its term.
    pub term: u64,
    /// Who votes and who learns.
    pub conf_state: ConfState,
    /// The members and the version of the cluster.
    pub members: Membership,
}

/// As a member sends it to another: first where it stands, then the file without a digest, part by part, until `take` says stop.
pub fn stream_to_member(store: &Store, begin: impl FnOnce(Position), mut take: impl FnMut(Bytes) -> bool) -> Result<(), Fault> {
    stream_with(store, Trailer::Absent, begin, |part, _| take(part))
}

fn position(view: &impl View) -> Result<Position, Fault> {
    let number = |key| meta::read_u64(view, key).map(Option::unwrap_or_default);
    let stored = view.get(Table::Meta, meta::CONF_STATE)?.unwrap_or_default();
    let conf_state = ConfState::decode(stored).map_err(|error| Fault::corrupt("raft configuration", error))?;
    Ok(Position { index: number(meta::APPLIED_INDEX)?, term: number(meta::APPLIED_TERM)?, conf_state, members: Membership::load(view)? })
}

fn stream_with(
    store: &Store,
    trailer: Trailer,
    begin: impl FnOnce(Position),
    mut take: impl FnMut(Bytes, u64) -> bool,
) -> Result<(), Fault> {
    let snapshot = store.snapshot();
    begin(position(&snapshot)?);
    let buckets = image::buckets(&snapshot)?;
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
