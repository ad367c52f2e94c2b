//! The line `request stats` about a unary call: etcd's fields, with values only by their sizes.

use crate::grpc_frame::PREFIX_BYTES;
use crate::request_text;
use bytes::{Bytes, BytesMut};
use prost::Message as _;
use proto::etcdserverpb::{DeleteRangeResponse, PutRequest, RangeResponse, TxnRequest, TxnResponse};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};
use telemetry::log::rfc3339;
use telemetry::metrics::Method;
use tonic::Code;

/// The known part of a response when its call ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Described<'a> {
    /// None, or one without counters.
    Nothing,
    /// The message, or its end, which has the figures.
    Encoded(&'a [u8]),
    /// The figures alone.
    Counts(ResponseCounts),
}

/// The figures of a response that are logged.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ResponseCounts {
    /// Keys in a range, or keys deleted.
    pub(crate) count: i64,
    /// The branch of a transaction that was taken.
    pub(crate) succeeded: bool,
}

/// The figures of a call, as etcd computes them; -1 for calls that it does not look into.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RequestStats {
    request_count: i64,
    request_bytes: i64,
    response_count: i64,
    response_bytes: i64,
    content: String,
}

/// Returns `true` if the content of a request is logged.
pub(crate) fn shows_content(method: Method) -> bool {
    matches!(method, Method::Range | Method::Put | Method::DeleteRange | Method::Txn)
}

/// Returns the code that a call is counted with when its client breaks it off. The handlers of some
/// streams return the failed sending as an error of their own in etcd, which makes its code
/// Unknown.
pub(crate) fn code_when_abandoned(method: Method) -> Code {
    if matches!(method, Method::RangeStream | Method::Snapshot) { Code::Unknown } else { Code::Cancelled }
}

/// Returns the message of a body that came in these parts; nothing for a compressed one.
pub(crate) fn message_of(parts: &[Bytes]) -> Bytes {
    let mut whole = BytesMut::new();
    parts.iter().for_each(|part| whole.extend_from_slice(part));
    if whole.len() < PREFIX_BYTES || whole[0] != 0 { Bytes::new() } else { whole.freeze().slice(PREFIX_BYTES..) }
}

fn signed(bytes: impl TryInto<i64>) -> i64 {
    bytes.try_into().unwrap_or(i64::MAX)
}

impl RequestStats {
    pub(crate) fn of(method: Method, request: &Bytes, sent_bytes: u64, response: Described<'_>) -> Self {
        if !shows_content(method) {
            return Self {
                request_count: -1,
                request_bytes: -1,
                response_count: -1,
                response_bytes: -1,
                content: String::new(),
            };
        }
        let counts = counts(method, response);
        let mut stats = Self {
            request_count: 0,
            request_bytes: signed(request.len()),
            response_count: 0,
            response_bytes: signed(sent_bytes),
            content: String::new(),
        };
        match method {
            Method::Put => {
                stats.request_count = 1;
                stats.content =
                    PutRequest::decode(request.clone()).map(|put| request_text::put_request(&put)).unwrap_or_default();
            }
            // A transaction that failed has no branch, so there is nothing to count.
            Method::Txn => match (TxnRequest::decode(request.clone()), counts) {
                (Ok(txn), Some(counts)) => {
                    let branch = if counts.succeeded { &txn.success } else { &txn.failure };
                    stats.request_count = signed(branch.len());
                    stats.request_bytes = branch.iter().map(|operation| signed(operation.encoded_len())).sum();
                    stats.content = request_text::txn_request(&txn);
                }
                _ => stats.request_bytes = 0,
            },
            Method::DeleteRange => {
                stats.response_count = counts.map_or(0, |counts| counts.count);
                stats.content = request_text::message("etcdserverpb.DeleteRangeRequest", request);
            }
            _ => {
                stats.response_count = counts.map_or(0, |counts| counts.count);
                stats.content = request_text::message("etcdserverpb.RangeRequest", request);
            }
        }
        stats
    }

