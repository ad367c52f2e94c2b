//! JSON as Go's encoder writes it: fields in the order of the message, 64-bit numbers as numbers,
//! bytes in base64, nothing for zero.

use base64::Engine as _;
use std::fmt::Write as _;

/// An object under construction.
#[derive(Clone, Debug, Default)]
pub(crate) struct Object(String);

impl Object {
    /// Any JSON, even when it is zero.
    pub(crate) fn raw(mut self, name: &str, value: &str) -> Self {
        let comma = if self.0.is_empty() { "" } else { "," };
        write!(self.0, "{comma}\"{name}\":{value}").expect("a string takes what is written");
        self
    }

    pub(crate) fn number<T: ToString + Default + PartialEq + Copy>(self, name: &str, value: T) -> Self {
        if value == T::default() { self } else { self.raw(name, &value.to_string()) }
    }

    pub(crate) fn truth(self, name: &str, value: bool) -> Self {
        if value { self.raw(name, "true") } else { self }
    }

    pub(crate) fn text(self, name: &str, value: &str) -> Self {
        if value.is_empty() { self } else { self.raw(name, &quoted(value)) }
    }

    pub(crate) fn bytes(self, name: &str, value: &[u8]) -> Self {
        if value.is_empty() { self } else { self.raw(name, &base64(value)) }
    }

    pub(crate) fn object(self, name: &str, value: Option<Object>) -> Self {
        match value {
            Some(value) => self.raw(name, &value.finish()),
            None => self,
        }
    }

    pub(crate) fn objects(self, name: &str, values: impl IntoIterator<Item = Object>) -> Self {
        let values = list(values.into_iter().map(Object::finish));
        if values == "[]" { self } else { self.raw(name, &values) }
    }

    pub(crate) fn texts(self, name: &str, values: &[String]) -> Self {
        if values.is_empty() { self } else { self.raw(name, &list(values.iter().map(|value| quoted(value)))) }
    }

    /// The fields of another object, as those of an embedded struct.
    pub(crate) fn embed(mut self, other: &Object) -> Self {
        if !self.0.is_empty() && !other.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(&other.0);
        self
    }

    pub(crate) fn finish(self) -> String {
        format!("{{{}}}", self.0)
    }
}

pub(crate) fn list(values: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", values.into_iter().collect::<Vec<_>>().join(","))
}

pub(crate) fn base64(value: &[u8]) -> String {
    format!("\"{}\"", base64::engine::general_purpose::STANDARD.encode(value))
}

/// Returns a quoted string; Go escapes characters of HTML.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                write!(out, "\\u{:04x}", u32::from(letter)).expect("a string takes what is written");
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_left_out_and_order_is_kept() {
        let inner = Object::default().number("revision", 7_i64).number("raft_term", 0_u64);
        let object =
            Object::default().object("header", Some(inner)).bytes("key", b"a").text("value", "").raw("count", "0");
        assert_eq!(object.finish(), r#"{"header":{"revision":7},"key":"YQ==","count":0}"#);
        assert_eq!(quoted("a<b>\"\\\n\u{1}ü"), r#""a\u003cb\u003e\"\\\n\u0001ü""#);
    }
}
