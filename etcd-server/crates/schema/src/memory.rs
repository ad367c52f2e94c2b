//! The storage trait in memory: for tests, models and the simulator.

use crate::history_key;
use crate::store::{Batch, Cursor, Table, View};
use bytes::Bytes;
use std::collections::{BTreeMap, btree_map};
use std::ops::Bound;
use types::Fault;

type Items = BTreeMap<Vec<u8>, Vec<u8>>;

/// All tables in memory. Writes take effect at once; a [`MemoryBatch`] makes them atomic.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    tables: BTreeMap<Table, Items>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns every item of every table, for comparing two stores.
    pub fn dump(&self) -> impl Iterator<Item = (Table, &[u8], &[u8])> {
        self.tables.iter().flat_map(|(table, items)| items.iter().map(|(key, value)| (*table, &key[..], &value[..])))
    }
}

impl Batch for MemoryStore {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        self.tables.entry(table).or_default().insert(key.to_vec(), value.to_vec());
    }

    fn delete(&mut self, table: Table, key: &[u8]) {
        if let Some(items) = self.tables.get_mut(&table) {
            items.remove(key);
        }
    }
}

/// Writes that are collected, and become readable together: as with a store on disk, a reader sees
/// none of them before.
#[derive(Clone, Debug, Default)]
pub struct MemoryBatch {
    /// Table, key and value in the order of the writes; no value for a deletion.
    pub changes: Vec<(Table, Vec<u8>, Option<Vec<u8>>)>,
}

impl MemoryBatch {
    /// Makes the writes readable in `store`.
    pub fn write(self, store: &mut MemoryStore) {
        for (table, key, value) in self.changes {
            match value {
                Some(value) => store.put(table, &key, &value),
                None => store.delete(table, &key),
            }
        }
    }
}

impl Batch for MemoryBatch {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        self.changes.push((table, key.to_vec(), Some(value.to_vec())));
    }

    fn delete(&mut self, table: Table, key: &[u8]) {
        self.changes.push((table, key.to_vec(), None));
    }
}

impl View for MemoryStore {
    type Cursor<'a> = MemoryCursor<'a>;

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, Fault> {
        let items = self.tables.get(&table);
        Ok(items.and_then(|items| items.get(key)).map(|value| Bytes::copy_from_slice(value)))
    }

    fn cursor(&self, table: Table, end: Option<&[u8]>) -> Result<MemoryCursor<'_>, Fault> {
        Ok(MemoryCursor { items: self.tables.get(&table), end: end.map(<[u8]>::to_vec), item: None, above: None })
    }

    fn first_with_prefix(&self, table: Table, prefix: &[u8], from: &[u8]) -> Result<Option<(Bytes, Bytes)>, Fault> {
        // A store on disk may rely on it, so it is held to here as well.
        let whole = table != Table::History
            || (from.starts_with(prefix) && from.len() == prefix.len() + history_key::REVISION_BYTES);
        assert!(whole, "look-ups in the history take whole keys");
        let Some(items) = self.tables.get(&table) else { return Ok(None) };
        let first = items.range::<[u8], _>((Bound::Included(from), Bound::Unbounded)).next();
        let item = first.filter(|(key, _)| key.starts_with(prefix));
        Ok(item.map(|(key, value)| (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value))))
    }
}

/// A cursor over one table in memory.
#[derive(Debug)]
pub struct MemoryCursor<'a> {
    items: Option<&'a Items>,
    end: Option<Vec<u8>>,
    item: Option<(&'a [u8], &'a [u8])>,
    /// The items above the current one, while the cursor only moves upwards.
    above: Option<btree_map::Range<'a, Vec<u8>, Vec<u8>>>,
}

impl MemoryCursor<'_> {
    fn first_from(&mut self, from: Bound<&[u8]>) {
        self.above = self.items.map(|items| items.range::<[u8], _>((from, Bound::Unbounded)));
        self.take_next();
    }

    fn take_next(&mut self) {
        let item = self.above.as_mut().and_then(Iterator::next);
        self.stand_on(item);
    }

    fn last_up_to(&mut self, to: Bound<&[u8]>) {
        self.above = None;
        let item = self.items.and_then(|items| items.range::<[u8], _>((Bound::Unbounded, to)).next_back());
        self.stand_on(item);
    }
}

impl<'a> MemoryCursor<'a> {
    fn stand_on(&mut self, item: Option<(&'a Vec<u8>, &'a Vec<u8>)>) {
        let inside = item.filter(|(key, _)| self.end.as_ref().is_none_or(|end| *key < end));
        self.item = inside.map(|(key, value)| (&key[..], &value[..]));
    }
}

impl Cursor for MemoryCursor<'_> {
    fn seek(&mut self, key: &[u8]) -> Result<(), Fault> {
        self.first_from(Bound::Included(key));
        Ok(())
    }

    fn seek_back(&mut self, key: &[u8]) -> Result<(), Fault> {
        self.last_up_to(Bound::Included(key));
        Ok(())
    }

    fn next(&mut self) -> Result<(), Fault> {
        match (self.item, &self.above) {
            (Some(_), Some(_)) => self.take_next(),
            (Some((key, _)), None) => self.first_from(Bound::Excluded(key)),
            (None, _) => {}
        }
        Ok(())
    }

    fn prev(&mut self) -> Result<(), Fault> {
        if let Some((key, _)) = self.item {
            self.last_up_to(Bound::Excluded(key));
        }
        Ok(())
    }

    fn item(&self) -> Option<(&[u8], &[u8])> {
        self.item
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_turns_round_and_stays_below_its_end() {
        let mut store = MemoryStore::new();
        for key in [b"a", b"b", b"c", b"d"] {
            store.put(Table::Meta, key, b"");
        }
        let mut cursor = store.cursor(Table::Meta, Some(b"d")).unwrap();
        let mut walked = Vec::new();
        let mut stand = |cursor: &MemoryCursor<'_>| walked.push(cursor.item().map_or(b'-', |(key, _)| key[0]));
        cursor.seek(b"aa").unwrap();
        stand(&cursor);
        cursor.prev().unwrap();
        stand(&cursor);
        cursor.next().unwrap();
        stand(&cursor);
        cursor.next().unwrap();
        stand(&cursor);
        cursor.next().unwrap();
        stand(&cursor);
        cursor.seek_back(b"bb").unwrap();
        stand(&cursor);
        cursor.next().unwrap();
        stand(&cursor);
        cursor.seek_back(b"z").unwrap();
        stand(&cursor);
        assert_eq!(walked, b"babc-bc-");
    }
}
