//! Requests on keys, as scripts write them.
//!
//! `put k=v`, `del k [end]`, `get k [end]` take options as `name` or `name=value`. `txn if … then …
//! else … end` nests; its compares are `target:key=operand` (`key..end` for a range, `!=`, `<`,
//! `>`), its operations are separated by `;`. `\0` is the zero byte.

use bytes::Bytes;
use proto::etcdserverpb::compare::TargetUnion;
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest};

/// Returns the bytes of a key or value.
pub fn key(word: &str) -> Bytes {
    Bytes::copy_from_slice(word.replace("\\0", "\0").as_bytes())
}

/// Returns the value of the option `name=value`, 1 for `name` alone, and 0 without it.
///
/// # Panics
/// If the value is no number.
pub fn number(words: &[&str], name: &str) -> i64 {
    let found = words.iter().find_map(|word| match word.split_once('=') {
        Some((given, value)) if given == name => Some(value),
        None if *word == name => Some("1"),
        _ => None,
    });
    found.map_or(0, |value| value.parse().unwrap_or_else(|error| panic!("{name}={value}: {error}")))
}

/// Returns `true` if an option is given.
pub fn flag(words: &[&str], name: &str) -> bool {
    number(words, name) != 0
}

/// Returns the words that are no options.
fn keys<'a>(words: &[&'a str], options: &[&str]) -> Vec<&'a str> {
    let is_option = |word: &str| options.contains(&word.split_once('=').map_or(word, |(name, _)| name));
    words.iter().filter(|word| !is_option(word)).copied().collect()
}

/// Returns the put of `k=v`.
pub fn put(words: &[&str]) -> PutRequest {
    let keys = keys(words, &["lease", "prev", "ignore_value", "ignore_lease"]);
    let (name, value) = keys[0].split_once('=').unwrap_or((keys[0], ""));
    PutRequest {
        key: key(name),
        value: key(value),
        lease: number(words, "lease"),
        prev_kv: flag(words, "prev"),
        ignore_value: flag(words, "ignore_value"),
        ignore_lease: flag(words, "ignore_lease"),
    }
}

/// Returns the deletion of `k [end]`.
pub fn delete(words: &[&str]) -> DeleteRangeRequest {
    let keys = keys(words, &["prev"]);
    let range_end = keys.get(1).map(|end| key(end)).unwrap_or_default();
    DeleteRangeRequest { key: key(keys[0]), range_end, prev_kv: flag(words, "prev") }
}

/// Returns the range of `k [end]`.
pub fn range(words: &[&str]) -> RangeRequest {
    let options = [
        "rev",
        "limit",
        "order",
        "target",
        "serializable",
        "keys_only",
        "count_only",
        "min_mod",
        "max_mod",
        "min_create",
        "max_create",
    ];
    let keys = keys(words, &options);
    let small = |name| i32::try_from(number(words, name)).expect("a small number");
    RangeRequest {
        key: key(keys[0]),
        range_end: keys.get(1).map(|end| key(end)).unwrap_or_default(),
        limit: number(words, "limit"),
        revision: number(words, "rev"),
        sort_order: small("order"),
        sort_target: small("target"),
        serializable: flag(words, "serializable"),
        keys_only: flag(words, "keys_only"),
        count_only: flag(words, "count_only"),
        min_mod_revision: number(words, "min_mod"),
        max_mod_revision: number(words, "max_mod"),
        min_create_revision: number(words, "min_create"),
        max_create_revision: number(words, "max_create"),
    }
}

fn compare(word: &str) -> Compare {
    let (target, rest) = word.split_once(':').expect("target:key=operand");
    let at = rest.find(['=', '!', '<', '>']).expect("a comparison");
    let (keys, rest) = rest.split_at(at);
    let operand = rest.trim_start_matches(['=', '!', '<', '>']);
    let result = match &rest[..rest.len() - operand.len()] {
        "=" => 0,
        ">" => 1,
        "<" => 2,
        _ => 3,
    };
    let number = || operand.parse().expect("a number");
    let (target, union) = match target {
        "version" => (0, TargetUnion::Version(number())),
        "create" => (1, TargetUnion::CreateRevision(number())),
        "mod" => (2, TargetUnion::ModRevision(number())),
        "value" => (3, TargetUnion::Value(key(operand))),
        _ => (4, TargetUnion::Lease(number())),
    };
    let (start, end) = keys.split_once("..").unwrap_or((keys, ""));
    Compare { result, target, key: key(start), range_end: key(end), target_union: Some(union) }
}

/// Returns the transaction of the words behind `txn` up to its own `end`; leaves the rest.
pub fn txn<'a>(words: &mut std::slice::Iter<'_, &'a str>) -> TxnRequest {
    let mut request = TxnRequest::default();
    let (mut section, mut operation): (&'a str, Vec<&'a str>) = ("if", Vec::new());
    while let Some(word) = words.next() {
        if matches!(*word, ";" | "then" | "else" | "end") && !operation.is_empty() {
            push(&mut request, section, request_of(&std::mem::take(&mut operation)));
        }
        match *word {
            "txn" => {
                let nested = Some(Request::RequestTxn(txn(words)));
                push(&mut request, section, nested);
            }
            "if" | "then" | "else" => section = word,
            "end" => break,
            ";" => {}
            word if section == "if" => request.compare.push(compare(word)),
            word => operation.push(word),
        }
    }
    request
}

/// Returns the operation of these words; `None` for `nothing`.
fn request_of(words: &[&str]) -> Option<Request> {
    match *words {
        ["put", ref rest @ ..] => Some(Request::RequestPut(put(rest))),
        ["del", ref rest @ ..] => Some(Request::RequestDeleteRange(delete(rest))),
        ["get", ref rest @ ..] => Some(Request::RequestRange(range(rest))),
        ["nothing"] => None,
        ref words => panic!("no such operation: {words:?}"),
    }
}

fn push(request: &mut TxnRequest, section: &str, operation: Option<Request>) {
    let operation = RequestOp { request: operation };
    if section == "then" { request.success.push(operation) } else { request.failure.push(operation) }
}
