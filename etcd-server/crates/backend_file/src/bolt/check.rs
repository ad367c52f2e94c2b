//! The check of a whole file: the checks of `bbolt check`, and inline buckets besides.

use super::error::{BoltError, Flaw};
use super::flags;
use super::meta::u64_at;
use super::page_owners::PageOwners;
use super::read_at::ReadAt;
use super::reader::{BoltFile, BucketEntry};
use super::{PAGE_HEADER_BYTES, page::PageHeader};
use bytes::Bytes;

impl<R: ReadAt> BoltFile<R> {
    /// Checks every page in one walk over the file, passing every item to `visit` on the way.
    ///
    /// Every page of every tree lies in the file, belongs to one place, has the right kind and
    /// number; keys are in order. If the file lists its free pages, the list is in order, names no
    /// page in use, and together with the trees it covers the file.
    ///
    /// # Errors
    /// The first flaw, or an error of `visit`.
    pub fn check<E: From<BoltError>>(
        &self,
        mut visit: impl FnMut(&BucketEntry, Option<(Bytes, Bytes)>) -> Result<(), E>,
    ) -> Result<(), E> {
        let page_owners = PageOwners::new(self.meta().page_count);
        let (buckets, mut page_owners) = self.buckets_claiming(page_owners)?;
        for bucket in &buckets {
            visit(bucket, None)?;
            let mut walk = self.items_claiming(bucket, page_owners)?;
            for item in &mut walk {
                visit(bucket, Some(item?))?;
            }
            page_owners = walk.into_page_owners();
        }
        if let Some(page) = self.meta().freelist_page {
            self.check_freelist(page, &mut page_owners)?;
        }
        Ok(())
    }

    fn check_freelist(&self, page: u64, page_owners: &mut PageOwners) -> Result<(), BoltError> {
        let (header, data) = self.page(page, page_owners)?;
        if header.flags != flags::FREELIST {
            return Err(BoltError::page(page, Flaw::Flags(header.flags)));
        }
        let ids = freelist_ids(&header, &data).ok_or(BoltError::page(page, Flaw::Freelist))?;
        let mut previous = 1;
        for id in ids.chunks_exact(8).map(|id| u64_at(id, 0)) {
            if id <= previous || id >= self.meta().page_count {
                return Err(BoltError::page(page, Flaw::Freelist));
            }
            if let Some(shared) = page_owners.claim(id, 1) {
                return Err(BoltError::page(shared, Flaw::Shared));
            }
            previous = id;
        }
        match page_owners.unclaimed() {
            Some(lost) => Err(BoltError::page(lost, Flaw::Lost)),
            None => Ok(()),
        }
    }
}

/// The bytes of the page numbers. From 65535 on their number stands in front of them.
fn freelist_ids<'a>(header: &PageHeader, data: &'a [u8]) -> Option<&'a [u8]> {
    let payload = data.get(PAGE_HEADER_BYTES..)?;
    if header.count != u16::MAX {
        return payload.get(..usize::from(header.count) * 8);
    }
    let count = usize::try_from(u64_at(payload.get(..8)?, 0)).ok()?;
    payload.get(8..)?.get(..count.checked_mul(8)?)
}
