//! The storage trait on RocksDB.

use crate::error::OpenError;
use crate::options::{self, StoreOptions};
use bytes::Bytes;
use rocksdb::{ColumnFamily, DB, DBRawIterator, FlushOptions, ReadOptions, WriteBatch, WriteOptions};
use schema::{Batch, Cursor, Table, View, meta};
use std::path::{Path, PathBuf};
use types::Fault;

/// Bytes read at once by a scan of a whole table.
const SCAN_READ_AHEAD_BYTES: usize = 256 << 10;

/// The state on disk. Reads and writes may happen on any thread.
pub struct Store {
    db: DB,
    path: PathBuf,
    /// The usual options of a lookup, made once instead of for each.
    get_options: ReadOptions,
}

/// The place of a table: its own column family, or a share of the one for small tables.
struct Place<'a> {
    family: &'a ColumnFamily,
    prefix: Option<u8>,
}

impl Place<'_> {
    fn key<'k>(&self, key: &'k [u8]) -> std::borrow::Cow<'k, [u8]> {
        match self.prefix {
            None => key.into(),
            Some(prefix) => [&[prefix], key].concat().into(),
        }
    }
}

/// The first byte of a small table's keys. Numbers are on disk and never change.
fn prefix(table: Table) -> Option<u8> {
    match table {
        Table::Current | Table::History | Table::Revisions => None,
        Table::Meta => Some(0),
        Table::Counts => Some(1),
        Table::Leases => Some(2),
        Table::LeaseKeys => Some(3),
        Table::Users => Some(4),
        Table::Roles => Some(5),
        Table::Members => Some(6),
        Table::RemovedMembers => Some(7),
        Table::Alarms => Some(8),
    }
}

fn family_name(table: Table) -> &'static str {
    match table {
        Table::Current => options::CURRENT,
        Table::History => options::HISTORY,
        Table::Revisions => options::REVISIONS,
        Table::Counts
        | Table::Leases
        | Table::LeaseKeys
        | Table::Users
        | Table::Roles
        | Table::Members
        | Table::RemovedMembers
        | Table::Alarms
        | Table::Meta => options::SYSTEM,
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Returns `true` if RocksDB has written a table in `path`.
fn holds_tables(path: &Path) -> bool {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| entry.path().extension().is_some_and(|extension| extension == "sst"))
}

fn failed(doing: &str, error: &rocksdb::Error) -> Fault {
    Fault::store(doing, error)
}

impl Store {
    /// Opens the state in `path`, or begins an empty one there.
    pub fn open(path: &Path, options: &StoreOptions) -> Result<Self, OpenError> {
        let refused = |error: rocksdb::Error| OpenError::refused(path, error.into_string());
        let db =
            DB::open_cf_descriptors(&options::database(options), path, options::families(options)).map_err(refused)?;
        let store = Self::new(db, path);
        if !store.has_format()? {
            let mut batch = store.batch();
            meta::write_u64(&mut batch, meta::FORMAT_VERSION, meta::FORMAT);
            store.write(batch)?;
        }
        Ok(store)
    }

    /// Opens the state in `path` for reading, and leaves every file as it is but RocksDB's own
    /// `LOG`. `None` where no state was begun, or where the process ended while it was. Refuses the
    /// same as [`Store::open`].
    pub fn look(path: &Path, options: &StoreOptions) -> Result<Option<Self>, OpenError> {
        let refused = |detail: String| OpenError::refused(path, detail);
        if !path.join("CURRENT").exists() {
            // RocksDB would start from scratch beside the tables.
            return if holds_tables(path) {
                Err(refused("CURRENT is missing, though tables are there".to_owned()))
            } else {
                Ok(None)
            };
        }
        let families = DB::list_cf(&options::database(options), path).map_err(|error| refused(error.into_string()))?;
        if !options::FAMILIES.iter().all(|name| families.iter().any(|found| found == name)) {
            return if holds_tables(path) {
                Err(refused("MANIFEST lacks a column family".to_owned()))
            } else {
                Ok(None)
            };
        }
        let mut database = options::database(options);
        database.create_if_missing(false);
        database.create_missing_column_families(false);
        let db = DB::open_cf_descriptors_read_only(&database, path, options::families(options), false);
        let store = Self::new(db.map_err(|error| refused(error.into_string()))?, path);
        store.has_format()?;
        Ok(Some(store))
    }

    fn new(db: DB, path: &Path) -> Self {
        for family in options::FAMILIES {
            assert!(db.cf_handle(family).is_some(), "{} is open without column family {family}", path.display());
        }
        Self { db, path: path.to_owned(), get_options: ReadOptions::default() }
    }