    /// Logs the line: at debug where everything is logged, else as a warning.
    pub(crate) fn log(&self, in_detail: bool, method: Method, took: Duration, remote: Option<SocketAddr>) {
        let start = SystemTime::now().checked_sub(took).unwrap_or(SystemTime::UNIX_EPOCH);
        let remote = remote.map_or_else(|| "No remote client info.".to_owned(), |remote| remote.to_string());
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    "start time" = rfc3339(start),
                    "time spent" = ?took,
                    remote,
                    "response type" = %format_args!("/{}", method.full_name()),
                    "request count" = self.request_count,
                    "request size" = self.request_bytes,
                    "response count" = self.response_count,
                    "response size" = self.response_bytes,
                    "request content" = self.content,
                    "request stats"
                )
            };
        }
        if in_detail { line!(debug) } else { line!(warn) }
    }
}

fn counts(method: Method, response: Described<'_>) -> Option<ResponseCounts> {
    let encoded = match response {
        Described::Nothing => return None,
        Described::Counts(counts) => return Some(counts),
        Described::Encoded(encoded) => encoded,
    };
    match method {
        Method::Txn => TxnResponse::decode(encoded)
            .ok()
            .map(|txn| ResponseCounts { succeeded: txn.succeeded, ..ResponseCounts::default() }),
        Method::DeleteRange => DeleteRangeResponse::decode(encoded)
            .ok()
            .map(|deleted| ResponseCounts { count: deleted.deleted, ..ResponseCounts::default() }),
        Method::Range => RangeResponse::decode(encoded)
            .ok()
            .map(|range| ResponseCounts { count: range.count, ..ResponseCounts::default() }),
        _ => Some(ResponseCounts::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::etcdserverpb::request_op::Request;
    use proto::etcdserverpb::{RangeRequest, RequestOp};

    #[test]
    fn requests_are_counted_as_etcd_counts_them() {
        let put = PutRequest { key: "k".into(), value: "secret".into(), ..PutRequest::default() };
        let encoded = Bytes::from(put.encode_to_vec());
        let stats = RequestStats::of(Method::Put, &encoded, 9, Described::Encoded(&[]));
        assert_eq!(
            (stats.request_count, stats.request_bytes, stats.response_count, stats.response_bytes),
            (1, 11, 0, 9)
        );
        assert_eq!(stats.content, "key:\"k\" value_size:6");
        let range = Bytes::from(RangeRequest { key: "k".into(), ..RangeRequest::default() }.encode_to_vec());
        let found = RangeResponse { count: 7, ..RangeResponse::default() }.encode_to_vec();
        let stats = RequestStats::of(Method::Range, &range, 2, Described::Encoded(&found));
        assert_eq!((stats.request_count, stats.request_bytes, stats.response_count), (0, 3, 7));
        let txn = TxnRequest {
            success: vec![RequestOp { request: Some(Request::RequestPut(put)) }],
            ..TxnRequest::default()
        };
        let txn = Bytes::from(txn.encode_to_vec());
        let taken = ResponseCounts { succeeded: true, ..ResponseCounts::default() };
        let stats = RequestStats::of(Method::Txn, &txn, 2, Described::Counts(taken));
        assert_eq!((stats.request_count, stats.request_bytes), (1, 13));
        assert!(!stats.content.contains("secret"), "{}", stats.content);
        let stats = RequestStats::of(Method::Txn, &txn, 2, Described::Nothing);
        assert_eq!((stats.request_count, stats.request_bytes, stats.content.as_str()), (0, 0, ""));
        let stats = RequestStats::of(Method::LeaseGrant, &txn, 2, Described::Nothing);
        assert_eq!(
            (stats.request_count, stats.request_bytes, stats.response_count, stats.response_bytes),
            (-1, -1, -1, -1)
        );
    }
}
