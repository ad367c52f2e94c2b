//! HashKV numbers of a real etcd 3.5.30, for the same history.

use crate::stage::Stage;
use bytes::Bytes;
use mvcc::{MvccError, Sizes, hash_kv, hash_of_compaction};
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{DeleteRangeRequest, PutRequest, RequestOp, TxnRequest};
use schema::Batch;
use types::LeaseId;

const LEASE: i64 = 0x4583_a1fb_74d8_4209;

struct AnyLease;

impl mvcc::Leases for AnyLease {
    fn exists(&self, _: LeaseId) -> bool {
        true
    }
    fn attach(&mut self, _: LeaseId, _: &[u8], _: &mut dyn Batch) {}
    fn detach(&mut self, _: LeaseId, _: &[u8], _: &mut dyn Batch) {}
}

fn put(key: &'static str, value: &'static str, lease: i64) -> PutRequest {
    PutRequest { key: key.into(), value: value.into(), lease, ..PutRequest::default() }
}

fn run_put(stage: &mut Stage, request: &PutRequest) {
    let mut leases = AnyLease;
    let mut write = stage.space.write(&stage.store, &mut stage.batch, &mut leases);
    mvcc::execute_put(&mut write, request).unwrap().unwrap();
    assert_eq!(write.end().len(), 1);
}

fn hash(stage: &Stage, revision: i64) -> (u32, i64) {
    let hashed = hash_kv(&stage.point, &stage.store, revision).unwrap().unwrap();
    assert_eq!(hashed.hash_revision, if revision == 0 { stage.point.current } else { revision });
    (hashed.hash, hashed.compact_revision)
}

/// Revisions 2 to 6: two keys, an overwrite, a deletion, a third key.
fn first_writes() -> Stage {
    let mut stage = Stage::new(Sizes::default());
    for (key, value) in [("a", "1"), ("b", "2"), ("a", "3")] {
        stage.put_value(&Bytes::from_static(key.as_bytes()), value);
    }
    stage.delete_key(&Bytes::from_static(b"b"));
    stage.put_value(&Bytes::from_static(b"c"), "x");
    stage.flush();
    stage
}

/// Revisions 7 to 13: keys of a lease, a transaction, deletions, a key that comes back and goes.
fn second_writes(stage: &mut Stage) {
    run_put(stage, &put("k1", "v1", LEASE));
    run_put(stage, &put("k2", "v2", LEASE));
    let delete = DeleteRangeRequest { key: "a".into(), ..DeleteRangeRequest::default() };
    let ops = [
        Request::RequestPut(put("d", "1", 0)),
        Request::RequestPut(put("e", "2", 0)),
        Request::RequestDeleteRange(delete),
    ];
    let success = ops.into_iter().map(|request| RequestOp { request: Some(request) }).collect();
    stage.txn(&TxnRequest { success, ..TxnRequest::default() }).0.unwrap();
    stage.delete_key(&Bytes::from_static(b"c"));
    stage.put_value(&Bytes::from_static(b"a"), "again");
    stage.delete_key(&Bytes::from_static(b"a"));
    stage.put_value(&Bytes::from_static(b"z"), "9");
    stage.flush();
}

#[test]
fn hashes_without_compaction_are_those_of_etcd() {
    let stage = first_writes();
    let etcd = [
        (1, 1_084_519_789),
        (2, 2_587_454_935),
        (3, 1_827_592_406),
        (4, 2_069_675_932),
        (5, 1_125_682_900),
        (6, 2_949_188_763),
    ];
    for (revision, expected) in etcd {
        assert_eq!(hash(&stage, revision), (expected, -1), "revision {revision}");
    }
    assert_eq!(hash(&stage, 0), (2_949_188_763, -1));
}

#[test]
fn hashes_above_a_compaction_are_those_of_etcd_before_and_after_removal() {
    let mut stage = first_writes();
    second_writes(&mut stage);
    // etcd's compaction returns, from its cache for revision 9, the hash at revision 9 before that
    // compaction.
    assert_eq!(hash(&stage, 9), (1_003_173_203, -1));
    stage.compact(9).unwrap();
    stage.flush();
    loop {
        // A fresh computation for the compacted revision itself.
        assert_eq!(hash(&stage, 9), (1_073_542_193, 9));
        for (revision, expected) in [(10, 3_575_014_253), (11, 2_114_352_057), (12, 2_401_106_103), (13, 2_217_692_098)]
        {
            assert_eq!(hash(&stage, revision), (expected, 9), "revision {revision}");
        }
        if stage.remove_step(1) {
            break;
        }
    }
    stage.compact(12).unwrap();
    stage.flush();
    loop {
        assert_eq!(hash(&stage, 13), (658_406_925, 12));
        if stage.remove_step(1) {
            break;
        }
    }
    let compacted = hash_kv(&stage.point, &stage.store, 11).unwrap();
    assert_eq!(compacted, Err(MvccError::Compacted { requested: 11, compacted: 12 }));
}

#[test]
fn negative_revisions_hash_nothing_and_future_ones_are_refused() {
    let stage = first_writes();
    assert_eq!(hash(&stage, -5), (1_084_519_789, -1));
    assert_eq!(
        hash_kv(&stage.point, &stage.store, 7).unwrap(),
        Err(MvccError::FutureRevision { requested: 7, current: 6 })
    );
}

#[test]
fn when_nothing_lives_the_hash_does_not_tell_how_far_removal_has_come() {
    let mut stage = first_writes();
    stage.compact(6).unwrap();
    for key in [&b"a"[..], b"c"] {
        stage.delete_key(&Bytes::from_static(key));
    }
    stage.flush();
    let before = hash(&stage, 0);
    stage.remove_all();
    assert_eq!(hash(&stage, 0), before);
}

/// Compacts, and returns the hash before anything is removed: etcd's response to later requests for
/// exactly this revision.
fn compact(stage: &mut Stage, revision: i64) -> (u32, i64) {
    let before = stage.point.compacted;
    stage.compact(revision).unwrap();
    stage.flush();
    let hashed = hash_of_compaction(&stage.store, before, revision).unwrap();
    assert_eq!(hashed.hash_revision, revision);
    stage.remove_all();
    (hashed.hash, hashed.compact_revision)
}

#[test]
fn hashes_of_compactions_are_those_of_etcd() {
    let mut stage = first_writes();
    // Recorded from etcd 3.7.1: of a living key, at a deletion, after one, at the last deletion of
    // all, and of a key after that.
    assert_eq!(compact(&mut stage, 4), (2_069_675_932, -1));
    assert_eq!(compact(&mut stage, 5), (1_468_967_122, 4));
    assert_eq!(compact(&mut stage, 6), (103_875_579, 5));
    for key in [&b"a"[..], b"c"] {
        stage.delete_key(&Bytes::from_static(key));
    }
    stage.flush();
    assert_eq!(compact(&mut stage, 8), (1_679_571_469, 6));
    stage.put_value(&Bytes::from_static(b"z"), "1");
    stage.flush();
    assert_eq!(compact(&mut stage, 9), (3_419_164_979, 8));
}
