//! Changes gathered first and written together, as a store on disk does it.

use schema::{Batch, MemoryStore, Table};

#[derive(Default)]
pub(crate) struct Gathered {
    changes: Vec<(Table, Vec<u8>, Option<Vec<u8>>)>,
}

impl Batch for Gathered {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        self.changes.push((table, key.to_vec(), Some(value.to_vec())));
    }

    fn delete(&mut self, table: Table, key: &[u8]) {
        self.changes.push((table, key.to_vec(), None));
    }
}

impl Gathered {
    pub(crate) fn write(self, store: &mut MemoryStore) {
        for (table, key, value) in self.changes {
            match value {
                Some(value) => store.put(table, &key, &value),
                None => store.delete(table, &key),
            }
        }
    }
}

impl Gathered {
    /// Loses a change, for a planted bug.
    pub(crate) fn lose_one(&mut self, random: &mut fastrand::Rng) {
        if !self.changes.is_empty() {
            self.changes.swap_remove(random.usize(..self.changes.len()));
        }
    }
}
