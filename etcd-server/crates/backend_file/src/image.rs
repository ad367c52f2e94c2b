//! Our state as the buckets of etcd's backend file.
//!
//! The small tables hold etcd's own bytes already, under keys that differ at most in their
//! spelling. Bucket `key` is put together from the order of history and the records, see
//! `by_revision`.

use crate::backend::{self, BackendHash, Excluded};
use crate::bolt::{Bucket, Items, Lengths, MemoryBucket};
use crate::by_revision;
use crate::spill_file::SpillFile;
use bytes::Bytes;
use prost::Message as _;
use proto::raftpb::ConfState;
use schema::{Cursor as _, Table, View, meta};
use types::{Fault, MemberId, Revision};

/// Items that are read ahead, so that a bucket can be an iterator while the store is walked by a
/// cursor that borrows it.
const READ_AHEAD: usize = 256;

/// Returns all buckets, in name order. `view` must not change while they are in use, and
/// `spill_file` must have no other user.
pub fn buckets<'a, V: View>(view: &'a V, spill_file: &'a dyn SpillFile) -> Result<Vec<Box<dyn Bucket + 'a>>, Fault> {
    Ok(vec![
        Box::new(copied(view, Table::Alarms, backend::ALARM)?),
        Box::new(auth_bucket(view)?),
        Box::new(copied(view, Table::Roles, backend::AUTH_ROLES)?),
        Box::new(copied(view, Table::Users, backend::AUTH_USERS)?),
        Box::new(cluster_bucket(view)?),
        Box::new(KeyBucket { view, spill_file }),
        Box::new(TableBucket { view, table: Table::Leases, name: backend::LEASE }),
        Box::new(members_bucket(view, Table::Members, backend::MEMBERS)?),
        Box::new(members_bucket(view, Table::RemovedMembers, backend::MEMBERS_REMOVED)?),
        Box::new(meta_bucket(view)?),
    ])
}

/// The hash of the whole backend, as `Maintenance.Hash` answers it.
pub fn hash(view: &impl View, spill_file: &dyn SpillFile) -> Result<u32, Fault> {
    let mut hash = BackendHash::new(Excluded::IndexTermAndStorageVersion);
    for bucket in buckets(view, spill_file)? {
        hash.bucket(bucket.name());
        for item in bucket.items()? {
            let (key, value) = item?;
            hash.entry(&key, &value);
        }
    }
    Ok(hash.finish())
}

fn copied(view: &impl View, table: Table, name: &'static [u8]) -> Result<MemoryBucket, Fault> {
    let mut bucket = MemoryBucket::new(name);
    for (key, value) in rows(view, table)? {
        bucket.put(key, value);
    }
    Ok(bucket)
}

fn rows(view: &impl View, table: Table) -> Result<Vec<(Bytes, Bytes)>, Fault> {
    let mut rows = Vec::new();
    let mut cursor = view.cursor(table, None)?;
    cursor.seek(&[])?;
    while let Some((key, value)) = cursor.item() {
        rows.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
        cursor.next()?;
    }
    Ok(rows)
}

fn auth_bucket(view: &impl View) -> Result<MemoryBucket, Fault> {
    let mut bucket = MemoryBucket::new(backend::AUTH);
    for key in [backend::AUTH_ENABLED_KEY, backend::AUTH_REVISION_KEY] {
        if let Some(value) = view.get(Table::Meta, key)? {
            bucket.put(key, value);
        }
    }
    Ok(bucket)
}

fn cluster_bucket(view: &impl View) -> Result<MemoryBucket, Fault> {
    let mut bucket = MemoryBucket::new(backend::CLUSTER);
    for key in [backend::CLUSTER_VERSION_KEY, backend::DOWNGRADE_KEY] {
        if let Some(value) = view.get(Table::Meta, key)? {
            bucket.put(key, value);
        }
    }
    Ok(bucket)
}

