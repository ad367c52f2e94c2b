//! Responses to requests on keys, as scripts record them.

use proto::etcdserverpb::response_op::Response;
use proto::etcdserverpb::{DeleteRangeResponse, PutResponse, RangeResponse, ResponseHeader, ResponseOp, TxnResponse};
use proto::mvccpb::KeyValue;

/// Returns the text of key-value pairs, separated by spaces.
pub fn key_values(kvs: &[KeyValue]) -> String {
    let one = |kv: &KeyValue| {
        let lease = if kv.lease == 0 { String::new() } else { format!(" lease={}", kv.lease) };
        let (key, value) = (kv.key.escape_ascii(), kv.value.escape_ascii());
        format!("{key}={value}(create={} mod={} version={}{lease})", kv.create_revision, kv.mod_revision, kv.version)
    };
    kvs.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn revision(header: Option<&ResponseHeader>) -> i64 {
    header.map_or(0, |header| header.revision)
}

/// Returns the text of the response to a range.
pub fn range_text(response: &RangeResponse) -> String {
    format!("[{}] count={}{}", key_values(&response.kvs), response.count, if response.more { " more" } else { "" })
}

/// Returns the text of the response to a put.
pub fn put_text(response: &PutResponse) -> String {
    let previous =
        response.prev_kv.iter().map(|kv| format!(", was {}", key_values(std::slice::from_ref(kv)))).collect::<String>();
    format!("put at {}{previous}", revision(response.header.as_ref()))
}

/// Returns the text of the response to a deletion.
pub fn delete_text(response: &DeleteRangeResponse) -> String {
    let previous =
        if response.prev_kvs.is_empty() { String::new() } else { format!(", were {}", key_values(&response.prev_kvs)) };
    format!("deleted {} at {}{previous}", response.deleted, revision(response.header.as_ref()))
}

/// Returns the text of the response to a transaction.
pub fn txn_text(response: &TxnResponse) -> String {
    let one = |operation: &ResponseOp| match &operation.response {
        Some(Response::ResponseRange(response)) => range_text(response),
        Some(Response::ResponsePut(response)) => put_text(response),
        Some(Response::ResponseDeleteRange(response)) => delete_text(response),
        Some(Response::ResponseTxn(response)) => format!("({})", txn_text(response)),
        None => "nothing".to_owned(),
    };
    let outcome = if response.succeeded { "succeeded" } else { "failed" };
    [outcome.to_owned()].into_iter().chain(response.responses.iter().map(one)).collect::<Vec<_>>().join("; ")
}
