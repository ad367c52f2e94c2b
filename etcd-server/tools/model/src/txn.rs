//! Puts, deletions and transactions.
//!
//! A request is first checked on the state before it, and executed only if nothing is refused. All
//! comparisons of a transaction, nested ones included, are made on the state before it.

use crate::keys::Change;
use crate::{Model, Refusal};
use bytes::Bytes;
use proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::response_op::Response;
use proto::etcdserverpb::{
    Compare, DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse, RequestOp, ResponseHeader, ResponseOp,
    TxnRequest, TxnResponse,
};
use proto::mvccpb::KeyValue;
use std::cmp::Ordering;

/// The operations of a transaction that are executed: the branch taken, nested ones included.
struct Taken<'a> {
    succeeded: bool,
    operations: Vec<(&'a Request, Option<Taken<'a>>)>,
}

impl Model {
    /// The revision that a reader within the request sees.
    fn seen(&self, changes: &[Change]) -> i64 {
        if changes.is_empty() { self.keys.current } else { self.keys.current + 1 }
    }

    #[expect(clippy::unnecessary_wraps, reason = "headers are optional on the wire")]
    fn header(&self, changes: &[Change]) -> Option<ResponseHeader> {
        Some(ResponseHeader { revision: self.seen(changes), ..ResponseHeader::default() })
    }

    pub(crate) fn check_put(&self, put: &PutRequest) -> Result<(), Refusal> {
        if put.lease != 0 && !self.leases.contains_key(&put.lease) {
            return Err(Refusal::LeaseNotFound);
        }
        let needs_key = put.ignore_value || put.ignore_lease;
        if needs_key && self.keys.at(&put.key, self.keys.current).is_none() {
            Err(Refusal::KeyNotFound)
        } else {
            Ok(())
        }
    }

    pub(crate) fn put(&mut self, put: &PutRequest, changes: &mut Vec<Change>) -> PutResponse {
        let main = self.keys.current + 1;
        let old = self.keys.at(&put.key, main).cloned();
        let kept = old.clone().unwrap_or_default();
        let kv = KeyValue {
            key: put.key.clone(),
            create_revision: if old.is_some() { kept.create_revision } else { main },
            mod_revision: main,
            version: kept.version + 1,
            value: if put.ignore_value { kept.value } else { put.value.clone() },
            lease: if put.ignore_lease { kept.lease } else { put.lease },
        };
        self.change(put.key.to_vec(), Some(kv), changes);
        PutResponse { header: self.header(changes), prev_kv: old.filter(|_| put.prev_kv) }
    }

    pub(crate) fn delete_range(
        &mut self,
        delete: &DeleteRangeRequest,
        changes: &mut Vec<Change>,
    ) -> DeleteRangeResponse {
        let old = self.keys.in_range(&delete.key, &delete.range_end, self.keys.current + 1);
        for kv in &old {
            self.change(kv.key.to_vec(), None, changes);
        }
        let deleted = i64::try_from(old.len()).unwrap_or(i64::MAX);
        DeleteRangeResponse {
            header: self.header(changes),
            deleted,
            prev_kvs: if delete.prev_kv { old } else { Vec::new() },
        }
    }

    pub(crate) fn change(&mut self, key: Vec<u8>, kv: Option<KeyValue>, changes: &mut Vec<Change>) {
        let sub = i64::try_from(changes.len()).unwrap_or(i64::MAX);
        let change = Change { main: self.keys.current + 1, sub, key, kv };
        self.keys.record(&change);
        changes.push(change);
    }

    pub(crate) fn txn(&mut self, request: &TxnRequest, changes: &mut Vec<Change>) -> Result<TxnResponse, Refusal> {
        let taken = self.choose(request);
        self.check_taken(&taken)?;
        let mut response = self.execute(&taken, changes);
        response.header = self.header(changes);
        Ok(response)
    }

