//! The small vocabulary of programs: few keys, so that they meet; odd ones, so that byte order and
//! empty ends matter.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::Generator;

const KEYS: [&[u8]; 14] = [
    b"a",
    b"a\0",
    b"a\0\0",
    b"ab",
    b"b",
    b"b\xff",
    b"c",
    b"\0",
    b"\0\0",
    b"\xff",
    b"\xff\xff",
    b"foo",
    b"foo/1",
    b"foo/\x80",
];

const VALUES: [&[u8]; 6] = [b"", b"1", b"2", b"\0\xff", b"zz", b"a longer value, for the order of values"];

pub(super) fn base64(bytes: &[u8]) -> Value {
    STANDARD.encode(bytes).into()
}

impl Generator {
    /// A key; one in a hundred is empty.
    pub(super) fn key(&mut self) -> Value {
        if self.chance(1) { Value::Null } else { base64(self.key_bytes()) }
    }

    fn key_bytes(&mut self) -> &'static [u8] {
        self.pick(&KEYS)
    }

    pub(super) fn value(&mut self) -> Value {
        base64(self.pick(&VALUES))
    }

    /// A key and a range end of any form: none, `\0`, the prefix's end, another key (which may lie
    /// before).
    pub(super) fn key_range(&mut self) -> (Value, Value) {
        let key = self.key_bytes();
        let end = match self.rng.u8(..10) {
            0..4 => Value::Null,
            4 => base64(b"\0"),
            5 => base64(&prefix_end(key)),
            _ => base64(self.key_bytes()),
        };
        let everything = self.chance(15);
        match (everything, self.chance(1)) {
            (true, _) => (base64(b"\0"), base64(b"\0")),
            (false, true) => (Value::Null, end),
            (false, false) => (base64(key), end),
        }
    }

    /// A revision to read at: mostly the present one, or a little back.
    pub(super) fn revision(&mut self) -> Value {
        match self.rng.u8(..20) {
            0..11 => Value::Null,
            11..15 => format!("$cur-{}", self.rng.u8(..12)).into(),
            15 => format!("$cur-{}", self.rng.u8(..200)).into(),
            16 => format!("$cur+{}", self.rng.u8(..3)).into(),
            17 => self.pick(&["$compacted", "$compacted+1", "$compacted-1"]).into(),
            18 => self.pick(&["-1", "1", "-9223372036854775808", "9223372036854775807"]).into(),
            _ => "$cur".into(),
        }
    }

    /// An identifier of a lease: mostly one that may exist.
    pub(super) fn lease_id(&mut self) -> Value {
        match self.rng.u8(..20) {
            0..14 => self.pick(&["1", "2", "7", "-5", "4660"]).into(),
            14..19 if self.with_own_leases => format!("$lease{}", self.rng.u8(..4)).into(),
            _ => "404".into(),
        }
    }

    pub(super) fn flag(&mut self, percent: u8) -> Value {
        if self.chance(percent) { true.into() } else { Value::Null }
    }
}

/// The first key after all keys with this prefix; `\0`, the open end, if there is none.
fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    let kept = prefix.iter().rposition(|byte| *byte < 0xff);
    match kept {
        Some(last) => prefix[..last].iter().copied().chain([prefix[last] + 1]).collect(),
        None => vec![0],
    }
}
