//! The foolish twin: a whole map of keys for every revision, and every rule in its plainest form.

use bytes::Bytes;
use mvcc::MvccError;
use proto::etcdserverpb::compare::TargetUnion;
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::response_op::Response;
use proto::etcdserverpb::*;
use proto::mvccpb::KeyValue;
use std::cmp::Ordering;
use std::collections::BTreeMap;

pub(crate) type Keys = BTreeMap<Vec<u8>, KeyValue>;

/// One change; no record is a deletion.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    pub(crate) main: i64,
    pub(crate) sub: i64,
    pub(crate) key: Vec<u8>,
    pub(crate) kv: Option<KeyValue>,
}

#[derive(Clone, Debug)]
pub(crate) struct Twin {
    pub(crate) current: i64,
    pub(crate) compacted: i64,
    /// The keys that live at each revision.
    pub(crate) states: BTreeMap<i64, Keys>,
    /// Every change ever made.
    pub(crate) history: Vec<Change>,
}

/// A request in progress: its view of the keys, and its changes.
struct Run<'a> {
    twin: &'a Twin,
    keys: Keys,
    changes: Vec<Change>,
}

pub(crate) fn contains(key: &[u8], start: &[u8], end: &[u8]) -> bool {
    match end {
        [] => key == start,
        [0] => key >= start,
        _ => key >= start && key < end,
    }
}

fn header(revision: i64) -> Option<ResponseHeader> {
    Some(ResponseHeader { revision, ..Default::default() })
}

impl Twin {
    pub(crate) fn new() -> Self {
        Self {
            current: 1,
            compacted: -1,
            states: BTreeMap::from([(0, Keys::new()), (1, Keys::new())]),
            history: Vec::new(),
        }
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.states[&self.current]
    }

    fn request(&self) -> Run<'_> {
        Run { twin: self, keys: self.keys().clone(), changes: Vec::new() }
    }

    fn end(&mut self, keys: Keys, changes: Vec<Change>) -> Vec<Change> {
        if !changes.is_empty() {
            self.current += 1;
            self.states.insert(self.current, keys);
            self.history.extend(changes.iter().cloned());
        }
        changes
    }

    pub(crate) fn put(&mut self, request: &PutRequest) -> (Result<PutResponse, MvccError>, Vec<Change>) {
        let mut run = self.request();
        if let Err(refusal) = run.check_put(request) {
            return (Err(refusal), Vec::new());
        }
        let response = run.put(request);
        let Run { keys, changes, .. } = run;
        (Ok(response), self.end(keys, changes))
    }

    pub(crate) fn delete_range(
        &mut self,
        request: &DeleteRangeRequest,
    ) -> (Result<DeleteRangeResponse, MvccError>, Vec<Change>) {
        let mut run = self.request();
        let response = run.delete_range(request);
        let Run { keys, changes, .. } = run;
        (Ok(response), self.end(keys, changes))
    }

    pub(crate) fn txn(&mut self, request: &TxnRequest) -> (Result<TxnResponse, MvccError>, Vec<Change>) {
        let mut run = self.request();
        if let Err(refusal) = run.check_txn(request) {
            return (Err(refusal), Vec::new());
        }
        let mut response = run.txn(request);
        response.header = header(run.revision());
        let Run { keys, changes, .. } = run;
        (Ok(response), self.end(keys, changes))
    }

    pub(crate) fn compact(&mut self, revision: i64) -> Result<(), MvccError> {
        if revision <= self.compacted {
            return Err(MvccError::Compacted { requested: revision, compacted: self.compacted });
        }
        if revision > self.current {
            return Err(MvccError::FutureRevision { requested: revision, current: self.current });
        }
        self.compacted = revision;
        Ok(())
    }

    /// A range outside of a transaction; no header.
    pub(crate) fn range(&self, request: &RangeRequest) -> Result<RangeResponse, MvccError> {
        self.request().range(request).map(|response| RangeResponse { header: None, ..response })
    }

    /// Returns the response to a transaction of reads beside apply.
    pub(crate) fn read_txn(&self, request: &TxnRequest) -> Result<TxnResponse, MvccError> {
        self.clone().txn(request).0
    }
}