/// Ids are eight bytes here and hex there.
fn members_bucket(view: &impl View, table: Table, name: &'static [u8]) -> Result<MemoryBucket, Fault> {
    let mut bucket = MemoryBucket::new(name);
    for (key, value) in rows(view, table)? {
        let id: [u8; 8] = key[..].try_into().map_err(|_| Fault::corrupt("member record", "its key is not an id"))?;
        let value = if table == Table::RemovedMembers { Bytes::from_static(backend::REMOVED_VALUE) } else { value };
        bucket.put(backend::member_key(MemberId(u64::from_be_bytes(id))), value);
    }
    Ok(bucket)
}

fn meta_bucket(view: &impl View) -> Result<MemoryBucket, Fault> {
    let mut bucket = MemoryBucket::new(backend::META);
    let number = |key| meta::read_u64(view, key).map(Option::unwrap_or_default);
    bucket.put(backend::CONSISTENT_INDEX_KEY, backend::u64_value(number(meta::APPLIED_INDEX)?));
    bucket.put(backend::TERM_KEY, backend::u64_value(number(meta::APPLIED_TERM)?));
    if let Some(stored) = view.get(Table::Meta, meta::CONF_STATE)? {
        let conf_state = ConfState::decode(stored).map_err(|error| Fault::corrupt("raft configuration", error))?;
        bucket.put(backend::CONF_STATE_KEY, backend::conf_state_value(&conf_state));
    }
    for (key, ours) in [
        (backend::SCHEDULED_COMPACT_KEY, meta::COMPACT_REVISION),
        (backend::FINISHED_COMPACT_KEY, meta::COMPACTED_REVISION),
    ] {
        if let Some(revision) = meta::read_u64(view, ours)? {
            bucket.put(key, Bytes::copy_from_slice(&Revision::new(revision.cast_signed(), 0).to_etcd_bytes()));
        }
    }
    if let Some(version) = view.get(Table::Meta, backend::CLUSTER_VERSION_KEY)? {
        bucket.put(backend::STORAGE_VERSION_KEY, version);
    }
    Ok(bucket)
}

/// A table whose rows are the bucket's, however many there are.
struct TableBucket<'a, V> {
    view: &'a V,
    table: Table,
    name: &'static [u8],
}

impl<V: View> Bucket for TableBucket<'_, V> {
    fn name(&self) -> &[u8] {
        self.name
    }

    fn items(&self) -> Result<Items<'_>, Fault> {
        Ok(Box::new(Ahead { view: self.view, table: self.table, read: Vec::new().into_iter(), next: Some(Vec::new()) }))
    }
}

/// All revisions in the order of history.
struct KeyBucket<'a, V> {
    view: &'a V,
    spill_file: &'a dyn SpillFile,
}

impl<V: View> Bucket for KeyBucket<'_, V> {
    fn name(&self) -> &[u8] {
        backend::KEY
    }

    fn items(&self) -> Result<Items<'_>, Fault> {
        Ok(Box::new(by_revision::Entries::new(self.view, self.spill_file)?))
    }

    fn lengths(&self) -> Result<Lengths<'_>, Fault> {
        Ok(Box::new(by_revision::EntryLengths::new(self.view)?))
    }
}

/// Walks over a table in stretches.
struct Ahead<'a, V> {
    view: &'a V,
    table: Table,
    read: std::vec::IntoIter<(Bytes, Bytes)>,
    /// The start of the next stretch; `None` at the end of the table.
    next: Option<Vec<u8>>,
}

impl<V: View> Ahead<'_, V> {
    fn read_ahead(&mut self, from: &[u8]) -> Result<(), Fault> {
        let mut rows = Vec::with_capacity(READ_AHEAD);
        let mut cursor = self.view.cursor(self.table, None)?;
        cursor.seek(from)?;
        while let Some((key, value)) = cursor.item() {
            if rows.len() == READ_AHEAD {
                self.next = Some(key.to_vec());
                break;
            }
            rows.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
            cursor.next()?;
        }
        self.read = rows.into_iter();
        Ok(())
    }
}

impl<V: View> Iterator for Ahead<'_, V> {
    type Item = Result<(Bytes, Bytes), Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.read.next() {
                return Some(Ok(row));
            }
            let from = self.next.take()?;
            if let Err(fault) = self.read_ahead(&from) {
                return Some(Err(fault));
            }
        }
    }
}
