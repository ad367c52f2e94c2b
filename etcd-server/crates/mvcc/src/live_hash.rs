//! A hash of all live records that does not depend on the order in which they were written.
//!
//! The sum, modulo 2^128, of XXH3-128 over each live record's bytes. A write adds the new record's
//! hash and subtracts the old one's, so members can compare their live records at any applied index
//! for the cost of comparing sixteen bytes.

use xxhash_rust::xxh3::xxh3_128;

/// The sum over all live records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LiveHash(pub u128);

impl LiveHash {
    pub(crate) fn of(record: &[u8]) -> u128 {
        xxh3_128(record)
    }

    pub(crate) fn replace(&mut self, old: Option<u128>, new: Option<u128>) {
        self.0 = self.0.wrapping_sub(old.unwrap_or(0)).wrapping_add(new.unwrap_or(0));
    }
}
