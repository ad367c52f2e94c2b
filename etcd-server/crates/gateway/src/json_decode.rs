//! Reads a request message from JSON by its descriptor, as protobuf's JSON mapping says and as
//! strictly as Go's protojson does.
//!
//! Proto names and lowerCamel names are accepted; unknown fields and unknown enum names are
//! ignored; a field given twice, a oneof given twice, a number out of range or a wrong kind of
//! value is refused. Complaints carry protojson's words and position, which gateway clients see
//! (recorded from etcd 3.5.30). prost-reflect has a reader too, but it takes the last of two equal
//! fields in silence and knows no positions.
//!
//! The text must be one whole JSON value as `json_scanner` accepts it; only then is the walk below
//! safe to be brief.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

use crate::json_number::integer;
use crate::json_scanner::is_space;

/// Messages within messages; protobuf decoders refuse deeper ones, so the service would not take
/// them either.
const DEPTH_MAX: usize = 100;

/// The reason why a text is not a message, in the words that the client gets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("proto:\u{a0}{0}")]
pub(crate) struct DecodeError(String);

/// Reads one message. `text` is one JSON value without anything around it.
pub(crate) fn decode(descriptor: &MessageDescriptor, text: &[u8]) -> Result<DynamicMessage, DecodeError> {
    let mut reader = match std::str::from_utf8(text) {
        Ok(text) => Reader { text, at: 0 },
        Err(error) => return Err(invalid_utf8(text, error.valid_up_to())),
    };
    reader.message(descriptor, DEPTH_MAX)
}

/// Points at the string that holds the bad bytes.
fn invalid_utf8(text: &[u8], valid_up_to: usize) -> DecodeError {
    let text = std::str::from_utf8(&text[..valid_up_to]).unwrap_or_default();
    let (mut start, mut inside, mut escaped) = (0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = inside,
            b'"' => {
                inside = !inside;
                start = at;
            }
            _ => {}
        }
    }
    let reader = Reader { text, at: 0 };
    reader.syntax_error(start, "invalid UTF-8 in string")
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

/// A value's first token: a whole string, number or literal, or one bracket.
struct Token<'a> {
    start: usize,
    raw: &'a str,
}

impl<'a> Reader<'a> {
    fn message(&mut self, descriptor: &MessageDescriptor, depth: usize) -> Result<DynamicMessage, DecodeError> {
        let open = self.next();
        if open.raw != "{" {
            return Err(self.unexpected(&open));
        }
        if depth == 0 {
            return Err(DecodeError("exceeded max recursion depth".to_owned()));
        }
        let mut message = DynamicMessage::new(descriptor.clone());
        let mut seen = Seen::default();
        while let Some(key) = self.next_key() {
            let name = self.unescape(&key)?;
            match descriptor.get_field_by_json_name(&name).or_else(|| descriptor.get_field_by_name(&name)) {
                Some(field) => self.field(&mut message, &mut seen, &key, &field, depth)?,
                None => self.skip(),
            }
        }
        Ok(message)
    }

    fn field(
        &mut self,
        message: &mut DynamicMessage,
        seen: &mut Seen,
        key: &Token<'a>,
        field: &FieldDescriptor,
        depth: usize,
    ) -> Result<(), DecodeError> {
        if !seen.field(field.number()) {
            return Err(self.error(key.start, &format!("duplicate field {}", key.raw)));
        }
        if self.peek().raw == "null" {
            self.next();
            return Ok(());
        }
        if let Some(oneof) = field.containing_oneof()
            && !seen.oneof(oneof.name())
        {
            let already = format!("error parsing {}, oneof {} is already set", key.raw, oneof.full_name());
            return Err(self.error(key.start, &already));
        }
        let value = if field.is_list() { Some(self.list(field, depth)?) } else { self.single(field, depth)? };
        if let Some(value) = value {
            message.set_field(field, value);
        }
        Ok(())
    }