    fn choose<'a>(&self, request: &'a TxnRequest) -> Taken<'a> {
        let succeeded = request.compare.iter().all(|compare| self.holds(compare));
        let branch: &[RequestOp] = if succeeded { &request.success } else { &request.failure };
        let operations = branch.iter().filter_map(|operation| operation.request.as_ref());
        let nested = |request: &'a Request| {
            if let Request::RequestTxn(inner) = request { Some(self.choose(inner)) } else { None }
        };
        Taken { succeeded, operations: operations.map(|request| (request, nested(request))).collect() }
    }

    fn check_taken(&self, taken: &Taken<'_>) -> Result<(), Refusal> {
        for (request, nested) in &taken.operations {
            match request {
                Request::RequestRange(range) if range.revision > self.keys.current => {
                    return Err(Refusal::FutureRevision);
                }
                Request::RequestRange(range) if range.revision != 0 && range.revision < self.keys.compacted => {
                    return Err(Refusal::Compacted);
                }
                Request::RequestRange(_) | Request::RequestDeleteRange(_) => {}
                Request::RequestPut(put) => self.check_put(put)?,
                Request::RequestTxn(_) => nested.as_ref().map_or(Ok(()), |nested| self.check_taken(nested))?,
            }
        }
        Ok(())
    }

    fn execute(&mut self, taken: &Taken<'_>, changes: &mut Vec<Change>) -> TxnResponse {
        let mut responses = Vec::new();
        for (request, nested) in &taken.operations {
            let response = match (request, nested) {
                (Request::RequestRange(range), _) => {
                    let revision = if range.revision > 0 { range.revision } else { self.seen(changes) };
                    let mut response = self.keys.range_at(range, revision);
                    response.header = self.header(changes);
                    Response::ResponseRange(response)
                }
                (Request::RequestPut(put), _) => Response::ResponsePut(self.put(put, changes)),
                (Request::RequestDeleteRange(delete), _) => {
                    Response::ResponseDeleteRange(self.delete_range(delete, changes))
                }
                (Request::RequestTxn(_), Some(nested)) => {
                    let response = self.execute(nested, changes);
                    // The header of a nested transaction is there and empty.
                    Response::ResponseTxn(TxnResponse { header: Some(ResponseHeader::default()), ..response })
                }
                (Request::RequestTxn(_), None) => continue,
            };
            responses.push(ResponseOp { response: Some(response) });
        }
        TxnResponse { header: None, succeeded: taken.succeeded, responses }
    }

    /// Returns `true` if the comparison holds for every key of its range; without any key, numbers
    /// are compared with 0, and a value with nothing.
    fn holds(&self, compare: &Compare) -> bool {
        let found = self.keys.in_range(&compare.key, &compare.range_end, self.keys.current);
        if found.is_empty() {
            return compare.target != i32::from(CompareTarget::Value) && agrees(compare, &KeyValue::default());
        }
        found.iter().all(|kv| agrees(compare, kv))
    }
}

/// Returns `true` if the comparison holds for one key. A given value of another kind counts as 0 or
/// as empty, an unknown target as equal, an unknown result as true.
fn agrees(compare: &Compare, kv: &KeyValue) -> bool {
    let given = |target: CompareTarget| match (&compare.target_union, target) {
        (Some(TargetUnion::Version(number)), CompareTarget::Version)
        | (Some(TargetUnion::CreateRevision(number)), CompareTarget::Create)
        | (Some(TargetUnion::ModRevision(number)), CompareTarget::Mod)
        | (Some(TargetUnion::Lease(number)), CompareTarget::Lease) => *number,
        _ => 0,
    };
    let value = if let Some(TargetUnion::Value(value)) = &compare.target_union { value.clone() } else { Bytes::new() };
    let stored = match CompareTarget::try_from(compare.target) {
        Err(_) => Ordering::Equal,
        Ok(CompareTarget::Value) => kv.value.cmp(&value),
        Ok(target @ CompareTarget::Version) => kv.version.cmp(&given(target)),
        Ok(target @ CompareTarget::Create) => kv.create_revision.cmp(&given(target)),
        Ok(target @ CompareTarget::Mod) => kv.mod_revision.cmp(&given(target)),
        Ok(target @ CompareTarget::Lease) => kv.lease.cmp(&given(target)),
    };
    match CompareResult::try_from(compare.result) {
        Err(_) => true,
        Ok(CompareResult::Equal) => stored == Ordering::Equal,
        Ok(CompareResult::NotEqual) => stored != Ordering::Equal,
        Ok(CompareResult::Greater) => stored == Ordering::Greater,
        Ok(CompareResult::Less) => stored == Ordering::Less,
    }
}
