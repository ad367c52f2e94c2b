//! The options of RocksDB, with reasons.

use rocksdb::{BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, Options, SliceTransform};

/// Memory that the store may use.
#[derive(Clone, Copy, Debug)]
pub struct StoreOptions {
    /// Cache of blocks read from files, index and filter blocks included, in bytes.
    pub block_cache_bytes: usize,
    /// All memtables together, in bytes.
    pub memtable_bytes: usize,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { block_cache_bytes: 32 << 20, memtable_bytes: 32 << 20 }
    }
}

pub(crate) const CURRENT: &str = "current";
pub(crate) const HISTORY: &str = "history";
pub(crate) const REVISIONS: &str = "revisions";
pub(crate) const SYSTEM: &str = "default";
/// All of them.
pub(crate) const FAMILIES: [&str; 4] = [SYSTEM, CURRENT, HISTORY, REVISIONS];

/// Main and sub revision behind the prefix of a history key.
pub(crate) const HISTORY_SUFFIX_BYTES: usize = 12;

pub(crate) fn database(options: &StoreOptions) -> Options {
    let mut db = Options::default();
    db.create_if_missing(true);
    db.create_missing_column_families(true);
    // Without a write-ahead log only a flush of all families at one point keeps them in step.
    db.set_atomic_flush(true);
    db.set_db_write_buffer_size(options.memtable_bytes);
    db.set_max_background_jobs(2);
    db.set_max_subcompactions(1);
    db.set_paranoid_checks(true);
    db.set_keep_log_file_num(2);
    db.set_max_log_file_size(1 << 20);
    db.set_log_level(rocksdb::LogLevel::Warn);
    db.set_max_open_files(512);
    db.set_bytes_per_sync(1 << 20);
    db.set_stats_dump_period_sec(0);
    db
}

pub(crate) fn families(options: &StoreOptions) -> Vec<ColumnFamilyDescriptor> {
    let cache = Cache::new_lru_cache(options.block_cache_bytes);
    vec![
        ColumnFamilyDescriptor::new(SYSTEM, family(options, &cache)),
        ColumnFamilyDescriptor::new(CURRENT, current(options, &cache)),
        ColumnFamilyDescriptor::new(HISTORY, history(options, &cache)),
        ColumnFamilyDescriptor::new(REVISIONS, family(options, &cache)),
    ]
}

fn family(options: &StoreOptions, cache: &Cache) -> Options {
    let mut family = Options::default();
    family.set_write_buffer_size((options.memtable_bytes / 2).max(1 << 20));
    family.set_max_write_buffer_number(3);
    family.set_compression_type(DBCompressionType::Lz4);
    family.set_level_compaction_dynamic_level_bytes(true);
    family.set_target_file_size_base(16 << 20);
    family.set_max_bytes_for_level_base(64 << 20);
    family.set_block_based_table_factory(&tables(cache));
    family
}

fn current(options: &StoreOptions, cache: &Cache) -> Options {
    let mut family = family(options, cache);
    // Puts of new keys look for absent keys: the memtable has a filter over whole keys too.
    family.set_memtable_prefix_bloom_ratio(0.02);
    family.set_memtable_whole_key_filtering(true);
    family
}

fn history(options: &StoreOptions, cache: &Cache) -> Options {
    let mut family = family(options, cache);
    // Looking up a key at a revision is a seek; a filter over prefixes spares it the files that
    // lack the key.
    family.set_prefix_extractor(SliceTransform::create(
        "history-prefix",
        |key| &key[..key.len().saturating_sub(HISTORY_SUFFIX_BYTES)],
        Some(|key| key.len() > HISTORY_SUFFIX_BYTES),
    ));
    family
}

fn tables(cache: &Cache) -> BlockBasedOptions {
    let mut tables = BlockBasedOptions::default();
    tables.set_block_cache(cache);
    tables.set_block_size(8 << 10);
    // Memory stays within the cache, independent of the number of keys.
    tables.set_cache_index_and_filter_blocks(true);
    tables.set_pin_l0_filter_and_index_blocks_in_cache(true);
    tables.set_bloom_filter(10.0, false);
    tables.set_format_version(6);
    tables
}