    fn list(&mut self, field: &FieldDescriptor, depth: usize) -> Result<Value, DecodeError> {
        let open = self.next();
        if open.raw != "[" {
            return Err(self.unexpected(&open));
        }
        let mut values = Vec::new();
        while self.peek().raw != "]" {
            values.extend(self.single(field, depth)?);
            if self.peek().raw == "," {
                self.next();
            }
        }
        self.next();
        Ok(Value::List(values))
    }

    /// One value that is no list; `None` for an enum name that this version does not know.
    fn single(&mut self, field: &FieldDescriptor, depth: usize) -> Result<Option<Value>, DecodeError> {
        let kind = field.kind();
        if let Kind::Message(descriptor) = &kind {
            return Ok(Some(Value::Message(self.message(descriptor, depth - 1)?)));
        }
        let token = self.next();
        if let (Kind::Enum(_), b'"') = (&kind, token.first()) {
            let name = self.unescape(&token)?;
            return Ok(enum_number(&kind, &name).map(Value::EnumNumber));
        }
        match self.scalar(&kind, &token)? {
            Some(value) => Ok(Some(value)),
            None => {
                let complaint =
                    format!("invalid value for {} field {}: {}", kind_name(&kind), field.json_name(), token.raw);
                Err(self.error(token.start, &complaint))
            }
        }
    }

    fn scalar(&self, kind: &Kind, token: &Token<'a>) -> Result<Option<Value>, DecodeError> {
        let is_text = token.first() == b'"';
        Ok(match kind {
            Kind::Bool => match token.raw {
                "true" => Some(Value::Bool(true)),
                "false" => Some(Value::Bool(false)),
                _ => None,
            },
            Kind::String if is_text => Some(Value::String(self.unescape(token)?)),
            Kind::Bytes if is_text => bytes_from_base64(&self.unescape(token)?).map(|bytes| Value::Bytes(bytes.into())),
            Kind::String | Kind::Bytes => None,
            // No request of etcd holds a floating point number (a test on the table of bindings
            // says so).
            Kind::Double | Kind::Float | Kind::Message(_) => None,
            Kind::Enum(_) => integer(token.raw).and_then(|number| number.try_into().ok()).map(Value::EnumNumber),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
                self.number(token)?.and_then(|n| n.try_into().ok()).map(Value::I32)
            }
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
                self.number(token)?.and_then(|n| n.try_into().ok()).map(Value::I64)
            }
            Kind::Uint32 | Kind::Fixed32 => self.number(token)?.and_then(|n| n.try_into().ok()).map(Value::U32),
            Kind::Uint64 | Kind::Fixed64 => self.number(token)?.and_then(|n| n.try_into().ok()).map(Value::U64),
        })
    }

    /// An integer, bare or in quotes.
    fn number(&self, token: &Token<'a>) -> Result<Option<i128>, DecodeError> {
        Ok(if token.first() == b'"' { integer(&self.unescape(token)?) } else { integer(token.raw) })
    }

    fn unescape(&self, token: &Token<'a>) -> Result<String, DecodeError> {
        // Only a lone surrogate is left to fail on: the scanner has checked the rest.
        serde_json::from_str(token.raw).map_err(|_| self.syntax_error(token.start, "invalid surrogate pair in string"))
    }

    /// The next key of an object with its colon, or `None` at the closing bracket, which is taken
    /// too.
    fn next_key(&mut self) -> Option<Token<'a>> {
        let mut token = self.next();
        if token.raw == "," {
            token = self.next();
        }
        if token.raw == "}" {
            return None;
        }
        self.next();
        Some(token)
    }

    /// Steps over one value, however deep, without recursion.
    fn skip(&mut self) {
        let mut open = 0_usize;
        loop {
            match self.next().raw {
                "{" | "[" => open += 1,
                "}" | "]" => open -= 1,
                _ => {}
            }
            if open == 0 {
                return;
            }
        }
    }

    fn peek(&mut self) -> Token<'a> {
        let token = self.next();
        self.at = token.start;
        token
    }

    fn next(&mut self) -> Token<'a> {
        let bytes = self.text.as_bytes();
        while self.at < bytes.len() && is_space(bytes[self.at]) {
            self.at += 1;
        }
        let start = self.at;
        self.at = match bytes.get(start) {
            None => start,
            Some(b'"') => end_of_text(bytes, start),
            Some(b'{' | b'}' | b'[' | b']' | b',' | b':') => start + 1,
            Some(_) => {
                bytes[start..].iter().position(|byte| ends_scalar(*byte)).map_or(bytes.len(), |length| start + length)
            }
        };
        Token { start, raw: &self.text[start..self.at] }
    }

    fn unexpected(&self, token: &Token<'a>) -> DecodeError {
        self.syntax_error(token.start, &format!("unexpected token {}", token.raw))
    }

    fn syntax_error(&self, at: usize, complaint: &str) -> DecodeError {
        DecodeError(format!("syntax error {}: {complaint}", self.position(at)))
    }

    fn error(&self, at: usize, complaint: &str) -> DecodeError {
        DecodeError(format!("{}: {complaint}", self.position(at)))
    }

    fn position(&self, at: usize) -> String {
        let before = &self.text[..at];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        format!("(line {line}:{column})")
    }
}

