//! The schedule: events in the order of simulated time, and of their creation where times are
//! equal.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Simulated microseconds since the start of the run.
pub(crate) type Time = u64;

pub(crate) const MILLISECOND: Time = 1_000;
pub(crate) const SECOND: Time = 1_000_000;

struct Item<E> {
    at: Time,
    number: u64,
    event: E,
}

impl<E> PartialEq for Item<E> {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl<E> Eq for Item<E> {}

impl<E> PartialOrd for Item<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Item<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

pub(crate) struct Schedule<E> {
    items: BinaryHeap<Reverse<Item<E>>>,
    made: u64,
}

impl<E> Schedule<E> {
    pub(crate) fn new() -> Self {
        Self { items: BinaryHeap::new(), made: 0 }
    }

    pub(crate) fn at(&mut self, at: Time, event: E) {
        self.made += 1;
        self.items.push(Reverse(Item { at, number: self.made, event }));
    }

    pub(crate) fn pop(&mut self) -> Option<(Time, E)> {
        self.items.pop().map(|Reverse(item)| (item.at, item.event))
    }
}
