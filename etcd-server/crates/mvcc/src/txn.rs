//! Executing requests: single puts and deletes, and transactions of any depth.
//!
//! A transaction first decides, on the state before it, which branch every (nested) transaction on
//! its path takes; then checks every operation on that path, still on the state before; only then
//! executes. So it is refused as a whole or executed as a whole.

use crate::range::{RangeOptions, Source};
use crate::record::{self, Fields};
use crate::{MvccError, ReadPoint, Write};
use bytes::Bytes;
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::response_op::Response;
use proto::etcdserverpb::{
    DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse, RangeRequest, RangeResponse, RequestOp,
    ResponseHeader, ResponseOp, TxnRequest, TxnResponse,
};
use proto::mvccpb::KeyValue;
use schema::View;
use types::{Fault, KeyRange, LeaseId, MainRevision};

/// Executed, or refused by the state; in both cases the same on every member.
pub type Executed<T> = Result<Result<T, MvccError>, Fault>;

/// Unwraps the refusal of a nested call, so that it becomes this call's answer.
macro_rules! unless_refused {
    ($outcome:expr) => {
        match $outcome? {
            Ok(value) => value,
            Err(error) => return Ok(Err(error)),
        }
    };
}

/// Executes a put. The answer's header holds the revision alone.
pub fn execute_put<V: View>(write: &mut Write<'_, V>, request: &PutRequest) -> Executed<PutResponse> {
    unless_refused!(check_put(write, request));
    put(write, request).map(Ok)
}

/// Executes a deletion; it cannot be refused. The answer's header holds the revision alone.
pub fn execute_delete_range<V: View>(
    write: &mut Write<'_, V>,
    request: &DeleteRangeRequest,
) -> Result<DeleteRangeResponse, Fault> {
    let range = KeyRange::from_wire(request.key.clone(), request.range_end.clone());
    let records = write.delete_range(&range)?;
    let deleted = i64::try_from(records.len()).expect("fewer than 2^63 keys live");
    let prev_kvs = if request.prev_kv { decode_all(records)? } else { Vec::new() };
    Ok(DeleteRangeResponse { header: revision_header(write.revision()), deleted, prev_kvs })
}

/// Executes a transaction. Headers hold revisions alone.
pub fn execute_txn<V: View>(write: &mut Write<'_, V>, request: &TxnRequest) -> Executed<TxnResponse> {
    let path = Path::choose(&write.source(), request)?;
    unless_refused!(check_txn(write, request, &path));
    let mut response = execute_path(write, request, &path)?;
    response.header = revision_header(write.revision());
    Ok(Ok(response))
}

/// Executes a transaction of reads alone, beside apply. The header holds the revision alone.
pub fn execute_txn_read<V: View>(point: &ReadPoint, view: &V, request: &TxnRequest) -> Executed<TxnResponse> {
    let source = point.source(view);
    let path = Path::choose(&source, request)?;
    for op in path.taken(request) {
        if let Some(Request::RequestRange(range)) = &op.request
            && let Err(error) = check_range(range, point.current, point.compacted)
        {
            return Ok(Err(error));
        }
    }
    let mut responses = Vec::with_capacity(path.taken(request).len());
    for op in path.taken(request) {
        let Some(Request::RequestRange(range)) = &op.request else { continue };
        let response = unless_refused!(read(&source, range));
        responses.push(ResponseOp { response: Some(Response::ResponseRange(response)) });
    }
    Ok(Ok(TxnResponse { header: revision_header(point.current), succeeded: path.succeeded, responses }))
}

/// The branch that a transaction takes, and those nested in that branch, in the order of its
/// operations.
struct Path {
    succeeded: bool,
    nested: Vec<Path>,
}

impl Path {
    fn choose<V: View>(state: &Source<'_, V>, request: &TxnRequest) -> Result<Self, Fault> {
        let succeeded = state.all_hold(&request.compare)?;
        let mut path = Self { succeeded, nested: Vec::new() };
        let mut nested = Vec::new();
        for op in path.taken(request) {
            if let Some(Request::RequestTxn(inner)) = &op.request {
                nested.push(Self::choose(state, inner)?);
            }
        }
        path.nested = nested;
        Ok(path)
    }

    fn taken<'r>(&self, request: &'r TxnRequest) -> &'r [RequestOp] {
        if self.succeeded { &request.success } else { &request.failure }
    }
}

