//! The operations that etcd counts for its metrics: those that were executed.

use crate::Response;
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::response_op::Response as Inner;
use proto::etcdserverpb::{DeleteRangeRequest, InternalRaftRequest, PutRequest, TxnRequest, TxnResponse};

/// Executed operations. A put or deletion that reads the previous version counts as a range too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Ranges.
    pub ranges: u64,
    /// Puts.
    pub puts: u64,
    /// Range deletions; for a revoked lease, its keys.
    pub deletes: u64,
    /// Bytes of keys and values put.
    pub put_bytes: u64,
    /// All operations together; etcd counts more than one as a transaction.
    pub total: u64,
}

/// Returns the operations of a request that was executed with this response.
pub(crate) fn of(request: &InternalRaftRequest, response: &Response, changes: usize) -> Counts {
    let counts = match (response, &request.put, &request.delete_range, &request.txn) {
        (Response::Put(_), Some(put), _, _) => of_put(put),
        (Response::DeleteRange(_), _, Some(delete), _) => of_delete(delete),
        (Response::Txn(response), _, _, Some(txn)) => of_txn(txn, response),
        // Of all other requests only a revoke changes keys.
        _ => Counts { deletes: changes as u64, ..Counts::default() },
    };
    Counts { total: counts.ranges + counts.puts + counts.deletes, ..counts }
}

fn of_put(put: &PutRequest) -> Counts {
    let reads = put.prev_kv || put.ignore_value || put.ignore_lease;
    let put_bytes = (put.key.len() + put.value.len()) as u64;
    Counts { ranges: u64::from(reads), puts: 1, put_bytes, ..Counts::default() }
}

fn of_delete(delete: &DeleteRangeRequest) -> Counts {
    Counts { ranges: u64::from(delete.prev_kv), deletes: 1, ..Counts::default() }
}

fn of_txn(txn: &TxnRequest, response: &TxnResponse) -> Counts {
    let branch = if response.succeeded { &txn.success } else { &txn.failure };
    let executed = branch.iter().filter_map(|operation| operation.request.as_ref());
    let mut sum = Counts::default();
    for (request, response) in executed.zip(&response.responses) {
        let one = match (request, &response.response) {
            (Request::RequestRange(_), _) => Counts { ranges: 1, ..Counts::default() },
            (Request::RequestPut(put), _) => of_put(put),
            (Request::RequestDeleteRange(delete), _) => of_delete(delete),
            (Request::RequestTxn(inner), Some(Inner::ResponseTxn(response))) => of_txn(inner, response),
            (Request::RequestTxn(_), _) => Counts::default(),
        };
        sum.ranges += one.ranges;
        sum.puts += one.puts;
        sum.deletes += one.deletes;
        sum.put_bytes += one.put_bytes;
    }
    sum
}