impl Run<'_> {
    fn revision(&self) -> i64 {
        self.twin.current + i64::from(!self.changes.is_empty())
    }

    fn range(&self, request: &RangeRequest) -> Result<RangeResponse, MvccError> {
        let requested = request.revision;
        if requested > self.revision() {
            return Err(MvccError::FutureRevision { requested, current: self.revision() });
        }
        if requested > 0 && requested < self.twin.compacted {
            return Err(MvccError::Compacted { requested, compacted: self.twin.compacted });
        }
        let state =
            if requested <= 0 || requested > self.twin.current { &self.keys } else { &self.twin.states[&requested] };
        let mut kvs: Vec<KeyValue> = state
            .iter()
            .filter(|(key, _)| contains(key, &request.key, &request.range_end))
            .map(|(_, kv)| kv.clone())
            .collect();
        let count = i64::try_from(kvs.len()).unwrap();
        let mut response = RangeResponse { header: header(self.revision()), count, ..Default::default() };
        if request.count_only {
            return Ok(response);
        }
        let bounds = [
            request.min_mod_revision,
            request.max_mod_revision,
            request.min_create_revision,
            request.max_create_revision,
        ];
        let by_key = request.sort_target == range_request::SortTarget::Key as i32;
        let limit = usize::try_from(request.limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        // A bare sort target sorts only the keys within the limit.
        if bounds == [0; 4] && request.sort_order == 0 {
            kvs.truncate(limit.saturating_add(1));
        }
        kvs.retain(|kv| {
            (bounds[0] == 0 || kv.mod_revision >= bounds[0])
                && (bounds[1] == 0 || kv.mod_revision <= bounds[1])
                && (bounds[2] == 0 || kv.create_revision >= bounds[2])
                && (bounds[3] == 0 || kv.create_revision <= bounds[3])
        });
        if request.sort_order != 0 || !by_key {
            kvs.sort_by(|a, b| {
                let ascending = match request.sort_target {
                    0 => a.key.cmp(&b.key),
                    1 => a.version.cmp(&b.version),
                    2 => a.create_revision.cmp(&b.create_revision),
                    3 => a.mod_revision.cmp(&b.mod_revision),
                    _ => a.value.cmp(&b.value),
                };
                if request.sort_order == 2 { ascending.reverse() } else { ascending }
            });
        }
        response.more = kvs.len() > limit;
        kvs.truncate(limit);
        if request.keys_only {
            for kv in &mut kvs {
                kv.value = Bytes::new();
                if request.sort_target != 4 {
                    kv.lease = 0;
                }
            }
        }
        response.kvs = kvs;
        Ok(response)
    }

    fn change(&mut self, key: Vec<u8>, kv: Option<KeyValue>) {
        match &kv {
            Some(kv) => self.keys.insert(key.clone(), kv.clone()),
            None => self.keys.remove(&key),
        };
        let sub = i64::try_from(self.changes.len()).unwrap();
        self.changes.push(Change { main: self.twin.current + 1, sub, key, kv });
    }

    fn check_put(&self, request: &PutRequest) -> Result<(), MvccError> {
        if !matches!(request.lease, 0..=2) {
            return Err(MvccError::LeaseNotFound);
        }
        let lives = self.keys.contains_key(&request.key[..]);
        if (request.ignore_value || request.ignore_lease) && !lives { Err(MvccError::KeyNotFound) } else { Ok(()) }
    }

    fn put(&mut self, request: &PutRequest) -> PutResponse {
        let old = self.keys.get(&request.key[..]).cloned();
        let revision = self.twin.current + 1;
        let mut kv = KeyValue {
            key: request.key.clone(),
            create_revision: revision,
            mod_revision: revision,
            version: 1,
            value: request.value.clone(),
            lease: request.lease,
        };
        if request.ignore_lease {
            kv.lease = 0;
        }
        if let Some(old) = &old {
            kv.create_revision = old.create_revision;
            kv.version = old.version + 1;
            if request.ignore_value {
                kv.value = old.value.clone();
            }
            if request.ignore_lease {
                kv.lease = old.lease;
            }
        }
        self.change(request.key.to_vec(), Some(kv));
        PutResponse { header: header(revision), prev_kv: old.filter(|_| request.prev_kv) }
    }

    fn delete_range(&mut self, request: &DeleteRangeRequest) -> DeleteRangeResponse {
        let gone: Vec<KeyValue> =
            self.keys.values().filter(|kv| contains(&kv.key, &request.key, &request.range_end)).cloned().collect();
        for kv in &gone {
            self.change(kv.key.to_vec(), None);
        }
        let deleted = i64::try_from(gone.len()).unwrap();
        DeleteRangeResponse {
            header: header(self.revision()),
            deleted,
            prev_kvs: if request.prev_kv { gone } else { Vec::new() },
        }
    }

    /// Comparisons look at the state before the request.
    fn taken<'r>(&self, request: &'r TxnRequest) -> (bool, &'r [RequestOp]) {
        let before = self.twin.keys();
        let succeeded = request.compare.iter().all(|compare| {
            let kvs: Vec<&KeyValue> =
                before.values().filter(|kv| contains(&kv.key, &compare.key, &compare.range_end)).collect();
            if kvs.is_empty() {
                return compare.target != 3 && holds(compare, &KeyValue::default());
            }
            kvs.into_iter().all(|kv| holds(compare, kv))
        });
        (succeeded, if succeeded { &request.success } else { &request.failure })
    }

    fn check_txn(&self, request: &TxnRequest) -> Result<(), MvccError> {
        let (current, compacted) = (self.twin.current, self.twin.compacted);
        for op in self.taken(request).1 {
            match op.request.as_ref().unwrap() {
                Request::RequestRange(RangeRequest { revision: requested @ 1.., .. }) if *requested > current => {
                    return Err(MvccError::FutureRevision { requested: *requested, current });
                }
                Request::RequestRange(range) if range.revision != 0 && range.revision < compacted => {
                    return Err(MvccError::Compacted { requested: range.revision, compacted });
                }
                Request::RequestRange(_) | Request::RequestDeleteRange(_) => {}
                Request::RequestPut(put) => self.check_put(put)?,
                Request::RequestTxn(inner) => self.check_txn(inner)?,
            }
        }
        Ok(())
    }

    fn txn(&mut self, request: &TxnRequest) -> TxnResponse {
        let (succeeded, ops) = self.taken(request);
        let responses = ops.iter().map(|op| match op.request.as_ref().unwrap() {
            Request::RequestRange(range) => Response::ResponseRange(self.range(range).unwrap()),
            Request::RequestPut(put) => Response::ResponsePut(self.put(put)),
            Request::RequestDeleteRange(delete) => Response::ResponseDeleteRange(self.delete_range(delete)),
            Request::RequestTxn(inner) => {
                Response::ResponseTxn(TxnResponse { header: Some(ResponseHeader::default()), ..self.txn(inner) })
            }
        });
        let responses = responses.map(|response| ResponseOp { response: Some(response) }).collect();
        TxnResponse { header: None, succeeded, responses }
    }
}

fn holds(compare: &Compare, kv: &KeyValue) -> bool {
    let ordering = match (compare.target, &compare.target_union) {
        (0, Some(TargetUnion::Version(n))) => kv.version.cmp(n),
        (0, _) => kv.version.cmp(&0),
        (1, Some(TargetUnion::CreateRevision(n))) => kv.create_revision.cmp(n),
        (1, _) => kv.create_revision.cmp(&0),
        (2, Some(TargetUnion::ModRevision(n))) => kv.mod_revision.cmp(n),
        (2, _) => kv.mod_revision.cmp(&0),
        (3, Some(TargetUnion::Value(value))) => kv.value.cmp(value),
        (3, _) => kv.value.cmp(&Bytes::new()),
        (4, Some(TargetUnion::Lease(n))) => kv.lease.cmp(n),
        (4, _) => kv.lease.cmp(&0),
        _ => Ordering::Equal,
    };
    match compare.result {
        0 => ordering == Ordering::Equal,
        1 => ordering == Ordering::Greater,
        2 => ordering == Ordering::Less,
        3 => ordering != Ordering::Equal,
        _ => true,
    }
}
