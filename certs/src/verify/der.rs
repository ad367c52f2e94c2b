//! The few elements of DER that are needed as raw bytes, which the parser of certificates does not
//! hand out.

pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const BIT_STRING: u8 = 0x03;
const LONG_FORM: u8 = 0x80;

/// One element with the bytes behind it.
#[derive(Clone, Copy)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    /// Tag, length and content.
    pub(super) whole: &'a [u8],
    pub(super) rest: &'a [u8],
}

/// Reads the first element of `input`. `None` if it is cut short.
pub(super) fn element(input: &[u8]) -> Option<Element<'_>> {
    let (&[tag, first], rest) = input.split_first_chunk::<2>()?;
    let (length, header) = if first < LONG_FORM {
        (usize::from(first), 2)
    } else {
        let digits = usize::from(first - LONG_FORM);
        let bytes = rest.get(..digits).filter(|bytes| !bytes.is_empty() && bytes.len() <= 4)?;
        (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), 2 + digits)
    };
    let end = header.checked_add(length)?;
    Some(Element { tag, content: input.get(header..end)?, whole: input.get(..end)?, rest: input.get(end..)? })
}

/// Reads the first element of `input` if it has this tag.
pub(super) fn expect(tag: u8, input: &[u8]) -> Option<Element<'_>> {
    element(input).filter(|found| found.tag == tag)
}

/// The bytes of a BIT STRING that has a whole number of bytes.
pub(super) fn bits(input: &[u8]) -> Option<&[u8]> {
    let (unused, bytes) = expect(BIT_STRING, input)?.content.split_first()?;
    (*unused == 0).then_some(bytes)
}
