//! One bucket's tree, built from items in key order while holding one page per level.
//!
//! A leaf is handed to the sink as soon as the next item does not fit, a branch as soon as it is
//! full and at least two children stay behind it: so no branch ever has one child (bbolt stops when
//! it later meets one), and pages are numbered in the order in which they are finished. The same
//! code runs over lengths, to measure, and over bytes, to write: both number the pages alike.

use super::branch::{Child, Level};
use super::{ELEMENT_BYTES, PAGE_BYTES, PAGE_HEADER_BYTES};
use types::Fault;

/// A key or a value, or only its length.
pub(super) trait Extent: Sized {
    /// Length in bytes.
    fn extent(&self) -> usize;

    /// A copy to be kept beyond the item, owning no more than itself.
    fn keep(&self) -> Self;

    /// A bucket's name.
    fn name(name: &[u8]) -> Self;

    /// The value that names a bucket whose pages hang under `root`.
    fn bucket_header(root: u64) -> Self;

    /// The value that holds a small bucket itself.
    fn inline_bucket(items: &[Item<Self>]) -> Self;
}

/// An element of a leaf.
#[derive(Clone, Debug)]
pub(super) struct Item<T> {
    pub(super) key: T,
    pub(super) value: T,
    /// `true` if the value is a bucket rather than data.
    pub(super) is_bucket: bool,
}

/// The receiver of finished pages. It numbers them in the order of arrival.
pub(super) trait PageSink<T> {
    /// Takes a leaf; answers its page number.
    fn leaf(&mut self, items: &[Item<T>]) -> Result<u64, Fault>;

    /// Takes a branch of at least two children; answers its page number.
    fn branch(&mut self, children: &[Child<T>]) -> Result<u64, Fault>;
}

/// The root of a finished tree.
pub(super) enum Root<T> {
    /// Everything lies under this page, which the sink has taken.
    Page(u64),
    /// Everything fits one leaf, which the sink has not seen.
    Leaf(Vec<Item<T>>),
}

/// A tree under construction.
#[derive(Debug)]
pub(super) struct Tree<T> {
    items: Vec<Item<T>>,
    leaf_bytes: usize,
    /// From the branches right above the leaves upwards.
    levels: Vec<Level<T>>,
}

impl<T: Extent> Tree<T> {
    pub(super) fn new() -> Self {
        Self { items: Vec::new(), leaf_bytes: PAGE_HEADER_BYTES, levels: Vec::new() }
    }

    /// Appends an item, whose key is above all before it.
    pub(super) fn push(&mut self, item: Item<T>, sink: &mut impl PageSink<T>) -> Result<(), Fault> {
        let item_bytes = ELEMENT_BYTES + item.key.extent() + item.value.extent();
        if !self.items.is_empty() && self.leaf_bytes + item_bytes > PAGE_BYTES {
            self.finish_leaf(sink)?;
        }
        self.leaf_bytes += item_bytes;
        self.items.push(item);
        Ok(())
    }

    /// Writes the remaining pages and returns the root. The tree is empty again afterwards.
    pub(super) fn finish(&mut self, sink: &mut impl PageSink<T>) -> Result<Root<T>, Fault> {
        if self.levels.is_empty() {
            self.leaf_bytes = PAGE_HEADER_BYTES;
            return Ok(Root::Leaf(std::mem::take(&mut self.items)));
        }
        self.finish_leaf(sink)?;
        let mut height = 0;
        loop {
            let children = self.levels[height].take();
            let cut = Level::closing_cut(&children);
            assert!(
                cut >= 2 && children.len() - cut != 1,
                "{} children at height {height} are cut at {cut}",
                children.len()
            );
            let is_root = height + 1 == self.levels.len() && cut == children.len();
            let page = sink.branch(&children[..cut])?;
            if is_root {
                self.levels.clear();
                return Ok(Root::Page(page));
            }
            self.add_child(height + 1, Child { key: children[0].key.keep(), page }, sink)?;
            if let Some(first) = children.get(cut) {
                let page = sink.branch(&children[cut..])?;
                self.add_child(height + 1, Child { key: first.key.keep(), page }, sink)?;
            }
            height += 1;
        }
    }

    fn finish_leaf(&mut self, sink: &mut impl PageSink<T>) -> Result<(), Fault> {
        assert!(!self.items.is_empty(), "a leaf has an item");
        let page = sink.leaf(&self.items)?;
        let child = Child { key: self.items[0].key.keep(), page };
        self.items.clear();
        self.leaf_bytes = PAGE_HEADER_BYTES;
        self.add_child(0, child, sink)
    }

    /// Adds a child at `height`, and as many full branches above as that finishes.
    fn add_child(&mut self, mut height: usize, mut child: Child<T>, sink: &mut impl PageSink<T>) -> Result<(), Fault> {
        loop {
            if height == self.levels.len() {
                self.levels.push(Level::new());
            }
            let Some(full) = self.levels[height].push(child) else { return Ok(()) };
            assert!(full.len() >= 2, "a branch at height {height} has {} children", full.len());
            let page = sink.branch(&full)?;
            child = Child { key: full[0].key.keep(), page };
            height += 1;
        }
    }
}
