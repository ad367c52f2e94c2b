//! A state that was backed up and restored is the same state.
#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

use apply::{Settings, State};
use backend_file::bolt::{BoltFile, Plan, Trailer};
use backend_file::image;
use bytes::Bytes;
use membership::Version;
use prost::Message as _;
use proto::etcdserverpb::{self as pb, InternalRaftRequest, RequestOp, request_op::Request};
use proto::mvccpb::KeyValue;
use proto::raftpb::ConfState;
use schema::{Batch, MemoryBatch, MemoryStore, Table, View, meta};
use snapshot_restore::{Error, Target};
use std::cell::RefCell;
use types::Fault;

const SETTINGS: Settings = Settings {
    quota_bytes: None,
    minimum_lease_ttl_seconds: 1,
    own_version: Version::new(3, 7, 1),
    keeps_checkpoints: true,
};

/// A store that can be written to while it is read.
struct Memory(RefCell<MemoryStore>);

struct OwnedCursor {
    rows: Vec<(Vec<u8>, Vec<u8>)>,
    at: Option<usize>,
}

impl schema::Cursor for OwnedCursor {
    fn seek(&mut self, key: &[u8]) -> Result<(), Fault> {
        self.at = Some(self.rows.partition_point(|(row, _)| row.as_slice() < key));
        Ok(())
    }

    fn seek_back(&mut self, key: &[u8]) -> Result<(), Fault> {
        self.at = self.rows.partition_point(|(row, _)| row.as_slice() <= key).checked_sub(1);
        Ok(())
    }

    fn next(&mut self) -> Result<(), Fault> {
        self.at = self.at.map(|at| at + 1);
        Ok(())
    }

    fn prev(&mut self) -> Result<(), Fault> {
        self.at = self.at.and_then(|at| at.checked_sub(1));
        Ok(())
    }

    fn item(&self) -> Option<(&[u8], &[u8])> {
        self.rows.get(self.at?).map(|(key, value)| (&key[..], &value[..]))
    }
}

impl View for Memory {
    type Cursor<'a> = OwnedCursor;

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, Fault> {
        self.0.borrow().get(table, key)
    }

    fn cursor(&self, table: Table, end: Option<&[u8]>) -> Result<OwnedCursor, Fault> {
        let store = self.0.borrow();
        let rows = store.dump().filter(|(of, key, _)| *of == table && end.is_none_or(|end| *key < end));
        Ok(OwnedCursor { rows: rows.map(|(_, key, value)| (key.to_vec(), value.to_vec())).collect(), at: None })
    }
}

impl Target for Memory {
    fn commit(&self, fill: &mut dyn FnMut(&mut dyn Batch) -> Result<(), Error>) -> Result<(), Error> {
        let mut gathered = MemoryBatch::default();
        fill(&mut gathered)?;
        gathered.write(&mut self.0.borrow_mut());
        Ok(())
    }
}

fn put(key: &str, value: &str, lease: i64) -> pb::PutRequest {
    pb::PutRequest { key: key.to_owned().into(), value: value.to_owned().into(), lease, ..Default::default() }
}

fn apply_all(requests: impl IntoIterator<Item = InternalRaftRequest>) -> MemoryStore {
    let mut store = MemoryStore::new();
    let mut first = MemoryBatch::default();
    let mut state = State::load(&store, SETTINGS, &mut first).unwrap();
    first.write(&mut store);
    for (index, request) in (1..).zip(requests) {
        let mut batch = MemoryBatch::default();
        state.apply(&store, &mut batch, index, &request.encode_to_vec().into(), 0).unwrap();
        let sealed = state.settle(&store, &mut batch, index, 1).unwrap();
        batch.write(&mut store);
        state.visible(sealed);
    }
    store
}

