//! CRC-32C of a whole from the CRC-32C of its parts.
//!
//! Appending a part of n bytes multiplies the checksum so far by x^8n, modulo the polynomial, and
//! adds that of the part. The crc32c crate does so too, but works the factor out each time, which
//! costs a hundred times more than the multiplication.

use std::collections::BTreeMap;

/// The polynomial; the highest bit stands for x^0, as everywhere here.
const POLYNOMIAL: u32 = 0x82f6_3b78;
/// x^0 and x^8.
const ONE: u32 = 1 << 31;
const BYTE: u32 = 1 << 23;
/// Lengths whose factors are remembered; mostly all parts have one of a few.
const REMEMBERED_MAX: usize = 4096;

/// A checksum to which the checksums of further parts are appended.
#[derive(Debug)]
pub(crate) struct Joined {
    checksum: u32,
    factors: BTreeMap<u32, u32>,
}

impl Joined {
    pub(crate) fn new(checksum: u32) -> Self {
        Self { checksum, factors: BTreeMap::new() }
    }

    pub(crate) fn checksum(&self) -> u32 {
        self.checksum
    }

    /// Appends a part of so many bytes that has this checksum.
    pub(crate) fn append(&mut self, checksum: u32, bytes: u32) {
        if self.factors.len() >= REMEMBERED_MAX {
            self.factors.clear();
        }
        let factor = *self.factors.entry(bytes).or_insert_with(|| shift(bytes));
        self.checksum = multiply(self.checksum, factor) ^ checksum;
    }
}

/// x^8n.
fn shift(bytes: u32) -> u32 {
    let (mut power, mut left, mut product) = (BYTE, bytes, ONE);
    while left > 0 {
        if left & 1 == 1 {
            product = multiply(product, power);
        }
        power = multiply(power, power);
        left >>= 1;
    }
    product
}

fn multiply(mut a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    while a != 0 {
        // All ones where the highest bit is set: a branch here could not be foretold.
        product ^= b & 0_u32.wrapping_sub(a >> 31);
        b = (b >> 1) ^ (POLYNOMIAL & 0_u32.wrapping_sub(b & 1));
        a <<= 1;
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_parts_have_the_checksum_of_the_whole() {
        let whole: Vec<u8> = (0..9_000_u32).map(|n| ((n * n) >> 3).to_le_bytes()[0]).collect();
        let mut joined = Joined::new(crc32c::crc32c(b""));
        let mut rest = &whole[..];
        for bytes in (0..200).cycle() {
            let (part, behind) = rest.split_at(bytes.min(rest.len()));
            joined.append(crc32c::crc32c(part), u32::try_from(part.len()).unwrap());
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        assert_eq!(joined.checksum(), crc32c::crc32c(&whole));
    }
}
