//! The response to a range request: its keys, their count, and their order.
//!
//! Rules and their order are etcd's (server/etcdserver/txn/range.go): fetch, filter, sort, cut. A
//! filter or a sort order needs the whole range first; without them no more than the limit is read.

use crate::counts::{self, Counts};
use crate::record::{self, Fields};
use crate::write_buffer::WriteBuffer;
use crate::{MvccError, walk};
use bytes::{BufMut as _, Bytes, BytesMut};
use prost::Message as _;
use prost::encoding::encode_varint;
use proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use proto::etcdserverpb::{RangeRequest, RangeResponse};
use proto::mvccpb::KeyValue;
use schema::{Cursor as _, Table, View, revision_record};
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::{Bound, ControlFlow};
use types::{Fault, KeyRange, MainRevision, Revision};

/// Tag of `RangeResponse.kvs`: field 2, length-delimited.
const KVS_TAG: u8 = 0x12;

/// Bytes of that tag and of the length behind it, at most.
const FIELD_HEAD_BYTES_MAX: usize = 6;

/// Maximum number of bytes reserved for a response before its size is known.
const RESERVED_BYTES_MAX: usize = 1 << 20;

/// A range request with its fields decoded.
#[derive(Clone, Debug)]
pub struct RangeOptions {
    /// The keys.
    pub range: KeyRange,
    /// At which revision; zero and below mean the newest.
    pub revision: MainRevision,
    /// Maximum number of keys.
    pub limit: Option<usize>,
    /// Return only the number of keys.
    pub count_only: bool,
    /// Keys without values.
    pub keys_only: bool,
    /// Stop, with [`RangeResult::too_large`], at a response of more bytes than this, because the
    /// caller will read it in parts. Only for ranges that can be read in parts.
    pub bytes_max: Option<usize>,
    sort: Option<(SortTarget, SortOrder)>,
    /// The limit applies to keys in key order before sorting, as etcd does when only a target is
    /// given.
    limit_before_sort: bool,
    filter: Filter,
}

#[derive(Clone, Copy, Debug, Default)]
struct Filter {
    min_mod: i64,
    max_mod: i64,
    min_create: i64,
    max_create: i64,
}

impl RangeOptions {
    /// Reads a request. Unknown sort values were rejected by admission and count as none here.
    pub fn new(request: &RangeRequest) -> Self {
        let target = SortTarget::try_from(request.sort_target).unwrap_or(SortTarget::Key);
        let order = SortOrder::try_from(request.sort_order).unwrap_or(SortOrder::None);
        let sort = match (target, order) {
            // Keys come out of the store in ascending order anyway.
            (SortTarget::Key, SortOrder::None | SortOrder::Ascend) => None,
            (target, SortOrder::None) => Some((target, SortOrder::Ascend)),
            sort => Some(sort),
        };
        Self {
            range: KeyRange::from_wire(request.key.clone(), request.range_end.clone()),
            revision: request.revision,
            limit: usize::try_from(request.limit).ok().filter(|limit| *limit > 0),
            count_only: request.count_only,
            keys_only: request.keys_only,
            bytes_max: None,
            sort,
            limit_before_sort: order == SortOrder::None,
            filter: Filter {
                min_mod: request.min_mod_revision,
                max_mod: request.max_mod_revision,
                min_create: request.min_create_revision,
                max_create: request.max_create_revision,
            },
        }
    }

    /// Returns `true` if the response is in key order and needs nothing but its own keys, so that
    /// it can be read in parts.
    pub(crate) fn is_plain(&self) -> bool {
        self.sort.is_none() && !self.filter.is_set() && !self.count_only
    }

    /// Returns the number of keys to read: one more than the limit shows whether there are more.
    fn fetch_limit(&self) -> Option<usize> {
        let whole_range = self.filter.is_set() || (self.sort.is_some() && !self.limit_before_sort);
        if whole_range { None } else { self.limit.map(|limit| limit.saturating_add(1)) }
    }
}

