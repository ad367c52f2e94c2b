//! Walking one tree in key order.
//!
//! Everything is checked on the way: each page belongs to one place, keys ascend over the whole
//! tree and lie between the keys of the branches above, no page but a bucket's root is empty. Each
//! page is read once at most, so the walk ends for any file.

use super::error::{BoltError, Flaw};
use super::flags;
use super::page::{LeafElement, TreePage, check_key};
use super::page_owners::PageOwners;
use super::read_at::ReadAt;
use super::reader::{BoltFile, BucketEntry};
use bytes::Bytes;

/// A tree of 2^64 leaves, two children to each branch, is no higher; those of real files have about
/// four heights.
const HEIGHT_MAX: usize = 64;

/// Bbolt keeps a bucket in the tree of names while it fits a quarter of a page, and pages are of 64
/// KiB at most.
const INLINE_BYTES_MAX: usize = 64 << 10;

/// The items of a bucket, in key order. Ends behind the first error.
#[derive(Debug)]
pub struct Walk<'a, R> {
    file: &'a BoltFile<R>,
    /// From the root down to the leaf at hand.
    path: Vec<Step>,
    /// The key before, which the next must be above.
    previous: Option<Bytes>,
    page_owners: PageOwners,
}

/// A page on the way down.
#[derive(Debug)]
struct Step {
    page: TreePage,
    /// The element that is next.
    next: usize,
    /// The key and page of the next element of a branch, taken early because its key bounds the
    /// child before it.
    ahead: Option<(Bytes, u64)>,
    /// All keys below lie from here…
    from: Bytes,
    /// …to before here.
    before: Option<Bytes>,
}

impl<'a, R: ReadAt> Walk<'a, R> {
    pub(super) fn over_names(file: &'a BoltFile<R>, page_owners: PageOwners) -> Result<Self, BoltError> {
        Self::over_tree(file, file.meta().root_page, page_owners)
    }

    pub(super) fn over_tree(file: &'a BoltFile<R>, root: u64, page_owners: PageOwners) -> Result<Self, BoltError> {
        let mut walk = Self { file, path: Vec::new(), previous: None, page_owners };
        walk.descend(root, Bytes::new(), None)?;
        Ok(walk)
    }

    pub(super) fn over_page(file: &'a BoltFile<R>, page: TreePage, page_owners: PageOwners) -> Self {
        let step = Step { page, next: 0, ahead: None, from: Bytes::new(), before: None };
        Self { file, path: vec![step], previous: None, page_owners }
    }

    pub(super) fn into_page_owners(self) -> PageOwners {
        self.page_owners
    }

    /// The next entry of the tree of names.
    pub(super) fn next_bucket(&mut self) -> Result<Option<BucketEntry>, BoltError> {
        let Some((page, number, element)) = self.next_element()? else { return Ok(None) };
        if element.flags != flags::BUCKET_ELEMENT {
            return Err(BoltError::page(page, Flaw::ElementFlags(number, element.flags)));
        }
        if element.value.len() > INLINE_BYTES_MAX {
            return Err(BoltError::page(page, Flaw::BucketHeader(number)));
        }
        // Copies, because a slice would keep its whole page in memory.
        let (name, value) = (Bytes::copy_from_slice(&element.key), Bytes::copy_from_slice(&element.value));
        Ok(Some(BucketEntry { name, page, number, value }))
    }

    fn next_item(&mut self) -> Result<Option<(Bytes, Bytes)>, BoltError> {
        let Some((page, number, element)) = self.next_element()? else { return Ok(None) };
        if element.flags != 0 {
            return Err(BoltError::page(page, Flaw::ElementFlags(number, element.flags)));
        }
        Ok(Some((element.key, element.value)))
    }

    /// The next element of a leaf, with its page and its number there.
    fn next_element(&mut self) -> Result<Option<(u64, usize, LeafElement)>, BoltError> {
        while let Some(step) = self.path.last_mut() {
            if step.next == step.page.count {
                self.path.pop();
                continue;
            }
            let number = step.next;
            step.next += 1;
            if step.page.is_leaf {
                let page = step.page.page;
                let element = step.page.leaf_element(number)?;
                check_key(page, number, &element.key)?;
                step.check_range(number, &element.key)?;
                if self.previous.as_ref().is_some_and(|previous| *previous >= element.key) {
                    return Err(BoltError::page(page, Flaw::Order(number)));
                }
                self.previous = Some(element.key.clone());
                return Ok(Some((page, number, element)));
            }
            let (from, child, before) = step.take_child(number)?;
            self.descend(child, from, before)?;
        }
        Ok(None)
    }

    fn descend(&mut self, page: u64, from: Bytes, before: Option<Bytes>) -> Result<(), BoltError> {
        let is_root = self.path.is_empty();
        if self.path.len() == HEIGHT_MAX {
            return Err(BoltError::page(page, Flaw::TooHigh));
        }
        let (_, data) = self.file.page(page, &mut self.page_owners)?;
        let mut tree_page = TreePage::new(page, data)?;
        if tree_page.count == 0 && !(is_root && tree_page.is_leaf) {
            return Err(BoltError::page(page, Flaw::Empty));
        }
        let ahead = if tree_page.is_leaf { None } else { Some(tree_page.branch_element(0)?) };
        let step = Step { page: tree_page, next: 0, ahead, from, before };
        if let Some((key, _)) = &step.ahead {
            check_key(page, 0, key)?;
            step.check_range(0, key)?;
        }
        self.path.push(step);
        Ok(())
    }
}

impl Step {
    fn check_range(&self, number: usize, key: &Bytes) -> Result<(), BoltError> {
        if *key < self.from || self.before.as_ref().is_some_and(|before| key >= before) {
            return Err(BoltError::page(self.page.page, Flaw::Range(number)));
        }
        Ok(())
    }

    /// Child `number` of a branch: where its keys begin, its page, and where its keys end.
    fn take_child(&mut self, number: usize) -> Result<(Bytes, u64, Option<Bytes>), BoltError> {
        let following = number + 1;
        let next = if following < self.page.count { Some(self.page.branch_element(following)?) } else { None };
        let (from, child) =
            std::mem::replace(&mut self.ahead, next).ok_or(BoltError::page(self.page.page, Flaw::Element(number)))?;
        let Some((key, _)) = &self.ahead else { return Ok((from, child, self.before.clone())) };
        check_key(self.page.page, following, key)?;
        self.check_range(following, key)?;
        if *key <= from {
            return Err(BoltError::page(self.page.page, Flaw::Order(following)));
        }
        Ok((from, child, Some(key.clone())))
    }
}

impl<R: ReadAt> Iterator for Walk<'_, R> {
    type Item = Result<(Bytes, Bytes), BoltError>;

    fn next(&mut self) -> Option<Self::Item> {
        let outcome = self.next_item();
        if outcome.is_err() {
            self.path.clear();
        }
        outcome.transpose()
    }
}
