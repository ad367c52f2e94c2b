//! Intervals of keys, found by a key inside: a balanced (AVL) tree ordered by interval, each node
//! knowing the largest end below it.
//!
//! Insertion and removal cost O(log n), a look-up O(log n + found) as long as the found ones are
//! not scattered among many misses.

use bytes::Bytes;
use std::cmp::{Ordering, max};

/// The end of an interval; open ends lie above all others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Upper {
    /// Below this key.
    Before(Bytes),
    /// Nowhere.
    Open,
}

impl Upper {
    fn lies_above(&self, key: &[u8]) -> bool {
        match self {
            Self::Before(end) => key < &end[..],
            Self::Open => true,
        }
    }
}

/// `start <= key`, and the key below `end`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Interval {
    pub(crate) start: Bytes,
    pub(crate) end: Upper,
}

type Link<T> = Option<Box<Node<T>>>;

#[derive(Debug)]
struct Node<T> {
    interval: Interval,
    value: T,
    /// Largest end in this subtree.
    max_end: Upper,
    /// Levels of this subtree.
    height: u32,
    left: Link<T>,
    right: Link<T>,
}

/// A map from intervals to values.
#[derive(Debug)]
pub(crate) struct IntervalTree<T> {
    root: Link<T>,
}

impl<T> Default for IntervalTree<T> {
    fn default() -> Self {
        Self { root: None }
    }
}

impl<T> IntervalTree<T> {
    /// Calls `found` with the value of every interval that contains `key`.
    pub(crate) fn containing(&self, key: &[u8], found: &mut impl FnMut(&T)) {
        visit(self.root.as_deref(), key, found);
    }

    /// The value of exactly this interval.
    pub(crate) fn get_mut(&mut self, interval: &Interval) -> Option<&mut T> {
        let mut link = self.root.as_deref_mut();
        while let Some(node) = link {
            match interval.cmp(&node.interval) {
                Ordering::Less => link = node.left.as_deref_mut(),
                Ordering::Greater => link = node.right.as_deref_mut(),
                Ordering::Equal => return Some(&mut node.value),
            }
        }
        None
    }

    /// Sets the value of an interval.
    pub(crate) fn insert(&mut self, interval: Interval, value: T) {
        self.root = Some(insert(self.root.take(), interval, value));
    }

    /// Forgets an interval.
    pub(crate) fn remove(&mut self, interval: &Interval) {
        self.root = remove(self.root.take(), interval);
    }
}

fn visit<T>(node: Option<&Node<T>>, key: &[u8], found: &mut impl FnMut(&T)) {
    let Some(node) = node.filter(|node| node.max_end.lies_above(key)) else { return };
    visit(node.left.as_deref(), key, found);
    if &node.interval.start[..] <= key {
        if node.interval.end.lies_above(key) {
            found(&node.value);
        }
        visit(node.right.as_deref(), key, found);
    }
}

fn insert<T>(link: Link<T>, interval: Interval, value: T) -> Box<Node<T>> {
    let Some(mut node) = link else {
        return Box::new(Node { max_end: interval.end.clone(), interval, value, height: 1, left: None, right: None });
    };
    match interval.cmp(&node.interval) {
        Ordering::Less => node.left = Some(insert(node.left.take(), interval, value)),
        Ordering::Greater => node.right = Some(insert(node.right.take(), interval, value)),
        Ordering::Equal => node.value = value,
    }
    balanced(node)
}

fn remove<T>(link: Link<T>, interval: &Interval) -> Link<T> {
    let mut node = link?;
    match interval.cmp(&node.interval) {
        Ordering::Less => node.left = remove(node.left.take(), interval),
        Ordering::Greater => node.right = remove(node.right.take(), interval),
        Ordering::Equal => return joined(node.left.take(), node.right.take()),
    }
    Some(balanced(node))
}

/// One subtree out of two neighbouring ones.
fn joined<T>(left: Link<T>, right: Link<T>) -> Link<T> {
    let Some(right) = right else { return left };
    let (mut first, rest) = without_first(right);
    first.left = left;
    first.right = rest;
    Some(balanced(first))
}

