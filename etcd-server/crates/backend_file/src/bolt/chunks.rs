//! Second pass: the file's bytes, pulled chunk by chunk.
//!
//! Pages leave in the order of their numbers, so nothing is ever sought. Memory: a chunk, a page
//! per height of a tree and the largest item. A source that gives something else than was measured
//! ends the file in a fault, before its last page and before its digest.

use super::bucket::{Bucket, Items};
use super::encode::PageWriter;
use super::layout::{FIRST_PAGE, Layout};
use super::meta::{Meta, WRITTEN_TXID};
use super::plan::{Measure, Plan, check_lengths};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use types::Fault;

/// Bytes of every chunk but the last, as the Snapshot RPC sends them.
pub const CHUNK_BYTES: usize = 32_768;

/// The choice of whether a digest follows the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trailer {
    /// SHA-256 of all pages, as a chunk of its own: backup files and the Snapshot RPC.
    Sha256,
    /// Pages alone: raft snapshots between members.
    Absent,
}

/// The file, as an iterator of chunks of [`CHUNK_BYTES`] (the last data chunk may be shorter), then
/// the trailer if one is wanted. After an error it gives nothing more; the chunks until then are no
/// file.
pub struct Chunks<'a, B> {
    plan: &'a Plan<'a, B>,
    layout: Layout<Bytes>,
    pages: PageWriter,
    /// `None` where no trailer is wanted.
    digest: Option<Sha256>,
    stage: Stage<'a>,
}

impl<B> std::fmt::Debug for Chunks<'_, B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chunks")
            .field("next_page", &self.pages.next_page())
            .field("digest", &self.digest.is_some())
            .finish_non_exhaustive()
    }
}

/// The progress of the file.
enum Stage<'a> {
    /// Before the bucket of this number.
    Before(usize),
    /// Within a bucket.
    Within(Walked<'a>),
    /// All pages are made; the digest may still follow.
    Pages,
    /// The end.
    Done,
}

/// A bucket being written.
struct Walked<'a> {
    bucket: usize,
    items: Items<'a>,
    previous: Bytes,
    measure: Measure,
}

impl<'a, B: Bucket> Chunks<'a, B> {
    pub(super) fn new(plan: &'a Plan<'a, B>, trailer: Trailer) -> Self {
        let mut pages = PageWriter::new(FIRST_PAGE, plan.page_count);
        let meta = Meta::written(plan.root_page, plan.page_count);
        pages.meta(0, &meta);
        pages.meta(1, &Meta { txid: WRITTEN_TXID - 1, ..meta });
        let digest = (trailer == Trailer::Sha256).then(Sha256::new);
        Self { plan, layout: Layout::new(), pages, digest, stage: Stage::Before(0) }
    }

    /// Works until a chunk is full or the pages end.
    fn advance(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            if let Some(chunk) = self.pages.full_chunk(CHUNK_BYTES) {
                self.sum(&chunk);
                return Ok(Some(chunk));
            }
            self.stage = match std::mem::replace(&mut self.stage, Stage::Done) {
                Stage::Before(number) => self.open(number)?,
                Stage::Within(walked) => self.step(walked)?,
                Stage::Pages => return Ok(self.last_chunk()),
                Stage::Done => return Ok(None),
            };
        }
    }

    fn open(&mut self, number: usize) -> Result<Stage<'a>, Fault> {
        let Some(bucket) = self.plan.buckets.get(number) else {
            let root_page = self.layout.finish(&mut self.pages)?;
            if root_page != self.plan.root_page || self.pages.next_page() != self.plan.page_count {
                return Err(changed(b"", "the tree of buckets"));
            }
            return Ok(Stage::Pages);
        };
        Ok(Stage::Within(Walked {
            bucket: number,
            items: bucket.items()?,
            previous: Bytes::new(),
            measure: Measure::default(),
        }))
    }

    fn step(&mut self, mut walked: Walked<'a>) -> Result<Stage<'a>, Fault> {
        let name = self.plan.buckets[walked.bucket].name();
        let Some(item) = walked.items.next() else {
            self.layout.end_bucket(name, &mut self.pages)?;
            walked.measure.next_page = self.pages.next_page();
            if walked.measure != self.plan.measures[walked.bucket] {
                return Err(changed(name, "the items"));
            }
            return Ok(Stage::Before(walked.bucket + 1));
        };
        let (key, value) = item?;
        check_lengths(name, key.len(), value.len())?;
        if key <= walked.previous {
            return Err(Fault::corrupt(
                format!("key {:?} to write", key.escape_ascii().to_string()),
                "it is not above the key before it",
            ));
        }
        walked.measure.add(key.len(), value.len());
        walked.previous = key.clone();
        self.layout.item(key, value, &mut self.pages)?;
        Ok(Stage::Within(walked))
    }

    /// The bytes that do not fill a chunk, then the trailer.
    fn last_chunk(&mut self) -> Option<Bytes> {
        let rest = self.pages.rest();
        if !rest.is_empty() {
            self.sum(&rest);
            self.stage = Stage::Pages;
            return Some(rest);
        }
        self.digest.take().map(|digest| Bytes::copy_from_slice(&digest.finalize()))
    }

    fn sum(&mut self, chunk: &[u8]) {
        if let Some(digest) = &mut self.digest {
            digest.update(chunk);
        }
    }
}

impl<B: Bucket> Iterator for Chunks<'_, B> {
    type Item = Result<Bytes, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if matches!(self.stage, Stage::Done) {
            return None;
        }
        let outcome = self.advance();
        if outcome.is_err() {
            self.stage = Stage::Done;
        }
        outcome.transpose()
    }
}

fn changed(bucket: &[u8], what: &str) -> Fault {
    let detail = format!("{what} differ from what was measured");
    Fault::corrupt(format!("bucket {:?} to write", bucket.escape_ascii().to_string()), detail)
}