    /// Returns `true` if a format is written there, which must be one that this version reads.
    fn has_format(&self) -> Result<bool, OpenError> {
        match meta::read_u64(self, meta::FORMAT_VERSION)? {
            Some(found) if found > meta::FORMAT => {
                Err(OpenError::NewerFormat { path: self.path.clone(), found, known: meta::FORMAT })
            }
            Some(found) if found < meta::FORMAT => {
                Err(OpenError::OlderFormat { path: self.path.clone(), found, known: meta::FORMAT })
            }
            found => Ok(found.is_some()),
        }
    }

    /// Returns the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of the file that names the manifest. RocksDB replaces it by a rename, so it
    /// is never missing.
    pub fn current_file(&self) -> PathBuf {
        self.path.join("CURRENT")
    }

    /// Returns the paths of the manifest and of all tables that the state consists of now. RocksDB
    /// never uses one of these names twice.
    pub fn live_files(&self) -> Result<Vec<PathBuf>, Fault> {
        let tables = self.db.live_files().map_err(|error| failed("list the files of the state", &error))?;
        let manifest = std::fs::read_to_string(self.current_file()).ok();
        let names = tables.iter().map(|table| table.name.trim_start_matches('/'));
        Ok(names.chain(manifest.as_deref().map(str::trim)).map(|name| self.path.join(name)).collect())
    }

    /// An empty batch for this store.
    pub fn batch(&self) -> StoreBatch<'_> {
        StoreBatch { store: self, batch: WriteBatch::default() }
    }

    /// Makes a batch visible, whole. It becomes durable with the next flush; until then the raft
    /// log stands for it.
    ///
    /// # Panics
    /// If the batch was begun for another store.
    pub fn write(&self, batch: StoreBatch<'_>) -> Result<(), Fault> {
        assert!(
            std::ptr::eq(batch.store, self),
            "a batch for {} is written to {}",
            batch.store.path.display(),
            self.path.display()
        );
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        self.db.write_opt(batch.batch, &options).map_err(|error| failed("write state", &error))
    }

    /// Makes everything visible so far durable, over all tables at one point. Blocks for as long as
    /// that takes.
    pub fn flush(&self) -> Result<(), Fault> {
        let mut options = FlushOptions::default();
        options.set_wait(true);
        let families: Vec<_> = options::FAMILIES.iter().map(|name| self.family(name)).collect();
        self.db.flush_cfs_opt(&families, &options).map_err(|error| failed("flush state", &error))
    }

    /// A view that does not change while others write.
    pub fn snapshot(&self) -> Snapshot<'_> {
        Snapshot { store: self, snapshot: self.db.snapshot() }
    }

    /// Returns disk space of removed history to the filesystem, in the caller's time and without
    /// stopping other operations.
    pub fn reclaim(&self) {
        for name in options::FAMILIES {
            self.db.compact_range_cf(self.family(name), None::<&[u8]>, None::<&[u8]>);
        }
    }

    /// Bytes of table files on disk.
    pub fn file_bytes(&self) -> Result<u64, Fault> {
        let mut total = 0;
        for name in options::FAMILIES {
            let bytes = self.db.property_int_value_cf(self.family(name), "rocksdb.total-sst-files-size");
            total += bytes.map_err(|error| failed("read store statistics", &error))?.unwrap_or(0);
        }
        Ok(total)
    }

    /// An error that the store met in the background, after which nothing may be trusted.
    pub fn background_errors(&self) -> Result<(), Fault> {
        let errors = self.db.property_int_value("rocksdb.background-errors");
        match errors.map_err(|error| failed("read store statistics", &error))? {
            Some(errors) if errors > 0 => {
                Err(Fault::store("flush or compact state", format_args!("{errors} background errors")))
            }
            _ => Ok(()),
        }
    }

    fn family(&self, name: &str) -> &ColumnFamily {
        self.db.cf_handle(name).expect("every column family was opened")
    }

    fn place(&self, table: Table) -> Place<'_> {
        Place { family: self.family(family_name(table)), prefix: prefix(table) }
    }

    fn read_options(end: Option<&[u8]>, prefix: Option<u8>) -> ReadOptions {
        let mut options = ReadOptions::default();
        // Without it an iterator over history may only be trusted within the prefix it was sought
        // to.
        options.set_total_order_seek(true);
        match (end, prefix) {
            (Some(end), None) => options.set_iterate_upper_bound(end),
            (Some(end), Some(prefix)) => options.set_iterate_upper_bound([&[prefix], end].concat()),
            (None, Some(prefix)) => options.set_iterate_upper_bound([prefix + 1]),
            (None, None) => {}
        }
        if let Some(prefix) = prefix {
            options.set_iterate_lower_bound([prefix]);
        }
        options
    }

    fn get_with(&self, table: Table, key: &[u8], options: &ReadOptions) -> Result<Option<Bytes>, Fault> {
        let place = self.place(table);
        let found = self
            .db
            .get_pinned_cf_opt(place.family, place.key(key), options)
            .map_err(|error| failed("read state", &error))?;
        Ok(found.map(|value| Bytes::copy_from_slice(&value)))
    }

    /// Reads ahead, and leaves the cache to repeated readers.
    fn scan_with(&self, table: Table, mut options: ReadOptions) -> Result<StoreCursor<'_>, Fault> {
        options.fill_cache(false);
        options.set_readahead_size(SCAN_READ_AHEAD_BYTES);
        let mut cursor = self.cursor_with(table, options);
        cursor.seek(&[])?;
        Ok(cursor)
    }

    fn cursor_with(&self, table: Table, options: ReadOptions) -> StoreCursor<'_> {
        let place = self.place(table);
        StoreCursor { iterator: self.db.raw_iterator_cf_opt(place.family, options), prefix: place.prefix }
    }

    fn first_with(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        mut options: ReadOptions,
    ) -> Result<Option<(Bytes, Bytes)>, Fault> {
        assert!(from.starts_with(prefix), "a look-up from {from:?} on ends before {prefix:?}");
        // RocksDB takes the prefix from `from`: only a whole history key gives the one that is
        // meant.
        if from.len() == prefix.len() + options::HISTORY_SUFFIX_BYTES {
            options.set_prefix_same_as_start(true);
        } else {
            options.set_total_order_seek(true);
        }
        let mut iterator = self.db.raw_iterator_cf_opt(self.family(family_name(table)), options);
        iterator.seek(from);
        iterator.status().map_err(|error| failed("read state", &error))?;
        let item = iterator.item().filter(|(key, _)| key.starts_with(prefix));
        Ok(item.map(|(key, value)| (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value))))
    }
}

