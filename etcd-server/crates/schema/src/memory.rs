//! The storage trait in memory: for tests, models and the simulator.

use crate::store::{Batch, Cursor, Table, View};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Bound;
use types::Fault;

type Items = BTreeMap<Vec<u8>, Vec<u8>>;

/// All tables in memory. Writes take effect at once, so atomicity is the caller's: collect first, then write.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    tables: BTreeMap<Table, Items>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Every item of every table, for comparing whole states.
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

impl View for MemoryStore {
    type Cursor<'a> = MemoryCursor<'a>;

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, Fault> {
        let items = self.tables.get(&table);
        Ok(items.and_then(|items| items.get(key)).map(|value| Bytes::copy_from_slice(value)))
    }

    fn cursor(&self, table: Table, end: Option<&[u8]>) -> Result<MemoryCursor<'_>, Fault> {
        Ok(MemoryCursor { items: self.tables.get(&table), end: end.map(<[u8]>::to_vec), item: None })
    }
}

/// A cursor over one table in memory.
#[derive(Debug)]
pub struct MemoryCursor<'a> {
    items: Option<&'a Items>,
    end: Option<Vec<u8>>,
    item: Option<(&'a [u8], &'a [u8])>,
}

impl MemoryCursor<'_> {
    fn first_from(&mut self, from: Bound<&[u8]>) {
        let items = self.items.and_then(|items| items.range::<[u8], _>((from, Bound::Unbounded)).next());
        self.item = items.map(|(key, value)| (&key[..], &value[..]));
    }

    fn last_up_to(&mut self, to: Bound<&[u8]>) {
        let items = self.items.and_then(|items| items.range::<[u8], _>((Bound::Unbounded, to)).next_back());
        self.item = items.map(|(key, value)| (&key[..], &value[..]));
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
        if let Some((key, _)) = self.item {
            self.first_from(Bound::Excluded(key));
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
        self.item.filter(|(key, _)| self.end.as_ref().is_none_or(|end| *key < &end[..]))
    }
}
