//! A page that was read: its header is checked once, its elements whenever they are taken.

use super::error::{BoltError, Flaw};
use super::meta::{u16_at, u32_at, u64_at};
use super::{BUCKET_HEADER_BYTES, ELEMENT_BYTES, KEY_BYTES_MAX, PAGE_HEADER_BYTES, flags};
use bytes::Bytes;

/// The first bytes of a page.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageHeader {
    pub(super) id: u64,
    pub(super) flags: u16,
    pub(super) count: u16,
    pub(super) overflow: u32,
}

impl PageHeader {
    /// Reads the header of `page`, which has at least its sixteen bytes.
    pub(super) fn decode(page: &[u8]) -> Self {
        Self { id: u64_at(page, 0), flags: u16_at(page, 8), count: u16_at(page, 10), overflow: u32_at(page, 12) }
    }
}

/// A page of a tree.
#[derive(Debug)]
pub(super) struct TreePage {
    /// Its number, for errors; of an inline bucket, the page it lies in.
    pub(super) page: u64,
    pub(super) is_leaf: bool,
    pub(super) count: usize,
    /// The whole page, its overflow included.
    data: Bytes,
    /// The end of the elements taken so far: a writer lays them behind each other.
    taken_to: usize,
}

/// An element of a leaf.
#[derive(Debug)]
pub(super) struct LeafElement {
    pub(super) flags: u32,
    pub(super) key: Bytes,
    pub(super) value: Bytes,
}

impl TreePage {
    /// Looks at `data`, which has at least a header; its number is known to be right.
    pub(super) fn new(page: u64, data: Bytes) -> Result<Self, BoltError> {
        let header = PageHeader::decode(&data);
        if header.flags != flags::LEAF && header.flags != flags::BRANCH {
            return Err(BoltError::page(page, Flaw::Flags(header.flags)));
        }
        let count = usize::from(header.count);
        let taken_to = PAGE_HEADER_BYTES + count * ELEMENT_BYTES;
        if header.count == u16::MAX || taken_to > data.len() {
            return Err(BoltError::page(page, Flaw::Element(count)));
        }
        Ok(Self { page, is_leaf: header.flags == flags::LEAF, count, data, taken_to })
    }

    /// The page inside the value of an inline bucket, which lies in element `number` of page
    /// `page`.
    pub(super) fn inline(page: u64, number: usize, value: &Bytes) -> Result<Self, BoltError> {
        if value.len() < BUCKET_HEADER_BYTES + PAGE_HEADER_BYTES {
            return Err(BoltError::page(page, Flaw::BucketHeader(number)));
        }
        let inner = Self::new(page, value.slice(BUCKET_HEADER_BYTES..))?;
        if inner.is_leaf { Ok(inner) } else { Err(BoltError::page(page, Flaw::Flags(flags::BRANCH))) }
    }

    /// Element `number` of a leaf. Elements are taken in order, each once.
    pub(super) fn leaf_element(&mut self, number: usize) -> Result<LeafElement, BoltError> {
        let header = PAGE_HEADER_BYTES + number * ELEMENT_BYTES;
        let element_flags = u32_at(&self.data, header);
        let key_bytes = self.number(header + 8);
        let value_bytes = self.number(header + 12);
        let start = header + self.number(header + 4);
        let key = self.take(number, start, key_bytes)?;
        let value = self.take(number, start + key_bytes, value_bytes)?;
        Ok(LeafElement { flags: element_flags, key, value })
    }

    /// Key and page of element `number` of a branch. Elements are taken in order, each once.
    pub(super) fn branch_element(&mut self, number: usize) -> Result<(Bytes, u64), BoltError> {
        let header = PAGE_HEADER_BYTES + number * ELEMENT_BYTES;
        let start = header + self.number(header);
        let key_bytes = self.number(header + 4);
        let key = self.take(number, start, key_bytes)?;
        Ok((key, u64_at(&self.data, header + 8)))
    }

    fn number(&self, at: usize) -> usize {
        u32_at(&self.data, at) as usize
    }

    fn take(&mut self, number: usize, start: usize, bytes: usize) -> Result<Bytes, BoltError> {
        let end = start + bytes;
        if start < self.taken_to || end > self.data.len() {
            return Err(BoltError::page(self.page, Flaw::Element(number)));
        }
        self.taken_to = end;
        Ok(self.data.slice(start..end))
    }
}

/// Refuses keys that bbolt could not have written.
pub(super) fn check_key(page: u64, number: usize, key: &[u8]) -> Result<(), BoltError> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return Err(BoltError::page(page, Flaw::KeyLength(number, key.len())));
    }
    Ok(())
}