impl Filter {
    fn is_set(self) -> bool {
        [self.min_mod, self.max_mod, self.min_create, self.max_create] != [0; 4]
    }

    /// Zero is off; a negative bound is a bound like any other.
    fn admits(self, fields: &Fields<'_>) -> bool {
        (self.max_mod == 0 || fields.mod_revision <= self.max_mod)
            && (self.min_mod == 0 || fields.mod_revision >= self.min_mod)
            && (self.max_create == 0 || fields.create_revision <= self.max_create)
            && (self.min_create == 0 || fields.create_revision >= self.min_create)
    }
}

/// The result of a range request.
#[derive(Clone, Debug, Default)]
pub struct RangeResult {
    /// The keys, encoded as the `kvs` fields of a `RangeResponse` one after another.
    pub encoded_kvs: Bytes,
    /// Number of keys in `encoded_kvs`.
    pub keys: usize,
    /// `true` if the limit left some out.
    pub more: bool,
    /// Keys in the whole range, regardless of limit and filters.
    pub count: u64,
    /// `true` if it would be larger than `bytes_max`; all other fields are empty then.
    pub too_large: bool,
}

impl RangeResult {
    /// The answer without a header.
    pub fn into_response(self) -> Result<RangeResponse, Fault> {
        let mut response =
            RangeResponse::decode(self.encoded_kvs).map_err(|error| Fault::corrupt("key-value record", error))?;
        response.more = self.more;
        response.count = i64::try_from(self.count).unwrap_or(i64::MAX);
        Ok(response)
    }
}

/// The state a range is read from.
#[derive(Debug)]
pub(crate) struct Source<'a, V: View> {
    pub(crate) view: &'a V,
    pub(crate) write_buffer: &'a WriteBuffer,
    /// Live keys at `current`.
    pub(crate) counts: &'a Counts,
    pub(crate) current: MainRevision,
    pub(crate) compacted: MainRevision,
}