impl Token<'_> {
    fn first(&self) -> u8 {
        self.raw.as_bytes().first().copied().unwrap_or_default()
    }
}

/// The fields that one message has received so far.
#[derive(Default)]
struct Seen {
    fields: std::collections::BTreeSet<u32>,
    oneofs: std::collections::BTreeSet<String>,
}

impl Seen {
    /// False if it was there before.
    fn field(&mut self, number: u32) -> bool {
        self.fields.insert(number)
    }

    fn oneof(&mut self, name: &str) -> bool {
        self.oneofs.insert(name.to_owned())
    }
}

fn end_of_text(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn ends_scalar(byte: u8) -> bool {
    is_space(byte) || matches!(byte, b',' | b':' | b']' | b'}')
}

fn enum_number(kind: &Kind, name: &str) -> Option<i32> {
    kind.as_enum()?.get_value_by_name(name).map(|value| value.number())
}

fn kind_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Double => "double",
        Kind::Float => "float",
        Kind::Int32 => "int32",
        Kind::Int64 => "int64",
        Kind::Uint32 => "uint32",
        Kind::Uint64 => "uint64",
        Kind::Sint32 => "sint32",
        Kind::Sint64 => "sint64",
        Kind::Fixed32 => "fixed32",
        Kind::Fixed64 => "fixed64",
        Kind::Sfixed32 => "sfixed32",
        Kind::Sfixed64 => "sfixed64",
        Kind::Bool => "bool",
        Kind::String => "string",
        Kind::Bytes => "bytes",
        Kind::Message(_) => "message",
        Kind::Enum(_) => "enum",
    }
}

const PADDED: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_allow_trailing_bits(true)
    .with_decode_padding_mode(DecodePaddingMode::RequireCanonical);
const BARE: GeneralPurposeConfig = PADDED.with_decode_padding_mode(DecodePaddingMode::RequireNone);

