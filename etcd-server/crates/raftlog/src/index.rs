//! The index in memory: for each live entry its segment, offset and length, and the terms as runs.
//!
//! Invariants: places are contiguous from `base.index + 1`; a later entry never lies in an earlier
//! segment (overwriting cuts the following ones); runs have growing first indexes, and the first
//! run begins at or before the first entry. 12 bytes per entry.

use crate::frame::Base;
use crate::segment::Segment;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The place of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The segment's sequence number.
    pub(crate) segment: u32,
    /// Offset of the record's header in the segment.
    pub(crate) offset: u32,
    /// Length of the record's data.
    pub(crate) length: u32,
}

/// Consecutive entries of one term.
#[derive(Clone, Copy, Debug)]
struct Run {
    first_index: u64,
    term: u64,
}

/// The live entries and the segments that hold them.
#[derive(Debug, Default)]
pub(crate) struct Index {
    base: Base,
    places: VecDeque<Place>,
    runs: VecDeque<Run>,
    /// The live segments by sequence number.
    pub(crate) segments: BTreeMap<u32, Arc<Segment>>,
}

impl Index {
    pub(crate) fn starting_at(base: Base) -> Self {
        Self { base, ..Self::default() }
    }

    pub(crate) fn base(&self) -> Base {
        self.base
    }

    /// Fills in the base's term where replay could not know it.
    pub(crate) fn learn_base_term(&mut self, term: u64) {
        assert!(self.base.term == 0, "the term of entry {} is known to be {}", self.base.index, self.base.term);
        self.base.term = term;
    }

    pub(crate) fn last_index(&self) -> u64 {
        self.base.index + self.places.len() as u64
    }

    pub(crate) fn last(&self) -> Base {
        let index = self.last_index();
        Base { index, term: self.term(index).expect("the last entry or the base is always known") }
    }

    /// The term of an entry, or of the base.
    pub(crate) fn term(&self, index: u64) -> Option<u64> {
        if index == self.base.index {
            return Some(self.base.term);
        }
        if index < self.base.index || index > self.last_index() {
            return None;
        }
        let after = self.runs.partition_point(|run| run.first_index <= index);
        after.checked_sub(1).map(|at| self.runs[at].term)
    }

    pub(crate) fn place(&self, index: u64) -> Option<Place> {
        let at = index.checked_sub(self.base.index + 1)?;
        self.places.get(usize::try_from(at).ok()?).copied()
    }

    /// Adds an entry; those with the same or a higher index are cut first. The index is above the
    /// base and leaves no hole, and the term is not below that of the entry before.
    pub(crate) fn push(&mut self, entry: Base, place: Place) {
        assert!(
            entry.index > self.base.index && entry.index <= self.last_index() + 1,
            "entry {} leaves a hole",
            entry.index
        );
        self.cut_from(entry.index);
        let before = self.last();
        assert!(
            entry.term >= before.term,
            "entry {} of term {} follows entry {} of term {}",
            entry.index,
            entry.term,
            before.index,
            before.term
        );
        if let Some(last) = self.places.back() {
            assert!(last.segment <= place.segment, "entry {} lies before segment {}", entry.index, last.segment);
        }
        self.places.push_back(place);
        if self.runs.back().is_none_or(|run| run.term != entry.term) {
            self.runs.push_back(Run { first_index: entry.index, term: entry.term });
        }
    }

    fn cut_from(&mut self, index: u64) {
        let keep = usize::try_from(index - self.base.index - 1).expect("fewer entries than addresses");
        self.places.truncate(keep);
        while self.runs.back().is_some_and(|run| run.first_index >= index) {
            self.runs.pop_back();
        }
        assert!(
            self.places.is_empty() || !self.runs.is_empty(),
            "the terms of {} entries are not known",
            self.places.len()
        );
    }

    /// Forgets entries up to and with `upto`, which is the base, an entry, or nothing before them.
    pub(crate) fn truncate_front(&mut self, upto: u64) {
        if upto <= self.base.index {
            return;
        }
        let last = self.last_index();
        let term = self.term(upto).expect("the caller checked that the entry exists");
        let drop = usize::try_from(upto - self.base.index).expect("fewer entries than addresses");
        self.places.drain(..drop);
        self.base = Base { index: upto, term };
        while self.runs.len() > 1 && self.runs[1].first_index <= upto + 1 {
            self.runs.pop_front();
        }
        if self.places.is_empty() {
            self.runs.clear();
        }
        assert!(self.last_index() == last, "dropping entries up to {upto} moves the last one from {last}");
        if let Some(run) = self.runs.front() {
            assert!(run.first_index <= upto + 1, "the term of entry {} is not known", upto + 1);
        }
    }

    /// Forgets all entries: the log goes on after `base`.
    pub(crate) fn restart(&mut self, base: Base) {
        self.base = base;
        self.places.clear();
        self.runs.clear();
    }

    /// The earliest segment that holds a live entry.
    pub(crate) fn first_segment_in_use(&self) -> Option<u32> {
        self.places.front().map(|place| place.segment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(segment: u32) -> Place {
        Place { segment, offset: 0, length: 0 }
    }

    #[test]
    fn terms_follow_overwrites_and_truncation() {
        let mut index = Index::default();
        for (at, term) in [(1, 1), (2, 1), (3, 2), (4, 2), (3, 3), (4, 3)] {
            index.push(Base { index: at, term }, place(1));
        }
        assert_eq!((1..=5).map(|at| index.term(at)).collect::<Vec<_>>(), [Some(1), Some(1), Some(3), Some(3), None]);
        index.truncate_front(3);
        assert_eq!((2..=5).map(|at| index.term(at)).collect::<Vec<_>>(), [None, Some(3), Some(3), None]);
        index.truncate_front(4);
        index.push(Base { index: 5, term: 4 }, place(2));
        assert_eq!(index.last(), Base { index: 5, term: 4 });
        assert_eq!(index.first_segment_in_use(), Some(2));
    }
}
