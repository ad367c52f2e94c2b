//! The rules of HashKV, literally: the content of a real etcd's file once it has removed everything
//! that compaction allows, key by key in generations, and the checksum over the content of those
//! generations.

use crate::twin::{Change, Twin};
use prost::Message as _;
use proto::mvccpb::KeyValue;
use std::collections::{BTreeMap, BTreeSet};

type Position = (i64, i64);

/// The changes that are left in etcd's file: of each key the newest at or below the compacted
/// revision, if it is not a tombstone older than that revision, and everything above.
pub(crate) fn surviving(twin: &Twin) -> Vec<&Change> {
    let mut newest: BTreeMap<&[u8], Position> = BTreeMap::new();
    for change in twin.history.iter().filter(|change| change.main <= twin.compacted) {
        newest.insert(&change.key, (change.main, change.sub));
    }
    let stays = |change: &&Change| {
        change.main > twin.compacted
            || (newest[&change.key[..]] == (change.main, change.sub)
                && (change.kv.is_some() || change.main == twin.compacted))
    };
    twin.history.iter().filter(stays).collect()
}

/// The revision of one key that is kept when history up to `at` is hashed.
fn kept(versions: &[&Change], at: i64) -> Option<Position> {
    let mut generations: Vec<Vec<&Change>> = vec![Vec::new()];
    for version in versions {
        generations.last_mut().unwrap().push(version);
        if version.kv.is_none() {
            generations.push(Vec::new());
        }
    }
    let (last, finished) = generations.split_last().unwrap();
    let chosen = finished.iter().find(|generation| generation.last().unwrap().main >= at).unwrap_or(last);
    let newest = chosen.iter().rfind(|version| version.main <= at)?;
    newest.kv.as_ref().map(|_| (newest.main, newest.sub))
}

/// The hash that etcd answers for revision `at` of this history, computed afresh.
pub(crate) fn hash_kv(twin: &Twin, at: i64) -> u32 {
    let stored = surviving(twin);
    let mut by_key: BTreeMap<&[u8], Vec<&Change>> = BTreeMap::new();
    for change in &stored {
        by_key.entry(&change.key).or_default().push(change);
    }
    let keep: BTreeSet<Position> = by_key.values().filter_map(|versions| kept(versions, at)).collect();
    let mut hashed = b"key".to_vec();
    for change in stored {
        let position = (change.main, change.sub);
        let skipped = change.main > at
            || (change.main <= twin.compacted && !keep.is_empty() && !keep.contains(&position))
            || (change.main == twin.compacted && change.kv.is_none());
        if skipped {
            continue;
        }
        hashed.extend(change.main.to_be_bytes());
        hashed.push(b'_');
        hashed.extend(change.sub.to_be_bytes());
        match &change.kv {
            Some(kv) => hashed.extend(kv.encode_to_vec()),
            None => {
                hashed.push(b't');
                hashed.extend(KeyValue { key: change.key.clone().into(), ..KeyValue::default() }.encode_to_vec());
            }
        }
    }
    crc32c::crc32c(&hashed)
}
