//! The meta page: where the root lies and how far the file reaches.

use super::{PAGE_BYTES, PAGE_HEADER_BYTES};

/// First four bytes of every meta.
const MAGIC: u32 = 0xED0C_DAED;
/// The one format version there is.
const VERSION: u32 = 2;
/// "The freelist is not in the file": bbolt finds free pages itself when it opens for writing.
const NO_FREELIST: u64 = u64::MAX;
/// Transaction number of the files that we write; the copy in page 1 has the one before.
pub(super) const WRITTEN_TXID: u64 = 3;
/// Bytes of a meta in its page, its checksum included.
pub(super) const META_BYTES: usize = 64;
/// Bytes in front of the checksum, which it covers.
const SUMMED_BYTES: usize = 56;
/// Page sizes that we accept: powers of two from here…
const PAGE_BYTES_MIN: u32 = 512;
/// …to the largest that bbolt looks for.
const PAGE_BYTES_MAX: u32 = 16 << 20;

/// The contents of a meta page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Bytes of a page in this file.
    pub page_bytes: u32,
    /// Page of the tree of buckets.
    pub root_page: u64,
    /// Page of the list of free pages; nothing when the file carries none.
    pub freelist_page: Option<u64>,
    /// Number of pages in use: the first page number never given away.
    pub page_count: u64,
    /// Transaction that wrote this; of two right metas the higher is live.
    pub txid: u64,
}

impl Meta {
    /// The meta of a file that we write.
    pub(super) fn written(root_page: u64, page_count: u64) -> Self {
        let page_bytes = u32::try_from(PAGE_BYTES).expect("4096");
        Self { page_bytes, root_page, freelist_page: None, page_count, txid: WRITTEN_TXID }
    }

    pub(super) fn encode(&self) -> [u8; META_BYTES] {
        let mut bytes = [0; META_BYTES];
        bytes[0..4].copy_from_slice(&MAGIC.to_le_bytes());
        bytes[4..8].copy_from_slice(&VERSION.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.page_bytes.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.root_page.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.freelist_page.unwrap_or(NO_FREELIST).to_le_bytes());
        bytes[40..48].copy_from_slice(&self.page_count.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.txid.to_le_bytes());
        let sum = fnv1a(&bytes[..SUMMED_BYTES]);
        bytes[SUMMED_BYTES..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Reads the meta of a whole meta page or its beginning; the reason when it is none.
    pub(super) fn decode(page: &[u8]) -> Result<Self, &'static str> {
        let bytes = page.get(PAGE_HEADER_BYTES..PAGE_HEADER_BYTES + META_BYTES).ok_or("meta is cut short")?;
        if u32_at(bytes, 0) != MAGIC {
            return Err("meta has the wrong magic number");
        }
        if u32_at(bytes, 4) != VERSION {
            return Err("meta has another format version");
        }
        if u64_at(bytes, SUMMED_BYTES) != fnv1a(&bytes[..SUMMED_BYTES]) {
            return Err("meta has a wrong checksum");
        }
        let page_bytes = u32_at(bytes, 8);
        if !page_bytes.is_power_of_two() || !(PAGE_BYTES_MIN..=PAGE_BYTES_MAX).contains(&page_bytes) {
            return Err("meta has a page size that cannot be");
        }
        let freelist = u64_at(bytes, 32);
        Ok(Self {
            page_bytes,
            root_page: u64_at(bytes, 16),
            freelist_page: (freelist != NO_FREELIST).then_some(freelist),
            page_count: u64_at(bytes, 40),
            txid: u64_at(bytes, 48),
        })
    }
}

/// The little-endian number at `at`, which the caller knows to lie inside.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// As [`u16_at`].
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

/// As [`u16_at`].
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meta_of_the_smallest_file_has_the_known_checksums() {
        let meta = Meta::written(2, 3);
        assert_eq!(meta.encode()[56..], [0x61, 0xb1, 0x9e, 0x0f, 0xa9, 0x78, 0x63, 0x02]);
        assert_eq!(Meta { txid: 2, ..meta }.encode()[56..], [0x40, 0x67, 0xaf, 0x04, 0xa0, 0xb1, 0x68, 0xe3]);
    }

    #[test]
    fn every_flipped_bit_of_a_meta_is_noticed() {
        let mut page = vec![0; PAGE_HEADER_BYTES];
        page.extend_from_slice(&Meta::written(2, 3).encode());
        assert_eq!(Meta::decode(&page), Ok(Meta::written(2, 3)));
        for bit in 0..META_BYTES * 8 {
            page[PAGE_HEADER_BYTES + bit / 8] ^= 1 << (bit % 8);
            assert!(Meta::decode(&page).is_err(), "bit {bit}");
            page[PAGE_HEADER_BYTES + bit / 8] ^= 1 << (bit % 8);
        }
    }
}
