//! The bbolt file, format version 2: written in one forward pass, read with bounds on everything.
//!
//! All integers are little-endian. The writer's pages are 4096 bytes; the reader takes the size
//! from the file.

mod branch;
mod bucket;
mod check;
mod chunks;
mod encode;
mod error;
mod layout;
mod meta;
mod page;
mod page_owners;
mod plan;
mod read_at;
mod reader;
mod trailer;
mod tree;
mod walk;

pub use bucket::{Bucket, Items, Lengths, MemoryBucket};
pub use chunks::{CHUNK_BYTES, Chunks, Trailer};
pub use error::{BoltError, Flaw};
pub use meta::Meta;
pub use plan::Plan;
pub use read_at::ReadAt;
pub use reader::{BoltFile, BucketEntry};
pub use trailer::{Digest, TRAILER_BYTES, has_trailer, verify_trailer};
pub use walk::Walk;

/// Size of the pages that we write; that of every etcd on x86-64 Linux.
pub const PAGE_BYTES: usize = 4096;

/// Bytes of a page's header.
const PAGE_HEADER_BYTES: usize = 16;

/// Bytes of one element's header, in leaves and in branches.
const ELEMENT_BYTES: usize = 16;

/// Bytes of a bucket's header: root page and sequence.
const BUCKET_HEADER_BYTES: usize = 16;

/// Bbolt's limit on keys.
pub const KEY_BYTES_MAX: usize = 32_768;

/// Bbolt's limit on values.
pub const VALUE_BYTES_MAX: usize = (1 << 31) - 2;

/// A page's kind: exactly one of these is the page's flags.
mod flags {
    pub(super) const BRANCH: u16 = 0x01;
    pub(super) const LEAF: u16 = 0x02;
    pub(super) const META: u16 = 0x04;
    pub(super) const FREELIST: u16 = 0x10;
    /// Of a leaf's element: the value is a bucket header.
    pub(super) const BUCKET_ELEMENT: u32 = 0x01;
}
