//! The hash by which etcd's members and tools compare their key spaces.
//!
//! CRC-32C over the word `key`, then over the backend key and value of every revision up to the
//! requested one, in order, leaving out versions that compaction may or may not have removed yet.
//! Equal to a real etcd's for the same history. Source: etcd mvcc/hash.go.

use crate::{MvccError, ReadPoint, checksum, walk};
use prost::Message as _;
use proto::mvccpb::KeyValue;
use schema::revision_record::RevisionRecord;
use schema::version_walk::{Version, Written, each_version};
use schema::{Cursor as _, Table, View};
use schema::{bump_record, revision_record};
use std::borrow::Cow;
use std::ops::ControlFlow;
use types::{Fault, KeyRange, MainRevision, Revision};

/// Behind the revision of a deletion.
const TOMBSTONE_MARK: u8 = b't';

/// Revisions whose checksums are held at a time, 24 bytes each. A longer history takes as many
/// walks over the store as it is times longer.
const SLICE_REVISIONS: usize = 1 << 20;

/// A hash, and the revisions that it covers.
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
/// `view` stands still while this runs, and no removal in it has gone further than
/// `point.compacted`: a record that a later compaction took away is a [`Fault`] here, because from
/// inside it looks no different from a lost one.
pub fn hash_kv<V: View>(
    point: &ReadPoint,
    view: &V,
    requested: MainRevision,
) -> Result<Result<HashKv, MvccError>, Fault> {
    // Not the rule of a range: negative revisions are taken as they are, and hash nothing.
    if requested > 0 && requested < point.compacted {
        return Ok(Err(MvccError::Compacted { requested, compacted: point.compacted }));
    }
    if requested > point.current {
        return Ok(Err(MvccError::FutureRevision { requested, current: point.current }));
    }
    let at = if requested == 0 { point.current } else { requested };
    let newest_at = newest_at(view, point.compacted, at, false)?;
    Ok(Ok(hash_up_to(view, point.compacted, at, newest_at)?))
}

/// Hashes history up to a compaction at `at`, before anything of it is removed: the hash that etcd
/// computes while it compacts, and responds with to later requests for exactly this revision.
/// `compacted` is the compaction before, whose removal is complete in `view`.
pub fn hash_of_compaction<V: View>(view: &V, compacted: MainRevision, at: MainRevision) -> Result<HashKv, Fault> {
    // To etcd's compaction a deletion at `at` itself counts as kept.
    let kept_deletion = deletes_at(view, at)?;
    let newest_at = newest_at(view, compacted, at, kept_deletion)?;
    hash_up_to(view, compacted, at, newest_at)
}

fn hash_up_to(
    view: &impl View,
    compacted: MainRevision,
    at: MainRevision,
    newest_at: MainRevision,
) -> Result<HashKv, Fault> {
    let mut hasher = Hasher { compacted, newest_at, hash: crc32c::crc32c(b"key") };
    for slice in slices(view, at)? {
        hasher.add(view, slice)?;
    }
    Ok(HashKv { hash: hasher.hash, hash_revision: at, compact_revision: compacted })
}

/// Returns `true` if a key is deleted at main revision `at`.
fn deletes_at(view: &impl View, at: MainRevision) -> Result<bool, Fault> {
    let mut cursor = view.scan(Table::Revisions)?;
    cursor.seek(&revision_record::encode_key(Revision::new(at, 0)))?;
    while let Some((stored_key, stored)) = cursor.item() {
        if revision_record::decode_key(stored_key)?.main != at {
            break;
        }
        if RevisionRecord::decode(stored)?.is_tombstone() {
            return Ok(true);
        }
        cursor.next()?;
    }
    Ok(false)
}

