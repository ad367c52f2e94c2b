//! The record that a restore with `--bump-revision` leaves in etcd's history: revision N, sub 0,
//! with an empty value.
//!
//! To etcd it is a version of a key with the empty name, so it is a live version that no compaction
//! removes: it stays in hashes and backups for ever, until another such restore replaces it. No
//! request can read or change that key. Tables here need a record that is not empty, because an
//! empty one is a tombstone; so the placeholder is stored, and [`backend_value`] is the value in
//! etcd's file. Source: etcdutl/snapshot/v3_snapshot.go, and restoreIntoIndex in
//! server/storage/mvcc/kvstore.go.

/// The key that the record is a version of.
pub const KEY: &[u8] = b"";

/// The tag of field 1, the key, with which the record of every other key begins.
const KEY_TAG: u8 = 0x0a;

/// Returns the value of a stored record as etcd's backend file holds it: the record, but nothing
/// for a bump record.
pub fn backend_value(record: &[u8]) -> &[u8] {
    if record.first() == Some(&KEY_TAG) { record } else { &[] }
}

/// Returns the length of [`backend_value`] of the record that a change of `user_key` wrote, in
/// bytes.
pub fn backend_value_bytes(user_key: &[u8], record_bytes: u32) -> u32 {
    if user_key == KEY { 0 } else { record_bytes }
}
