//! Transactions: size, operations, and keys that are changed twice.

use crate::{InvalidRequest, check_delete_range, check_put, check_range};
use bytes::Bytes;
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{RequestOp, TxnRequest};
use std::collections::BTreeSet;

/// Maximum nesting of transactions. The decoder of the raft log takes messages of 100 levels, two
/// for each transaction, and must be able to read everything that was admitted. etcd's own bound is
/// the number of operations, 128 by default.
const NESTING_MAX: usize = 40;

/// Checks a transaction with at most `operations_max` operations per branch; nested ones share the
/// remainder of their branch.
pub fn check_txn(request: &TxnRequest, operations_max: usize) -> Result<(), InvalidRequest> {
    check_operations(request, operations_max, NESTING_MAX)?;
    changed_keys(&request.success)?;
    changed_keys(&request.failure)?;
    Ok(())
}

/// Returns `true` if no branch changes anything. A nested transaction counts as a change even when
/// it only reads, as in etcd.
pub fn is_read_only(request: &TxnRequest) -> bool {
    operations(request).all(|operation| matches!(operation.request, Some(Request::RequestRange(_))))
}

/// Returns `true` if every operation is content with this member's own state; a transaction without
/// operations is.
pub fn is_serializable(request: &TxnRequest) -> bool {
    operations(request)
        .all(|operation| matches!(&operation.request, Some(Request::RequestRange(range)) if range.serializable))
}

/// Returns the revision of every range in both branches, nested transactions included; 0 for a
/// range at the newest revision.
pub fn read_revisions(request: &TxnRequest) -> Vec<i64> {
    let mut revisions = Vec::new();
    let mut pending = vec![request];
    while let Some(request) = pending.pop() {
        for operation in operations(request) {
            match &operation.request {
                Some(Request::RequestRange(range)) => revisions.push(range.revision),
                Some(Request::RequestTxn(inner)) => pending.push(inner),
                Some(Request::RequestPut(_) | Request::RequestDeleteRange(_)) | None => {}
            }
        }
    }
    revisions
}

fn operations(request: &TxnRequest) -> impl Iterator<Item = &RequestOp> {
    request.success.iter().chain(&request.failure)
}

fn check_operations(request: &TxnRequest, operations_max: usize, nesting_max: usize) -> Result<(), InvalidRequest> {
    let operations = request.compare.len().max(request.success.len()).max(request.failure.len());
    let left = operations_max.checked_sub(operations).ok_or(InvalidRequest::TooManyOperations)?;
    if request.compare.iter().any(|compare| compare.key.is_empty()) {
        return Err(InvalidRequest::EmptyKey);
    }
    for operation in request.success.iter().chain(&request.failure) {
        match &operation.request {
            Some(Request::RequestRange(range)) => check_range(range)?,
            Some(Request::RequestPut(put)) => check_put(put)?,
            Some(Request::RequestDeleteRange(delete)) => check_delete_range(delete)?,
            Some(Request::RequestTxn(inner)) => {
                check_operations(inner, left, nesting_max.checked_sub(1).ok_or(InvalidRequest::TooManyOperations)?)?;
            }
            None => return Err(InvalidRequest::EmptyOperation),
        }
    }
    Ok(())
}

/// A deleted range as this check of etcd sees it: its end is taken literally, so that an open end
/// (`\0`) holds no key at all.
struct Deleted {
    key: Bytes,
    range_end: Bytes,
}

impl Deleted {
    fn contains(&self, key: &Bytes) -> bool {
        if self.range_end.is_empty() { *key == self.key } else { *key >= self.key && *key < self.range_end }
    }
}

/// The keys that a branch puts, and the ranges that it deletes.
#[derive(Default)]
struct Changed {
    puts: BTreeSet<Bytes>,
    deletes: Vec<Deleted>,
}

impl Changed {
    fn is_deleted(&self, key: &Bytes) -> bool {
        self.deletes.iter().any(|range| range.contains(key))
    }
}

/// Deletions may overlap each other, and the branches of a nested transaction may put the same
/// keys, for only one is taken. A put of an earlier nested transaction under a deletion of a later
/// one beside it is not found, as in etcd.
fn changed_keys(operations: &[RequestOp]) -> Result<Changed, InvalidRequest> {
    let mut changed = Changed::default();
    // Deletions first, so that a put before the deletion is found as well.
    for operation in operations {
        if let Some(Request::RequestDeleteRange(delete)) = &operation.request {
            changed.deletes.push(Deleted { key: delete.key.clone(), range_end: delete.range_end.clone() });
        }
    }
    for operation in operations {
        if let Some(Request::RequestTxn(inner)) = &operation.request {
            merge_nested(&mut changed, inner)?;
        }
    }
    for operation in operations {
        if let Some(Request::RequestPut(put)) = &operation.request
            && (changed.is_deleted(&put.key) || !changed.puts.insert(put.key.clone()))
        {
            return Err(InvalidRequest::DuplicateKey);
        }
    }
    Ok(changed)
}

fn merge_nested(changed: &mut Changed, inner: &TxnRequest) -> Result<(), InvalidRequest> {
    let (success, failure) = (changed_keys(&inner.success)?, changed_keys(&inner.failure)?);
    let clashes = |key: &Bytes| changed.puts.contains(key) || changed.is_deleted(key);
    if success.puts.iter().chain(&failure.puts).any(clashes) {
        return Err(InvalidRequest::DuplicateKey);
    }
    changed.puts.extend(success.puts.into_iter().chain(failure.puts));
    changed.deletes.extend(success.deletes.into_iter().chain(failure.deletes));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::etcdserverpb::{PutRequest, RangeRequest};

    fn range(revision: i64) -> RequestOp {
        RequestOp {
            request: Some(Request::RequestRange(RangeRequest { key: "k".into(), revision, ..RangeRequest::default() })),
        }
    }

    fn put() -> RequestOp {
        RequestOp { request: Some(Request::RequestPut(PutRequest { key: "k".into(), ..PutRequest::default() })) }
    }

    #[test]
    fn read_revisions_come_from_all_branches_and_depths() {
        let inner = TxnRequest { success: vec![range(4)], failure: vec![put(), range(5)], ..TxnRequest::default() };
        let nested = RequestOp { request: Some(Request::RequestTxn(inner)) };
        let outer =
            TxnRequest { success: vec![range(0), put(), nested], failure: vec![range(3)], ..TxnRequest::default() };
        let mut revisions = read_revisions(&outer);
        revisions.sort_unstable();
        assert_eq!(revisions, [0, 3, 4, 5]);
        assert!(read_revisions(&TxnRequest { success: vec![put()], ..TxnRequest::default() }).is_empty());
    }
}
