//! Scripts: commands, a line `---`, and their output. `RECORD=1 cargo test` rewrites the output.
//!
//! `put k=v`, `del k [end]`, `get k [end]` take options as `name` or `name=value`; `txn if … then …
//! else … end` nests, its compares are `target:key=operand` (`key..end` for a range, `!=`, `<`,
//! `>`), its operations are separated by `;`. `flush` writes the batch and shows it to readers;
//! `get` outside a transaction is a reader. `remove n` removes behind `n` revisions of history;
//! `crash` loses unwritten changes.

use crate::stage::Stage;
use bytes::Bytes;
use mvcc::{RangeOptions, Sizes, hash_kv};
use proto::etcdserverpb::compare::TargetUnion;
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::response_op::Response;
use proto::etcdserverpb::*;
use proto::mvccpb::KeyValue;
use std::fmt::{Debug, Write as _};
use std::path::Path;
use types::Event;

fn bytes(word: &str) -> Bytes {
    Bytes::copy_from_slice(word.replace("\\0", "\0").as_bytes())
}

/// Splits `key end name=value flag…` into keys and options.
fn arguments<'a>(words: &[&'a str], names: &[&str]) -> (Vec<&'a str>, Vec<(&'a str, i64)>) {
    let option = |word: &&'a str| {
        let (name, value) = word.split_once('=').unwrap_or((word, "1"));
        names.contains(&name).then(|| (name, value.parse().unwrap()))
    };
    (words.iter().filter(|word| option(word).is_none()).copied().collect(), words.iter().filter_map(option).collect())
}

fn number(options: &[(&str, i64)], name: &str) -> i64 {
    options.iter().find(|(given, _)| *given == name).map_or(0, |(_, value)| *value)
}

fn small(options: &[(&str, i64)], name: &str) -> i32 {
    i32::try_from(number(options, name)).unwrap()
}

fn put(words: &[&str]) -> PutRequest {
    let (keys, options) = arguments(words, &["lease", "prev", "ignore_value", "ignore_lease"]);
    let (key, value) = keys[0].split_once('=').unwrap_or((keys[0], ""));
    PutRequest {
        key: bytes(key),
        value: bytes(value),
        lease: number(&options, "lease"),
        prev_kv: number(&options, "prev") != 0,
        ignore_value: number(&options, "ignore_value") != 0,
        ignore_lease: number(&options, "ignore_lease") != 0,
    }
}

fn delete(words: &[&str]) -> DeleteRangeRequest {
    let (keys, options) = arguments(words, &["prev"]);
    let range_end = keys.get(1).map(|end| bytes(end)).unwrap_or_default();
    DeleteRangeRequest { key: bytes(keys[0]), range_end, prev_kv: number(&options, "prev") != 0 }
}

fn range(words: &[&str]) -> RangeRequest {
    let names = [
        "rev",
        "limit",
        "order",
        "target",
        "keys_only",
        "count_only",
        "min_mod",
        "max_mod",
        "min_create",
        "max_create",
    ];
    let (keys, options) = arguments(words, &names);
    RangeRequest {
        key: bytes(keys[0]),
        range_end: keys.get(1).map(|end| bytes(end)).unwrap_or_default(),
        limit: number(&options, "limit"),
        revision: number(&options, "rev"),
        sort_order: small(&options, "order"),
        sort_target: small(&options, "target"),
        serializable: false,
        keys_only: number(&options, "keys_only") != 0,
        count_only: number(&options, "count_only") != 0,
        min_mod_revision: number(&options, "min_mod"),
        max_mod_revision: number(&options, "max_mod"),
        min_create_revision: number(&options, "min_create"),
        max_create_revision: number(&options, "max_create"),
    }
}

fn compare(word: &str) -> Compare {
    let (target, rest) = word.split_once(':').unwrap();
    let at = rest.find(['=', '!', '<', '>']).unwrap();
    let (keys, rest) = rest.split_at(at);
    let operand = rest.trim_start_matches(['=', '!', '<', '>']);
    let result = match &rest[..rest.len() - operand.len()] {
        "=" => 0,
        ">" => 1,
        "<" => 2,
        _ => 3,
    };
    let n = || operand.parse().unwrap();
    let (target, union) = match target {
        "version" => (0, TargetUnion::Version(n())),
        "create" => (1, TargetUnion::CreateRevision(n())),
        "mod" => (2, TargetUnion::ModRevision(n())),
        "value" => (3, TargetUnion::Value(bytes(operand))),
        _ => (4, TargetUnion::Lease(n())),
    };
    let (key, range_end) = keys.split_once("..").unwrap_or((keys, ""));
    Compare { result, target, key: bytes(key), range_end: bytes(range_end), target_union: Some(union) }
}

/// The words behind `txn` up to its own `end`; leaves the rest.
fn txn<'a>(words: &mut std::slice::Iter<'_, &'a str>) -> TxnRequest {
    let mut request = TxnRequest::default();
    let (mut section, mut op): (&'a str, Vec<&'a str>) = ("if", Vec::new());
    while let Some(word) = words.next() {
        if matches!(*word, ";" | "then" | "else" | "end") {
            request.push(section, &std::mem::take(&mut op));
        }
        match *word {
            "txn" => {
                let nested = RequestOp { request: Some(Request::RequestTxn(txn(words))) };
                if section == "then" { request.success.push(nested) } else { request.failure.push(nested) }
            }
            "if" | "then" | "else" => section = word,
            "end" => break,
            ";" => {}
            word if section == "if" => request.compare.push(compare(word)),
            word => op.push(word),
        }
    }
    request
}

trait PushOp {
    fn push(&mut self, section: &str, words: &[&str]);
}

