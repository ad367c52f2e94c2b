//! All of history in its own order, out of a store that keeps records in the order of keys.
//!
//! One walk in the order of keys deals the records out to parts, which are stretches of history
//! that fit memory. A part's records wait in scratch space, and are sorted when it is the part's
//! turn. Where scratch space fails, a part is looked up record by record, its keys in their order:
//! several times slower, but it needs no room. Memory: a part, and some kilobytes for each of the
//! others.

mod part;
mod partitioned;

use crate::backend::{self, HistoryKey};
use crate::spill_file::SpillFile;
use bytes::Bytes;
use part::{Entry, Loaded, Part};
use partitioned::Partitioned;
use schema::revision_record::{self, RevisionRecord};
use schema::{Cursor, Table, View, bump_record};
use types::Fault;

/// Keys and values of bucket `key`.
pub(crate) struct Entries<'a, V> {
    view: &'a V,
    parts: std::vec::IntoIter<Part>,
    partitioned: Partitioned<'a>,
    loaded: Loaded,
}

impl<'a, V: View> Entries<'a, V> {
    pub(crate) fn new(view: &'a V, spill_file: &'a dyn SpillFile) -> Result<Self, Fault> {
        let parts = part::parts(view)?;
        let partitioned = Partitioned::deal(view, &parts, spill_file)?;
        Ok(Self { view, parts: parts.into_iter(), partitioned, loaded: Loaded::default() })
    }

    fn load(&mut self, part: &Part) -> Result<(), Fault> {
        // Given up before the next is made, so that there is one in memory at a time.
        self.loaded = Loaded::default();
        let partitioned = self.partitioned.take(part);
        let data = if let Some(data) = partitioned { data } else { part.look_up(self.view)? };
        self.loaded = Loaded::sorted(data, part)?;
        Ok(())
    }
}

impl<V: View> Iterator for Entries<'_, V> {
    type Item = Result<(Bytes, Bytes), Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((Entry { revision, tombstone, .. }, data)) = self.loaded.next() {
                let entry = if tombstone {
                    backend::tombstone_entry(revision, data)
                } else {
                    (HistoryKey { revision, tombstone }.encode(), data)
                };
                return Some(Ok(entry));
            }
            let part = self.parts.next()?;
            if let Err(fault) = self.load(&part) {
                return Some(Err(fault));
            }
        }
    }
}

/// The lengths of those keys and values, from the order of history alone.
pub(crate) struct EntryLengths<C> {
    cursor: C,
}

impl<'a, C: Cursor + 'a> EntryLengths<C> {
    pub(crate) fn new<V: View<Cursor<'a> = C>>(view: &'a V) -> Result<Self, Fault> {
        Ok(Self { cursor: view.scan(Table::Revisions)? })
    }

    fn lengths(&mut self) -> Result<Option<(usize, usize)>, Fault> {
        let Some((key, stored)) = self.cursor.item() else { return Ok(None) };
        let revision = revision_record::decode_key(key)?;
        let change = RevisionRecord::decode(stored)?;
        let lengths = if change.is_tombstone() {
            let (key, value) = backend::tombstone_entry(revision, Bytes::copy_from_slice(change.user_key));
            (key.len(), value.len())
        } else {
            let value_bytes = bump_record::backend_value_bytes(change.user_key, change.record_bytes);
            let record_bytes =
                usize::try_from(value_bytes).map_err(|error| Fault::corrupt("revision record", error))?;
            (types::Revision::ETCD_BYTES, record_bytes)
        };
        self.cursor.next()?;
        Ok(Some(lengths))
    }
}

impl<C: Cursor> Iterator for EntryLengths<C> {
    type Item = Result<(usize, usize), Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        self.lengths().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spill_file::NoSpillFile;
    use schema::{Batch as _, MemoryStore, current_record, history_key};
    use types::Revision;

    /// More than two parts, keys in an order that has nothing to do with that of history; each
    /// fifth change is a deletion.
    fn store(changes: i64) -> (MemoryStore, Vec<(Bytes, Bytes)>) {
        let mut store = MemoryStore::new();
        let mut expected = Vec::new();
        for main in 2..changes + 2 {
            let revision = Revision::new(main / 3, main % 3);
            let key = ((main * 7919) % 10_007).to_be_bytes();
            let tombstone = main % 5 == 0;
            // As every record of a key, it begins with the tag of the key.
            let content = vec![main.to_le_bytes()[0]; 4000 + usize::try_from(main % 100).unwrap()];
            let record = if tombstone { Vec::new() } else { [&[0x0a][..], &content].concat() };
            let change = RevisionRecord { record_bytes: record.len().try_into().unwrap(), user_key: &key };
            let mut stored = Vec::new();
            change.encode_into(&mut stored);
            store.put(Table::Revisions, &revision_record::encode_key(revision), &stored);
            if main % 2 == 0 && !tombstone {
                store.put(Table::Current, &key, &[&current_record::begin(revision, 0)[..], &record].concat());
            } else {
                store.put(Table::History, &history_key::encode(&key, revision), &record);
            }
            expected.push(if tombstone {
                backend::tombstone_entry(revision, Bytes::copy_from_slice(&key))
            } else {
                (HistoryKey { revision, tombstone }.encode(), record.into())
            });
        }
        (store, expected)
    }

    #[test]
    fn history_comes_in_its_order_with_and_without_scratch_space() {
        let (store, expected) = store(13_000);
        assert!(part::parts(&store).unwrap().len() > 2);
        let file = tempfile::tempfile().unwrap();
        for spill_file in [&file as &dyn SpillFile, &NoSpillFile] {
            let entries: Vec<_> = Entries::new(&store, spill_file).unwrap().map(Result::unwrap).collect();
            assert!(entries == expected);
        }
        let lengths: Vec<_> = EntryLengths::new(&store).unwrap().map(Result::unwrap).collect();
        assert_eq!(lengths, expected.iter().map(|(key, value)| (key.len(), value.len())).collect::<Vec<_>>());
    }

    #[test]
    fn a_lost_or_surplus_record_is_a_fault() {
        for (lost, spill_file) in [
            (true, &NoSpillFile as &dyn SpillFile),
            (true, &tempfile::tempfile().unwrap()),
            (false, &tempfile::tempfile().unwrap()),
        ] {
            let (mut store, _) = store(100);
            let revision = Revision::new(1, 0);
            let key = history_key::encode(&(3_i64 * 7919 % 10_007).to_be_bytes(), revision);
            if lost {
                store.delete(Table::History, &key);
            } else {
                store.delete(Table::Revisions, &revision_record::encode_key(revision));
            }
            let outcome = Entries::new(&store, spill_file).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
            assert!(outcome.is_err(), "lost: {lost}");
        }
    }
}