impl<V: View> Source<'_, V> {
    /// The revision that a request for `requested` reads.
    pub(crate) fn resolve(&self, requested: MainRevision) -> Result<MainRevision, MvccError> {
        resolve(requested, self.current, self.compacted)
    }

    pub(crate) fn range(&self, options: &RangeOptions) -> Result<Result<RangeResult, MvccError>, Fault> {
        let at = match self.resolve(options.revision) {
            Ok(at) => at,
            Err(error) => return Ok(Err(error)),
        };
        if options.count_only {
            return Ok(Ok(RangeResult { count: self.count(&options.range, at)?, ..RangeResult::default() }));
        }
        if options.is_plain() {
            return self.range_in_key_order(options, at).map(Ok);
        }
        self.range_sorted(options, at).map(Ok)
    }

    /// The common case: records go from the store into the answer as they are.
    fn range_in_key_order(&self, options: &RangeOptions, at: MainRevision) -> Result<RangeResult, Fault> {
        let mut encoded = BytesMut::new();
        let (mut keys, mut left_out, mut too_large) = (0, None, false);
        self.visit(&options.range, at, |record| {
            if options.bytes_max.is_some_and(|bytes_max| encoded.len() > bytes_max) {
                too_large = true;
                return Ok(ControlFlow::Break(()));
            }
            if options.limit.is_some_and(|limit| keys == limit) {
                left_out = Some(from_key(&options.range, Fields::parse(record)?.key));
                return Ok(ControlFlow::Break(()));
            }
            if keys == 0 {
                encoded.reserve(expected_bytes(record, options));
            }
            keys += 1;
            push_kv(&mut encoded, record, options)?;
            Ok(ControlFlow::Continue(()))
        })?;
        if too_large {
            return Ok(RangeResult { too_large, ..RangeResult::default() });
        }
        let mut count = keys as u64;
        if let Some(left_out) = &left_out {
            count += self.count(left_out, at)?;
        }
        Ok(RangeResult { encoded_kvs: encoded.freeze(), keys, more: left_out.is_some(), count, too_large })
    }

    fn range_sorted(&self, options: &RangeOptions, at: MainRevision) -> Result<RangeResult, Fault> {
        let fetch_limit = options.fetch_limit().unwrap_or(usize::MAX);
        let mut records: Vec<Bytes> = Vec::new();
        let mut cut = false;
        let mut fetched = 0;
        self.visit(&options.range, at, |record| {
            if fetched == fetch_limit {
                cut = true;
                return Ok(ControlFlow::Break(()));
            }
            fetched += 1;
            if options.filter.admits(&Fields::parse(record)?) {
                records.push(Bytes::copy_from_slice(record));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        if let Some((target, order)) = options.sort {
            sort(&mut records, target, order)?;
        }
        let limit = options.limit.unwrap_or(usize::MAX);
        let more = records.len() > limit;
        records.truncate(limit);
        let mut encoded = BytesMut::new();
        for record in &records {
            push_kv(&mut encoded, record, options)?;
        }
        let count = if cut { self.count(&options.range, at)? } else { fetched as u64 };
        Ok(RangeResult { encoded_kvs: encoded.freeze(), keys: records.len(), more, count, too_large: false })
    }

    /// Live records of `range` at `at`, in key order. One key needs no walk.
    pub(crate) fn visit(
        &self,
        range: &KeyRange,
        at: MainRevision,
        mut found: impl FnMut(&[u8]) -> Result<ControlFlow<()>, Fault>,
    ) -> Result<(), Fault> {
        let Some(key) = range.as_single() else {
            return walk::live_records(self.view, self.write_buffer, range, at, found);
        };
        match walk::version_at(self.view, self.write_buffer, key, at)? {
            Some((_, record)) if !record.is_empty() => found(&record).map(drop),
            _ => Ok(()),
        }
    }

    /// Live keys of `range` at `at`.
    pub(crate) fn count(&self, range: &KeyRange, at: MainRevision) -> Result<u64, Fault> {
        assert!(at <= self.current, "keys are counted at revision {at}, and the newest one is {}", self.current);
        let now = self.counts.in_range(self.view, self.write_buffer, range, self.current)?;
        if at == self.current {
            return Ok(now);
        }
        // A changed key costs two lookups and its place in a set; a walked key one step.
        let changes = (self.current - at).cast_unsigned();
        if changes.saturating_mul(8) > now {
            return counts::walked(self.view, self.write_buffer, range, at);
        }
        let Some(changed) = self.changed_since(range, at, now / 8)? else {
            return counts::walked(self.view, self.write_buffer, range, at);
        };
        let mut count = now;
        for key in changed {
            let lives = |at| {
                Ok(walk::version_at(self.view, self.write_buffer, &key, at)?
                    .is_some_and(|(_, record)| !record.is_empty()))
            };
            count = count + u64::from(lives(at)?) - u64::from(lives(self.current)?);
        }
        Ok(count)
    }

    /// Returns the keys of `range` that changed after `at`, and maybe some pending ones that did
    /// not. `None` if history has more than `changes_max` changes: one request may have changed any
    /// number of keys.
    fn changed_since(
        &self,
        range: &KeyRange,
        at: MainRevision,
        changes_max: u64,
    ) -> Result<Option<BTreeSet<Vec<u8>>>, Fault> {
        let mut changed: BTreeSet<Vec<u8>> =
            self.write_buffer.user_keys().filter(|key| range.contains(key)).map(|key| key.to_vec()).collect();
        let mut cursor = self.view.cursor(Table::Revisions, None)?;
        cursor.seek(&revision_record::encode_key(Revision::new(at + 1, 0)))?;
        let mut changes = 0;
        while let Some((revision, stored)) = cursor.item() {
            if revision_record::decode_key(revision)?.main > self.current {
                break;
            }
            changes += 1;
            if changes > changes_max {
                return Ok(None);
            }
            let key = revision_record::RevisionRecord::decode(stored)?.user_key;
            if range.contains(key) {
                changed.insert(key.to_vec());
            }
            cursor.next()?;
        }
        Ok(Some(changed))
    }
}

/// The revision that a request for `requested` reads; zero and below ask for the newest.
pub(crate) fn resolve(
    requested: MainRevision,
    current: MainRevision,
    compacted: MainRevision,
) -> Result<MainRevision, MvccError> {
    if requested > current {
        return Err(MvccError::FutureRevision { requested, current });
    }
    let at = if requested <= 0 { current } else { requested };
    if at < compacted {
        return Err(MvccError::Compacted { requested, compacted });
    }
    Ok(at)
}

fn sort(records: &mut [Bytes], target: SortTarget, order: SortOrder) -> Result<(), Fault> {
    // Every record is known to parse once this loop is through, so that comparing cannot fail.
    let mut keyed = Vec::with_capacity(records.len());
    for record in records.iter() {
        keyed.push((Fields::parse(record)?, record.clone()));
    }
    keyed.sort_by(|(a, _), (b, _)| {
        let ascending = compare(a, b, target);
        if order == SortOrder::Descend { ascending.reverse() } else { ascending }
    });
    let sorted: Vec<Bytes> = keyed.into_iter().map(|(_, record)| record).collect();
    records.clone_from_slice(&sorted);
    Ok(())
}

fn compare(a: &Fields<'_>, b: &Fields<'_>, target: SortTarget) -> Ordering {
    match target {
        SortTarget::Key => a.key.cmp(b.key),
        SortTarget::Version => a.version.cmp(&b.version),
        SortTarget::Create => a.create_revision.cmp(&b.create_revision),
        SortTarget::Mod => a.mod_revision.cmp(&b.mod_revision),
        SortTarget::Value => a.value.cmp(b.value),
    }
}

/// The part of `range` from `key` on, which lies inside.
pub(crate) fn from_key(range: &KeyRange, key: &[u8]) -> KeyRange {
    let end = match range.end_bound() {
        Bound::Included(_) => Bytes::new(),
        Bound::Excluded(end) => Bytes::copy_from_slice(end),
        Bound::Unbounded => Bytes::from_static(&[0]),
    };
    KeyRange::from_wire(Bytes::copy_from_slice(key), end)
}

/// Room for the answer, from its first record: exact for one key, a guess for more.
fn expected_bytes(first: &[u8], options: &RangeOptions) -> usize {
    let keys = if options.range.as_single().is_some() { 1 } else { options.limit.unwrap_or(1) };
    (first.len() + FIELD_HEAD_BYTES_MAX)
        .saturating_mul(keys)
        .min(RESERVED_BYTES_MAX.max(first.len() + FIELD_HEAD_BYTES_MAX))
}

pub(crate) fn push_kv(out: &mut BytesMut, record: &[u8], options: &RangeOptions) -> Result<(), Fault> {
    if !options.keys_only {
        push_field(out, record);
        return Ok(());
    }
    let fields = Fields::parse(record)?;
    let by_value = matches!(options.sort, Some((SortTarget::Value, _)));
    let key = KeyValue {
        key: Bytes::copy_from_slice(fields.key),
        create_revision: fields.create_revision,
        mod_revision: fields.mod_revision,
        version: fields.version,
        value: Bytes::new(),
        // etcd 3.7 answers from its index, which knows no leases, unless it had to read the values
        // for sorting.
        lease: if by_value { fields.lease.0 } else { 0 },
    };
    push_field(out, &record::encode(&key));
    Ok(())
}

fn push_field(out: &mut BytesMut, record: &[u8]) {
    out.put_u8(KVS_TAG);
    encode_varint(record.len() as u64, out);
    out.put_slice(record);
}