fn check_txn<V: View>(write: &mut Write<'_, V>, request: &TxnRequest, path: &Path) -> Executed<()> {
    let mut nested = path.nested.iter();
    for op in path.taken(request) {
        match &op.request {
            Some(Request::RequestRange(range)) => {
                if let Err(error) = check_range(range, write.begin(), write.compacted()) {
                    return Ok(Err(error));
                }
            }
            Some(Request::RequestPut(put)) => unless_refused!(check_put(write, put)),
            Some(Request::RequestTxn(inner)) => {
                let path = nested.next().expect("a path was chosen for every nested transaction");
                unless_refused!(check_txn(write, inner, path));
            }
            Some(Request::RequestDeleteRange(_)) | None => {}
        }
    }
    assert!(nested.next().is_none(), "every chosen branch of a nested transaction was checked");
    Ok(Ok(()))
}

/// Zero asks for the newest; any other revision must exist, negative ones too (etcd: txn.go,
/// checkRange).
fn check_range(request: &RangeRequest, current: MainRevision, compacted: MainRevision) -> Result<(), MvccError> {
    let requested = request.revision;
    if requested == 0 {
        return Ok(());
    }
    if requested > current {
        return Err(MvccError::FutureRevision { requested, current });
    }
    if requested < compacted {
        return Err(MvccError::Compacted { requested, compacted });
    }
    Ok(())
}

fn check_put<V: View>(write: &mut Write<'_, V>, request: &PutRequest) -> Executed<()> {
    let lease = LeaseId(request.lease);
    if lease.is_some() && !write.leases.exists(lease) {
        return Ok(Err(MvccError::LeaseNotFound));
    }
    if (request.ignore_value || request.ignore_lease) && write.record(&request.key)?.is_none() {
        return Ok(Err(MvccError::KeyNotFound));
    }
    Ok(Ok(()))
}

fn execute_path<V: View>(write: &mut Write<'_, V>, request: &TxnRequest, path: &Path) -> Result<TxnResponse, Fault> {
    let mut nested = path.nested.iter();
    let mut responses = Vec::with_capacity(path.taken(request).len());
    for op in path.taken(request) {
        let response = match &op.request {
            Some(Request::RequestRange(range)) => {
                // Checked before; only a compaction in between could refuse, and that is an entry
                // of its own.
                let read = read(&write.source(), range)?;
                Response::ResponseRange(read.map_err(|error| Fault::corrupt("transaction", error))?)
            }
            Some(Request::RequestPut(request)) => Response::ResponsePut(put(write, request)?),
            Some(Request::RequestDeleteRange(request)) => {
                Response::ResponseDeleteRange(execute_delete_range(write, request)?)
            }
            Some(Request::RequestTxn(inner)) => {
                let path = nested.next().expect("a path was chosen for every nested transaction");
                let mut response = execute_path(write, inner, path)?;
                response.header = Some(ResponseHeader::default());
                Response::ResponseTxn(response)
            }
            None => continue,
        };
        responses.push(ResponseOp { response: Some(response) });
    }
    assert!(nested.next().is_none(), "every chosen branch of a nested transaction was executed");
    Ok(TxnResponse { header: None, succeeded: path.succeeded, responses })
}

fn put<V: View>(write: &mut Write<'_, V>, request: &PutRequest) -> Result<PutResponse, Fault> {
    let old = if request.prev_kv || request.ignore_value { write.record(&request.key)? } else { None };
    let old = old.map(record::decode).transpose()?;
    let value = match &old {
        Some(old) if request.ignore_value => old.value.clone(),
        _ => request.value.clone(),
    };
    let lease = if request.ignore_lease {
        match write.record(&request.key)? {
            Some(record) => Fields::parse(&record)?.lease,
            None => LeaseId::NONE,
        }
    } else {
        LeaseId(request.lease)
    };
    write.put(&request.key, value, lease)?;
    Ok(PutResponse { header: revision_header(write.revision()), prev_kv: old.filter(|_| request.prev_kv) })
}

fn read<V: View>(source: &Source<'_, V>, request: &RangeRequest) -> Executed<RangeResponse> {
    let found = unless_refused!(source.range(&RangeOptions::new(request)));
    let mut response = found.into_response()?;
    response.header = revision_header(source.current);
    Ok(Ok(response))
}

fn decode_all(records: Vec<Bytes>) -> Result<Vec<KeyValue>, Fault> {
    records.into_iter().map(record::decode).collect()
}

#[expect(clippy::unnecessary_wraps, reason = "headers are optional on the wire, and this is what stands there")]
fn revision_header(revision: MainRevision) -> Option<ResponseHeader> {
    Some(ResponseHeader { revision, ..ResponseHeader::default() })
}
