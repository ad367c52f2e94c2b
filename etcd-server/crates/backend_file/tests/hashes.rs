//! Hashes that a real etcd 3.5.30 gave for a known history.

use crate::support::{bucket, unhex, write};
use backend_file::backend::{
    BackendHash, Entry, Excluded, HashKv, HistoryItem, HistoryKey, KeepRule, hash_kv, put_entry, tombstone_entry,
};
use backend_file::bolt::{BoltFile, Trailer};
use backend_file::{StatusStyle, status};
use bytes::Bytes;
use proptest::prelude::*;
use proto::mvccpb::KeyValue;
use std::collections::BTreeMap;
use types::{Fault, Revision};

const FIRST: &[(&str, &str)] = &[
    ("00000000000000025f0000000000000000", "0a01611002180220012a0131"),
    ("00000000000000035f0000000000000000", "0a01621003180320012a0132"),
    ("00000000000000045f0000000000000000", "0a01611002180420022a0133"),
    ("00000000000000055f000000000000000074", "0a0162"),
    ("00000000000000065f0000000000000000", "0a01631006180620012a0178"),
];

/// After compaction to 9.
const SECOND: &[(&str, &str)] = &[
    ("00000000000000065f0000000000000000", "0a01631006180620012a0178"),
    ("00000000000000075f0000000000000000", "0a026b311007180720012a027631308984e1a6b7bfe8c145"),
    ("00000000000000085f0000000000000000", "0a026b321008180820012a027632308984e1a6b7bfe8c145"),
    ("00000000000000095f0000000000000000", "0a01641009180920012a0131"),
    ("00000000000000095f0000000000000001", "0a01651009180920012a0132"),
    ("00000000000000095f000000000000000274", "0a0161"),
    ("000000000000000a5f000000000000000074", "0a0163"),
    ("000000000000000b5f0000000000000000", "0a0161100b180b20012a05616761696e"),
    ("000000000000000c5f000000000000000074", "0a0161"),
    ("000000000000000d5f0000000000000000", "0a017a100d180d20012a0139"),
];

fn entries(rows: &[(&str, &str)]) -> Vec<Entry> {
    rows.iter().map(|(key, value)| (unhex(key), unhex(value))).collect()
}

fn hash(entries: &[Entry], at: i64, compacted: Option<i64>, rule: KeepRule) -> u32 {
    hash_kv(|| Ok(entries.iter().cloned().map(Ok::<_, Fault>)), at, compacted, rule).unwrap()
}

#[test]
fn entries_are_encoded_as_etcd_does() {
    let kv = |key: &'static str, create, main, version, value: &'static str| KeyValue {
        key: key.into(),
        create_revision: create,
        mod_revision: main,
        version,
        value: value.into(),
        lease: 0,
    };
    let ours = [
        put_entry(Revision::new(2, 0), &kv("a", 2, 2, 1, "1")),
        put_entry(Revision::new(3, 0), &kv("b", 3, 3, 1, "2")),
        put_entry(Revision::new(4, 0), &kv("a", 2, 4, 2, "3")),
        tombstone_entry(Revision::new(5, 0), Bytes::from_static(b"b")),
        put_entry(Revision::new(6, 0), &kv("c", 6, 6, 1, "x")),
    ];
    assert_eq!(ours.to_vec(), entries(FIRST));
}

#[test]
fn hash_kv_without_compaction() {
    let entries = entries(FIRST);
    let known = [1_084_519_789, 2_587_454_935, 1_827_592_406, 2_069_675_932, 1_125_682_900, 2_949_188_763];
    for (at, known) in (1..).zip(known) {
        assert_eq!(hash(&entries, at, None, KeepRule::Request), known, "at {at}");
    }
}

#[test]
fn hash_kv_after_compaction() {
    let mut entries = entries(SECOND);
    let at = |at, entries: &[Entry], compacted| hash(entries, at, Some(compacted), KeepRule::Request);
    assert_eq!(at(9, &entries, 9), 1_073_542_193);
    assert_eq!(at(10, &entries, 9), 3_575_014_253);
    assert_eq!(at(11, &entries, 9), 2_114_352_057);
    assert_eq!(at(12, &entries, 9), 2_401_106_103);
    assert_eq!(at(13, &entries, 9), 2_217_692_098);
    assert_eq!(hash(&entries, 12, Some(9), KeepRule::Compaction), 2_401_106_103);
    let gone: Vec<Bytes> = [0, 5, 6, 7].map(|number: usize| entries[number].0.clone()).to_vec();
    entries.retain(|(key, _)| !gone.contains(key));
    assert_eq!(at(13, &entries, 12), 658_406_925);
}

#[test]
fn compaction_hash_of_the_whole_history() {
    let mut all = entries(FIRST);
    all.extend(entries(&SECOND[1..6]));
    assert_eq!(hash(&all, 9, None, KeepRule::Compaction), 1_003_173_203);
}

