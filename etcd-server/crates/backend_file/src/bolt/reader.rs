//! Opening a file, and finding its buckets.

use super::error::{BoltError, Flaw};
use super::meta::{META_BYTES, Meta, u64_at};
use super::page::{PageHeader, TreePage};
use super::page_owners::PageOwners;
use super::read_at::ReadAt;
use super::walk::Walk;
use super::{BUCKET_HEADER_BYTES, PAGE_HEADER_BYTES};
use bytes::Bytes;

/// Most bytes of one page with its overflow that are held in memory. A leaf overflows only when it
/// holds few, large items, so this is far above any value that etcd takes over gRPC.
const RUN_BYTES_MAX: u64 = 256 << 20;

/// Most buckets that are listed: all are held in memory. Etcd has eleven.
const BUCKETS_MAX: usize = 1024;

/// A file that is open for reading.
///
/// Opening checks the meta pages and the length; everything else is checked when it is met. Memory:
/// one page per height of a tree, and a bit for each page in use.
#[derive(Debug)]
pub struct BoltFile<R> {
    source: R,
    meta: Meta,
}

/// A bucket as it stands in the tree of names.
#[derive(Clone, Debug)]
pub struct BucketEntry {
    /// The bucket's name.
    pub name: Bytes,
    /// The page of the entry, for errors.
    pub(super) page: u64,
    pub(super) number: usize,
    /// The bucket's header, and the bucket itself if it is small.
    pub(super) value: Bytes,
}

impl<R: ReadAt> BoltFile<R> {
    /// Opens `source`, which may continue behind its last page (with a digest, or with space set
    /// aside).
    ///
    /// # Errors
    /// When no meta page is valid, when the file is shorter than its meta page records, and when it
    /// cannot be read.
    pub fn open(source: R) -> Result<Self, BoltError> {
        let size = source.size_bytes().map_err(|source| BoltError::Io { offset: 0, bytes: 0, source })?;
        let meta = live_meta(&source, size)?;
        let needs = meta.page_count.saturating_mul(u64::from(meta.page_bytes));
        if size < needs {
            return Err(BoltError::Truncated { has: size, needs });
        }
        if !(2..meta.page_count).contains(&meta.root_page) {
            return Err(BoltError::page(meta.root_page, Flaw::OutOfFile(meta.page_count)));
        }
        Ok(Self { source, meta })
    }

    /// The live meta page.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Returns the bytes of the pages in use: the size in `snapshot status`.
    pub fn size_bytes(&self) -> u64 {
        self.meta.page_count * u64::from(self.meta.page_bytes)
    }

    /// All buckets in the order of their names. Each costs memory for its name and, if it is small,
    /// its contents.
    pub fn buckets(&self) -> Result<Vec<BucketEntry>, BoltError> {
        self.buckets_claiming(PageOwners::new(self.meta.page_count)).map(|(buckets, _)| buckets)
    }

    /// The bucket called `name`.
    pub fn bucket(&self, name: &[u8]) -> Result<Option<BucketEntry>, BoltError> {
        Ok(self.buckets()?.into_iter().find(|bucket| bucket.name == name))
    }

    /// The items of `bucket`, in key order. It ends behind the first error.
    pub fn items(&self, bucket: &BucketEntry) -> Result<Walk<'_, R>, BoltError> {
        self.items_claiming(bucket, PageOwners::new(self.meta.page_count))
    }

    /// As [`Self::buckets`], going on from pages claimed before.
    pub(super) fn buckets_claiming(
        &self,
        page_owners: PageOwners,
    ) -> Result<(Vec<BucketEntry>, PageOwners), BoltError> {
        let mut walk = Walk::over_names(self, page_owners)?;
        let mut buckets = Vec::new();
        while let Some(entry) = walk.next_bucket()? {
            if buckets.len() == BUCKETS_MAX {
                return Err(BoltError::page(entry.page, Flaw::TooManyBuckets));
            }
            buckets.push(entry);
        }
        Ok((buckets, walk.into_page_owners()))
    }

    /// As [`Self::items`], going on from pages claimed before.
    pub(super) fn items_claiming(
        &self,
        bucket: &BucketEntry,
        page_owners: PageOwners,
    ) -> Result<Walk<'_, R>, BoltError> {
        if bucket.value.len() < BUCKET_HEADER_BYTES {
            return Err(BoltError::page(bucket.page, Flaw::BucketHeader(bucket.number)));
        }
        match u64_at(&bucket.value, 0) {
            0 => Ok(Walk::over_page(self, TreePage::inline(bucket.page, bucket.number, &bucket.value)?, page_owners)),
            root => Walk::over_tree(self, root, page_owners),
        }
    }

    /// Reads page `page` with its overflow. It must carry its own number and have no claim yet.
    pub(super) fn page(&self, page: u64, page_owners: &mut PageOwners) -> Result<(PageHeader, Bytes), BoltError> {
        let in_use = self.meta.page_count;
        if !(2..in_use).contains(&page) {
            return Err(BoltError::page(page, Flaw::OutOfFile(in_use)));
        }
        let page_bytes = u64::from(self.meta.page_bytes);
        let data = self.read(page * page_bytes, page_bytes)?;
        let header = PageHeader::decode(&data);
        if header.id != page {
            return Err(BoltError::page(page, Flaw::Id(header.id)));
        }
        let span = 1 + u64::from(header.overflow);
        if page + span > in_use {
            return Err(BoltError::page(page, Flaw::OutOfFile(in_use)));
        }
        if span * page_bytes > RUN_BYTES_MAX {
            return Err(BoltError::page(page, Flaw::TooLong(span * page_bytes)));
        }
        if let Some(shared) = page_owners.claim(page, span) {
            return Err(BoltError::page(shared, Flaw::Shared));
        }
        let data = if span == 1 { data } else { self.read(page * page_bytes, span * page_bytes)? };
        Ok((header, data))
    }

    fn read(&self, offset: u64, bytes: u64) -> Result<Bytes, BoltError> {
        let bytes = usize::try_from(bytes).expect("limited by RUN_BYTES_MAX");
        read(&self.source, offset, bytes)
    }
}

fn read(source: &impl ReadAt, offset: u64, bytes: usize) -> Result<Bytes, BoltError> {
    let mut data = vec![0; bytes];
    source.read_exact_at(&mut data, offset).map_err(|source| BoltError::Io { offset, bytes, source })?;
    Ok(data.into())
}

/// The right meta with the higher transaction number.
fn live_meta(source: &impl ReadAt, size: u64) -> Result<Meta, BoltError> {
    let at = |offset: u64| -> Result<Result<Meta, &'static str>, BoltError> {
        let bytes = PAGE_HEADER_BYTES + META_BYTES;
        if size < offset + bytes as u64 {
            return Ok(Err("file ends before it"));
        }
        Ok(Meta::decode(&read(source, offset, bytes)?))
    };
    match at(0)? {
        Ok(first) => {
            let second = at(u64::from(first.page_bytes))?.ok().filter(|second| second.page_bytes == first.page_bytes);
            Ok(second.filter(|second| second.txid > first.txid).unwrap_or(first))
        }
        // Without page 0 the page size is unknown, so page 1 is looked for at each size there is.
        Err(first) => {
            let mut second = "file ends before it";
            for page_bytes in (0..15).map(|shift| 1024_u64 << shift) {
                match at(page_bytes)? {
                    Ok(meta) if u64::from(meta.page_bytes) == page_bytes => return Ok(meta),
                    Ok(_) | Err("file ends before it") => {}
                    Err(flaw) => second = flaw,
                }
            }
            Err(BoltError::NoMeta { first, second })
        }
    }
}
