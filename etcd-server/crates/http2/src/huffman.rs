//! Strings of header blocks in Huffman's code (RFC 7541, section 5.2 and appendix B).
//!
//! The code is canonical: codes of one length are consecutive numbers in the order of their
//! symbols, so the lengths define it. Codes up to eight bits, which are those of all usual letters,
//! are found with one look at a table.

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
/// Codes of at most so many bits are in the table.
const SHORT_BITS: usize = 8;

/// Codes by length.
struct Codes {
    /// The first code of each length.
    first: [u32; LENGTH_MAX + 1],
    /// The number of codes of this length.
    count: [u32; LENGTH_MAX + 1],
    /// The index in `symbols` of the first symbol of this length.
    start: [u32; LENGTH_MAX + 1],
    symbols: [u8; 256],
    /// The symbol and the length of the code that begins with these bits; length 0 if it is longer.
    short: [(u8, u8); 1 << SHORT_BITS],
}

static CODES: Codes = codes();

#[expect(clippy::cast_possible_truncation, reason = "there are 256 symbols, and lengths are below 31")]
const fn codes() -> Codes {
    let mut codes = Codes {
        first: [0; LENGTH_MAX + 1],
        count: [0; LENGTH_MAX + 1],
        start: [0; LENGTH_MAX + 1],
        symbols: [0; 256],
        short: [(0, 0); 1 << SHORT_BITS],
    };
    let (mut length, mut next, mut placed) = (1, 0_u32, 0);
    while length <= LENGTH_MAX {
        next <<= 1;
        codes.first[length] = next;
        codes.start[length] = placed;
        let mut symbol = 0;
        while symbol < 256 {
            if LENGTHS[symbol] as usize == length {
                if length <= SHORT_BITS {
                    let free = SHORT_BITS - length;
                    let mut fill = 0;
                    while fill < 1 << free {
                        codes.short[((next as usize) << free) + fill] = (symbol as u8, length as u8);
                        fill += 1;
                    }
                }
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

/// Decodes a string and appends it to `out`. Returns `false` if it is malformed.
pub fn decode_into(bytes: &[u8], out: &mut Vec<u8>) -> bool {
    let mut input = bytes.iter();
    // The last `count` bits of `bits` are not decoded yet.
    let (mut bits, mut count) = (0_u64, 0_u32);
    loop {
        while count <= 56
            && let Some(byte) = input.next()
        {
            (bits, count) = (bits << 8 | u64::from(*byte), count + 8);
        }
        match symbol(window(bits, count)) {
            Some((symbol, length)) if length <= count => {
                out.push(symbol);
                count -= length;
            }
            // The remaining bits are the beginning of a code of ones.
            Some(_) | None => return count < 8 && bits & ((1 << count) - 1) == (1 << count) - 1,
        }
    }
}

/// Returns the next 32 bits, followed by ones where there are fewer.
#[expect(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
fn window(bits: u64, count: u32) -> u32 {
    if count >= 32 {
        (bits >> (count - 32)) as u32
    } else {
        (bits << (32 - count)) as u32 | (u64::from(u32::MAX) >> count) as u32
    }
}

/// Returns the symbol at the beginning of these bits, and the length of its code.
fn symbol(window: u32) -> Option<(u8, u32)> {
    let (symbol, length) = CODES.short[(window >> 24) as usize];
    if length > 0 {
        return Some((symbol, u32::from(length)));
    }
    (SHORT_BITS + 1..=LENGTH_MAX).zip(9_u32..).find_map(|(length, bits)| {
        let place = (window >> (32 - bits)).checked_sub(CODES.first[length])?;
        let found = place < CODES.count[length];
        found.then(|| (CODES.symbols[(CODES.start[length] + place) as usize], bits))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        decode_into(bytes, &mut out).then_some(out)
    }

    /// Encodes with the code that the lengths define, bit by bit.
    fn encode(text: &[u8]) -> Vec<u8> {
        let mut bits = String::new();
        for byte in text {
            let length = usize::from(LENGTHS[usize::from(*byte)]);
            let place = CODES.symbols[CODES.start[length] as usize..].iter().position(|symbol| symbol == byte).unwrap();
            bits += &format!("{:0length$b}", CODES.first[length] as usize + place);
        }
        bits += &"1".repeat((8 - bits.len() % 8) % 8);
        bits.as_bytes()
            .chunks(8)
            .map(|byte| u8::from_str_radix(std::str::from_utf8(byte).unwrap(), 2).unwrap())
            .collect()
    }

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
    }

    #[test]
    fn decodes_every_byte_at_every_offset() {
        for byte in 0..=u8::MAX {
            for before in 0..8 {
                let text = [&vec![b'&'; before][..], &[byte, b'a', byte]].concat();
                assert_eq!(decode(&encode(&text)), Some(text));
            }
        }
    }

    #[test]
    fn refuses_padding_that_is_no_beginning_of_eos() {
        assert_eq!(decode(&[0x00]), None, "padding of zeros");
        assert_eq!(decode(&[0xff]), None, "a whole byte of padding");
        assert_eq!(decode(&[0xff, 0xff, 0xff, 0xff]), None, "the end of a string within it");
        assert_eq!(decode(&[0x1f, 0xff]), None, "a letter and eleven bits of padding");
    }
}