impl View for Store {
    type Cursor<'a> = StoreCursor<'a>;

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, Fault> {
        self.get_with(table, key, &self.get_options)
    }

    fn cursor(&self, table: Table, end: Option<&[u8]>) -> Result<StoreCursor<'_>, Fault> {
        Ok(self.cursor_with(table, Self::read_options(end, prefix(table))))
    }

    fn scan(&self, table: Table) -> Result<StoreCursor<'_>, Fault> {
        self.scan_with(table, Self::read_options(None, prefix(table)))
    }

    fn first_with_prefix(&self, table: Table, start: &[u8], from: &[u8]) -> Result<Option<(Bytes, Bytes)>, Fault> {
        if table == Table::History {
            return self.first_with(table, start, from, ReadOptions::default());
        }
        first_by_cursor(self.cursor(table, None)?, start, from)
    }
}

/// The store as it was when this was taken.
pub struct Snapshot<'a> {
    store: &'a Store,
    snapshot: rocksdb::Snapshot<'a>,
}

impl std::fmt::Debug for Snapshot<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("store", &self.store.path).finish_non_exhaustive()
    }
}

impl View for Snapshot<'_> {
    type Cursor<'a>
        = StoreCursor<'a>
    where
        Self: 'a;

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, Fault> {
        let mut options = ReadOptions::default();
        options.set_snapshot(&self.snapshot);
        self.store.get_with(table, key, &options)
    }

    fn cursor(&self, table: Table, end: Option<&[u8]>) -> Result<StoreCursor<'_>, Fault> {
        let mut options = Store::read_options(end, prefix(table));
        options.set_snapshot(&self.snapshot);
        Ok(self.store.cursor_with(table, options))
    }

    fn scan(&self, table: Table) -> Result<StoreCursor<'_>, Fault> {
        let mut options = Store::read_options(None, prefix(table));
        options.set_snapshot(&self.snapshot);
        self.store.scan_with(table, options)
    }

    fn first_with_prefix(&self, table: Table, start: &[u8], from: &[u8]) -> Result<Option<(Bytes, Bytes)>, Fault> {
        if table == Table::History {
            let mut options = ReadOptions::default();
            options.set_snapshot(&self.snapshot);
            return self.store.first_with(table, start, from, options);
        }
        first_by_cursor(self.cursor(table, None)?, start, from)
    }
}

