//! A set of keys as disjoint intervals, and the one question asked of it: does it cover a request's
//! range?
//!
//! Invariants: intervals are sorted, not empty, and neither overlap nor touch; every interval
//! starts at a legal key, so not below `"\0"`.

use bytes::Bytes;
use std::ops::Bound;
use types::KeyRange;

/// `start <= key < end`; without an end it is open upwards.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Interval {
    start: Bytes,
    end: Option<Bytes>,
}

impl Interval {
    /// The true interval of `range`. The empty key is no legal key, so an interval that starts
    /// there starts at `"\0"`, which is also how a watch request spells "from the first key".
    fn of(range: &KeyRange) -> Self {
        let first = if range.start().is_empty() { Bytes::from_static(b"\0") } else { range.start().clone() };
        let end = match range.end_bound() {
            Bound::Unbounded => None,
            Bound::Excluded(end) => Some(Bytes::copy_from_slice(end)),
            Bound::Included(_) => Some(successor(&first)),
        };
        Self { start: first, end }
    }

    fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }

    /// Returns `true` if an interval that starts at `start` overlaps or touches this one. Asked in
    /// order of starts only.
    fn reaches(&self, start: &Bytes) -> bool {
        self.end.as_ref().is_none_or(|end| start <= end)
    }

    fn extend_to(&mut self, end: Option<Bytes>) {
        self.end = match (self.end.take(), end) {
            (Some(ours), Some(other)) => Some(ours.max(other)),
            (None, _) | (_, None) => None,
        };
    }

    fn covers(&self, other: &Self) -> bool {
        let end_inside = match (&self.end, &other.end) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(ours), Some(other)) => other <= ours,
        };
        self.start <= other.start && end_inside
    }
}

/// The smallest key above `key`.
fn successor(key: &[u8]) -> Bytes {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next.into()
}

/// The union of granted ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Coverage {
    intervals: Vec<Interval>,
}

impl Coverage {
    /// The union of `grants`; adjacent and overlapping ones are merged, empty ones grant nothing.
    pub(crate) fn union(grants: &[KeyRange]) -> Self {
        let mut sorted: Vec<Interval> =
            grants.iter().map(Interval::of).filter(|interval| !interval.is_empty()).collect();
        sorted.sort_by(|a, b| a.start.cmp(&b.start));
        let mut intervals: Vec<Interval> = Vec::with_capacity(sorted.len());
        for next in sorted {
            match intervals.last_mut() {
                Some(last) if last.reaches(&next.start) => last.extend_to(next.end),
                _ => intervals.push(next),
            }
        }
        Self { intervals }
    }

