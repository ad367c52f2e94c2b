//! The number of key operations of a request, for etcd's counters.

use crate::ApplyResponse;
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::response_op::Response;
use proto::etcdserverpb::{DeleteRangeRequest, InternalRaftRequest, PutRequest, TxnRequest, TxnResponse};

/// Executed operations, including those inside transactions. Reads of comparisons are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Operations {
    /// Ranges read; a put or deletion that returns the previous value reads one, too.
    pub ranges: u64,
    /// Puts.
    pub puts: u64,
    /// Range deletions, however many keys they met.
    pub deletes: u64,
    /// Bytes of the keys and values put.
    pub put_bytes: u64,
}

impl Operations {
    /// One range.
    #[must_use]
    pub fn range() -> Self {
        Self { ranges: 1, ..Self::default() }
    }

    /// Returns the sum. etcd counts more than one as a transaction.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.ranges + self.puts + self.deletes
    }

    /// Returns the operations of executing `request` with this response.
    #[must_use]
    pub fn of(request: &InternalRaftRequest, answer: &ApplyResponse) -> Self {
        let mut operations = Self::default();
        match (answer, request) {
            (ApplyResponse::Put(_), InternalRaftRequest { put: Some(put), .. }) => operations.add_put(put),
            (ApplyResponse::DeleteRange(_), InternalRaftRequest { delete_range: Some(delete), .. }) => {
                operations.add_delete(delete)
            }
            (ApplyResponse::Txn(response), InternalRaftRequest { txn: Some(txn), .. }) => {
                operations.add_txn(txn, response)
            }
            _ => {}
        }
        operations
    }

    /// Returns the operations of executing a transaction: those of the branch taken.
    #[must_use]
    pub fn of_txn(request: &TxnRequest, response: &TxnResponse) -> Self {
        let mut operations = Self::default();
        operations.add_txn(request, response);
        operations
    }

    fn add_put(&mut self, put: &PutRequest) {
        self.puts += 1;
        self.ranges += u64::from(put.prev_kv || put.ignore_value || put.ignore_lease);
        // The size of an ignored value that stays in place is not known here, and is not put by
        // this request.
        self.put_bytes += (put.key.len() + put.value.len()) as u64;
    }

    fn add_delete(&mut self, delete: &DeleteRangeRequest) {
        self.deletes += 1;
        self.ranges += u64::from(delete.prev_kv);
    }

    fn add_txn(&mut self, request: &TxnRequest, response: &TxnResponse) {
        let branch = if response.succeeded { &request.success } else { &request.failure };
        // An operation without content has no response.
        let executed = branch.iter().filter(|operation| operation.request.is_some());
        for (operation, answer) in executed.zip(&response.responses) {
            match (&operation.request, &answer.response) {
                (Some(Request::RequestRange(_)), _) => self.ranges += 1,
                (Some(Request::RequestPut(put)), _) => self.add_put(put),
                (Some(Request::RequestDeleteRange(delete)), _) => self.add_delete(delete),
                (Some(Request::RequestTxn(txn)), Some(Response::ResponseTxn(response))) => self.add_txn(txn, response),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::etcdserverpb::{RangeRequest, RequestOp, ResponseOp};

    fn operation(request: Request) -> RequestOp {
        RequestOp { request: Some(request) }
    }

    fn answer(response: Response) -> ResponseOp {
        ResponseOp { response: Some(response) }
    }

    #[test]
    fn only_the_branch_taken_counts_and_nested_ones_count_with_it() {
        let put = PutRequest { key: "ab".into(), value: "cde".into(), prev_kv: true, ..PutRequest::default() };
        let inner = TxnRequest { failure: vec![operation(Request::RequestPut(put.clone()))], ..TxnRequest::default() };
        let outer = TxnRequest {
            success: vec![
                operation(Request::RequestRange(RangeRequest::default())),
                operation(Request::RequestTxn(inner)),
            ],
            failure: vec![operation(Request::RequestPut(put)); 3],
            ..TxnRequest::default()
        };
        let inner = TxnResponse {
            responses: vec![answer(Response::ResponsePut(Default::default()))],
            ..TxnResponse::default()
        };
        let responses = vec![answer(Response::ResponseRange(Default::default())), answer(Response::ResponseTxn(inner))];
        let response = TxnResponse { succeeded: true, responses, ..TxnResponse::default() };
        let operations = Operations::of_txn(&outer, &response);
        assert_eq!(operations, Operations { ranges: 2, puts: 1, deletes: 0, put_bytes: 5 });
        assert_eq!(operations.total(), 3);
    }
}
