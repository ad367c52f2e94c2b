//! Requests that stop a real etcd, which a program must not send to one, and the log lines by which
//! the rest is known.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

/// Returns `true` if a transaction may delete a key and then put it with `ignore_value` or
/// `ignore_lease`.
///
/// etcd checks such a put on the state before the transaction, where the key is, and then finds no
/// key when it executes it: `unexpected error during txn with writes`, a panic on every member
/// (seen on 3.5.30). We look for a put in the range of a deletion anywhere in the transaction,
/// which is a little more than the set of requests that stop it.
pub(crate) fn deletes_then_ignores(txn: &Value) -> bool {
    let (mut deleted, mut kept) = (Vec::new(), Vec::new());
    collect(txn, &mut deleted, &mut kept);
    kept.iter().any(|key| deleted.iter().any(|(from, end)| covers(from, end, key)))
}

/// The final log lines of a real etcd that one of its known faults stops.
const LAST_WORDS: [&str; 2] = ["unexpected error during txn with writes", "range failed to find revision pair"];

/// Returns `true` if a log ends with a known fault of etcd.
pub(crate) fn is_known_end(log: &str) -> bool {
    LAST_WORDS.iter().any(|words| log.contains(words))
}

type Bytes = Vec<u8>;

fn collect(txn: &Value, deleted: &mut Vec<(Bytes, Bytes)>, kept: &mut Vec<Bytes>) {
    for operation in ["success", "failure"].iter().filter_map(|branch| txn.get(branch)?.as_array()).flatten() {
        if let Some(delete) = operation.get("request_delete_range") {
            deleted.push((bytes(delete, "key"), bytes(delete, "range_end")));
        } else if let Some(put) = operation.get("request_put") {
            if put.get("ignore_value").is_some() || put.get("ignore_lease").is_some() {
                kept.push(bytes(put, "key"));
            }
        } else if let Some(nested) = operation.get("request_txn") {
            collect(nested, deleted, kept);
        }
    }
}

fn bytes(request: &Value, field: &str) -> Bytes {
    request.get(field).and_then(Value::as_str).and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default()
}

fn covers(from: &[u8], end: &[u8], key: &[u8]) -> bool {
    match end {
        b"" => key == from,
        b"\0" => key >= from,
        _ => key >= from && key < end,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_put_in_the_range_of_a_deletion_counts() {
        let txn = |put: &str, field: &str| {
            json!({
                "success": [{"request_delete_range": {"key": "YQ==", "range_end": "Yw=="}}],
                "failure": [{"request_txn": {"success": [{"request_put": {"key": put, field: true}}]}}],
            })
        };
        assert!(deletes_then_ignores(&txn("Yg==", "ignore_value")));
        assert!(deletes_then_ignores(&txn("YQ==", "ignore_lease")));
        assert!(!deletes_then_ignores(&txn("Yw==", "ignore_value")));
        assert!(!deletes_then_ignores(&txn("Yg==", "prev_kv")));
    }
}