fn history() -> MemoryStore {
    let internal = InternalRaftRequest::default;
    let mut requests = vec![
        InternalRaftRequest { lease_grant: Some(pb::LeaseGrantRequest { id: 7, ttl: 100 }), ..internal() },
        InternalRaftRequest {
            auth_user_add: Some(pb::AuthUserAddRequest { name: "root".into(), ..Default::default() }),
            ..internal()
        },
    ];
    for round in 0..300 {
        let put =
            put(&format!("key-{:03}", round * 37 % 100), &format!("value {round}"), if round % 7 == 0 { 7 } else { 0 });
        requests.push(InternalRaftRequest { put: Some(put), ..internal() });
        if round % 10 == 3 {
            let delete = pb::DeleteRangeRequest { key: format!("key-{:03}", round % 100).into(), ..Default::default() };
            requests.push(InternalRaftRequest { delete_range: Some(delete), ..internal() });
        }
    }
    let operations =
        ["a", "b", "c"].map(|key| RequestOp { request: Some(Request::RequestPut(put(key, "together", 0))) });
    requests.push(InternalRaftRequest {
        txn: Some(pb::TxnRequest { success: operations.into(), ..Default::default() }),
        ..internal()
    });
    requests.push(InternalRaftRequest {
        compaction: Some(pb::CompactionRequest { revision: 50, physical: false }),
        ..internal()
    });
    let mut store = apply_all(requests);
    remove_compacted(&mut store);
    let conf_state = ConfState { voters: vec![1, 2], learners: vec![3], ..ConfState::default() };
    store.put(Table::Meta, meta::CONF_STATE, &conf_state.encode_to_vec());
    store
}

/// Removes the history that is compacted, to the end.
fn remove_compacted(store: &mut MemoryStore) {
    let space = mvcc::KeySpace::load(store).unwrap();
    let mut removal = mvcc::compaction::Removal::due(store, space.compacted()).unwrap().unwrap();
    loop {
        let mut batch = MemoryBatch::default();
        let done = removal.step(store, 100, &mut batch).unwrap();
        batch.write(store);
        if done {
            break;
        }
    }
}

fn image_of(store: &MemoryStore) -> Bytes {
    let buckets = image::buckets(store, &backend_file::NoSpillFile).unwrap();
    let plan = Plan::measure(&buckets).unwrap();
    plan.write(Trailer::Absent).collect::<Result<Vec<Bytes>, Fault>>().unwrap().concat().into()
}

#[test]
fn a_restored_state_equals_the_one_that_was_backed_up() {
    let store = history();
    let image = image_of(&store);
    let target = Memory(RefCell::default());
    let mut told = 0;
    let restored =
        snapshot_restore::restore(&BoltFile::open(image.clone()).unwrap(), &target, &mut |changes| told = changes)
            .unwrap();
    let entries = entries(&image);
    assert_eq!((restored.changes, told), (entries.len() as u64, entries.len() as u64));
    assert_eq!(restored.bytes, entries.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum::<u64>());
    assert_eq!(
        (restored.position.conf_state.voters.as_slice(), restored.position.conf_state.learners.as_slice()),
        (&[1, 2][..], &[3][..])
    );
    let mut batch = MemoryBatch::default();
    snapshot_restore::write_position(&restored.position, &mut batch);
    batch.write(&mut target.0.borrow_mut());
    let target = target.0.into_inner();
    // How keys are cut into buckets for counting depends on the way there, and only the stored part
    // of all bytes ever written is the same; so is everything else.
    let totals = [meta::WRITTEN_BYTES, meta::FREED_BYTES];
    let rows = |store: &MemoryStore| {
        let kept = store
            .dump()
            .filter(|(table, key, _)| *table != Table::Counts && !(*table == Table::Meta && totals.contains(key)));
        kept.map(|(table, key, value)| (table, key.to_vec(), value.to_vec())).collect::<Vec<_>>()
    };
    let stored = |store: &MemoryStore| totals.map(|key| meta::read_u64(store, key).unwrap().unwrap_or(0));
    let ([written, freed], [copied, none]) = (stored(&store), stored(&target));
    assert_eq!((copied, none), (written - freed, 0));
    let (rows, expected) = (rows(&target), rows(&store));
    let difference = rows.iter().zip(&expected).find(|(row, expected)| row != expected);
    assert!(difference.is_none() && rows.len() == expected.len(), "{difference:?}");
    assert!(image_of(&target) == image, "the images differ");
}

/// A target that records the bytes of each batch.
struct Measured(Memory, RefCell<Vec<usize>>);

impl View for Measured {
    type Cursor<'a> = OwnedCursor;

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, Fault> {
        self.0.get(table, key)
    }

    fn cursor(&self, table: Table, end: Option<&[u8]>) -> Result<OwnedCursor, Fault> {
        self.0.cursor(table, end)
    }
}

