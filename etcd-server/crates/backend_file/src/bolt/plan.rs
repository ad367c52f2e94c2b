//! First pass: the number of pages of the file and the place of its root, from lengths alone.

use super::bucket::Bucket;
use super::chunks::{Chunks, Trailer};
use super::layout::{FIRST_PAGE, Layout, PageCounter};
use super::{KEY_BYTES_MAX, PAGE_BYTES, VALUE_BYTES_MAX};
use types::Fault;

/// A file that is measured and ready to be written, any number of times.
///
/// Memory: a page per height of a tree while measuring, and three counters per bucket afterwards.
#[derive(Debug)]
pub struct Plan<'a, B> {
    pub(super) buckets: &'a [B],
    /// The measures of each bucket, for comparing with the second pass.
    pub(super) measures: Vec<Measure>,
    pub(super) root_page: u64,
    pub(super) page_count: u64,
}

/// The measures of walking a bucket. The second pass must have equal measures and equal numbers of
/// pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Measure {
    items: u64,
    key_bytes: u64,
    value_bytes: u64,
    /// The next free page behind the bucket.
    pub(super) next_page: u64,
}

impl Measure {
    pub(super) fn add(&mut self, key_bytes: usize, value_bytes: usize) {
        self.items += 1;
        self.key_bytes += key_bytes as u64;
        self.value_bytes += value_bytes as u64;
    }
}

impl<'a, B: Bucket> Plan<'a, B> {
    /// Measures `buckets`, which stand in ascending order of their names.
    ///
    /// A fault of the sources is passed on. Names out of order, empty keys and lengths beyond
    /// bbolt's limits are faults too: no bbolt could read such a file.
    ///
    /// # Panics
    /// If pages are not numbered one after the other.
    pub fn measure(buckets: &'a [B]) -> Result<Self, Fault> {
        check_names(buckets)?;
        let mut layout = Layout::<usize>::new();
        let mut counter = PageCounter { next: FIRST_PAGE };
        let mut measures = Vec::with_capacity(buckets.len());
        for bucket in buckets {
            let name = bucket.name();
            let mut measure = Measure::default();
            for lengths in bucket.lengths()? {
                let (key_bytes, value_bytes) = lengths?;
                check_lengths(name, key_bytes, value_bytes)?;
                measure.add(key_bytes, value_bytes);
                layout.item(key_bytes, value_bytes, &mut counter)?;
            }
            layout.end_bucket(name, &mut counter)?;
            let before = measures.last().map_or(FIRST_PAGE, |before: &Measure| before.next_page);
            assert!(counter.next >= before, "a bucket ends at page {} and begins at {before}", counter.next);
            measures.push(Measure { next_page: counter.next, ..measure });
        }
        let root_page = layout.finish(&mut counter)?;
        assert!(
            (FIRST_PAGE..counter.next).contains(&root_page),
            "the root is page {root_page}, and the file has {}",
            counter.next
        );
        Ok(Self { buckets, measures, root_page, page_count: counter.next })
    }

    /// Returns the bytes of the file without a trailer, from which the Snapshot RPC counts its
    /// remaining bytes.
    pub fn size_bytes(&self) -> u64 {
        self.page_count * PAGE_BYTES as u64
    }

    /// Second pass: the file's bytes, in order. See [`Chunks`].
    pub fn write(&self, trailer: Trailer) -> Chunks<'_, B> {
        Chunks::new(self, trailer)
    }
}

fn check_names<B: Bucket>(buckets: &[B]) -> Result<(), Fault> {
    for pair in buckets.windows(2) {
        if pair[0].name() >= pair[1].name() {
            return Err(Fault::corrupt("order of buckets to write", pair[1].name().escape_ascii()));
        }
    }
    buckets.iter().try_for_each(|bucket| check_lengths(b"", bucket.name().len(), 0))
}

/// Refuses lengths that no bbolt could hold.
pub(super) fn check_lengths(bucket: &[u8], key_bytes: usize, value_bytes: usize) -> Result<(), Fault> {
    if key_bytes == 0 || key_bytes > KEY_BYTES_MAX || value_bytes > VALUE_BYTES_MAX {
        let detail = format!("an item has {key_bytes} bytes of key and {value_bytes} bytes of value");
        return Err(Fault::corrupt(format!("bucket {:?} to write", bucket.escape_ascii().to_string()), detail));
    }
    Ok(())
}