fn without_first<T>(mut node: Box<Node<T>>) -> (Box<Node<T>>, Link<T>) {
    let Some(left) = node.left.take() else {
        let rest = node.right.take();
        return (node, rest);
    };
    let (first, rest) = without_first(left);
    node.left = rest;
    (first, Some(balanced(node)))
}

fn height<T>(link: &Link<T>) -> u32 {
    link.as_ref().map_or(0, |node| node.height)
}

/// Restores a node whose subtrees are right and differ by at most two levels.
fn balanced<T>(mut node: Box<Node<T>>) -> Box<Node<T>> {
    let (left_height, right_height) = (height(&node.left), height(&node.right));
    assert!(
        left_height.abs_diff(right_height) <= 2,
        "a change made subtrees of {left_height} and {right_height} levels"
    );
    let node = if left_height > right_height + 1 {
        node.left =
            node.left.map(|left| if height(&left.left) < height(&left.right) { rotated_left(left) } else { left });
        rotated_right(node)
    } else if right_height > left_height + 1 {
        node.right = node
            .right
            .map(|right| if height(&right.right) < height(&right.left) { rotated_right(right) } else { right });
        rotated_left(node)
    } else {
        measured(node)
    };
    let (left_height, right_height) = (height(&node.left), height(&node.right));
    assert!(
        left_height.abs_diff(right_height) <= 1,
        "subtrees of {left_height} and {right_height} levels are out of balance"
    );
    node
}

fn rotated_left<T>(mut node: Box<Node<T>>) -> Box<Node<T>> {
    let Some(mut top) = node.right.take() else { return measured(node) };
    node.right = top.left.take();
    top.left = Some(measured(node));
    measured(top)
}

fn rotated_right<T>(mut node: Box<Node<T>>) -> Box<Node<T>> {
    let Some(mut top) = node.left.take() else { return measured(node) };
    node.left = top.right.take();
    top.right = Some(measured(node));
    measured(top)
}

fn measured<T>(mut node: Box<Node<T>>) -> Box<Node<T>> {
    node.height = 1 + max(height(&node.left), height(&node.right));
    let below = [&node.left, &node.right].into_iter().flatten().map(|child| &child.max_end);
    node.max_end = below.fold(&node.interval.end, max).clone();
    node
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn random_interval(random: &mut fastrand::Rng) -> Interval {
        let mut key = || Bytes::copy_from_slice(&random.u16(..400).to_be_bytes());
        let (start, end) = (key(), key());
        let open = end.last() == Some(&7);
        Interval { start, end: if open { Upper::Open } else { Upper::Before(end) } }
    }

    fn assert_balanced<T>(link: &Link<T>) {
        let Some(node) = link else { return };
        assert!(height(&node.left).abs_diff(height(&node.right)) <= 1);
        assert_balanced(&node.left);
        assert_balanced(&node.right);
    }

    #[test]
    fn tree_finds_what_a_scan_finds_and_stays_balanced() {
        let mut random = fastrand::Rng::with_seed(5);
        let (mut tree, mut twin) = (IntervalTree::default(), BTreeMap::new());
        for step in 0..4000 {
            let interval = random_interval(&mut random);
            if random.bool() {
                tree.insert(interval.clone(), step);
                twin.insert(interval, step);
            } else if let Some(interval) = twin.keys().nth(random.usize(..=twin.len())).cloned() {
                assert_eq!(tree.get_mut(&interval).copied(), twin.remove(&interval));
                tree.remove(&interval);
            }
            assert_balanced(&tree.root);
            let key = random.u16(..400).to_be_bytes();
            let mut found = Vec::new();
            tree.containing(&key, &mut |value| found.push(*value));
            let expected =
                twin.iter().filter(|(interval, _)| interval.start[..] <= key[..] && interval.end.lies_above(&key));
            assert_eq!(found, expected.map(|(_, value)| *value).collect::<Vec<_>>());
        }
    }
}
