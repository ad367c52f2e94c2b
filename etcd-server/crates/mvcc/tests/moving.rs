//! A store that apply goes on writing while a reader reads: the first few accesses see it as it
//! was, those behind as it is.

use bytes::Bytes;
use schema::{MemoryStore, Table, View};
use std::cell::Cell;
use types::Fault;

#[derive(Debug)]
pub(crate) struct MovingView<'a> {
    pub(crate) before: &'a MemoryStore,
    pub(crate) after: &'a MemoryStore,
    /// Accesses left that see the store as it was.
    pub(crate) accesses_before: Cell<u32>,
}

impl MovingView<'_> {
    fn now(&self) -> &MemoryStore {
        match self.accesses_before.get() {
            0 => self.after,
            left => {
                self.accesses_before.set(left - 1);
                self.before
            }
        }
    }
}

impl View for MovingView<'_> {
    type Cursor<'a>
        = <MemoryStore as View>::Cursor<'a>
    where
        Self: 'a;

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, Fault> {
        self.now().get(table, key)
    }

    fn cursor(&self, table: Table, end: Option<&[u8]>) -> Result<Self::Cursor<'_>, Fault> {
        self.now().cursor(table, end)
    }

    fn first_with_prefix(&self, table: Table, prefix: &[u8], from: &[u8]) -> Result<Option<(Bytes, Bytes)>, Fault> {
        self.now().first_with_prefix(table, prefix, from)
    }
}
