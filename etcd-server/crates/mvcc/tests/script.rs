//! The stories in `tests/scripts`. Requests on keys are written as `script` describes.
//!
//! `flush` writes the batch and shows it to readers; `get` outside a transaction is a reader.
//! `remove n` removes behind `n` revisions of history; `crash` loses unwritten changes. `bump n`
//! makes `n` the newest revision, as a restore with `--bump-revision` does.

use crate::stage::Stage;
use mvcc::{RangeOptions, Sizes, hash_kv};
use script::{delete_text, put_text, range_text, txn_text};
use std::fmt::{Debug, Write as _};
use types::Event;

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
        "put" => written(stage.put(&script::put(rest)), put_text),
        "del" => written(stage.delete_range(&script::delete(rest)), delete_text),
        "txn" => written(stage.txn(&script::txn(&mut rest.iter())), txn_text),
        "get" => {
            let found = stage.point.range(&stage.store, &RangeOptions::new(&script::range(rest))).unwrap();
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
            let removed = if idle { 0 } else { stage.freed_revisions };
            format!("{removed} removed; stored: {}", stored(stage))
        }
        "bump" => {
            stage.bump(first_number());
            format!("current {}", stage.space.current())
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
    script::run(
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts"),
        || Stage::new(Sizes { bucket_keys_max: 2, cached_keys: 8 }),
        response,
    );
}
