//! The stories in `tests/scripts`. Each command is a request, its output the answer.
//!
//! `limit n` sets the operations that a transaction may have; `is txn …` describes a transaction;
//! `deep n` is a transaction that is nested so deeply.

use admission::{
    InvalidRequest, check_delete_range, check_put, check_range, check_txn, is_read_only, is_serializable,
    read_revisions,
};
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{RequestOp, TxnRequest};

/// etcd's default of `--max-txn-ops`.
const OPERATIONS_MAX: usize = 128;

fn response(checked: Result<(), InvalidRequest>) -> String {
    checked.map_or_else(|refusal| format!("refused: {refusal}"), |()| "admitted".to_owned())
}

/// A transaction within so many others.
fn deep(levels: usize) -> TxnRequest {
    (0..levels).fold(TxnRequest::default(), |inner, _| {
        let operation = RequestOp { request: Some(Request::RequestTxn(inner)) };
        TxnRequest { success: vec![operation], ..TxnRequest::default() }
    })
}

fn run(limit: &mut usize, line: &str) -> String {
    // An empty key is written as "".
    let words: Vec<&str> = line.split_whitespace().map(|word| if word == "\"\"" { "" } else { word }).collect();
    match words[..] {
        ["limit", number] => {
            *limit = number.parse().unwrap();
            "done".to_owned()
        }
        ["put", ref rest @ ..] => response(check_put(&script::put(rest))),
        ["del", ref rest @ ..] => response(check_delete_range(&script::delete(rest))),
        ["get", ref rest @ ..] => response(check_range(&script::range(rest))),
        ["txn", ref rest @ ..] => response(check_txn(&script::txn(&mut rest.iter()), *limit)),
        ["deep", levels] => response(check_txn(&deep(levels.parse().unwrap()), *limit)),
        ["is", "txn", ref rest @ ..] => {
            let request = script::txn(&mut rest.iter());
            let (reads, serializable) = (is_read_only(&request), is_serializable(&request));
            format!("read only {reads}, serializable {serializable}, revisions {:?}", read_revisions(&request))
        }
        _ => panic!("no such command: {words:?}"),
    }
}

#[test]
fn requests_are_answered_as_recorded() {
    script::run(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts"), || OPERATIONS_MAX, run);
}
