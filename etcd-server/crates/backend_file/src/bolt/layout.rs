//! The whole file's layout: bucket after bucket, and the tree of their names.
//!
//! Used twice with equal steps: over lengths with a sink that counts, then over bytes with one that
//! writes.

use super::branch::Child;
use super::tree::{Extent, Item, PageSink, Root, Tree};
use super::{BUCKET_HEADER_BYTES, ELEMENT_BYTES, PAGE_BYTES, PAGE_HEADER_BYTES};
use types::Fault;

/// The first page behind the two meta pages.
pub(super) const FIRST_PAGE: u64 = 2;

/// A file under construction: the tree of names and the tree of the bucket at hand.
#[derive(Debug)]
pub(super) struct Layout<T> {
    names: Tree<T>,
    bucket: Tree<T>,
}

impl<T: Extent> Layout<T> {
    pub(super) fn new() -> Self {
        Self { names: Tree::new(), bucket: Tree::new() }
    }

    /// Appends an item to the bucket at hand.
    pub(super) fn item(&mut self, key: T, value: T, sink: &mut impl PageSink<T>) -> Result<(), Fault> {
        self.bucket.push(Item { key, value, is_bucket: false }, sink)
    }

    /// Ends the bucket at hand, which is called `name`.
    pub(super) fn end_bucket(&mut self, name: &[u8], sink: &mut impl PageSink<T>) -> Result<(), Fault> {
        let value = match self.bucket.finish(sink)? {
            Root::Page(page) => T::bucket_header(page),
            Root::Leaf(items) if leaf_bytes(&items) <= PAGE_BYTES / 4 => T::inline_bucket(&items),
            Root::Leaf(items) => T::bucket_header(sink.leaf(&items)?),
        };
        self.names.push(Item { key: T::name(name), value, is_bucket: true }, sink)
    }

    /// Ends the file; answers the page of the tree of names.
    pub(super) fn finish(&mut self, sink: &mut impl PageSink<T>) -> Result<u64, Fault> {
        match self.names.finish(sink)? {
            Root::Page(page) => Ok(page),
            Root::Leaf(items) => sink.leaf(&items),
        }
    }
}

/// Bytes of a leaf that holds `items`.
pub(super) fn leaf_bytes<T: Extent>(items: &[Item<T>]) -> usize {
    PAGE_HEADER_BYTES + items.iter().map(|item| ELEMENT_BYTES + item.key.extent() + item.value.extent()).sum::<usize>()
}

/// Bytes of a branch that holds `children`.
pub(super) fn branch_bytes<T: Extent>(children: &[Child<T>]) -> usize {
    PAGE_HEADER_BYTES + children.iter().map(|child| ELEMENT_BYTES + child.key.extent()).sum::<usize>()
}

/// Returns the number of pages that hold `bytes`.
pub(super) fn page_span(bytes: usize) -> u64 {
    bytes.div_ceil(PAGE_BYTES) as u64
}

/// A length alone, for measuring.
impl Extent for usize {
    fn extent(&self) -> usize {
        *self
    }

    fn keep(&self) -> Self {
        *self
    }

    fn name(name: &[u8]) -> Self {
        name.len()
    }

    fn bucket_header(_root: u64) -> Self {
        BUCKET_HEADER_BYTES
    }

    fn inline_bucket(items: &[Item<Self>]) -> Self {
        BUCKET_HEADER_BYTES + leaf_bytes(items)
    }
}

/// Numbers pages and keeps none.
#[derive(Debug)]
pub(super) struct PageCounter {
    pub(super) next: u64,
}

impl PageCounter {
    fn take(&mut self, bytes: usize) -> u64 {
        let page = self.next;
        assert!(page >= FIRST_PAGE && bytes >= PAGE_HEADER_BYTES, "page {page} has {bytes} bytes");
        self.next += page_span(bytes);
        page
    }
}

impl PageSink<usize> for PageCounter {
    fn leaf(&mut self, items: &[Item<usize>]) -> Result<u64, Fault> {
        Ok(self.take(leaf_bytes(items)))
    }

    fn branch(&mut self, children: &[Child<usize>]) -> Result<u64, Fault> {
        Ok(self.take(branch_bytes(children)))
    }
}
