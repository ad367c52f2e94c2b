//! JSON in the bytes that etcd writes: compact, with `<`, `>`, `&` and the two Unicode line
//! separators escaped.

use serde::Serialize;

/// Encodes a record. The records of this crate hold strings, numbers and lists only, which always
/// encode.
pub(crate) fn encode(record: &impl Serialize) -> String {
    let plain = serde_json::to_string(record).expect("strings, numbers and lists have a JSON form");
    // These characters stand nowhere but inside strings, so replacing them in the whole text is
    // enough.
    let mut escaped = String::with_capacity(plain.len());
    for character in plain.chars() {
        match character {
            '<' => escaped.push_str("\\u003c"),
            '>' => escaped.push_str("\\u003e"),
            '&' => escaped.push_str("\\u0026"),
            '\u{2028}' => escaped.push_str("\\u2028"),
            '\u{2029}' => escaped.push_str("\\u2029"),
            other => escaped.push(other),
        }
    }
    escaped
}