fn first_by_cursor(mut cursor: StoreCursor<'_>, start: &[u8], from: &[u8]) -> Result<Option<(Bytes, Bytes)>, Fault> {
    cursor.seek(from)?;
    let item = cursor.item().filter(|(key, _)| key.starts_with(start));
    Ok(item.map(|(key, value)| (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value))))
}

/// A position in a table.
pub struct StoreCursor<'a> {
    iterator: DBRawIterator<'a>,
    prefix: Option<u8>,
}

impl std::fmt::Debug for StoreCursor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreCursor").field("valid", &self.iterator.valid()).finish_non_exhaustive()
    }
}

impl StoreCursor<'_> {
    fn checked(&self) -> Result<(), Fault> {
        if self.iterator.valid() {
            Ok(())
        } else {
            self.iterator.status().map_err(|error| failed("read state", &error))
        }
    }

    fn stored_key<'k>(&self, key: &'k [u8]) -> std::borrow::Cow<'k, [u8]> {
        match self.prefix {
            None => key.into(),
            Some(prefix) => [&[prefix], key].concat().into(),
        }
    }
}

impl Cursor for StoreCursor<'_> {
    fn seek(&mut self, key: &[u8]) -> Result<(), Fault> {
        self.iterator.seek(self.stored_key(key));
        self.checked()
    }

    fn seek_back(&mut self, key: &[u8]) -> Result<(), Fault> {
        self.iterator.seek_for_prev(self.stored_key(key));
        self.checked()
    }

    fn next(&mut self) -> Result<(), Fault> {
        self.iterator.next();
        self.checked()
    }

    fn prev(&mut self) -> Result<(), Fault> {
        self.iterator.prev();
        self.checked()
    }

    fn item(&self) -> Option<(&[u8], &[u8])> {
        let (key, value) = self.iterator.item()?;
        let Some(prefix) = self.prefix else { return Some((key, value)) };
        assert!(key.first() == Some(&prefix), "a cursor over table {prefix} stands on {key:?}");
        Some((&key[1..], value))
    }
}

/// Changes that become visible together.
pub struct StoreBatch<'a> {
    store: &'a Store,
    batch: WriteBatch,
}

impl std::fmt::Debug for StoreBatch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreBatch").field("changes", &self.batch.len()).finish_non_exhaustive()
    }
}

impl StoreBatch<'_> {
    /// Bytes that the changes take.
    pub fn size_bytes(&self) -> usize {
        self.batch.size_in_bytes()
    }
}

