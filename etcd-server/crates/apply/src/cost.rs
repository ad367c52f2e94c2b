//! The number of bytes that a request may add to the store, for the quota. Figures are etcd's
//! (server/storage/quota.go).

use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{InternalRaftRequest, PutRequest, RequestOp, TxnRequest};

const PUT_OVERHEAD_BYTES: u64 = 256;
const LEASE_BYTES: u64 = 64;

/// Bytes that the request may cost; 0 for those that are never refused for want of space.
pub fn quota_cost(request: &InternalRaftRequest) -> u64 {
    if let Some(put) = &request.put {
        return put_cost(put);
    }
    if let Some(txn) = &request.txn {
        return txn_cost(txn);
    }
    if request.lease_grant.is_some() { LEASE_BYTES } else { 0 }
}

pub(crate) fn put_cost(put: &PutRequest) -> u64 {
    PUT_OVERHEAD_BYTES + put.key.len() as u64 + put.value.len() as u64
}

pub(crate) fn txn_cost(txn: &TxnRequest) -> u64 {
    operations_cost(&txn.success).max(operations_cost(&txn.failure))
}

pub(crate) const fn lease_cost() -> u64 {
    LEASE_BYTES
}

fn operations_cost(operations: &[RequestOp]) -> u64 {
    let cost = |operation: &RequestOp| match &operation.request {
        Some(Request::RequestPut(put)) => put_cost(put),
        Some(Request::RequestTxn(txn)) => txn_cost(txn),
        Some(Request::RequestRange(_) | Request::RequestDeleteRange(_)) | None => 0,
    };
    operations.iter().map(cost).sum()
}
