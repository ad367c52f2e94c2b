//! Text as Go quotes it: what etcd's answers, logs and tools print of keys and values.
//!
//! Pure. The table of printed code points is generated, see `generate.go`.
#![forbid(unsafe_code)]

mod printed;

use printed::PRINTED;
use std::fmt::Write as _;

/// Returns Go's `%q` of a string (strconv.Quote).
pub fn quoted(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push('"');
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().for_each(|letter| push(&mut out, letter));
        for byte in chunk.invalid() {
            write!(out, "\\x{byte:02x}").expect("a string takes what is written");
        }
    }
    out.push('"');
    out
}

fn push(out: &mut String, letter: char) {
    let number = u32::from(letter);
    let written = match letter {
        '"' | '\\' => write!(out, "\\{letter}"),
        '\u{7}' => write!(out, "\\a"),
        '\u{8}' => write!(out, "\\b"),
        '\u{c}' => write!(out, "\\f"),
        '\n' => write!(out, "\\n"),
        '\r' => write!(out, "\\r"),
        '\t' => write!(out, "\\t"),
        '\u{b}' => write!(out, "\\v"),
        _ if is_printed(letter) => write!(out, "{letter}"),
        '\0'..' ' | '\u{7f}' => write!(out, "\\x{number:02x}"),
        '\0'..'\u{10000}' => write!(out, "\\u{number:04x}"),
        _ => write!(out, "\\U{number:08x}"),
    };
    written.expect("a string takes what is written");
}

/// Returns `true` if Go prints the character as it is (strconv.IsPrint).
pub fn is_printed(letter: char) -> bool {
    let number = u32::from(letter);
    let behind = PRINTED.partition_point(|(first, _)| *first <= number);
    behind.checked_sub(1).is_some_and(|position| number <= PRINTED[position].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_as_go_does() {
        for (text, expected) in [
            ("a\"b\\\n\0\u{7f}é", r#""a\"b\\\n\x00\x7fé""#),
            // Neither an apostrophe nor a combining mark is escaped.
            ("it's e\u{301}", "\"it's e\u{301}\""),
            ("\u{a0}\u{ad}\u{200b}日\u{fffd}", r#""\u00a0\u00ad\u200b日�""#),
            ("\u{e000}\u{1f600}\u{e0001}\u{10ffff}", "\"\\ue000\u{1f600}\\U000e0001\\U0010ffff\""),
            ("\u{7}\u{8}\u{b}\u{c}\r\t", r#""\a\b\v\f\r\t""#),
        ] {
            assert_eq!(quoted(text.as_bytes()), expected);
        }
        assert_eq!(quoted(b"\xff\xfea\xed\xa0\x80"), r#""\xff\xfea\xed\xa0\x80""#);
    }

    #[test]
    fn ranges_are_in_order_and_apart() {
        assert!(PRINTED.iter().all(|(first, last)| first <= last));
        assert!(PRINTED.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
    }
}
