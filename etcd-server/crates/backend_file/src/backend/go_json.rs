//! JSON as Go writes it: compact, and with the signs that HTML reads escaped.

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};
use std::io;

/// `value` in the bytes that Go's `encoding/json` gives.
pub(super) fn to_bytes(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, GoFormatter);
    value.serialize(&mut serializer).expect("plain structs of texts and numbers, written to memory");
    bytes
}

/// Serde's compact form is Go's too, apart from five characters inside of texts.
struct GoFormatter;

impl Formatter for GoFormatter {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let is_escaped = |c| matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}');
        for part in fragment.split_inclusive(is_escaped) {
            let Some(last) = part.chars().next_back().filter(|c| is_escaped(*c)) else {
                CompactFormatter.write_string_fragment(writer, part)?;
                continue;
            };
            CompactFormatter.write_string_fragment(writer, &part[..part.len() - last.len_utf8()])?;
            write!(writer, "\\u{:04x}", u32::from(last))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn signs_of_html_are_escaped() {
        let bytes = super::to_bytes(&"a<b>&\u{2028}\"\\\n\u{1}é");
        assert_eq!(String::from_utf8(bytes).unwrap(), r#""a\u003cb\u003e\u0026\u2028\"\\\n\u0001é""#);
    }
}
