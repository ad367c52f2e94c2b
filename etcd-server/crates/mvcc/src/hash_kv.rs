//! The hash by which etcd's members and tools compare their key spaces.
//!
//! CRC-32C over the word `key`, then over the backend key and value of every revision up to the one asked for, in order, leaving out what
//! compaction may or may not have removed yet. Equal to a real etcd's for the same history. Source: etcd mvcc/hash.go.

use crate::{ReadPoint, Refusal, walk};
use bytes::Bytes;
use prost::Message as _;
use proto::mvccpb::KeyValue;
use schema::revision_record::{self, RevisionRecord};
use schema::{Cursor as _, Table, View, current_record};
use std::ops::ControlFlow;
use types::{Fault, KeyRange, MainRevision, Revision};

/// A hash, and what it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashKv {
    /// The CRC-32C.
    pub hash: u32,
    /// The revision up to which history is covered.
    pub hash_revision: MainRevision,
    /// The compacted revision that was taken into account.
    pub compact_revision: MainRevision,
}

/// Hashes history up to `requested`; zero asks for the newest revision.
///
/// `view` stands still while this runs, and no removal in it has gone further than `point.compacted`: a record that a later compaction
/// took away is a [`Fault`] here, because from inside it looks no different from a lost one.
pub fn hash_kv<V: View>(point: &ReadPoint, view: &V, requested: MainRevision) -> Result<Result<HashKv, Refusal>, Fault> {
    // Not the rule of a range: negative revisions are taken as they are, and hash nothing.
    if requested > 0 && requested < point.compacted {
        return Ok(Err(Refusal::Compacted { requested, compacted: point.compacted }));
    }
    if requested > point.current {
        return Ok(Err(Refusal::FutureRevision { requested, current: point.current }));
    }
    let at = if requested == 0 { point.current } else { requested };
    let mut hasher = Hasher { point, view, at, hash: crc32c::crc32c(b"key"), anything_lives: None };
    let mut cursor = view.cursor(Table::Revisions, None)?;
    cursor.seek(&[])?;
    while let Some((stored_key, stored)) = cursor.item() {
        let revision = revision_record::decode_key(stored_key)?;
        if revision.main > at {
            break;
        }
        hasher.add(revision, RevisionRecord::decode(stored)?)?;
        cursor.next()?;
    }
    Ok(Ok(HashKv { hash: hasher.hash, hash_revision: at, compact_revision: point.compacted }))
}

struct Hasher<'a, V: View> {
    point: &'a ReadPoint,
    view: &'a V,
    at: MainRevision,
    hash: u32,
    /// Whether any key lives at `at`; looked up when first needed.
    anything_lives: Option<bool>,
}

impl<V: View> Hasher<'_, V> {
    fn add(&mut self, revision: Revision, change: RevisionRecord<'_>) -> Result<(), Fault> {
        if revision.main <= self.point.compacted && !self.counts_below_compaction(revision, change)? {
            return Ok(());
        }
        self.hash = crc32c::crc32c_append(self.hash, &revision.to_etcd_bytes());
        if change.tombstone {
            self.hash = crc32c::crc32c_append(self.hash, b"t");
            let tombstone = KeyValue { key: Bytes::copy_from_slice(change.user_key), ..KeyValue::default() };
            self.hash = crc32c::crc32c_append(self.hash, &tombstone.encode_to_vec());
            return Ok(());
        }
        let record = current_record::record_of(self.view, change.user_key, revision)?;
        let record = record.ok_or_else(|| Fault::corrupt("history", format_args!("revision {revision:?} has no record")))?;
        self.hash = crc32c::crc32c_append(self.hash, &record);
        Ok(())
    }

    /// At or below the compacted revision only those versions are covered that are still the newest at `at`, and no tombstone that stands
    /// exactly at the compacted revision. When nothing lives at `at`, etcd leaves nothing out that its file holds (an empty set means "not
    /// compacted" to it): that is what compaction leaves of each key once its removal is complete. So is our answer, complete or not.
    fn counts_below_compaction(&mut self, revision: Revision, change: RevisionRecord<'_>) -> Result<bool, Fault> {
        if change.tombstone {
            return Ok(false);
        }
        let newest_at = if self.anything_lives()? { self.at } else { self.point.compacted };
        let newest = walk::version_at(self.view, &crate::read::NOTHING_PENDING, change.user_key, newest_at)?;
        Ok(newest.is_some_and(|(newest, _)| newest == revision))
    }

    fn anything_lives(&mut self) -> Result<bool, Fault> {
        if let Some(known) = self.anything_lives {
            return Ok(known);
        }
        let mut lives = false;
        walk::live_records(self.view, &crate::read::NOTHING_PENDING, &KeyRange::all(), self.at, |_| {
            lives = true;
            Ok(ControlFlow::Break(()))
        })?;
        self.anything_lives = Some(lives);
        Ok(lives)
    }
}