    /// Returns `true` if every key of `range` is granted. A range in which no key can lie counts as
    /// its first key: etcd asks likewise.
    pub(crate) fn covers(&self, range: &KeyRange) -> bool {
        let mut asked = Interval::of(range);
        if asked.is_empty() {
            asked.end = Some(successor(&asked.start));
        }
        let after = self.intervals.partition_point(|interval| interval.start <= asked.start);
        after.checked_sub(1).and_then(|at| self.intervals.get(at)).is_some_and(|interval| interval.covers(&asked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALPHABET: [u8; 3] = [0, b'a', 0xff];

    /// Every legal key over the alphabet up to this length; ranges are made of keys at most one
    /// shorter, so no gap can hide between them.
    fn all_keys(length_max: usize) -> Vec<Vec<u8>> {
        let mut keys: Vec<Vec<u8>> = vec![];
        let mut last: Vec<Vec<u8>> = vec![vec![]];
        for _ in 0..length_max {
            last = last.iter().flat_map(|key| ALPHABET.map(|byte| [&key[..], &[byte]].concat())).collect();
            keys.extend(last.iter().cloned());
        }
        keys
    }

    /// The rule as a sentence of the wire format, one key at a time.
    fn inside(key: &[u8], start: &[u8], end: &[u8]) -> bool {
        match end {
            [] => key == if start.is_empty() { &[0] } else { start },
            [0] => key >= start,
            _ => key >= start && key < end,
        }
    }

    fn covered_by_brute_force(
        grants: &[(Vec<u8>, Vec<u8>)],
        (start, end): &(Vec<u8>, Vec<u8>),
        keys: &[Vec<u8>],
    ) -> bool {
        let granted = |key: &[u8]| grants.iter().any(|(start, end)| inside(key, start, end));
        let mut asked = keys.iter().filter(|key| inside(key, start, end)).peekable();
        match asked.peek() {
            Some(_) => asked.all(|key| granted(key)),
            None => granted(if start.is_empty() { &[0] } else { start }),
        }
    }

    fn random_key(random: &mut fastrand::Rng) -> Vec<u8> {
        let length = random.usize(0..=2);
        (0..length).map(|_| ALPHABET[random.usize(0..3)]).collect()
    }

    fn range((start, end): &(Vec<u8>, Vec<u8>)) -> KeyRange {
        KeyRange::from_wire(start.clone().into(), end.clone().into())
    }

    #[test]
    fn union_agrees_with_brute_force_over_a_tiny_alphabet() {
        let keys = all_keys(4);
        let mut random = fastrand::Rng::with_seed(5);
        let mut covered = 0;
        for round in 0..20_000 {
            let grants: Vec<_> =
                (0..random.usize(0..6)).map(|_| (random_key(&mut random), random_key(&mut random))).collect();
            let asked = (random_key(&mut random), random_key(&mut random));
            let expected = covered_by_brute_force(&grants, &asked, &keys);
            let response = Coverage::union(&grants.iter().map(range).collect::<Vec<_>>()).covers(&range(&asked));
            assert_eq!(response, expected, "round {round}: grants {grants:?}, asked {asked:?}");
            covered += usize::from(expected);
        }
        assert!((2_000..18_000).contains(&covered), "the draw must hit both answers, covered {covered}");
    }

    fn text(start: &'static str, end: &'static str) -> KeyRange {
        KeyRange::from_wire(start.into(), end.into())
    }

    #[test]
    fn read_on_one_key_does_not_give_everything_above_it() {
        let foo = Coverage::union(&[text("foo", "")]);
        assert!(foo.covers(&text("foo", "")) && foo.covers(&text("foo", "foo\0")));
        let wider = [("foo", "\0"), ("", ""), ("\0", "\0"), ("", "\0"), ("foo", "fop"), ("fo", "foo\0"), ("\0", "foo")];
        assert!(wider.iter().all(|(start, end)| !foo.covers(&text(start, end))));
        let high =
            Coverage::union(&[KeyRange::from_wire(Bytes::from_static(b"\xff"), Bytes::from_static(b"\xff\xff"))]);
        assert!(!high.covers(&KeyRange::from_wire(Bytes::from_static(b"\xff"), Bytes::from_static(b"\0"))));
    }

    #[test]
    fn adjacent_grants_join_and_a_gap_stays() {
        let joined = Coverage::union(&[text("b", "c"), text("a", ""), text("a\0", "b"), text("c", "\0")]);
        assert!(joined.covers(&text("a", "\0")));
        let gap = Coverage::union(&[text("a", "b"), text("b\0", "c")]);
        assert!(!gap.covers(&text("a", "c")) && gap.covers(&text("b\0", "c")) && !gap.covers(&text("b", "")));
    }

    #[test]
    fn all_keys_may_be_spelled_in_three_ways() {
        let all = Coverage::union(&[text("\0", "\0")]);
        assert!(all.covers(&text("", "\0")) && all.covers(&text("\0", "\0")) && all.covers(&text("", "")));
        assert!(!Coverage::union(&[text("\0\0", "\0")]).covers(&text("", "\0")));
    }

    #[test]
    fn a_reversed_range_needs_its_first_key() {
        let grants = Coverage::union(&[text("b", "d")]);
        assert!(grants.covers(&text("c", "a")) && !grants.covers(&text("e", "a")) && !grants.covers(&text("d", "d")));
    }
}
