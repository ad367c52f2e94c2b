//! HashKV: the hash over the history up to a revision, equal on members that have compacted alike.
//!
//! It is the CRC-32C of `key` and of every entry up to revision `at`, in order, apart from those at
//! or below the compacted revision that the compaction would not keep: a put stays if no later
//! entry of its user key lies up to `at`; a deletion does not stay. One case is odd, and etcd's:
//! when no user key at all is live at `at`, the set of kept entries is empty, and etcd takes an
//! empty set for "keep everything", so that old entries count after all (a deletion at the
//! compacted revision itself never does). That is known only at the end, so two sums are carried.

use super::history::{HistoryKey, put_from};
use super::record::Entry;
use std::collections::{BTreeMap, BTreeSet};
use types::{Fault, MainRevision, Revision};
use xxhash_rust::xxh3::xxh3_128;

/// An entry of bucket `key`.
#[derive(Clone, Debug)]
pub struct HistoryItem<'a> {
    /// Revision and kind.
    pub key: HistoryKey,
    /// The stored value, byte for byte.
    pub value: &'a [u8],
}

/// The purpose of the hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepRule {
    /// A request: hash at `at`, with all compactions up to now.
    Request,
    /// A compaction to `at`, before its deletes, where `compacted` is the one before: etcd keeps it
    /// for later requests. A deletion at `at` itself counts as kept.
    Compaction,
}

/// The fold. It needs no memory of its own; it requests the data of other entries that it needs.
#[derive(Clone, Debug)]
pub struct HashKv {
    at: MainRevision,
    compacted: MainRevision,
    rule: KeepRule,
    /// With the old entries that are not kept left out.
    kept: u32,
    /// With all old entries.
    all: u32,
    /// `true` if something is known to be kept.
    keeps_any: bool,
    last_is_put: bool,
}

impl HashKv {
    /// A hash at revision `at`, not below `compacted`; both are the caller's to check and to answer
    /// for.
    pub fn new(at: MainRevision, compacted: Option<MainRevision>, rule: KeepRule) -> Self {
        let crc = crc32c::crc32c(b"key");
        Self { at, compacted: compacted.unwrap_or(-1), rule, kept: crc, all: crc, keeps_any: false, last_is_put: false }
    }

    /// Adds the next entry in order of revisions; those above `at` are passed over. `is_newest` is
    /// asked only for puts up to the compacted revision: whether the same user key has no later
    /// entry up to `at`.
    pub fn add<E>(&mut self, item: &HistoryItem<'_>, is_newest: impl FnOnce() -> Result<bool, E>) -> Result<(), E> {
        let HistoryKey { revision, tombstone } = item.key;
        if revision.main > self.at {
            return Ok(());
        }
        self.last_is_put = !tombstone;
        self.keeps_any |= tombstone && revision.main == self.at && self.rule == KeepRule::Compaction;
        let is_old = revision.main <= self.compacted;
        let is_kept = !is_old || (!tombstone && is_newest()?);
        self.keeps_any |= is_old && is_kept;
        // Etcd up to 3.5.15 deleted it and later ones keep it, so it counts for neither.
        if tombstone && revision.main == self.compacted {
            return Ok(());
        }
        let (kept, all) = (self.kept, self.all);
        if is_kept {
            self.kept = append(kept, item);
        }
        self.all = if is_kept && kept == all { self.kept } else { append(all, item) };
        Ok(())
    }

    /// The hash. `any_live` is asked only if it matters and does not follow from the entries:
    /// whether any user key lives at `at`.
    pub fn finish<E>(self, any_live: impl FnOnce() -> Result<bool, E>) -> Result<u32, E> {
        // The very last entry, if a put, is the newest of its key.
        if self.kept == self.all || self.keeps_any || self.last_is_put || any_live()? {
            Ok(self.kept)
        } else {
            Ok(self.all)
        }
    }
}

fn append(crc: u32, item: &HistoryItem<'_>) -> u32 {
    let revision = crc32c::crc32c_append(crc, &item.key.revision.to_etcd_bytes());
    let marked = if item.key.tombstone { crc32c::crc32c_append(revision, b"t") } else { revision };
    crc32c::crc32c_append(marked, item.value)
}

/// Returns the hash over a bucket `key` of which only the entries are known; `entries` returns them
/// in order, several times.
///
/// Two walks, three in the odd case. Memory: some 50 bytes for each user key with an entry at or
/// below the compacted revision (in the odd case, for each user key); user keys are distinguished
/// by 128 bits of hash. A store that finds a key's newest entry by itself drives [`HashKv`] without
/// any.
pub fn hash_kv<I>(
    entries: impl Fn() -> Result<I, Fault>,
    at: MainRevision,
    compacted: Option<MainRevision>,
    rule: KeepRule,
) -> Result<u32, Fault>
where
    I: Iterator<Item = Result<Entry, Fault>>,
{
    let newest = newest_of_compacted(entries()?, at, compacted)?;
    let mut hash = HashKv::new(at, compacted, rule);
    for entry in entries()? {
        let (key, value) = entry?;
        let key = HistoryKey::decode(&key)?;
        if key.revision.main > at {
            break;
        }
        let is_newest = || Ok::<_, Fault>(newest.get(&user_key(&value)?) == Some(&key.revision));
        hash.add(&HistoryItem { key, value: &value }, is_newest)?;
    }
    hash.finish(|| any_live(entries()?, at))
}

/// For each user key with an entry at or below the compacted revision: its newest revision up to
/// `at`.
fn newest_of_compacted(
    entries: impl Iterator<Item = Result<Entry, Fault>>,
    at: MainRevision,
    compacted: Option<MainRevision>,
) -> Result<BTreeMap<u128, Revision>, Fault> {
    let mut newest = BTreeMap::new();
    let Some(compacted) = compacted else { return Ok(newest) };
    for entry in entries {
        let (key, value) = entry?;
        let revision = HistoryKey::decode(&key)?.revision;
        if revision.main > at {
            break;
        }
        let user_key = user_key(&value)?;
        if revision.main <= compacted || newest.contains_key(&user_key) {
            newest.insert(user_key, revision);
        }
    }
    Ok(newest)
}

fn any_live(entries: impl Iterator<Item = Result<Entry, Fault>>, at: MainRevision) -> Result<bool, Fault> {
    let mut live = BTreeSet::new();
    for entry in entries {
        let (key, value) = entry?;
        let key = HistoryKey::decode(&key)?;
        if key.revision.main > at {
            break;
        }
        let user_key = user_key(&value)?;
        if key.tombstone {
            live.remove(&user_key)
        } else {
            live.insert(user_key)
        };
    }
    Ok(!live.is_empty())
}

fn user_key(value: &bytes::Bytes) -> Result<u128, Fault> {
    Ok(xxh3_128(&put_from(value.clone())?.key))
}