#[test]
fn backend_hashes() {
    let member = br#"{"id":223626786896561539,"peerURLs":["http://127.0.0.1:52380"],"name":"n1","clientURLs":["http://127.0.0.1:52379"]}"#;
    let first = entries(FIRST);
    let buckets = [
        bucket("alarm", []),
        bucket("auth", [(&b"authRevision"[..], &1_u64.to_be_bytes()[..])]),
        bucket("authRoles", []),
        bucket("authUsers", []),
        bucket("cluster", [(&b"clusterVersion"[..], &b"3.5.0"[..])]),
        bucket("key", first.iter().map(|(key, value)| (&key[..], &value[..]))),
        bucket("lease", []),
        bucket("members", [(&b"31a7b60bb3b4583"[..], &member[..])]),
        bucket("members_removed", []),
        bucket(
            "meta",
            [
                (&b"confState"[..], &br#"{"voters":[223626786896561539],"auto_leave":false}"#[..]),
                (&b"consistent_index"[..], &10_u64.to_be_bytes()[..]),
                (&b"term"[..], &2_u64.to_be_bytes()[..]),
            ],
        ),
    ];
    let file = BoltFile::open(write(&buckets, Trailer::Sha256).unwrap()).unwrap();
    let told = status(&file, StatusStyle::V3_5).unwrap();
    assert_eq!((told.hash, told.revision, told.total_keys), (1_183_217_953, 6, 11));
    assert_eq!(status(&file, StatusStyle::V3_6).unwrap().total_keys, 2);
    let mut hash = BackendHash::new(Excluded::IndexAndTerm);
    for bucket in file.buckets().unwrap() {
        hash.bucket(&bucket.name);
        file.items(&bucket).unwrap().for_each(|item| item.map(|(key, value)| hash.entry(&key, &value)).unwrap());
    }
    assert_eq!(hash.finish(), 2_523_061_775);
}

/// The rule as in etcd's documents, generation by generation.
fn kept_by_generations(entries: &[Entry], at: i64) -> Vec<HistoryKey> {
    let mut generations: BTreeMap<Bytes, Vec<Vec<HistoryKey>>> = BTreeMap::new();
    for (key, value) in entries {
        let key = HistoryKey::decode(key).unwrap();
        let of_key = generations
            .entry(backend_file::backend::put_from(value.clone()).unwrap().key)
            .or_insert_with(|| vec![Vec::new()]);
        of_key.last_mut().unwrap().push(key);
        if key.tombstone {
            of_key.push(Vec::new());
        }
    }
    let chosen = |of_key: &Vec<Vec<HistoryKey>>| {
        let reaches = |generation: &&Vec<HistoryKey>| generation.last().is_some_and(|last| last.revision.main >= at);
        let generation = of_key.iter().find(reaches).or(of_key.last()).unwrap();
        generation.iter().rev().find(|key| key.revision.main <= at).copied().filter(|key| !key.tombstone)
    };
    generations.values().filter_map(chosen).collect()
}

fn by_generations(entries: &[Entry], at: i64, compacted: i64) -> u32 {
    let keep = kept_by_generations(entries, at);
    let mut crc = crc(0, b"key");
    for (bytes, value) in entries {
        let key = HistoryKey::decode(bytes).unwrap();
        let main = key.revision.main;
        let is_dropped = main <= compacted && !keep.is_empty() && !keep.contains(&key);
        if main > at || is_dropped || (main == compacted && key.tombstone) {
            continue;
        }
        crc = self::crc(self::crc(crc, bytes), value);
    }
    crc
}

/// CRC-32C, bit by bit.
fn crc(crc: u32, bytes: &[u8]) -> u32 {
    !bytes
        .iter()
        .fold(!crc, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82F6_3B78 * (crc & 1))))
}

/// Each row changes one of a few keys; a deletion of an absent key changes nothing.
fn history() -> impl Strategy<Value = Vec<Entry>> {
    prop::collection::vec((0_u8..4, any::<bool>()), 0..24).prop_map(|rows| {
        let mut live = std::collections::BTreeSet::new();
        let mut entries = Vec::new();
        for (user_key, deletes) in rows {
            let revision = Revision::new(2 + i64::try_from(entries.len()).unwrap(), 0);
            let key = Bytes::from(vec![b'a' + user_key]);
            if !deletes {
                live.insert(user_key);
                entries
                    .push(put_entry(revision, &KeyValue { key, mod_revision: revision.main, ..KeyValue::default() }));
            } else if live.remove(&user_key) {
                entries.push(tombstone_entry(revision, key));
            }
        }
        entries
    })
}

proptest! {
    #[test]
    fn hash_kv_is_that_of_the_generations(entries in history(), compacted in -1_i64..26, above in 0_i64..26) {
        let at = compacted.max(0) + above;
        let ours = hash(&entries, at, Some(compacted), KeepRule::Request);
        prop_assert_eq!(ours, by_generations(&entries, at, compacted));
    }
}

#[test]
fn crc_has_its_check_value() {
    assert_eq!(crc(0, b"123456789"), 0xE306_9283);
}

#[test]
fn fold_asks_only_about_old_puts() {
    let entries = entries(SECOND);
    let mut hash = HashKv::new(13, Some(9), KeepRule::Request);
    for (key, value) in &entries {
        let key = HistoryKey::decode(key).unwrap();
        let newest = || {
            assert!(key.revision.main <= 9 && !key.tombstone);
            Ok::<_, Fault>(key.revision.main != 6)
        };
        hash.add(&HistoryItem { key, value }, newest).unwrap();
    }
    let response = hash.finish(|| -> Result<bool, Fault> { unreachable!("an old put is kept") });
    assert_eq!(response.unwrap(), 2_217_692_098);
}
