//! The store in memory, and the records that it holds.
#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

use schema::{Batch, Cursor, MemoryBatch, MemoryStore, Table, View, bump_record, history_key, meta};
use types::{Fault, Revision};

/// A store that has nothing but what every store must have, so that the defaults of [`View`] are
/// used.
struct Plain(MemoryStore);

impl View for Plain {
    type Cursor<'a> = <MemoryStore as View>::Cursor<'a>;

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<bytes::Bytes>, Fault> {
        self.0.get(table, key)
    }

    fn cursor(&self, table: Table, end: Option<&[u8]>) -> Result<Self::Cursor<'_>, Fault> {
        self.0.cursor(table, end)
    }
}

fn rows(store: &MemoryStore) -> Vec<(Table, &[u8], &[u8])> {
    store.dump().collect()
}

#[test]
fn batch_becomes_visible_in_the_order_of_its_writes() {
    let (mut store, mut batch) = (MemoryStore::new(), MemoryBatch::default());
    batch.put(Table::Users, b"a", b"1");
    batch.put(Table::Roles, b"a", b"2");
    batch.put(Table::Users, b"b", b"3");
    batch.delete(Table::Users, b"a");
    batch.put(Table::Users, b"b", b"4");
    assert_eq!(rows(&store), []);
    batch.write(&mut store);
    assert_eq!(rows(&store), [(Table::Users, &b"b"[..], &b"4"[..]), (Table::Roles, b"a", b"2")]);
    store.delete(Table::Roles, b"a");
    store.delete(Table::Leases, b"absent");
    assert_eq!(rows(&store), [(Table::Users, &b"b"[..], &b"4"[..])]);
}

#[test]
fn numbers_are_eight_bytes() {
    let mut store = MemoryStore::new();
    assert_eq!(meta::read_u64(&store, meta::APPLIED_INDEX).unwrap(), None);
    meta::write_u64(&mut store, meta::APPLIED_INDEX, 0x0102);
    assert_eq!(meta::read_u64(&store, meta::APPLIED_INDEX).unwrap(), Some(0x0102));
    assert_eq!(store.get(Table::Meta, meta::APPLIED_INDEX).unwrap().unwrap(), &b"\0\0\0\0\0\0\x01\x02"[..]);
    store.put(Table::Meta, meta::APPLIED_INDEX, b"short");
    let fault = meta::read_u64(&store, meta::APPLIED_INDEX).unwrap_err();
    assert_eq!(fault.to_string(), "state value appliedIndex is damaged: is not eight bytes long");
}

#[test]
fn first_with_prefix_is_at_or_above_from() {
    let mut store = MemoryStore::new();
    let [older, newer] = [5, 9].map(|main| history_key::encode(b"b", Revision::new(main, 0)));
    let other = history_key::encode(b"c", Revision::new(1, 0));
    for key in [&older, &newer, &other] {
        store.put(Table::History, key, key);
    }
    let (prefix, _) = history_key::split(&newer).unwrap();
    let plain = Plain(store.clone());
    for (main, expected) in [(20, Some(&newer)), (9, Some(&newer)), (8, Some(&older)), (4, None)] {
        let from = history_key::encode(b"b", Revision::new(main, 0));
        let found = store.first_with_prefix(Table::History, prefix, &from).unwrap();
        assert_eq!(found, plain.first_with_prefix(Table::History, prefix, &from).unwrap());
        assert_eq!(
            found.map(|(key, value)| (key.to_vec(), value.to_vec())),
            expected.map(|key| (key.clone(), key.clone())),
            "{main}"
        );
    }
    // Other tables take any prefix.
    store.put(Table::Users, b"ann", b"1");
    assert!(store.first_with_prefix(Table::Users, b"an", b"an").unwrap().is_some());
    assert!(store.first_with_prefix(Table::Users, b"an", b"ano").unwrap().is_none());
    assert!(store.first_with_prefix(Table::Roles, b"an", b"an").unwrap().is_none());
}

#[test]
fn parts_of_history_keys_are_refused() {
    let store = MemoryStore::new();
    let whole = history_key::encode(b"b", Revision::new(5, 0));
    let (prefix, _) = history_key::split(&whole).unwrap();
    let other = history_key::encode(b"c", Revision::new(5, 0));
    for from in [&whole[..whole.len() - 1], &[&whole[..], b"x"].concat(), &other] {
        let looked = std::panic::catch_unwind(|| store.first_with_prefix(Table::History, prefix, from).map(drop));
        assert!(looked.is_err(), "{from:?}");
    }
    assert!(store.first_with_prefix(Table::History, prefix, &whole).unwrap().is_none());
}

#[test]
fn prefix_turns_into_the_key_above_its_versions() {
    let newest = history_key::encode(b"b", Revision::new(i64::MAX, 0));
    let oldest = history_key::encode(b"b", Revision::new(0, 0));
    let next = history_key::encode(b"b\0", Revision::new(i64::MAX, 0));
    let (prefix, _) = history_key::split(&newest).unwrap();
    let mut after = prefix.to_vec();
    history_key::prefix_to_after(&mut after);
    assert!(newest < oldest && oldest < after && after < next);
}

#[test]
fn bump_record_has_no_value_in_etcds_file() {
    assert_eq!(bump_record::backend_value(b"\x0a\x01k"), b"\x0a\x01k");
    assert_eq!(bump_record::backend_value(b"\x10\x07"), b"");
    assert_eq!(bump_record::backend_value(b""), b"");
    assert_eq!(
        (bump_record::backend_value_bytes(b"k", 9), bump_record::backend_value_bytes(bump_record::KEY, 9)),
        (9, 0)
    );
}

#[test]
fn scan_begins_at_the_first_row() {
    let mut store = MemoryStore::new();
    store.put(Table::Users, b"", b"1");
    store.put(Table::Users, b"a", b"2");
    let cursor = Plain(store).0;
    let mut scan = cursor.scan(Table::Users).unwrap();
    assert_eq!(scan.item(), Some((&b""[..], &b"1"[..])));
    scan.next().unwrap();
    assert_eq!(scan.item(), Some((&b"a"[..], &b"2"[..])));
}
