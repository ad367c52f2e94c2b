//! Entries dealt out to their parts, in scratch space.

use super::part::{Part, push};
use crate::spill_file::SpillFile;
use schema::View;
use schema::version_walk::each_version;
use std::io;
use types::Fault;

/// Memory in which entries wait until there are enough of a part to be written, over all parts and
/// for each.
const WAITING_BYTES: usize = 8 << 20;
const WAITING_BYTES_MIN: usize = 4 << 10;

/// The partitioned entries; `None` once scratch space has failed.
pub(super) struct Partitioned<'a> {
    regions: Option<Vec<Region>>,
    spill_file: &'a dyn SpillFile,
}

/// The places of the entries of a part: the first in scratch space, the last in memory.
struct Region {
    offset: u64,
    bytes: u64,
    written: u64,
    waiting: Vec<u8>,
}

impl<'a> Partitioned<'a> {
    /// Deals out every version in `view`.
    pub(super) fn deal(view: &impl View, parts: &[Part], spill_file: &'a dyn SpillFile) -> Result<Self, Fault> {
        let mut regions = regions(parts);
        let limit = (WAITING_BYTES / parts.len().max(1)).max(WAITING_BYTES_MIN);
        let alone = parts.len() == 1;
        let mut failed: Option<io::Error> = None;
        each_version(view, |version| {
            if failed.is_some() {
                return Ok(());
            }
            let number = parts.partition_point(|part| part.last < version.revision);
            let Some(region) = regions.get_mut(number) else {
                return Err(Fault::corrupt(
                    "history",
                    format_args!("revision {:?} is not in its order", version.revision),
                ));
            };
            push(&mut region.waiting, &version)?;
            if region.waiting.len() >= limit && !alone {
                failed = region.write_waiting(spill_file)?.err();
            }
            Ok(())
        })?;
        Ok(Self { regions: failed.is_none().then_some(regions), spill_file })
    }

    /// The entries of `part` in the order in which they were dealt; nothing where scratch space has
    /// failed.
    pub(super) fn take(&mut self, part: &Part) -> Option<Vec<u8>> {
        let region = self.regions.as_mut()?.get_mut(part.number)?;
        let waiting = std::mem::take(&mut region.waiting);
        if region.written == 0 {
            return Some(waiting);
        }
        let mut data = Vec::with_capacity(part.capacity());
        data.resize(usize::try_from(region.written).ok()?, 0);
        self.spill_file.read_exact_at(&mut data, region.offset).ok()?;
        data.extend_from_slice(&waiting);
        Some(data)
    }
}

impl Region {
    /// Writes the waiting entries. Returns a fault when the part holds more than announced; an
    /// error of scratch space is no fault.
    fn write_waiting(&mut self, spill_file: &dyn SpillFile) -> Result<io::Result<()>, Fault> {
        let end = self.written + self.waiting.len() as u64;
        if end > self.bytes {
            return Err(Fault::corrupt("history", format_args!("{end} bytes where {} should be", self.bytes)));
        }
        let outcome = spill_file.write_all_at(&self.waiting, self.offset + self.written);
        self.waiting.clear();
        self.written = end;
        Ok(outcome)
    }
}

fn regions(parts: &[Part]) -> Vec<Region> {
    let mut offset = 0;
    let region = |part: &Part| {
        let region = Region { offset, bytes: part.bytes, written: 0, waiting: Vec::new() };
        offset += part.bytes;
        region
    };
    parts.iter().map(region).collect()
}
