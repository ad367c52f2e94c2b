//! Keys with all their versions, and ranges over them.

use crate::Refusal;
use bytes::Bytes;
use proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use proto::etcdserverpb::{RangeRequest, RangeResponse};
use proto::mvccpb::KeyValue;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// One change of a key: the event that watchers get.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The revision, shared by all changes of a request.
    pub main: i64,
    /// The number of the change within its request.
    pub sub: i64,
    /// The key.
    pub key: Vec<u8>,
    /// The version that was put; `None` for a deletion.
    pub kv: Option<KeyValue>,
}

/// Every version that every key ever had. Compaction hides versions and removes none.
#[derive(Clone, Debug)]
pub struct Keys {
    versions: BTreeMap<Vec<u8>, Vec<Change>>,
    /// The newest revision.
    pub current: i64,
    /// The oldest readable revision, -1 before the first compaction.
    pub compacted: i64,
}

/// Returns `true` if a request for `key` and `range_end` concerns `candidate`.
pub(crate) fn is_in(candidate: &[u8], key: &[u8], range_end: &[u8]) -> bool {
    match range_end {
        [] => candidate == key,
        [0] => candidate >= key,
        end => candidate >= key && candidate < end,
    }
}

impl Keys {
    pub(crate) fn new() -> Self {
        Self { versions: BTreeMap::new(), current: 1, compacted: -1 }
    }

    /// Returns the version of a key at a revision; `None` if it does not live then.
    pub fn at(&self, key: &[u8], revision: i64) -> Option<&KeyValue> {
        let versions = self.versions.get(key)?;
        versions.iter().rev().find(|change| change.main <= revision)?.kv.as_ref()
    }

    /// Returns all keys that live, ascending.
    pub fn live(&self) -> impl Iterator<Item = &KeyValue> {
        self.versions.values().filter_map(|versions| versions.last()?.kv.as_ref())
    }

    /// Returns the keys of a range that live at a revision, ascending.
    pub(crate) fn in_range(&self, key: &[u8], range_end: &[u8], revision: i64) -> Vec<KeyValue> {
        let candidates = self.versions.keys().filter(|candidate| is_in(candidate, key, range_end));
        candidates.filter_map(|candidate| self.at(candidate, revision).cloned()).collect()
    }

    pub(crate) fn record(&mut self, change: &Change) {
        self.versions.entry(change.key.clone()).or_default().push(change.clone());
    }

    /// Returns the response to a range outside of a transaction.
    ///
    /// # Errors
    /// [`Refusal::FutureRevision`], [`Refusal::Compacted`].
    pub fn range(&self, request: &RangeRequest) -> Result<RangeResponse, Refusal> {
        if request.revision > self.current {
            return Err(Refusal::FutureRevision);
        }
        if request.revision > 0 && request.revision < self.compacted {
            return Err(Refusal::Compacted);
        }
        Ok(self.range_at(request, if request.revision > 0 { request.revision } else { self.current }))
    }

    /// Returns the response to a range at a revision, whether it was compacted or not, without a
    /// header.
    pub fn range_at(&self, request: &RangeRequest, revision: i64) -> RangeResponse {
        let mut kvs = self.in_range(&request.key, &request.range_end, revision);
        let count = i64::try_from(kvs.len()).unwrap_or(i64::MAX);
        if request.count_only {
            return RangeResponse { count, ..RangeResponse::default() };
        }
        let limit = usize::try_from(request.limit).ok().filter(|limit| *limit > 0);
        // With a sort target alone, one key more than the limit is fetched before sorting.
        if let (Some(limit), false, SortOrder::None) = (limit, is_filtered(request), request.sort_order()) {
            kvs.truncate(limit + 1);
        }
        kvs.retain(|kv| passes(request, kv));
        kvs.sort_by(|a, b| order(request, a, b));
        let more = limit.is_some_and(|limit| kvs.len() > limit);
        kvs.truncate(limit.unwrap_or(usize::MAX));
        if request.keys_only {
            kvs.iter_mut().for_each(|kv| strip_value(request, kv));
        }
        RangeResponse { header: None, kvs, more, count }
    }
}

fn is_filtered(request: &RangeRequest) -> bool {
    request.min_mod_revision != 0
        || request.max_mod_revision != 0
        || request.min_create_revision != 0
        || request.max_create_revision != 0
}

fn passes(request: &RangeRequest, kv: &KeyValue) -> bool {
    let at_least = |bound: i64, value: i64| bound == 0 || value >= bound;
    let at_most = |bound: i64, value: i64| bound == 0 || value <= bound;
    at_least(request.min_mod_revision, kv.mod_revision)
        && at_most(request.max_mod_revision, kv.mod_revision)
        && at_least(request.min_create_revision, kv.create_revision)
        && at_most(request.max_create_revision, kv.create_revision)
}

fn order(request: &RangeRequest, a: &KeyValue, b: &KeyValue) -> Ordering {
    let ascending = match request.sort_target() {
        SortTarget::Key => a.key.cmp(&b.key),
        SortTarget::Version => a.version.cmp(&b.version),
        SortTarget::Create => a.create_revision.cmp(&b.create_revision),
        SortTarget::Mod => a.mod_revision.cmp(&b.mod_revision),
        SortTarget::Value => a.value.cmp(&b.value),
    };
    if request.sort_order() == SortOrder::Descend { ascending.reverse() } else { ascending }
}

/// Version 3.7 returns the lease of a key without its value only where it read the value for
/// sorting.
fn strip_value(request: &RangeRequest, kv: &mut KeyValue) {
    kv.value = Bytes::new();
    if request.sort_target() != SortTarget::Value {
        kv.lease = 0;
    }
}