/// Returns the revision at which a version at or below the compacted revision has to be the newest
/// of its key to be covered: the requested one. When nothing lives there, etcd leaves nothing out
/// that its file holds (an empty set means "not compacted" to it): the versions that compaction
/// leaves of each key once its removal is complete. The result here is the same, complete or not.
///
/// `kept_deletion`: something counts as kept although nothing lives.
fn newest_at(
    view: &impl View,
    compacted: MainRevision,
    at: MainRevision,
    kept_deletion: bool,
) -> Result<MainRevision, Fault> {
    let mut newest_at = compacted;
    if at < compacted || newest_at < 1 {
        return Ok(newest_at);
    }
    if kept_deletion {
        return Ok(at);
    }
    walk::live_records(view, &crate::read::NOTHING_PENDING, &KeyRange::all(), at, |_| {
        newest_at = at;
        Ok(ControlFlow::Break(()))
    })?;
    Ok(newest_at)
}

/// A part of history that is hashed in one walk.
#[derive(Clone, Copy, Debug)]
struct Slice {
    first: Revision,
    last: Revision,
    revisions: usize,
}

/// History up to `at`, cut into slices.
fn slices(view: &impl View, at: MainRevision) -> Result<Vec<Slice>, Fault> {
    let mut slices: Vec<Slice> = Vec::new();
    let mut cursor = view.scan(Table::Revisions)?;
    while let Some((stored_key, _)) = cursor.item() {
        let revision = revision_record::decode_key(stored_key)?;
        if revision.main > at {
            break;
        }
        match slices.last_mut() {
            Some(slice) if slice.revisions < SLICE_REVISIONS => {
                (slice.last, slice.revisions) = (revision, slice.revisions + 1)
            }
            _ => slices.push(Slice { first: revision, last: revision, revisions: 1 }),
        }
        cursor.next()?;
    }
    Ok(slices)
}

/// The store keeps records in the order of keys, and the checksum wants them in the order of
/// history. Checksums of the parts can be joined in any order, so they are taken where the records
/// are, and only they are sorted.
struct Hasher {
    compacted: MainRevision,
    newest_at: MainRevision,
    hash: u32,
}

impl Hasher {
    fn add(&mut self, view: &impl View, slice: Slice) -> Result<(), Fault> {
        let mut parts = Vec::with_capacity(slice.revisions);
        let mut met = 0;
        each_version(view, |version| {
            if (slice.first..=slice.last).contains(&version.revision) {
                met += 1;
                if self.covers(&version) {
                    parts.push(part(&version)?);
                }
            }
            Ok(())
        })?;
        if met != slice.revisions {
            let detail = format!(
                "{met} records for {} changes from revision {:?} to {:?}",
                slice.revisions, slice.first, slice.last
            );
            return Err(Fault::corrupt("history", detail));
        }
        parts.sort_unstable_by_key(|part| part.revision);
        let mut joined = checksum::Joined::new(self.hash);
        parts.iter().for_each(|part| joined.append(part.checksum, part.bytes));
        self.hash = joined.checksum();
        Ok(())
    }

    /// At or below the compacted revision only those versions are covered that are still the newest
    /// at `newest_at`, and no tombstone that stands exactly at the compacted revision.
    fn covers(&self, version: &Version<'_>) -> bool {
        if version.revision.main > self.compacted {
            return true;
        }
        let newest = version.superseded_by.is_none_or(|newer| newer.main > self.newest_at);
        newest && version.revision.main <= self.newest_at && matches!(version.written, Written::Record(_))
    }
}

/// The contribution of one revision.
struct Part {
    /// Main and sub; packed, because there are many.
    revision: (MainRevision, u32),
    checksum: u32,
    bytes: u32,
}

fn part(version: &Version<'_>) -> Result<Part, Fault> {
    let key = version.revision.to_etcd_bytes();
    let value: Cow<'_, [u8]> = match &version.written {
        Written::Record(record) => bump_record::backend_value(record).into(),
        Written::Tombstone(key) => {
            let mut value = vec![TOMBSTONE_MARK];
            KeyValue { key: key.clone().into(), ..KeyValue::default() }.encode_raw(&mut value);
            value.into()
        }
    };
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&key), &value);
    let too_large = |_| Fault::corrupt("history", format!("revision {:?} has four GiB", version.revision));
    let bytes = u32::try_from(key.len() + value.len()).map_err(too_large)?;
    let sub = u32::try_from(version.revision.sub).map_err(too_large)?;
    Ok(Part { revision: (version.revision.main, sub), checksum, bytes })
}
