//! The storage trait: tables of ordered byte keys, read through views, written in atomic batches.

use bytes::Bytes;
use types::Fault;

/// The tables of the state. Keys are ordered bytewise within a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// User key → revision and encoded `mvccpb.KeyValue` of its newest version: the keys that live,
    /// and no others.
    Current,
    /// (escaped user key, descending revision) → encoded `mvccpb.KeyValue` of a replaced version,
    /// empty for a tombstone.
    History,
    /// Revision → user key and how many bytes were written, none for a deletion.
    Revisions,
    /// First key of a bucket of neighbouring keys → how many of them are live.
    Counts,
    /// Lease id → `leasepb.Lease`.
    Leases,
    /// (lease id, user key) → nothing: the keys attached to a lease.
    LeaseKeys,
    /// User name → `authpb.User`.
    Users,
    /// Role name → `authpb.Role`.
    Roles,
    /// Member id → member record.
    Members,
    /// Ids that may never join again.
    RemovedMembers,
    /// `AlarmMember` → nothing.
    Alarms,
    /// Single values: applied index, revisions, totals, authentication switch, cluster version,
    /// format version.
    Meta,
}

/// A consistent state to read from.
pub trait View {
    /// The cursor over a table of this view.
    type Cursor<'a>: Cursor
    where
        Self: 'a;

    /// The value stored under `key`.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, Fault>;

    /// A cursor that stands nowhere yet and will not be moved past `end`, when one is given.
    fn cursor(&self, table: Table, end: Option<&[u8]>) -> Result<Self::Cursor<'_>, Fault>;

    /// Returns a cursor as [`View::cursor`] does, over a whole table, for a caller that reads all
    /// of it once and upwards: a store can read ahead, and need not cache.
    fn scan(&self, table: Table) -> Result<Self::Cursor<'_>, Fault> {
        let mut cursor = self.cursor(table, None)?;
        cursor.seek(&[])?;
        Ok(cursor)
    }

    /// The first item whose key is `>= from` and starts with `prefix`; `from` itself starts with
    /// it.
    ///
    /// Apart from [`View::cursor`] because a store can answer it without looking at files that lack
    /// the prefix. In [`Table::History`] the prefix is always a whole one, as
    /// `history_key::push_prefix` makes it, and `from` a whole key.
    fn first_with_prefix(&self, table: Table, prefix: &[u8], from: &[u8]) -> Result<Option<(Bytes, Bytes)>, Fault> {
        let mut cursor = self.cursor(table, None)?;
        cursor.seek(from)?;
        let item = cursor.item().filter(|(key, _)| key.starts_with(prefix));
        Ok(item.map(|(key, value)| (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value))))
    }
}

/// A position in a table, moved forwards or backwards in key order.
pub trait Cursor {
    /// Moves to the first item whose key is `>= key`.
    fn seek(&mut self, key: &[u8]) -> Result<(), Fault>;

    /// Moves to the last item whose key is `<= key`.
    fn seek_back(&mut self, key: &[u8]) -> Result<(), Fault>;

    /// Moves one item up. Only called while the cursor stands on an item.
    fn next(&mut self) -> Result<(), Fault>;

    /// Moves one item down. Only called while the cursor stands on an item.
    fn prev(&mut self) -> Result<(), Fault>;

    /// The item the cursor stands on; nothing before the first seek and past either end.
    fn item(&self) -> Option<(&[u8], &[u8])>;
}

/// Changes that become visible and durable together.
pub trait Batch {
    /// Stores `value` under `key`, replacing a previous value.
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]);

    /// Deletes `key`; deleting an absent key is no error.
    fn delete(&mut self, table: Table, key: &[u8]);
}
