//! A bounded cache of the newest versions of the keys written last: an overwrite moves the previous
//! version, and looks at it.
//!
//! A table of fixed size in which each key has two possible places; the older of two rivals gives
//! way. It never differs from [`schema::Table::Current`], so that having or not having an entry
//! changes nothing but time.

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

/// Larger rows are not remembered, so that the cache's memory is bounded by its places.
const ROW_BYTES_MAX: usize = 512;

struct Slot {
    key: Box<[u8]>,
    /// The stored row; `None`: the key is known not to live.
    row: Option<Bytes>,
    /// When it was set, counted in changes of the cache.
    set: u64,
}

/// Key → newest version, for as many keys as there is room.
pub(crate) struct RecentRows {
    slots: Vec<Option<Slot>>,
    changes: u64,
}

impl std::fmt::Debug for RecentRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecentRows").finish_non_exhaustive()
    }
}

impl RecentRows {
    /// Room for at most `keys` keys, at least one.
    pub(crate) fn new(keys: usize) -> Self {
        let mut slots = Vec::new();
        slots.resize_with(keys.max(1), || None);
        Self { slots, changes: 0 }
    }

    /// Returns the cached knowledge of `key`: none, that it does not live, or its row.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&Option<Bytes>> {
        self.places(key).into_iter().find_map(|place| match &self.slots[place] {
            Some(slot) if *slot.key == *key => Some(&slot.row),
            _ => None,
        })
    }

    pub(crate) fn set(&mut self, key: &[u8], row: Option<Bytes>) {
        let places = self.places(key);
        let own = places.into_iter().find(|place| matches!(&self.slots[*place], Some(slot) if *slot.key == *key));
        if row.as_ref().is_some_and(|row| row.len() > ROW_BYTES_MAX) {
            if let Some(own) = own {
                self.slots[own] = None;
            }
            return;
        }
        let place =
            own.unwrap_or_else(|| places.into_iter().min_by_key(|place| self.age(*place)).expect("a key has places"));
        self.changes += 1;
        self.slots[place] = Some(Slot { key: key.into(), row, set: self.changes });
    }

    /// Returns the age of a place: empty places first, then the one that was set longest ago.
    fn age(&self, place: usize) -> u64 {
        self.slots[place].as_ref().map_or(0, |slot| slot.set)
    }

    #[expect(clippy::cast_possible_truncation, reason = "only the low bits choose a place")]
    fn places(&self, key: &[u8]) -> [usize; 2] {
        let hash = xxh3_64(key);
        [hash as u32 as usize % self.slots.len(), (hash >> 32) as usize % self.slots.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOTS: usize = 1 << 10;

    fn row(number: i64) -> Option<Bytes> {
        Some(Bytes::copy_from_slice(&number.to_be_bytes()))
    }

    fn key(number: i64) -> [u8; 8] {
        number.to_be_bytes()
    }

    #[test]
    fn says_what_was_last_set() {
        let mut cache = RecentRows::new(SLOTS);
        assert_eq!(cache.get(b"a"), None);
        cache.set(b"a", row(2));
        cache.set(b"a", row(3));
        assert_eq!(cache.get(b"a"), Some(&row(3)));
        cache.set(b"a", None);
        assert_eq!(cache.get(b"a"), Some(&None));
        cache.set(b"a", row(4));
        cache.set(b"a", Some(vec![0; ROW_BYTES_MAX + 1].into()));
        assert_eq!(cache.get(b"a"), None, "what is too large is not remembered, and what it replaced is forgotten");
    }

    #[test]
    fn stays_bounded_and_right_when_full() {
        let mut cache = RecentRows::new(SLOTS);
        for n in 0..3_000 {
            cache.set(&key(n), row(n));
        }
        let kept: Vec<i64> = (0..3_000).filter(|n: &i64| cache.get(&n.to_be_bytes()).is_some()).collect();
        assert!(kept.len() <= SLOTS && kept.contains(&2_999));
        assert!(kept.len() > SLOTS / 2, "{} of {SLOTS} places are used", kept.len());
        assert!(kept.iter().all(|n| cache.get(&n.to_be_bytes()) == Some(&row(*n))));
    }
}