impl Batch for StoreBatch<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        let place = self.store.place(table);
        self.batch.put_cf(place.family, place.key(key), value);
    }

    fn delete(&mut self, table: Table, key: &[u8]) {
        let place = self.store.place(table);
        self.batch.delete_cf(place.family, place.key(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schema::MemoryStore;
    use types::Revision;

    fn open(path: &Path) -> Store {
        Store::open(path, &StoreOptions::default()).unwrap()
    }

    #[test]
    fn tables_are_apart_and_cursors_stay_inside_theirs() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let mut batch = store.batch();
        for table in [Table::Current, Table::History, Table::Counts, Table::Leases, Table::LeaseKeys] {
            batch.put(table, b"k", format!("{table:?}").as_bytes());
        }
        store.write(batch).unwrap();
        let mut cursor = store.cursor(Table::Leases, None).unwrap();
        cursor.seek(b"").unwrap();
        assert_eq!(cursor.item(), Some((&b"k"[..], &b"Leases"[..])));
        cursor.next().unwrap();
        assert_eq!(cursor.item(), None);
        cursor.seek_back(b"zzz").unwrap();
        assert_eq!(cursor.item(), Some((&b"k"[..], &b"Leases"[..])));
        cursor.prev().unwrap();
        assert_eq!(cursor.item(), None);
    }

    #[test]
    fn a_seek_from_behind_a_version_finds_the_older_one() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let key = |main| schema::history_key::encode(b"k", types::Revision::new(main, 0));
        let mut batch = store.batch();
        for main in [2, 3] {
            batch.put(Table::History, &key(main), b"record");
        }
        store.write(batch).unwrap();
        let mut prefix = Vec::new();
        schema::history_key::push_prefix(&mut prefix, b"k");
        // Longer than a history key, so that RocksDB would take another part for its prefix.
        let behind = [&key(3)[..], &[0]].concat();
        for _ in 0..2 {
            let found = store.first_with_prefix(Table::History, &prefix, &behind).unwrap();
            assert_eq!(found.map(|(key, _)| key.to_vec()), Some(key(2)));
            store.flush().unwrap();
        }
    }

    #[test]
    fn agrees_with_the_store_in_memory() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let mut memory = MemoryStore::new();
        let mut random = fastrand::Rng::with_seed(7);
        for round in 0..50 {
            let mut batch = store.batch();
            for _ in 0..20 {
                let key = schema::history_key::encode(
                    &[random.u8(0..3), random.u8(0..3)],
                    types::Revision::new(random.i64(1..9), 0),
                );
                if random.u8(0..4) == 0 {
                    batch.delete(Table::History, &key);
                    memory.delete(Table::History, &key);
                } else {
                    batch.put(Table::History, &key, &[round]);
                    memory.put(Table::History, &key, &[round]);
                }
            }
            store.write(batch).unwrap();
            if round % 10 == 0 {
                store.flush().unwrap();
            }
            for user_key in [&[0, 1][..], &[1, 1], &[2, 2], &[9, 9]] {
                let mut start = Vec::new();
                schema::history_key::push_prefix(&mut start, user_key);
                let mut from = start.clone();
                schema::history_key::push_revision(&mut from, types::Revision::new(random.i64(1..9), 0));
                let ours = store.first_with_prefix(Table::History, &start, &from).unwrap();
                assert_eq!(ours, memory.first_with_prefix(Table::History, &start, &from).unwrap());
            }
        }
    }

    #[test]
    fn a_reader_of_current_before_history_always_finds_its_version() {
        const KEYS: i64 = 5;
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let row =
            |main: i64| [&schema::current_record::begin(Revision::new(main, 0), 8)[..], &main.to_be_bytes()].concat();
        let key = |main: i64| [u8::try_from(main % KEYS).unwrap()];
        let published = std::sync::atomic::AtomicI64::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for main in 1..20_000 {
                    let mut batch = store.batch();
                    if main > KEYS {
                        let old = Revision::new(main - KEYS, 0);
                        batch.put(
                            Table::History,
                            &schema::history_key::encode(&key(main), old),
                            &old.main.to_be_bytes(),
                        );
                    }
                    batch.put(Table::Current, &key(main), &row(main));
                    store.write(batch).unwrap();
                    published.store(main, std::sync::atomic::Ordering::Release);
                }
            });
            let mut at = 0;
            while at < 19_999 {
                at = published.load(std::sync::atomic::Ordering::Acquire);
                let revision = (at > KEYS).then(|| Revision::new(at - KEYS / 2, 0));
                for revision in revision.into_iter().chain((at > 0).then(|| Revision::new(at, 0))) {
                    let record = schema::current_record::record_of(&store, &key(revision.main), revision).unwrap();
                    assert_eq!(record.as_deref(), Some(&revision.main.to_be_bytes()[..]));
                }
            }
        });
    }

    #[test]
    fn only_what_was_flushed_survives_and_a_snapshot_does_not_move() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let mut batch = store.batch();
        meta::write_u64(&mut batch, meta::APPLIED_INDEX, 1);
        store.write(batch).unwrap();
        let snapshot = store.snapshot();
        let mut batch = store.batch();
        meta::write_u64(&mut batch, meta::APPLIED_INDEX, 2);
        store.write(batch).unwrap();
        assert_eq!(meta::read_u64(&snapshot, meta::APPLIED_INDEX).unwrap(), Some(1));
        assert_eq!(meta::read_u64(&store, meta::APPLIED_INDEX).unwrap(), Some(2));
        drop(snapshot);
        store.flush().unwrap();
        drop(store);
        assert_eq!(meta::read_u64(&open(dir.path()), meta::APPLIED_INDEX).unwrap(), Some(2));
    }

    #[test]
    fn another_format_is_refused() {
        for format in [meta::FORMAT - 1, meta::FORMAT + 1] {
            let dir = tempfile::tempdir().unwrap();
            let store = open(dir.path());
            let mut batch = store.batch();
            meta::write_u64(&mut batch, meta::FORMAT_VERSION, format);
            store.write(batch).unwrap();
            store.flush().unwrap();
            drop(store);
            let error = Store::open(dir.path(), &StoreOptions::default()).unwrap_err();
            let known = meta::FORMAT;
            let refused = match error {
                OpenError::NewerFormat { found, known: ours, .. } => {
                    format == known + 1 && (found, ours) == (format, known)
                }
                OpenError::OlderFormat { found, known: ours, .. } => {
                    format == known - 1 && (found, ours) == (format, known)
                }
                OpenError::Refused { .. } | OpenError::NoRoom { .. } | OpenError::Fault(_) => false,
            };
            assert!(refused, "format {format}");
        }
    }
}
