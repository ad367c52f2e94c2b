//! The key space at every revision, and the effect of a request on it: small and simple on purpose,
//! and written without a look at `mvcc`.
//!
//! Nothing is ever discarded here, so compaction is no concern of it. Sorting, filters by revision
//! and nested transactions are left out: the clients of this harness do not use them.

use crate::history::{Request, Response};
use bytes::Bytes;
use proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use proto::etcdserverpb::{
    Compare, DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse, RangeRequest, RangeResponse, RequestOp,
    ResponseOp, TxnRequest, TxnResponse, request_op, response_op,
};
use proto::mvccpb::KeyValue;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// The changes of one revision: each key with its record, or `None` where it was deleted.
pub(crate) type Changes = BTreeMap<Bytes, Option<KeyValue>>;

/// Returns `true` if an interval as etcd writes them holds a key.
pub(crate) fn holds(key: &[u8], range_end: &[u8], candidate: &[u8]) -> bool {
    match range_end {
        [] => candidate == key,
        [0] => candidate >= key,
        end => candidate >= key && candidate < end,
    }
}

/// All revisions.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    keys: BTreeMap<Bytes, BTreeMap<i64, Option<KeyValue>>>,
    revisions: BTreeMap<i64, Changes>,
}

impl Timeline {
    /// Adds the changes of a revision.
    pub(crate) fn add(&mut self, revision: i64, changes: Changes) {
        for (key, record) in &changes {
            self.keys.entry(key.clone()).or_default().insert(revision, record.clone());
        }
        self.revisions.insert(revision, changes);
    }

    /// Returns the changes of a revision; `None` if it does not exist.
    pub(crate) fn changes(&self, revision: i64) -> Option<&Changes> {
        self.revisions.get(&revision)
    }

    /// All revisions from one on, in order.
    pub(crate) fn from(&self, revision: i64) -> impl Iterator<Item = (i64, &Changes)> {
        self.revisions.range(revision..).map(|(revision, changes)| (*revision, changes))
    }

    /// The newest revision; 1 when there was none, as in an empty etcd.
    pub(crate) fn last(&self) -> i64 {
        self.revisions.last_key_value().map_or(1, |(revision, _)| *revision)
    }

    /// A key's record at a revision.
    pub(crate) fn get(&self, key: &[u8], revision: i64) -> Option<&KeyValue> {
        self.keys.get(key)?.range(..=revision).next_back()?.1.as_ref()
    }

    /// The keys that a lease holds at a revision.
    pub(crate) fn leased(&self, lease: i64, revision: i64) -> Vec<&Bytes> {
        let held = |key: &&Bytes| self.get(key, revision).is_some_and(|record| record.lease == lease);
        self.keys.keys().filter(held).collect()
    }

    /// Returns the correct response to a request at a revision, without headers, and the changes of
    /// the next one.
    pub(crate) fn evaluate(&self, request: &Request, revision: i64) -> Option<(Response, Changes)> {
        let mut state = State { timeline: self, revision, changed: Changes::new() };
        let response = match request {
            Request::Range(range) => Response::Range(state.range(range)),
            Request::Put(put) => Response::Put(state.put(put)),
            Request::Delete(delete) => Response::Delete(state.delete(delete)),
            Request::Txn(txn) => Response::Txn(state.txn(txn)),
            Request::Grant(_)
            | Request::KeepAlive(_)
            | Request::Revoke(_)
            | Request::Compact(_)
            | Request::Defragment => return None,
        };
        Some((response, state.changed))
    }
}

/// The key space while a request is worked on.
struct State<'a> {
    timeline: &'a Timeline,
    revision: i64,
    changed: Changes,
}

