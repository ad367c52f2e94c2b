//! Every version of every key that the store holds, in the order of keys: how it is read fastest
//! when all of it is wanted.

use crate::{Cursor as _, Table, View, current_record, history_key};
use types::{Fault, Revision};

/// One version, as the walk meets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version<'a> {
    /// The change that wrote it.
    pub revision: Revision,
    /// The change that ended it; nothing for the newest version of its key.
    pub superseded_by: Option<Revision>,
    /// The written record.
    pub written: Written<'a>,
}

/// The kind of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written<'a> {
    /// The encoded `mvccpb.KeyValue`.
    Record(&'a [u8]),
    /// A deletion of this key.
    Tombstone(Vec<u8>),
}

/// Calls `found` with every version, of each key from the newest to the oldest. `view` must not
/// change meanwhile.
pub fn each_version(view: &impl View, mut found: impl FnMut(Version<'_>) -> Result<(), Fault>) -> Result<(), Fault> {
    let mut rows = view.scan(Table::Current)?;
    let mut superseded = Superseded { cursor: view.scan(Table::History)?, prefix: Vec::new(), newer: None };
    let mut prefix = Vec::new();
    while let Some((key, stored)) = rows.item() {
        prefix.clear();
        history_key::push_prefix(&mut prefix, key);
        superseded.walk_while(|other| other < &prefix[..], &mut found)?;
        let (revision, record) = current_record::split(stored)?;
        found(Version { revision, superseded_by: None, written: Written::Record(record) })?;
        superseded.newest_is(&prefix, revision);
        superseded.walk_while(|other| other == prefix, &mut found)?;
        rows.next()?;
    }
    superseded.walk_while(|_| true, &mut found)
}

/// A position in [`Table::History`] that knows which version came before, if it was of the same
/// key.
struct Superseded<C> {
    cursor: C,
    prefix: Vec<u8>,
    newer: Option<Revision>,
}

impl<C: crate::Cursor> Superseded<C> {
    fn newest_is(&mut self, prefix: &[u8], newest: Revision) {
        self.prefix.clear();
        self.prefix.extend_from_slice(prefix);
        self.newer = Some(newest);
    }

    fn walk_while(
        &mut self,
        wanted: impl Fn(&[u8]) -> bool,
        found: &mut impl FnMut(Version<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        while let Some((key, record)) = self.cursor.item() {
            let (prefix, revision) = history_key::split(key)?;
            if !wanted(prefix) {
                break;
            }
            if prefix != self.prefix {
                self.prefix.clear();
                self.prefix.extend_from_slice(prefix);
                self.newer = None;
            }
            let written = if record.is_empty() {
                Written::Tombstone(history_key::user_key(prefix))
            } else {
                Written::Record(record)
            };
            found(Version { revision, superseded_by: self.newer, written })?;
            self.newer = Some(revision);
            self.cursor.next()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Batch as _, MemoryStore};

    #[test]
    fn versions_come_key_by_key_newest_first_and_know_what_ended_them() {
        let mut store = MemoryStore::new();
        let at = |main| Revision::new(main, 0);
        let row = |main| [&current_record::begin(at(main), 1)[..], b"r"].concat();
        for (key, main, record) in
            [(&b"a"[..], 2, &b"r"[..]), (b"a", 4, b""), (b"b", 3, b"r"), (b"b\0", 6, b"r"), (b"b\0", 7, b"")]
        {
            store.put(Table::History, &history_key::encode(key, at(main)), record);
        }
        store.put(Table::Current, b"b", &row(5));
        store.put(Table::Current, b"c", &row(8));
        let mut walked = Vec::new();
        each_version(&store, |version| {
            let tombstone = if let Written::Tombstone(key) = version.written { key } else { Vec::new() };
            walked.push((version.revision.main, version.superseded_by.map(|newer| newer.main), tombstone));
            Ok(())
        })
        .unwrap();
        let record = |main, newer| (main, newer, Vec::new());
        let tombstone = |main, key: &[u8]| (main, None, key.to_vec());
        let expected = [
            tombstone(4, b"a"),
            record(2, Some(4)),
            record(5, None),
            record(3, Some(5)),
            tombstone(7, b"b\0"),
            record(6, Some(7)),
        ];
        assert_eq!(walked[..6], expected);
        assert_eq!(walked[6..], [record(8, None)]);
    }
}
