//! Pages as bytes.

use super::branch::Child;
use super::layout::{branch_bytes, leaf_bytes, page_span};
use super::meta::Meta;
use super::tree::{Extent, Item, PageSink};
use super::{BUCKET_HEADER_BYTES, ELEMENT_BYTES, PAGE_BYTES, flags};
use bytes::{BufMut as _, Bytes, BytesMut};
use types::Fault;

/// Numbers pages and writes them behind each other.
#[derive(Debug)]
pub(super) struct PageWriter {
    buffer: BytesMut,
    next: u64,
    /// Never written beyond.
    limit: u64,
}

impl PageWriter {
    pub(super) fn new(next: u64, limit: u64) -> Self {
        Self { buffer: BytesMut::new(), next, limit }
    }

    pub(super) fn next_page(&self) -> u64 {
        self.next
    }

    /// Writes a meta page, at the place where the writer stands.
    pub(super) fn meta(&mut self, page: u64, meta: &Meta) {
        let end = self.buffer.len() + PAGE_BYTES;
        put_page_header(&mut self.buffer, page, flags::META, 0, 0);
        self.buffer.put_slice(&meta.encode());
        self.buffer.resize(end, 0);
    }

    /// Returns the first `bytes` of the written ones, if there are as many.
    pub(super) fn full_chunk(&mut self, bytes: usize) -> Option<Bytes> {
        (self.buffer.len() >= bytes).then(|| self.buffer.split_to(bytes).freeze())
    }

    /// All that is written.
    pub(super) fn rest(&mut self) -> Bytes {
        self.buffer.split().freeze()
    }

    /// Takes the next page number for a page of `bytes` and writes its header; answers where the
    /// page ends in the buffer.
    fn begin(&mut self, flags: u16, count: usize, bytes: usize) -> Result<(u64, usize), Fault> {
        let page = self.next;
        let span = page_span(bytes);
        self.next += span;
        if self.next > self.limit {
            return Err(Fault::corrupt(
                "file to write",
                format!("page {page} is beyond the measured {} pages", self.limit),
            ));
        }
        let overflow =
            u32::try_from(span - 1).expect("an item has less than 2^32 bytes, so a page has less than 2^21 behind it");
        put_page_header(&mut self.buffer, page, flags, count, overflow);
        let start = self.buffer.len() - super::PAGE_HEADER_BYTES;
        Ok((page, start + bytes.next_multiple_of(PAGE_BYTES)))
    }
}

impl PageSink<Bytes> for PageWriter {
    fn leaf(&mut self, items: &[Item<Bytes>]) -> Result<u64, Fault> {
        let (page, end) = self.begin(flags::LEAF, items.len(), leaf_bytes(items))?;
        put_items(&mut self.buffer, items);
        assert!(self.buffer.len() <= end, "leaf {page} ends at {} and was to end at {end}", self.buffer.len());
        self.buffer.resize(end, 0);
        Ok(page)
    }

    fn branch(&mut self, children: &[Child<Bytes>]) -> Result<u64, Fault> {
        let (page, end) = self.begin(flags::BRANCH, children.len(), branch_bytes(children))?;
        let mut position = children.len() * ELEMENT_BYTES;
        for child in children {
            self.buffer.put_u32_le(length(position));
            self.buffer.put_u32_le(length(child.key.len()));
            self.buffer.put_u64_le(child.page);
            position = position - ELEMENT_BYTES + child.key.len();
        }
        children.iter().for_each(|child| self.buffer.put_slice(&child.key));
        assert!(self.buffer.len() <= end, "branch {page} ends at {} and was to end at {end}", self.buffer.len());
        self.buffer.resize(end, 0);
        Ok(page)
    }
}

/// The contents themselves, for writing.
impl Extent for Bytes {
    fn extent(&self) -> usize {
        self.len()
    }

    fn keep(&self) -> Self {
        Self::copy_from_slice(self)
    }

    fn name(name: &[u8]) -> Self {
        Self::copy_from_slice(name)
    }

    fn bucket_header(root: u64) -> Self {
        let mut header = BytesMut::with_capacity(BUCKET_HEADER_BYTES);
        put_bucket_header(&mut header, root);
        header.freeze()
    }

    fn inline_bucket(items: &[Item<Self>]) -> Self {
        let mut value = BytesMut::with_capacity(BUCKET_HEADER_BYTES + leaf_bytes(items));
        put_bucket_header(&mut value, 0);
        put_page_header(&mut value, 0, flags::LEAF, items.len(), 0);
        put_items(&mut value, items);
        value.freeze()
    }
}

fn put_page_header(out: &mut BytesMut, page: u64, flags: u16, count: usize, overflow: u32) {
    out.put_u64_le(page);
    out.put_u16_le(flags);
    out.put_u16_le(u16::try_from(count).expect("a page of 4096 bytes has no more than 255 elements"));
    out.put_u32_le(overflow);
}

fn put_bucket_header(out: &mut BytesMut, root: u64) {
    out.put_u64_le(root);
    out.put_u64_le(0); // the sequence, which etcd never uses
}

/// Element headers, then keys and values. A position counts from its own element's header.
fn put_items(out: &mut BytesMut, items: &[Item<Bytes>]) {
    let mut position = items.len() * ELEMENT_BYTES;
    for item in items {
        out.put_u32_le(if item.is_bucket { flags::BUCKET_ELEMENT } else { 0 });
        out.put_u32_le(length(position));
        out.put_u32_le(length(item.key.len()));
        out.put_u32_le(length(item.value.len()));
        position = position - ELEMENT_BYTES + item.key.len() + item.value.len();
    }
    for item in items {
        out.put_slice(&item.key);
        out.put_slice(&item.value);
    }
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("lengths are limited to 2^31 when measured, and compared again when written")
}
