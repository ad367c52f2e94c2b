//! Strings of header blocks in Huffman's code (RFC 7541, section 5.2 and appendix B), decoded bit
//! by bit: few strings are looked at.
//!
//! The code is canonical: codes of one length are consecutive numbers in the order of their
//! symbols, so the lengths say everything.

/// Length of the code of each byte, in bits.
#[rustfmt::skip]
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];
const LENGTH_MAX: usize = 30;

/// Codes by length.
struct Codes {
    /// The first code of each length.
    first: [u32; LENGTH_MAX + 1],
    /// The number of codes of this length.
    count: [u32; LENGTH_MAX + 1],
    /// The index in `symbols` of the first symbol of this length.
    start: [u32; LENGTH_MAX + 1],
    symbols: [u8; 256],
}

const CODES: Codes = codes();

#[expect(clippy::cast_possible_truncation, reason = "there are 256 symbols")]
const fn codes() -> Codes {
    let mut codes =
        Codes { first: [0; LENGTH_MAX + 1], count: [0; LENGTH_MAX + 1], start: [0; LENGTH_MAX + 1], symbols: [0; 256] };
    let (mut length, mut next, mut placed) = (1, 0, 0);
    while length <= LENGTH_MAX {
        next <<= 1;
        codes.first[length] = next;
        codes.start[length] = placed;
        let mut symbol = 0;
        while symbol < 256 {
            if LENGTHS[symbol] as usize == length {
                codes.symbols[placed as usize] = symbol as u8;
                placed += 1;
                next += 1;
                codes.count[length] += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    codes
}

/// Decodes a string; `None` if it is malformed.
pub(crate) fn decode(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(bytes.len() * 8 / 5);
    let (mut code, mut length) = (0_u32, 0);
    for bit in bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| u32::from(byte >> bit & 1))) {
        (code, length) = (code << 1 | bit, length + 1);
        if length > LENGTH_MAX {
            return None;
        }
        if let Some(place) = code.checked_sub(CODES.first[length]).filter(|place| *place < CODES.count[length]) {
            decoded.push(CODES.symbols[(CODES.start[length] + place) as usize]);
            (code, length) = (0, 0);
        }
    }
    // The remaining bits are the beginning of a code of ones.
    (length < 8 && code == (1 << length) - 1).then_some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7541, appendix C.4 and C.6.
    #[test]
    fn decodes_examples_of_the_specification() {
        for (encoded, decoded) in [
            (&[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff][..], "www.example.com"),
            (&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf], "no-cache"),
            (&[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f], "custom-key"),
            (&[0x64, 0x02], "302"),
            (&[], ""),
        ] {
            assert_eq!(decode(encoded).as_deref(), Some(decoded.as_bytes()));
        }
        assert_eq!(decode(&[0x00]), None, "padding of zeros");
        assert_eq!(decode(&[0xff, 0xff, 0xff, 0xff]), None, "the end of a string within it");
    }
}
