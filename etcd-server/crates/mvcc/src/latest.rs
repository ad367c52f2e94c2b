//! A bounded cache of what a write needs to know of a key's newest version.
//!
//! A table of fixed size in which each key has two possible places; the older of two rivals gives way. It holds no values. What it says
//! never differs from the store, so that having or not having an entry changes nothing but time.

use types::{LeaseId, MainRevision};
use xxhash_rust::xxh3::xxh3_64;

/// The newest version of a key that lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latest {
    /// Main revision at which the key began to exist.
    pub create_revision: MainRevision,
    /// Main revision of the newest version.
    pub mod_revision: MainRevision,
    /// Writes since creation.
    pub version: i64,
    /// The lease attached, if any.
    pub lease: LeaseId,
    /// The record's part in the live hash.
    pub(crate) hash: u128,
}

struct Slot {
    key: Box<[u8]>,
    /// `None`: the key is known not to live.
    latest: Option<Latest>,
}

/// Key → newest version, for as many keys as there is room.
pub(crate) struct LatestCache {
    slots: Vec<Option<Slot>>,
}

impl std::fmt::Debug for LatestCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LatestCache").finish_non_exhaustive()
    }
}

impl LatestCache {
    /// Room for at most `keys` keys, at least one.
    pub(crate) fn new(keys: usize) -> Self {
        let mut slots = Vec::new();
        slots.resize_with(keys.max(1), || None);
        Self { slots }
    }

    /// What is known of `key`: nothing, that it does not live, or its newest version.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Option<Latest>> {
        self.places(key).into_iter().find_map(|place| match &self.slots[place] {
            Some(slot) if *slot.key == *key => Some(slot.latest),
            _ => None,
        })
    }

    pub(crate) fn set(&mut self, key: &[u8], latest: Option<Latest>) {
        let places = self.places(key);
        let own = places.into_iter().find(|place| matches!(&self.slots[*place], Some(slot) if *slot.key == *key));
        if let Some(own) = own {
            if let Some(slot) = &mut self.slots[own] {
                slot.latest = latest;
            }
            return;
        }
        let place = places.into_iter().min_by_key(|place| self.age(*place)).expect("a key has places");
        self.slots[place] = Some(Slot { key: key.into(), latest });
    }

    /// Empty places first, then the version written longest ago.
    fn age(&self, place: usize) -> MainRevision {
        self.slots[place].as_ref().map_or(-1, |slot| slot.latest.map_or(0, |latest| latest.mod_revision))
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

    fn latest(mod_revision: MainRevision) -> Latest {
        Latest { create_revision: 1, mod_revision, version: 1, lease: LeaseId::NONE, hash: 0 }
    }

    #[test]
    fn says_what_was_last_set() {
        let mut cache = LatestCache::new(SLOTS);
        assert_eq!(cache.get(b"a"), None);
        cache.set(b"a", Some(latest(2)));
        cache.set(b"a", Some(latest(3)));
        assert_eq!(cache.get(b"a"), Some(Some(latest(3))));
        cache.set(b"a", None);
        assert_eq!(cache.get(b"a"), Some(None));
    }

    #[test]
    fn stays_bounded_and_right_when_full() {
        let mut cache = LatestCache::new(SLOTS);
        for n in 0..3_000_i64 {
            cache.set(&n.to_be_bytes(), Some(latest(n)));
        }
        let kept: Vec<i64> = (0..3_000).filter(|n: &i64| cache.get(&n.to_be_bytes()).is_some()).collect();
        assert!(kept.len() <= SLOTS && kept.contains(&2_999));
        assert!(kept.iter().all(|n| cache.get(&n.to_be_bytes()) == Some(Some(latest(*n)))));
    }
}
