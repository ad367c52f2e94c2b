//! Ranges of keys, numbers and quoted words, as etcdctl reads them.

use crate::error::CtlError;
use admin_ui::go_flags::{signed, unsigned};
use bytes::Bytes;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

/// The first key behind all keys with a prefix; `\0`, the end of all keys, where there is none.
pub(crate) fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.last_mut() {
        if *last < 0xff {
            *last += 1;
            return end;
        }
        end.pop();
    }
    vec![0]
}

/// A key and the end of its range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) key: Bytes,
    pub(crate) end: Bytes,
}

impl Keys {
    /// One key, a range, a prefix, or all keys from one on. Flags that exclude each other have been
    /// refused before.
    pub(crate) fn of(args: &[OsString], prefix: bool, from_key: bool) -> Self {
        let word = |position: usize| args.get(position).cloned().map(|word| Bytes::from(word.into_vec()));
        let key = word(0).unwrap_or_default();
        let end = word(1).unwrap_or_default();
        match (prefix, from_key, key.is_empty()) {
            (false, false, _) => Self { key, end },
            (_, _, true) => Self { key: Bytes::from_static(b"\0"), end: Bytes::from_static(b"\0") },
            (true, _, false) => Self { end: prefix_end(&key).into(), key },
            (false, true, false) => Self { key, end: Bytes::from_static(b"\0") },
        }
    }
}

pub(crate) fn lease_id(text: &str) -> Result<i64, CtlError> {
    signed(text, 16).map_err(|error| CtlError::arguments(format!("bad lease ID arg ({error}), expecting ID in Hex")))
}

pub(crate) fn member_id(text: &str) -> Result<u64, CtlError> {
    unsigned(text, 16).map_err(|error| CtlError::arguments(format!("bad member ID arg ({error}), expecting ID in Hex")))
}

/// A line as words: quoted ones with Go's escapes in `"…"`, as they are in `'…'`.
pub(crate) fn words(line: &str) -> Option<Vec<OsString>> {
    let mut rest = line.as_bytes();
    let mut words = Vec::new();
    while let Some(first) = rest.first() {
        match first {
            b'"' => match quoted_length(rest) {
                Some(length) => {
                    words.push(OsString::from_vec(unquote(&rest[..length])?.0));
                    rest = &rest[length..];
                }
                None => rest = &rest[1..],
            },
            b'\'' => match rest[1..].iter().position(|byte| *byte == b'\'') {
                Some(length) => {
                    words.push(OsString::from_vec(rest[1..=length].to_vec()));
                    rest = &rest[length + 2..];
                }
                None => rest = &rest[1..],
            },
            byte if byte.is_ascii_whitespace() => rest = &rest[1..],
            _ => {
                let length = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
                words.push(OsString::from_vec(rest[..length].to_vec()));
                rest = &rest[length..];
            }
        }
    }
    Some(words)
}

/// Bytes of a quoted word with its quotes.
fn quoted_length(text: &[u8]) -> Option<usize> {
    let mut position = 1;
    while let Some(byte) = text.get(position) {
        match byte {
            b'"' => return Some(position + 1),
            b'\\' => position += 2,
            _ => position += 1,
        }
    }
    None
}

/// Takes a string in Go's quotes from the front of `text`: returns its value, and the rest.
pub(crate) fn unquote(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    if let Some(raw) = text.strip_prefix(b"`") {
        let end = raw.iter().position(|byte| *byte == b'`')?;
        return Some((raw[..end].to_vec(), &raw[end + 1..]));
    }
    let mut rest = text.strip_prefix(b"\"")?;
    let mut out = Vec::new();
    loop {
        let (byte, more) = rest.split_first()?;
        rest = more;
        match byte {
            b'"' => return Some((out, rest)),
            b'\\' => rest = escape(rest, &mut out)?,
            byte => out.push(*byte),
        }
    }
}

fn escape<'a>(text: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    let (kind, rest) = text.split_first()?;
    let plain = match kind {
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        b'\\' => b'\\',
        b'"' => b'"',
        b'x' => return number(rest, 2, 16, |value| out.push(u8::try_from(value).unwrap_or_default())),
        b'0'..=b'7' => return number(text, 3, 8, |value| out.push(u8::try_from(value).unwrap_or_default())),
        b'u' => return number(rest, 4, 16, |value| letter(value, out)),
        b'U' => return number(rest, 8, 16, |value| letter(value, out)),
        _ => return None,
    };
    out.push(plain);
    Some(rest)
}

fn number(text: &[u8], digits: usize, radix: u32, take: impl FnOnce(u32)) -> Option<&[u8]> {
    let (digits, rest) = text.split_at_checked(digits)?;
    take(u32::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()?);
    Some(rest)
}

fn letter(value: u32, out: &mut Vec<u8>) {
    let letter = char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_etcdctl() {
        let keys = |args: &[&str], prefix, from_key| {
            let args: Vec<OsString> = args.iter().map(OsString::from).collect();
            let keys = Keys::of(&args, prefix, from_key);
            (keys.key.to_vec(), keys.end.to_vec())
        };
        assert_eq!(keys(&["a"], false, false), (b"a".to_vec(), vec![]));
        assert_eq!(keys(&["a", "c"], false, false), (b"a".to_vec(), b"c".to_vec()));
        assert_eq!(keys(&["a"], true, false), (b"a".to_vec(), b"b".to_vec()));
        assert_eq!(keys(&[""], true, false), (vec![0], vec![0]));
        assert_eq!(keys(&["a"], false, true), (b"a".to_vec(), vec![0]));
        assert_eq!((prefix_end(b"a\xff"), prefix_end(b"\xff\xff")), (b"b".to_vec(), vec![0]));
    }

    #[test]
    fn words_are_those_of_etcdctl() {
        let of = |line: &str| words(line).map(|words| words.into_iter().map(OsString::into_vec).collect::<Vec<_>>());
        let expected = |words: &[&[u8]]| Some(words.iter().map(|word| word.to_vec()).collect::<Vec<_>>());
        assert_eq!(of(r#"put key1 "two words" 'as\n is'"#), expected(&[b"put", b"key1", b"two words", b"as\\n is"]));
        assert_eq!(of(r#"put "a\x00\n\u00e9\101""#), expected(&[b"put", b"a\0\n\xc3\xa9A"]));
        assert_eq!(of(r#"  get  a"b  "#), expected(&[b"get", b"a\"b"]));
        assert_eq!(of(r#"get "\q""#), None);
        assert_eq!(unquote(b"\"k\") > 1"), Some((b"k".to_vec(), &b") > 1"[..])));
    }

    #[test]
    fn numbers_are_refused_in_gos_words() {
        assert_eq!(signed("zz", 16), Err("strconv.ParseInt: parsing \"zz\": invalid syntax".to_owned()));
        assert_eq!(
            signed("99999999999999999999", 10),
            Err("strconv.ParseInt: parsing \"99999999999999999999\": value out of range".to_owned())
        );
        assert_eq!((signed("-1", 10), unsigned("ff", 16)), (Ok(-1), Ok(255)));
    }
}