impl State<'_> {
    fn get(&self, key: &[u8]) -> Option<&KeyValue> {
        self.changed.get(key).map_or_else(|| self.timeline.get(key, self.revision), Option::as_ref)
    }

    fn all(&self, key: &[u8], range_end: &[u8]) -> Vec<KeyValue> {
        let mut keys: Vec<_> =
            self.timeline.keys.keys().chain(self.changed.keys()).filter(|known| holds(key, range_end, known)).collect();
        keys.sort_unstable();
        keys.dedup();
        keys.into_iter().filter_map(|key| self.get(key).cloned()).collect()
    }

    fn range(&self, request: &RangeRequest) -> RangeResponse {
        let mut records = if request.revision > 0 {
            State { timeline: self.timeline, revision: request.revision, changed: Changes::new() }
                .all(&request.key, &request.range_end)
        } else {
            self.all(&request.key, &request.range_end)
        };
        let count = records.len();
        let limit = usize::try_from(request.limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        records.truncate(if request.count_only { 0 } else { limit });
        if request.keys_only {
            records.iter_mut().for_each(strip);
        }
        let more = !request.count_only && count > records.len();
        RangeResponse { header: None, kvs: records, more, count: i64::try_from(count).unwrap_or(i64::MAX) }
    }

    fn put(&mut self, request: &PutRequest) -> PutResponse {
        let before = self.get(&request.key).cloned();
        let revision = self.revision + 1;
        let record = KeyValue {
            key: request.key.clone(),
            create_revision: before.as_ref().map_or(revision, |before| before.create_revision),
            mod_revision: revision,
            version: before.as_ref().map_or(1, |before| before.version + 1),
            value: request.value.clone(),
            lease: request.lease,
        };
        self.changed.insert(request.key.clone(), Some(record));
        PutResponse { header: None, prev_kv: before.filter(|_| request.prev_kv) }
    }

    fn delete(&mut self, request: &DeleteRangeRequest) -> DeleteRangeResponse {
        let deleted = self.all(&request.key, &request.range_end);
        self.changed.extend(deleted.iter().map(|record| (record.key.clone(), None)));
        let count = i64::try_from(deleted.len()).unwrap_or(i64::MAX);
        DeleteRangeResponse {
            header: None,
            deleted: count,
            prev_kvs: if request.prev_kv { deleted } else { Vec::new() },
        }
    }

    fn txn(&mut self, request: &TxnRequest) -> TxnResponse {
        let succeeded = request.compare.iter().all(|compare| self.compare(compare));
        let branch = if succeeded { &request.success } else { &request.failure };
        let responses = branch.iter().map(|operation| ResponseOp { response: self.operation(operation) }).collect();
        TxnResponse { header: None, succeeded, responses }
    }

    fn operation(&mut self, operation: &RequestOp) -> Option<response_op::Response> {
        Some(match operation.request.as_ref()? {
            request_op::Request::RequestRange(range) => response_op::Response::ResponseRange(self.range(range)),
            request_op::Request::RequestPut(put) => response_op::Response::ResponsePut(self.put(put)),
            request_op::Request::RequestDeleteRange(delete) => {
                response_op::Response::ResponseDeleteRange(self.delete(delete))
            }
            request_op::Request::RequestTxn(txn) => response_op::Response::ResponseTxn(self.txn(txn)),
        })
    }

    fn compare(&self, compare: &Compare) -> bool {
        let record = self.get(&compare.key);
        let number = |of: fn(&KeyValue) -> i64| record.map_or(0, of);
        let ordering = match (compare.target(), &compare.target_union) {
            (CompareTarget::Version, Some(TargetUnion::Version(wanted))) => number(|record| record.version).cmp(wanted),
            (CompareTarget::Create, Some(TargetUnion::CreateRevision(wanted))) => {
                number(|record| record.create_revision).cmp(wanted)
            }
            (CompareTarget::Mod, Some(TargetUnion::ModRevision(wanted))) => {
                number(|record| record.mod_revision).cmp(wanted)
            }
            (CompareTarget::Lease, Some(TargetUnion::Lease(wanted))) => number(|record| record.lease).cmp(wanted),
            (CompareTarget::Value, Some(TargetUnion::Value(wanted))) => match record {
                Some(record) => record.value.cmp(wanted),
                None => return false,
            },
            _ => return false,
        };
        match compare.result() {
            CompareResult::Equal => ordering == Ordering::Equal,
            CompareResult::Greater => ordering == Ordering::Greater,
            CompareResult::Less => ordering == Ordering::Less,
            CompareResult::NotEqual => ordering != Ordering::Equal,
        }
    }
}

/// Removes the fields of a record without its value that are not judged: before 3.7 etcd returns
/// the lease, since then it does not.
fn strip(record: &mut KeyValue) {
    record.value.clear();
    record.lease = 0;
}

/// The response without headers, those of operations in a transaction too.
pub(crate) fn bare(request: &Request, response: &Response) -> Response {
    match response {
        Response::Range(range) => {
            let mut range = RangeResponse { header: None, ..range.clone() };
            if matches!(request, Request::Range(request) if request.keys_only) {
                range.kvs.iter_mut().for_each(strip);
            }
            Response::Range(range)
        }
        Response::Put(put) => Response::Put(PutResponse { header: None, ..put.clone() }),
        Response::Delete(delete) => Response::Delete(DeleteRangeResponse { header: None, ..delete.clone() }),
        Response::Txn(txn) => Response::Txn(bare_txn(txn)),
        other @ (Response::Grant(_)
        | Response::KeepAlive(_)
        | Response::Revoke(_)
        | Response::Compact(_)
        | Response::Defragment) => other.clone(),
    }
}

fn bare_txn(txn: &TxnResponse) -> TxnResponse {
    let responses = txn.responses.iter().map(|operation| {
        let response = operation.response.as_ref().map(|response| match response {
            response_op::Response::ResponseRange(range) => {
                response_op::Response::ResponseRange(RangeResponse { header: None, ..range.clone() })
            }
            response_op::Response::ResponsePut(put) => {
                response_op::Response::ResponsePut(PutResponse { header: None, ..put.clone() })
            }
            response_op::Response::ResponseDeleteRange(delete) => {
                response_op::Response::ResponseDeleteRange(DeleteRangeResponse { header: None, ..delete.clone() })
            }
            response_op::Response::ResponseTxn(txn) => response_op::Response::ResponseTxn(bare_txn(txn)),
        });
        ResponseOp { response }
    });
    TxnResponse { header: None, succeeded: txn.succeeded, responses: responses.collect() }
}
