//! The hash over a whole backend: `Maintenance.Hash`, and that of `snapshot status`.

use super::buckets::META;
use super::meta::{CONSISTENT_INDEX_KEY, STORAGE_VERSION_KEY, TERM_KEY};

/// The keys of `meta` that are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excluded {
    /// None: `snapshot status`.
    Nothing,
    /// `Maintenance.Hash` of 3.4: the index.
    Index,
    /// `Maintenance.Hash` of 3.5: index and term.
    IndexAndTerm,
    /// `Maintenance.Hash` since 3.6: index, term and storage version.
    IndexTermAndStorageVersion,
}

impl Excluded {
    fn keys(self) -> &'static [&'static [u8]] {
        match self {
            Self::Nothing => &[],
            Self::Index => &[CONSISTENT_INDEX_KEY],
            Self::IndexAndTerm => &[CONSISTENT_INDEX_KEY, TERM_KEY],
            Self::IndexTermAndStorageVersion => &[CONSISTENT_INDEX_KEY, TERM_KEY, STORAGE_VERSION_KEY],
        }
    }
}

/// CRC-32C over the names of the buckets and, behind each, its keys and values. Needs no memory.
#[derive(Clone, Debug)]
pub struct BackendHash {
    crc: u32,
    excluded: &'static [&'static [u8]],
    in_meta: bool,
}

impl BackendHash {
    /// Of nothing yet.
    pub fn new(excluded: Excluded) -> Self {
        Self { crc: 0, excluded: excluded.keys(), in_meta: false }
    }

    /// Begins the bucket `name`. Buckets come in the order of their names.
    pub fn bucket(&mut self, name: &[u8]) {
        self.in_meta = name == META;
        self.crc = crc32c::crc32c_append(self.crc, name);
    }

    /// Adds an entry of the bucket at hand. Entries come in the order of their keys.
    pub fn entry(&mut self, key: &[u8], value: &[u8]) {
        if !(self.in_meta && self.excluded.contains(&key)) {
            self.crc = crc32c::crc32c_append(crc32c::crc32c_append(self.crc, key), value);
        }
    }

    /// The hash of all that was added.
    pub fn finish(&self) -> u32 {
        self.crc
    }
}