/// Base64 as protojson takes it: URL-safe if it holds `-` or `_`, without padding if its length
/// says so.
fn bytes_from_base64(text: &str) -> Option<Vec<u8>> {
    let alphabet = if text.contains(['-', '_']) { alphabet::URL_SAFE } else { alphabet::STANDARD };
    // Go's decoder ignores line breaks, but only after the length has decided about padding.
    let config = if text.len().is_multiple_of(4) { PADDED } else { BARE };
    let packed: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    GeneralPurpose::new(&alphabet, config).decode(packed).ok()
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use prost_reflect::DescriptorPool;
    use proto::etcdserverpb::{RangeRequest, TxnRequest, request_op::Request};

    use super::*;

    fn descriptor(name: &str) -> MessageDescriptor {
        let pool = DescriptorPool::decode(proto::DESCRIPTORS).unwrap();
        pool.get_message_by_name(&format!("etcdserverpb.{name}")).unwrap()
    }

    fn range(text: &str) -> Result<RangeRequest, String> {
        let message = decode(&descriptor("RangeRequest"), text.as_bytes()).map_err(|error| error.to_string())?;
        Ok(RangeRequest::decode(message.encode_to_vec().as_slice()).unwrap())
    }

    fn txn(text: &str) -> Result<TxnRequest, String> {
        let message = decode(&descriptor("TxnRequest"), text.as_bytes()).map_err(|error| error.to_string())?;
        Ok(TxnRequest::decode(message.encode_to_vec().as_slice()).unwrap())
    }

    #[test]
    fn both_spellings_of_names_and_all_spellings_of_values() {
        let want = RangeRequest {
            key: "a".into(),
            range_end: "b".into(),
            limit: 5,
            sort_order: 2,
            sort_target: 1,
            serializable: true,
            ..RangeRequest::default()
        };
        for text in [
            r#"{"key":"YQ==","range_end":"Yg==","limit":"5","sort_order":"DESCEND","sort_target":"VERSION","serializable":true}"#,
            r#"{"key":"YQ","rangeEnd":"Yg","limit":5,"sortOrder":2,"sortTarget":1.0,"serializable":true}"#,
            r#" { "key" : "YR==" , "rangeEnd" : "Yg\n==" , "limit" : 50e-1 , "sortOrder":"DESCEND","sortTarget":1,"serializable":true } "#,
            r#"{"x":[{"y":["]",{}]},1],"key":"YQ==","range_end":"Yg==","limit":"5.0","sort_order":2,"sort_target":1,"serializable":true,"x":0}"#,
        ] {
            if text.contains("\\n") {
                // Ten characters are no multiple of four, so padding is refused: etcd does the
                // same.
                assert!(range(text).unwrap_err().contains("invalid value for bytes field rangeEnd"), "{text}");
            } else {
                assert_eq!(range(text), Ok(want.clone()), "{text}");
            }
        }
    }

    #[test]
    fn nothing_is_set_by_null_and_by_unknown_names() {
        let text = r#"{"key":null,"limit":null,"sort_order":"NOPE","foo":1,"Key":"YQ==","[a]":1,"@type":"x"}"#;
        assert_eq!(range(text), Ok(RangeRequest::default()));
    }

    #[test]
    fn both_alphabets_of_base64() {
        assert_eq!(range(r#"{"key":"__8="}"#).unwrap().key.as_ref(), [0xff, 0xff]);
        assert_eq!(range(r#"{"key":"__8"}"#).unwrap().key.as_ref(), [0xff, 0xff]);
        assert_eq!(range(r#"{"key":"//8="}"#).unwrap().key.as_ref(), [0xff, 0xff]);
    }

    #[test]
    fn a_oneof_takes_its_one_member() {
        let request = txn(r#"{"success":[{"request_range":null,"requestPut":{"key":"YQ==","lease":-1e2}}]}"#).unwrap();
        let Some(Request::RequestPut(put)) = &request.success[0].request else { panic!("{request:?}") };
        assert_eq!((put.key.as_ref(), put.lease), (b"a".as_slice(), -100));
    }

    /// Texts recorded from etcd 3.5.30.
    #[test]
    fn complaints_are_worded_as_etcd_words_them() {
        for (text, complaint) in [
            (r#"{"key":"YQ==","limit":1.5}"#, "(line 1:23): invalid value for int64 field limit: 1.5"),
            (r#"{"key":"YQ==","limit":"abc"}"#, r#"(line 1:23): invalid value for int64 field limit: "abc""#),
            (r#"{"key":"YQ==","limit":" 5"}"#, r#"(line 1:23): invalid value for int64 field limit: " 5""#),
            (r#"{"key":"YQ==","limit":true}"#, "(line 1:23): invalid value for int64 field limit: true"),
            (
                r#"{"key":"YQ==","limit":9223372036854775808}"#,
                "(line 1:23): invalid value for int64 field limit: 9223372036854775808",
            ),
            (r#"{"key":"YQ==","key":"YQ=="}"#, r#"(line 1:15): duplicate field "key""#),
            (r#"{"key":"YQ==","range_end":"Yg==","rangeEnd":"Yg=="}"#, r#"(line 1:34): duplicate field "rangeEnd""#),
            (r#"{"key":"!!"}"#, r#"(line 1:8): invalid value for bytes field key: "!!""#),
            (r#"{"key":"+_8="}"#, r#"(line 1:8): invalid value for bytes field key: "+_8=""#),
            (r#"{"key":"YQ="}"#, r#"(line 1:8): invalid value for bytes field key: "YQ=""#),
            (r#"{"key":"YQ==="}"#, r#"(line 1:8): invalid value for bytes field key: "YQ===""#),
            (r#"{"key":1}"#, "(line 1:8): invalid value for bytes field key: 1"),
            (r#"{"range_end":5}"#, "(line 1:14): invalid value for bytes field rangeEnd: 5"),
            (r#"{"serializable":"true"}"#, r#"(line 1:17): invalid value for bool field serializable: "true""#),
            (r#"{"sort_order":true}"#, "(line 1:15): invalid value for enum field sortOrder: true"),
            ("null", "syntax error (line 1:1): unexpected token null"),
            ("[]", "syntax error (line 1:1): unexpected token ["),
            (r#""a""#, r#"syntax error (line 1:1): unexpected token "a""#),
            ("1", "syntax error (line 1:1): unexpected token 1"),
        ] {
            assert_eq!(range(text), Err(format!("proto:\u{a0}{complaint}")), "{text}");
        }
    }

    /// Texts recorded from etcd 3.5.30.
    #[test]
    fn complaints_about_nested_messages() {
        for (text, complaint) in [
            (
                r#"{"success":[{"request_range":{},"request_put":{}}]}"#,
                r#"(line 1:33): error parsing "request_put", oneof etcdserverpb.RequestOp.request is already set"#,
            ),
            (r#"{"success":{}}"#, "syntax error (line 1:12): unexpected token {"),
            (r#"{"success":[null]}"#, "syntax error (line 1:13): unexpected token null"),
            ("{\"success\":\n\n [1]}", "syntax error (line 3:3): unexpected token 1"),
            (r#"{"compare":[{"target":1.5}]}"#, "(line 1:23): invalid value for enum field target: 1.5"),
            (r#"{"compare":[{"target":{}}]}"#, "(line 1:23): invalid value for enum field target: {"),
            (r#"{"success":[{"request_put":5}]}"#, "syntax error (line 1:28): unexpected token 5"),
            (r#"{"success":[{"request_put":{"key":[1]}}]}"#, "(line 1:35): invalid value for bytes field key: ["),
        ] {
            assert_eq!(txn(text), Err(format!("proto:\u{a0}{complaint}")), "{text}");
        }
    }

    #[test]
    fn invalid_utf8_is_found_even_where_it_would_be_ignored() {
        for (text, column) in [(b"{\"key\":\"\xff\"}".as_slice(), 8), (b"{\"x\":\"\xff\",\"key\":\"YQ==\"}", 6)] {
            let error = decode(&descriptor("RangeRequest"), text).unwrap_err().to_string();
            assert_eq!(error, format!("proto:\u{a0}syntax error (line 1:{column}): invalid UTF-8 in string"));
        }
    }

    #[test]
    fn deep_nesting_is_refused_or_skipped_without_recursion() {
        let nested =
            |times: usize| format!("{}{{}}{}", r#"{"success":[{"request_txn":"#.repeat(times), "}]}".repeat(times));
        assert!(txn(&nested(49)).is_ok());
        assert_eq!(txn(&nested(3000)), Err("proto:\u{a0}exceeded max recursion depth".to_owned()));
        let unknown = format!("{}1{}", r#"{"a":"#.repeat(9000), "}".repeat(9000));
        assert_eq!(txn(&unknown), Ok(TxnRequest::default()));
    }
}
