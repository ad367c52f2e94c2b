//! Writes a message as JSON the way etcd's gateway is set up: proto field names, zero fields left
//! out, 64-bit numbers as strings, enums by name.
//!
//! Fields follow each other by number. Unary answers have a space after each comma and stream
//! answers have none, as etcd 3.5.30 writes them; protobuf promises neither.

use std::io;

use prost_reflect::{DynamicMessage, SerializeOptions};
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

/// White space between members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spacing {
    AfterComma,
    None,
}

/// Appends `message` to `out`. Fails only if the message breaks its own descriptor's rules.
pub(crate) fn encode(message: &DynamicMessage, spacing: Spacing, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    let options = SerializeOptions::new().use_proto_field_name(true).skip_default_fields(true);
    match spacing {
        Spacing::AfterComma => {
            message.serialize_with_options(&mut Serializer::with_formatter(out, SpaceAfterComma), &options)
        }
        Spacing::None => {
            message.serialize_with_options(&mut Serializer::with_formatter(out, CompactFormatter), &options)
        }
    }
}

struct SpaceAfterComma;

impl Formatter for SpaceAfterComma {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.begin_array_value(writer, first)
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use prost_reflect::DescriptorPool;
    use proto::etcdserverpb::{RangeResponse, ResponseHeader, WatchResponse};
    use proto::mvccpb::{Event, KeyValue};

    use super::*;

    fn json(name: &str, bytes: &[u8], spacing: Spacing) -> String {
        let pool = DescriptorPool::decode(proto::DESCRIPTORS).unwrap();
        let message = DynamicMessage::decode(pool.get_message_by_name(name).unwrap(), bytes).unwrap();
        let mut out = Vec::new();
        encode(&message, spacing, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_unary_answer_looks_as_etcd_writes_it() {
        let header = ResponseHeader { cluster_id: u64::MAX, member_id: 1, revision: 2, raft_term: 2 };
        let kv =
            KeyValue { key: "a".into(), create_revision: 2, mod_revision: 2, version: 1, value: "b".into(), lease: 0 };
        let response = RangeResponse { header: Some(header), kvs: vec![kv.clone(), kv], more: true, count: 2 };
        let kv = r#"{"key":"YQ==", "create_revision":"2", "mod_revision":"2", "version":"1", "value":"Yg=="}"#;
        let header = r#"{"cluster_id":"18446744073709551615", "member_id":"1", "revision":"2", "raft_term":"2"}"#;
        let want = format!(r#"{{"header":{header}, "kvs":[{kv}, {kv}], "more":true, "count":"2"}}"#);
        assert_eq!(json("etcdserverpb.RangeResponse", &response.encode_to_vec(), Spacing::AfterComma), want);
    }

    #[test]
    fn zero_fields_are_left_out_and_enums_are_named() {
        let event = Event { r#type: 1, kv: Some(KeyValue::default()), prev_kv: None };
        let put = Event { r#type: 0, kv: None, prev_kv: None };
        let response = WatchResponse {
            header: Some(ResponseHeader::default()),
            events: vec![event, put],
            ..WatchResponse::default()
        };
        let want = r#"{"header":{},"events":[{"type":"DELETE","kv":{}},{}]}"#;
        assert_eq!(json("etcdserverpb.WatchResponse", &response.encode_to_vec(), Spacing::None), want);
        assert_eq!(json("etcdserverpb.AuthEnableResponse", b"", Spacing::None), "{}");
    }
}