impl PushOp for TxnRequest {
    fn push(&mut self, section: &str, words: &[&str]) {
        let request = match words.split_first() {
            None => return,
            Some((&"put", rest)) => Request::RequestPut(put(rest)),
            Some((&"del", rest)) => Request::RequestDeleteRange(delete(rest)),
            Some((_, rest)) => Request::RequestRange(range(rest)),
        };
        let op = RequestOp { request: Some(request) };
        if section == "then" { self.success.push(op) } else { self.failure.push(op) }
    }
}

fn kvs(kvs: &[KeyValue]) -> String {
    let one = |kv: &KeyValue| {
        let lease = if kv.lease == 0 { String::new() } else { format!(" lease={}", kv.lease) };
        let (key, value) = (kv.key.escape_ascii(), kv.value.escape_ascii());
        format!("{key}={value}(create={} mod={} version={}{lease})", kv.create_revision, kv.mod_revision, kv.version)
    };
    kvs.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn range_text(response: &RangeResponse) -> String {
    format!("[{}] count={}{}", kvs(&response.kvs), response.count, if response.more { " more" } else { "" })
}

fn put_text(response: &PutResponse) -> String {
    let previous =
        response.prev_kv.iter().map(|kv| format!(", was {}", kvs(std::slice::from_ref(kv)))).collect::<String>();
    format!("put at {}{previous}", response.header.as_ref().unwrap().revision)
}

fn delete_text(response: &DeleteRangeResponse) -> String {
    let revision = response.header.as_ref().unwrap().revision;
    let previous =
        if response.prev_kvs.is_empty() { String::new() } else { format!(", were {}", kvs(&response.prev_kvs)) };
    format!("deleted {} at {revision}{previous}", response.deleted)
}

fn txn_text(response: &TxnResponse) -> String {
    let one = |op: &ResponseOp| match op.response.as_ref().unwrap() {
        Response::ResponseRange(response) => range_text(response),
        Response::ResponsePut(response) => put_text(response),
        Response::ResponseDeleteRange(response) => delete_text(response),
        Response::ResponseTxn(response) => format!("({})", txn_text(response)),
    };
    let outcome = if response.succeeded { "succeeded" } else { "failed" };
    [outcome.to_owned()].into_iter().chain(response.responses.iter().map(one)).collect::<Vec<_>>().join("; ")
}

fn written<T, R: Debug>((outcome, events): (Result<T, R>, Vec<Event>), text: fn(&T) -> String) -> String {
    let mut line = outcome.map_or_else(|refusal| refused(&refusal), |response| text(&response));
    for event in events {
        let kind = if event.is_delete() { "DELETE" } else { "PUT" };
        write!(line, " | {}.{} {kind} {}", event.revision.main, event.revision.sub, event.key.escape_ascii()).unwrap();
    }
    line
}

fn refused(refusal: &impl Debug) -> String {
    format!("refused: {refusal:?}")
}

fn response(stage: &mut Stage, line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let rest = &words[1..];
    let first_number = || rest[0].parse::<i64>().unwrap();
    match words[0] {
        "put" => written(stage.put(&put(rest)), put_text),
        "del" => written(stage.delete_range(&delete(rest)), delete_text),
        "txn" => written(stage.txn(&txn(&mut rest.iter())), txn_text),
        "get" => {
            let found = stage.point.range(&stage.store, &RangeOptions::new(&range(rest))).unwrap();
            found.map_or_else(|refusal| refused(&refusal), |found| range_text(&found.into_response().unwrap()))
        }
        "hash" => {
            let hashed = hash_kv(&stage.point, &stage.store, first_number()).unwrap();
            hashed.map_or_else(|refusal| refused(&refusal), |hashed| format!("{hashed:?}"))
        }
        "compact" => {
            stage.compact(first_number()).map_or_else(|refusal| refused(&refusal), |()| "compacted".to_owned())
        }
        "remove" => {
            let idle = stage.remove_step(usize::try_from(first_number()).unwrap());
            let text = if idle { "nothing to remove" } else { "removed" };
            format!("{text}; stored: {}", stored(stage))
        }
        "leases" => format!(
            "{:?}",
            stage.leases.attached.iter().map(|(id, key)| (id, key.escape_ascii().to_string())).collect::<Vec<_>>()
        ),
        "flush" => {
            stage.flush();
            format!("current {}, {} keys live", stage.point.current, stage.point.live_keys())
        }
        "crash" => {
            stage.restart();
            format!("current {}, compacted {}", stage.point.current, stage.point.compacted)
        }
        other => panic!("no such command: {other}"),
    }
}

/// Returns the remaining history, in its order.
fn stored(stage: &Stage) -> String {
    let revisions = stage.store.dump().filter(|(table, ..)| *table == schema::Table::Revisions);
    let one = |(_, key, value): (_, &[u8], &[u8])| {
        let revision = schema::revision_record::decode_key(key).unwrap();
        let change = schema::revision_record::RevisionRecord::decode(value).unwrap();
        let mark = if change.is_tombstone() { "-" } else { "" };
        format!("{}.{} {mark}{}", revision.main, revision.sub, change.user_key.escape_ascii())
    };
    revisions.map(one).collect::<Vec<_>>().join(", ")
}

#[test]
fn scripts_tell_what_is_recorded() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let commands = text.split_once("---\n").map_or(&text[..], |(commands, _)| commands);
        let mut stage = Stage::new(Sizes { bucket_keys_max: 2, cached_keys: 8 });
        let mut now = format!("{commands}---\n");
        for line in commands.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            writeln!(now, "{line} → {}", response(&mut stage, line)).unwrap();
        }
        if std::env::var_os("RECORD").is_some() {
            std::fs::write(&file, now).unwrap();
        } else {
            assert_eq!(now, text, "{}", file.display());
        }
    }
}