impl Target for Measured {
    fn commit(&self, fill: &mut dyn FnMut(&mut dyn Batch) -> Result<(), Error>) -> Result<(), Error> {
        let mut gathered = MemoryBatch::default();
        fill(&mut gathered)?;
        let bytes = gathered.changes.iter().filter(|(table, _, _)| *table == Table::Current);
        self.1.borrow_mut().push(bytes.map(|(_, _, value)| value.as_ref().map_or(0, Vec::len)).sum());
        gathered.write(&mut self.0.0.borrow_mut());
        Ok(())
    }
}

/// Restores so many keys with values of this size; returns the bytes of the batches that hold keys.
fn batches(keys: usize, value_bytes: usize) -> Vec<usize> {
    let mut bucket = backend_file::bolt::MemoryBucket::new("key");
    for number in 0..keys {
        let main = i64::try_from(number).unwrap() + 2;
        let key =
            backend_file::backend::HistoryKey { revision: types::Revision::new(main, 0), tombstone: false }.encode();
        let kv = KeyValue {
            key: format!("key-{number:06}").into(),
            create_revision: main,
            mod_revision: main,
            version: 1,
            value: vec![b'v'; value_bytes].into(),
            lease: 0,
        };
        bucket.put(key, kv.encode_to_vec());
    }
    let image = Plan::measure(&[bucket])
        .unwrap()
        .write(Trailer::Absent)
        .collect::<Result<Vec<Bytes>, Fault>>()
        .unwrap()
        .concat();
    let target = Measured(Memory(RefCell::default()), RefCell::default());
    let restored =
        snapshot_restore::restore(&BoltFile::open(Bytes::from(image)).unwrap(), &target, &mut |_| {}).unwrap();
    assert_eq!(restored.changes, keys as u64);
    target.1.into_inner().into_iter().filter(|bytes| *bytes > 0).collect()
}

#[test]
fn batches_are_bounded_in_changes_and_bytes() {
    // 16 MiB end a batch: the seventeenth value of one MiB is the last of it.
    let large = batches(40, 1 << 20);
    assert_eq!(large.iter().map(|bytes| bytes >> 20).collect::<Vec<_>>(), [16, 16, 8]);
    assert_eq!(batches(5000, 1).len(), 2, "4096 changes end a batch");
}

#[test]
fn records_are_stored_in_our_order_of_fields() {
    // Field 5, then field 1, then the revisions: equally long, and not as readers here expect it.
    let ours =
        KeyValue { key: "k".into(), create_revision: 2, mod_revision: 2, version: 1, value: "v".into(), lease: 0 };
    let other = [b"\x2a\x01v\x0a\x01k".to_vec(), b"\x10\x02\x18\x02\x20\x01".to_vec()].concat();
    assert_eq!((other.len(), KeyValue::decode(&other[..]).unwrap()), (ours.encoded_len(), ours.clone()));
    let mut bucket = backend_file::bolt::MemoryBucket::new("key");
    bucket.put(
        backend_file::backend::HistoryKey { revision: types::Revision::new(2, 0), tombstone: false }.encode(),
        other,
    );
    let image = Plan::measure(&[bucket])
        .unwrap()
        .write(Trailer::Absent)
        .collect::<Result<Vec<Bytes>, Fault>>()
        .unwrap()
        .concat();
    let target = Memory(RefCell::default());
    snapshot_restore::restore(&BoltFile::open(Bytes::from(image)).unwrap(), &target, &mut |_| {}).unwrap();
    assert_eq!(entries(&image_of(&target.0.into_inner()))[0].1, ours.encode_to_vec());
}

#[test]
fn a_file_that_is_no_backend_is_refused() {
    let buckets = [backend_file::bolt::MemoryBucket::new("other")];
    let file: Bytes = Plan::measure(&buckets)
        .unwrap()
        .write(Trailer::Absent)
        .collect::<Result<Vec<Bytes>, Fault>>()
        .unwrap()
        .concat()
        .into();
    let target = Memory(RefCell::default());
    let error = snapshot_restore::restore(&BoltFile::open(file).unwrap(), &target, &mut |_| {}).unwrap_err();
    assert_eq!(error.to_string(), "it has no bucket \"key\": not a backend file of etcd");
}

