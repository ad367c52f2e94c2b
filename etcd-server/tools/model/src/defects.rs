//! The defects for which a request is refused before it is proposed
//! (server/etcdserver/api/v3rpc/key.go).

use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{DeleteRangeRequest, InternalRaftRequest, PutRequest, RangeRequest, RequestOp, TxnRequest};

const NO_KEY: &str = "key is not provided";
const DUPLICATE_KEY: &str = "duplicate key given in txn request";
const TOO_MANY_OPERATIONS: &str = "too many operations in txn request";

/// The orders (none, ascending, descending) and the targets (key, version, create and modification
/// revision, value) of a sort.
const SORT_ORDERS: i32 = 3;
const SORT_TARGETS: i32 = 5;

/// Returns etcd's text for the defect of a request; `None` if it may be proposed. A branch of a
/// transaction holds at most `operations_max` operations.
pub fn defect(request: &InternalRaftRequest, operations_max: usize) -> Option<&'static str> {
    let range = request.range.as_ref().and_then(of_range);
    let put = request.put.as_ref().and_then(of_put);
    let delete = request.delete_range.as_ref().and_then(of_delete);
    let txn = request.txn.as_ref().and_then(|txn| {
        let duplicate = || [&txn.success, &txn.failure].into_iter().find_map(|branch| changes(branch).err());
        of_operations(txn, operations_max).or_else(duplicate)
    });
    range.or(put).or(delete).or(txn)
}

fn of_range(range: &RangeRequest) -> Option<&'static str> {
    let known = (0..SORT_ORDERS).contains(&range.sort_order) && (0..SORT_TARGETS).contains(&range.sort_target);
    match (range.key.is_empty(), known) {
        (true, _) => Some(NO_KEY),
        (false, true) => None,
        (false, false) => Some("invalid sort option"),
    }
}

fn of_put(put: &PutRequest) -> Option<&'static str> {
    let defects = [
        (put.key.is_empty(), NO_KEY),
        (put.ignore_value && !put.value.is_empty(), "value is provided"),
        (put.ignore_lease && put.lease != 0, "lease is provided"),
    ];
    defects.into_iter().find_map(|(is_present, text)| is_present.then_some(text))
}

fn of_delete(delete: &DeleteRangeRequest) -> Option<&'static str> {
    delete.key.is_empty().then_some(NO_KEY)
}

fn of_operations(txn: &TxnRequest, operations_max: usize) -> Option<&'static str> {
    let largest = [txn.compare.len(), txn.success.len(), txn.failure.len()].into_iter().max().unwrap_or(0);
    if largest > operations_max {
        return Some(TOO_MANY_OPERATIONS);
    }
    if txn.compare.iter().any(|compare| compare.key.is_empty()) {
        return Some(NO_KEY);
    }
    let of_operation = |operation: &RequestOp| match &operation.request {
        Some(Request::RequestRange(range)) => of_range(range),
        Some(Request::RequestPut(put)) => of_put(put),
        Some(Request::RequestDeleteRange(delete)) => of_delete(delete),
        Some(Request::RequestTxn(inner)) => of_operations(inner, operations_max - largest),
        None => Some("key not found"),
    };
    txn.success.iter().chain(&txn.failure).find_map(of_operation)
}

/// The keys that operations put, and the ranges that they delete: start and end.
type Changes = (Vec<Vec<u8>>, Vec<(Vec<u8>, Vec<u8>)>);

/// Returns the changes of a branch, whichever branches of nested transactions are taken, or the
/// defect that a key is changed twice.
fn changes(branch: &[RequestOp]) -> Result<Changes, &'static str> {
    let requests = || branch.iter().filter_map(|operation| operation.request.as_ref());
    let mut puts: Vec<Vec<u8>> = Vec::new();
    let mut deletes = Vec::new();
    for request in requests() {
        if let Request::RequestDeleteRange(delete) = request {
            deletes.push((delete.key.to_vec(), delete.range_end.to_vec()));
        }
    }
    // Operations are checked behind the transactions beside them, and a nested transaction against
    // those before it: its deletions do not count for its own puts, nor for earlier ones.
    for request in requests() {
        let Request::RequestTxn(inner) = request else { continue };
        let (then, otherwise) = (changes(&inner.success)?, changes(&inner.failure)?);
        if then.0.iter().chain(&otherwise.0).any(|key| puts.contains(key) || is_deleted(key, &deletes)) {
            return Err(DUPLICATE_KEY);
        }
        for (new_puts, new_deletes) in [then, otherwise] {
            puts.extend(new_puts);
            deletes.extend(new_deletes);
        }
    }
    for request in requests() {
        let Request::RequestPut(put) = request else { continue };
        let key = put.key.to_vec();
        if puts.contains(&key) || is_deleted(&key, &deletes) {
            return Err(DUPLICATE_KEY);
        }
        puts.push(key);
    }
    Ok((puts, deletes))
}

/// The end of a range is taken literally here, also the end that stands for no end.
fn is_deleted(key: &[u8], deletes: &[(Vec<u8>, Vec<u8>)]) -> bool {
    deletes.iter().any(|(start, end)| match end.as_slice() {
        [] => key == start,
        end => start.as_slice() <= key && key < end,
    })
}
