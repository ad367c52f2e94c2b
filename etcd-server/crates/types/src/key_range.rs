//! Intervals of keys, and the one place that knows how requests spell them.

use bytes::Bytes;
use std::ops::Bound;

/// A half-open interval of keys, `start <= key < end`; without an end it is open upwards.
///
/// A single key is the interval from itself to its successor, so that every rule about intervals
/// holds for it too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    start: Bytes,
    end: End,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// Exactly the start key.
    Single,
    /// Below this key.
    Before(Bytes),
    /// Everything from the start on.
    Open,
}

impl KeyRange {
    /// As requests spell it: no `range_end` means the one key, `"\0"` means every key from `key`
    /// on.
    pub fn from_wire(key: Bytes, range_end: Bytes) -> Self {
        let end = match range_end.as_ref() {
            [] => End::Single,
            [0] => End::Open,
            _ => End::Before(range_end),
        };
        Self { start: key, end }
    }

    /// The one key.
    pub fn single(key: Bytes) -> Self {
        Self { start: key, end: End::Single }
    }

    /// Every key.
    pub fn all() -> Self {
        Self { start: Bytes::new(), end: End::Open }
    }

    /// The smallest key that may be inside.
    pub fn start(&self) -> &Bytes {
        &self.start
    }

    /// The key itself when this is exactly one key.
    pub fn as_single(&self) -> Option<&Bytes> {
        matches!(self.end, End::Single).then_some(&self.start)
    }

    /// Upper bound for a scan: excluded end, or nothing when open; a single key is included by
    /// itself.
    pub fn end_bound(&self) -> Bound<&[u8]> {
        match &self.end {
            End::Single => Bound::Included(&self.start),
            End::Before(end) => Bound::Excluded(end),
            End::Open => Bound::Unbounded,
        }
    }

    /// Returns `true` if `key` lies inside.
    pub fn contains(&self, key: &[u8]) -> bool {
        match &self.end {
            End::Single => key == self.start,
            End::Before(end) => key >= &self.start[..] && key < &end[..],
            End::Open => key >= &self.start[..],
        }
    }

    /// Returns `true` if `key` lies above every key inside.
    pub fn is_below(&self, key: &[u8]) -> bool {
        match &self.end {
            End::Single => key > &self.start[..],
            End::Before(end) => key >= &end[..],
            End::Open => false,
        }
    }

    /// Returns `true` if no key at all can be inside.
    pub fn is_empty(&self) -> bool {
        matches!(&self.end, End::Before(end) if end <= &self.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(key: &'static str, end: &'static str) -> KeyRange {
        KeyRange::from_wire(Bytes::from_static(key.as_bytes()), Bytes::from_static(end.as_bytes()))
    }

    #[test]
    fn no_end_is_one_key() {
        let r = range("a", "");
        assert!(r.contains(b"a") && !r.contains(b"a\0") && r.is_below(b"a\0"));
    }

    #[test]
    fn nul_end_is_open() {
        let r = range("b", "\0");
        assert!(!r.contains(b"a") && r.contains(b"b") && r.contains(&[0xff; 9]));
    }

    #[test]
    fn end_is_excluded_and_may_lie_below_start() {
        assert!(range("a", "c").contains(b"bzz") && !range("a", "c").contains(b"c"));
        assert!(range("c", "a").is_empty() && range("a", "a").is_empty());
    }
}