#[test]
fn revisions_that_cannot_be_are_refused() {
    for (main, sub, flaw) in [
        (2, 1 << 32, "a request with 4294967296 changes cannot be"),
        (i64::MAX, 0, "no revision can follow the newest one"),
    ] {
        let mut bucket = backend_file::bolt::MemoryBucket::new("key");
        let revision = types::Revision::new(main, sub);
        let kv = KeyValue {
            key: "k".into(),
            create_revision: main,
            mod_revision: main,
            version: 1,
            value: Bytes::new(),
            lease: 0,
        };
        bucket.put(backend_file::backend::HistoryKey { revision, tombstone: false }.encode(), kv.encode_to_vec());
        let image = Plan::measure(&[bucket])
            .unwrap()
            .write(Trailer::Absent)
            .collect::<Result<Vec<Bytes>, Fault>>()
            .unwrap()
            .concat();
        let target = Memory(RefCell::default());
        let file = BoltFile::open(Bytes::from(image)).unwrap();
        let error = snapshot_restore::restore(&file, &target, &mut |_| {}).unwrap_err();
        assert_eq!(error.to_string(), format!("bucket \"key\": revision cannot be read: {flaw}"));
    }
}

/// The state after `bumps` restores with `--bump-revision --mark-compacted`, one over the other.
fn bumped(bumps: &[i64]) -> MemoryStore {
    let mut store = history();
    for bump in bumps {
        let mut space = mvcc::KeySpace::load(&store).unwrap();
        let mut lessor = lease::Lessor::load(&store, 0).unwrap();
        let mut batch = MemoryBatch::default();
        let revision = space.current() + bump;
        space.write(&store, &mut batch, &mut apply::Attachments(&mut lessor)).bump(revision).unwrap();
        space.compact(revision, &mut batch).unwrap();
        space.settle(&store, &mut batch).unwrap();
        batch.write(&mut store);
    }
    store
}

/// All entries of the bucket `key` in a backend file.
fn entries(image: &Bytes) -> Vec<(Bytes, Bytes)> {
    let file = BoltFile::open(image.clone()).unwrap();
    let bucket = file.bucket(backend_file::backend::KEY).unwrap().unwrap();
    file.items(&bucket).unwrap().map(Result::unwrap).collect()
}

#[test]
fn bump_records_survive_backup_and_restore() {
    for bumps in [&[1_000][..], &[1_000, 50]] {
        let store = bumped(bumps);
        let image = image_of(&store);
        let newest = mvcc::KeySpace::load(&store).unwrap().current();
        assert_eq!(entries(&image).last().unwrap(), &backend_file::backend::bump_entry(newest), "etcd's own form");
        let target = Memory(RefCell::default());
        snapshot_restore::restore(&BoltFile::open(image.clone()).unwrap(), &target, &mut |_| {}).unwrap();
        let target = target.0.into_inner();
        assert_eq!(entries(&image_of(&target)), entries(&image));
        let space = mvcc::KeySpace::load(&target).unwrap();
        assert_eq!((space.current(), space.compacted()), (newest, newest));
        // The record counts in the hash that members compare, and no request reads it.
        let point = space.read_point();
        let hashed = mvcc::hash_kv(&point, &target, 0).unwrap().unwrap();
        let rule = backend_file::backend::KeepRule::Request;
        let all = || Ok(entries(&image).into_iter().map(Ok));
        assert_eq!(hashed.hash, backend_file::backend::hash_kv(all, newest, Some(newest), rule).unwrap());
        let request =
            pb::RangeRequest { key: vec![0].into(), range_end: vec![0].into(), ..pb::RangeRequest::default() };
        let everything =
            point.range(&target, &mvcc::RangeOptions::new(&request)).unwrap().unwrap().into_response().unwrap();
        assert_eq!(everything.count, i64::try_from(everything.kvs.len()).unwrap());
        assert!(!everything.kvs.is_empty() && everything.kvs.iter().all(|kv| !kv.key.is_empty()));
    }
}

#[test]
fn compaction_keeps_only_the_newest_bump_record() {
    let mut store = bumped(&[1_000, 50]);
    let space = mvcc::KeySpace::load(&store).unwrap();
    remove_compacted(&mut store);
    let image = image_of(&store);
    let bumps: Vec<_> = entries(&image).into_iter().filter(|(_, value)| value.is_empty()).collect();
    assert_eq!(bumps, [backend_file::backend::bump_entry(space.current())]);
}
