//! A store whose views lag behind its batches.

use schema::{Batch, MemoryStore, Table};

/// What one batch holds.
#[derive(Debug, Default)]
pub(crate) struct Recorded(Vec<(Table, Vec<u8>, Option<Vec<u8>>)>);

impl Recorded {
    pub(crate) fn write_into(self, store: &mut MemoryStore) {
        for (table, key, value) in self.0 {
            match value {
                Some(value) => store.put(table, &key, &value),
                None => store.delete(table, &key),
            }
        }
    }
}

impl Batch for Recorded {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        self.0.push((table, key.to_vec(), Some(value.to_vec())));
    }

    fn delete(&mut self, table: Table, key: &[u8]) {
        self.0.push((table, key.to_vec(), None));
    }
}
