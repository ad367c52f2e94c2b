//! The children that wait for their branch page, at one height of a tree.
//!
//! Invariant: a branch is given away only while two or more children stay behind, so the last one
//! never has a single child.

use super::tree::Extent;
use super::{ELEMENT_BYTES, PAGE_BYTES, PAGE_HEADER_BYTES};

/// A finished page and the smallest key below it.
#[derive(Debug)]
pub(super) struct Child<T> {
    pub(super) key: T,
    pub(super) page: u64,
}

/// One height's waiting children: at most a page of them and two more.
#[derive(Debug)]
pub(super) struct Level<T> {
    children: Vec<Child<T>>,
}

impl<T: Extent> Level<T> {
    pub(super) fn new() -> Self {
        Self { children: Vec::new() }
    }

    /// Adds a child; answers the children of a branch when that fills one.
    pub(super) fn push(&mut self, child: Child<T>) -> Option<Vec<Child<T>>> {
        self.children.push(child);
        let fit = fitting(&self.children);
        let rest = (self.children.len() >= fit + 2).then(|| self.children.split_off(fit))?;
        assert!(rest.len() >= 2, "{} children stay behind a branch", rest.len());
        Some(std::mem::replace(&mut self.children, rest))
    }

    /// All that wait; there are two or more once anything was added twice.
    pub(super) fn take(&mut self) -> Vec<Child<T>> {
        std::mem::take(&mut self.children)
    }

    /// Returns the place to cut the last children of a height, of which at most one does not fit a
    /// page: behind the last, or two before it. Three children of which two fill a page stay
    /// together, on a page with overflow.
    pub(super) fn closing_cut(children: &[Child<T>]) -> usize {
        let count = children.len();
        if fitting(children) >= count || count < 4 { count } else { count - 2 }
    }
}

/// Returns the number of leading children that fit a page; two always do, if need be with overflow.
fn fitting<T: Extent>(children: &[Child<T>]) -> usize {
    let mut bytes = PAGE_HEADER_BYTES;
    let fits = |child: &&Child<T>| {
        bytes += ELEMENT_BYTES + child.key.extent();
        bytes <= PAGE_BYTES
    };
    children.iter().take_while(fits).count().max(2)
}
