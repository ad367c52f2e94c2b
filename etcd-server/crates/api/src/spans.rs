//! The spans of operations below those of their calls: etcd's names and attributes, in its order.
//! All of them are `None` in a call that is not traced, and their attributes are not even made
//! then.

use otlp::{CallSpan, ChildSpan};
use parking_lot::Mutex;
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{
    CompactionRequest, Compare, DeleteRangeRequest, LeaseGrantRequest, RangeRequest, RequestOp, TxnRequest,
    WatchCreateRequest,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use watch::Output;

pub(crate) fn range(name: &'static str, request: &RangeRequest) -> Option<ChildSpan> {
    let call = otlp::current()?;
    let (begin, end) = (("range_begin", request.key[..].into()), ("range_end", request.range_end[..].into()));
    let (revision, limit) = (("rev", request.revision.into()), ("limit", request.limit.into()));
    let count_only = ("count_only", request.count_only.into());
    Some(if name == "range" {
        call.child(name, [begin, end, revision, limit, count_only, ("keys_only", request.keys_only.into())])
    } else {
        call.child(name, [begin, end, revision, limit, count_only])
    })
}

pub(crate) fn put(key: &[u8]) -> Option<ChildSpan> {
    Some(otlp::current()?.child("put", [("key", key.into())]))
}

pub(crate) fn delete_range(request: &DeleteRangeRequest) -> Option<ChildSpan> {
    let attributes = || [("range_begin", request.key[..].into()), ("range_end", request.range_end[..].into())];
    Some(otlp::current()?.child("delete_range", attributes()))
}

pub(crate) fn txn(request: &TxnRequest, read_only: bool) -> Option<ChildSpan> {
    let call = otlp::current()?;
    Some(call.child(
        "txn",
        [
            ("compare_first_key", first_compare_key(&request.compare).into()),
            ("success_first_key", first_key(&request.success).into()),
            ("success_first_type", first_type(&request.success).into()),
            ("success_first_lease", first_lease(&request.success).into()),
            ("compare_len", request.compare.len().into()),
            ("success_len", request.success.len().into()),
            ("failure_len", request.failure.len().into()),
            ("read_only", read_only.into()),
        ],
    ))
}

pub(crate) fn compact(request: &CompactionRequest) -> Option<ChildSpan> {
    Some(
        otlp::current()?.child("compact", [("is_physical", request.physical.into()), ("rev", request.revision.into())]),
    )
}

pub(crate) fn lease_grant(request: &LeaseGrantRequest) -> Option<ChildSpan> {
    Some(otlp::current()?.child("lease_grant", [("id", request.id.into()), ("ttl", request.ttl.into())]))
}

pub(crate) fn lease(name: &'static str, id: i64) -> Option<ChildSpan> {
    Some(otlp::current()?.child(name, [("id", id.into())]))
}

/// The first key of a comparison that has one.
fn first_compare_key(compares: &[Compare]) -> &[u8] {
    compares.iter().map(|compare| &compare.key[..]).find(|key| !key.is_empty()).unwrap_or_default()
}

/// The first key of an operation that has one.
fn first_key(operations: &[RequestOp]) -> &[u8] {
    let keys = operations.iter().filter_map(|operation| match operation.request.as_ref()? {
        Request::RequestRange(range) => Some(&range.key[..]),
        Request::RequestPut(put) => Some(&put.key[..]),
        Request::RequestDeleteRange(delete) => Some(&delete.key[..]),
        Request::RequestTxn(_) => None,
    });
    keys.into_iter().find(|key| !key.is_empty()).unwrap_or_default()
}

fn first_type(operations: &[RequestOp]) -> &'static str {
    let kinds = operations.iter().filter_map(|operation| operation.request.as_ref());
    kinds.into_iter().next().map_or("", |request| match request {
        Request::RequestRange(_) => "range",
        Request::RequestPut(_) => "put",
        Request::RequestDeleteRange(_) => "delete_range",
        Request::RequestTxn(_) => "txn",
    })
}

/// The lease of the first put; -1 if there is no put.
fn first_lease(operations: &[RequestOp]) -> i64 {
    let puts = operations.iter().filter_map(|operation| match operation.request.as_ref()? {
        Request::RequestPut(put) => Some(put.lease),
        Request::RequestRange(_) | Request::RequestDeleteRange(_) | Request::RequestTxn(_) => None,
    });
    puts.into_iter().next().unwrap_or(-1)
}

/// The spans of a stream's watchers: each ends when its watcher does, at the latest with the
/// stream.
#[derive(Debug)]
pub(crate) struct WatchSpans {
    call: CallSpan,
    open: Mutex<OpenWatches>,
}

#[derive(Debug, Default)]
struct OpenWatches {
    /// Of requests that were not responded to, in their order; nothing for one that has no span.
    requested: VecDeque<Option<ChildSpan>>,
    by_id: BTreeMap<i64, ChildSpan>,
}

impl WatchSpans {
    /// The spans of a stream that the current call opens; `None` if that call is not traced.
    pub(crate) fn current() -> Option<Arc<Self>> {
        Some(Arc::new(Self { call: otlp::current()?, open: Mutex::default() }))
    }

    /// A watcher is requested; `None` if it is refused before it could be one.
    pub(crate) fn begin(&self, create: Option<&WatchCreateRequest>) {
        let span = create.map(|create| {
            // As etcd shows a range without an end.
            let end = if create.range_end[..] == [0] { &[] } else { &create.range_end[..] };
            let (key, end) = (("key", create.key[..].into()), ("range_end", end.into()));
            let (start, progress) =
                (("start_rev", create.start_revision.into()), ("progress_notify", create.progress_notify.into()));
            self.call.child(
                "watch",
                [key, end, start, progress, ("prev_kv", create.prev_kv.into()), ("fragment", create.fragment.into())],
            )
        });
        self.open.lock().requested.push_back(span);
    }

    /// A response leaves.
    pub(crate) fn follow(&self, output: &Output) {
        let mut open = self.open.lock();
        if output.is_creation()
            && let Some(Some(span)) = open.requested.pop_front()
            && !output.is_end()
        {
            open.by_id.insert(output.watch_id(), span);
        } else if output.is_end() {
            open.by_id.remove(&output.watch_id());
        }
    }
}
