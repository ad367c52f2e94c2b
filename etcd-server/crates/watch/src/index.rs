//! The watchers of each key. Watchers that get the same bytes (same range, same options) form one
//! class, matched once.

use crate::interval_tree::{Interval, IntervalTree, Upper};
use crate::watcher::{Wanted, WatchKey};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use types::{Event, KeyRange};

/// Names a class of an index; numbers of classes that are gone do not come back.
pub(crate) type ClassId = u64;

#[derive(Debug)]
struct Class {
    wanted: Wanted,
    members: BTreeSet<WatchKey>,
}

/// Watchers by the keys they watch.
#[derive(Debug, Default)]
pub(crate) struct Index {
    singles: BTreeMap<Bytes, Vec<ClassId>>,
    intervals: IntervalTree<Vec<ClassId>>,
    classes: BTreeMap<ClassId, Class>,
    next_class: ClassId,
    /// Members of all classes.
    watchers: usize,
}

impl Index {
    /// Adds a watcher; its range is not empty.
    pub(crate) fn insert(&mut self, key: WatchKey, range: &KeyRange, wanted: Wanted) {
        let class = self.class_of(range, wanted).unwrap_or_else(|| self.new_class(range, wanted));
        if let Some(class) = self.classes.get_mut(&class) {
            let is_new = class.members.insert(key);
            assert!(is_new, "{key:?} is in the index twice");
            self.watchers += 1;
        }
    }

    /// Forgets a watcher. Returns `true` if it was there.
    pub(crate) fn remove(&mut self, key: WatchKey, range: &KeyRange, wanted: Wanted) -> bool {
        let Some(id) = self.class_of(range, wanted) else { return false };
        let Some(class) = self.classes.get_mut(&id) else { return false };
        let was_there = class.members.remove(&key);
        self.watchers -= usize::from(was_there);
        if class.members.is_empty() {
            self.classes.remove(&id);
            self.forget_class(range, id);
        }
        assert!(self.classes.len() <= self.watchers, "{} classes have {} members", self.classes.len(), self.watchers);
        was_there
    }

    /// Returns the number of watchers in it.
    pub(crate) fn len(&self) -> usize {
        self.watchers
    }

    /// For each class that wants any of `events`: the positions of those it wants, in order.
    pub(crate) fn matches(&self, events: &[Event]) -> BTreeMap<ClassId, Vec<usize>> {
        let mut matched: BTreeMap<ClassId, Vec<usize>> = BTreeMap::new();
        for (position, event) in events.iter().enumerate() {
            self.for_key(&event.key, &mut |id| {
                if self.wanted(id).is_some_and(|wanted| wanted.accepts(event)) {
                    matched.entry(id).or_default().push(position);
                }
            });
        }
        matched
    }

    /// Returns `true` if any watcher covers `key`.
    pub(crate) fn concerns(&self, key: &[u8]) -> bool {
        let mut any = false;
        self.for_key(key, &mut |_| any = true);
        any
    }

    /// Returns the options of a class.
    pub(crate) fn wanted(&self, class: ClassId) -> Option<Wanted> {
        self.classes.get(&class).map(|class| class.wanted)
    }

    /// The members of a class.
    pub(crate) fn members(&self, class: ClassId) -> impl Iterator<Item = WatchKey> {
        self.classes.get(&class).into_iter().flat_map(|class| class.members.iter().copied())
    }

    fn for_key(&self, key: &[u8], found: &mut impl FnMut(ClassId)) {
        self.singles.get(key).into_iter().flatten().for_each(|id| found(*id));
        self.intervals.containing(key, &mut |ids| ids.iter().for_each(|id| found(*id)));
    }

    fn ids_mut(&mut self, range: &KeyRange) -> Option<&mut Vec<ClassId>> {
        match range.as_single() {
            Some(key) => self.singles.get_mut(key),
            None => self.intervals.get_mut(&interval_of(range)),
        }
    }

    fn class_of(&mut self, range: &KeyRange, wanted: Wanted) -> Option<ClassId> {
        let ids = self.ids_mut(range)?.clone();
        ids.into_iter().find(|id| self.wanted(*id) == Some(wanted))
    }

    fn new_class(&mut self, range: &KeyRange, wanted: Wanted) -> ClassId {
        let id = self.next_class;
        self.next_class += 1;
        let replaced = self.classes.insert(id, Class { wanted, members: BTreeSet::new() });
        assert!(replaced.is_none(), "the number {id} of a class is used twice");
        match (self.ids_mut(range), range.as_single()) {
            (Some(ids), _) => ids.push(id),
            (None, Some(key)) => {
                self.singles.insert(key.clone(), vec![id]);
            }
            (None, None) => self.intervals.insert(interval_of(range), vec![id]),
        }
        id
    }

    fn forget_class(&mut self, range: &KeyRange, id: ClassId) {
        let Some(ids) = self.ids_mut(range) else { return };
        ids.retain(|other| *other != id);
        if !ids.is_empty() {
            return;
        }
        match range.as_single() {
            Some(key) => {
                self.singles.remove(key);
            }
            None => self.intervals.remove(&interval_of(range)),
        }
    }
}

fn interval_of(range: &KeyRange) -> Interval {
    let end = match range.end_bound() {
        Bound::Included(key) | Bound::Excluded(key) => Upper::Before(Bytes::copy_from_slice(key)),
        Bound::Unbounded => Upper::Open,
    };
    Interval { start: range.start().clone(), end }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watcher::StreamId;

    #[test]
    fn nothing_stays_behind_watchers_that_are_gone() {
        let (mut index, wanted) = (Index::default(), Wanted { puts: true, deletes: true, prev_kv: false });
        let ranges = [KeyRange::single("a".into()), KeyRange::from_wire("a".into(), "b".into()), KeyRange::all()];
        let keys = || (0..6).map(|id| WatchKey { stream: StreamId(1), id });
        for (key, range) in keys().zip(ranges.iter().cycle()) {
            index.insert(key, range, Wanted { prev_kv: key.id % 2 == 0, ..wanted });
        }
        assert!(index.concerns(b"a") && index.concerns(b"z"));
        for (key, range) in keys().zip(ranges.iter().cycle()) {
            index.remove(key, range, Wanted { prev_kv: key.id % 2 == 0, ..wanted });
        }
        assert!(index.classes.is_empty() && index.singles.is_empty() && !index.concerns(b"a") && !index.concerns(b"z"));
    }
}
