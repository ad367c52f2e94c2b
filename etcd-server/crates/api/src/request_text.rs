//! Requests as text for log lines, as etcd prints them: keys in clear, values replaced by their
//! sizes, passwords and tokens left out.
//!
//! Only called for requests that are logged, so it may take its time: messages are printed by their
//! descriptors.

use bytes::Bytes;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, MessageDescriptor, Value};
use proto::etcdserverpb::compare::TargetUnion;
use proto::etcdserverpb::request_op::Request as Operation;
use proto::etcdserverpb::{Compare, InternalRaftRequest, PutRequest, RequestHeader, RequestOp, TxnRequest};
use std::fmt::Write as _;
use std::sync::OnceLock;

/// Fields that are never printed.
const SECRETS: &[&str] = &["password", "hashedPassword", "simple_token", "token"];

/// Returns an encoded `InternalRaftRequest` as text.
#[must_use]
pub fn raft_request(data: &Bytes) -> String {
    let Ok(request) = InternalRaftRequest::decode(data.clone()) else { return String::new() };
    let header = header(request.header.as_ref());
    if let Some(grant) = &request.lease_grant {
        return format!("header:<{header}> lease_grant:<ttl:{}-second id:{:016x}>", grant.ttl, grant.id);
    }
    if let Some(revoke) = &request.lease_revoke {
        return format!("header:<{header}> lease_revoke:<id:{:016x}>", revoke.id);
    }
    if let Some(login) = &request.authenticate {
        return format!("header:<{header}> authenticate:<name:{}>", login.name);
    }
    if let Some(user) = &request.auth_user_add {
        return format!("header:<{header}> auth_user_add:<name:{}>", user.name);
    }
    if let Some(user) = &request.auth_user_change_password {
        return format!("header:<{header}> auth_user_change_password:<name:{}>", user.name);
    }
    if let Some(put) = &request.put {
        return format!("header:<{header}> put:<{}>", put_request(put));
    }
    if let Some(txn) = &request.txn {
        return format!("header:<{header}> txn:<{}>", txn_request(txn));
    }
    message("etcdserverpb.InternalRaftRequest", data)
}

fn header(header: Option<&RequestHeader>) -> String {
    header.map_or_else(String::new, |header| message("etcdserverpb.RequestHeader", &header.encode_to_vec()))
}

/// Returns a put as text, with the size of its value.
#[must_use]
pub fn put_request(put: &PutRequest) -> String {
    message("etcdserverpb.PutRequest", &put.encode_to_vec())
}

/// Returns a transaction as text, with the sizes of its values.
#[must_use]
pub fn txn_request(txn: &TxnRequest) -> String {
    let compares: Vec<_> = txn.compare.iter().map(compare).collect();
    let operations = |branch: &[RequestOp]| branch.iter().map(operation).collect::<Vec<_>>().join(" ");
    format!(
        "compare:<{}> success:<{}> failure:<{}>",
        compares.join(" "),
        operations(&txn.success),
        operations(&txn.failure)
    )
}

fn compare(compare: &Compare) -> String {
    let text = message("etcdserverpb.Compare", &compare.encode_to_vec());
    match &compare.target_union {
        // An empty value is a value too.
        Some(TargetUnion::Value(value)) if value.is_empty() && !text.contains("value_size:") => {
            format!("{text} value_size:0")
        }
        Some(_) | None => text,
    }
}

fn operation(operation: &RequestOp) -> String {
    match &operation.request {
        Some(Operation::RequestPut(put)) => format!("request_put:<{}>", put_request(put)),
        Some(Operation::RequestTxn(txn)) => format!("request_txn:<{}>", txn_request(txn)),
        Some(Operation::RequestRange(_) | Operation::RequestDeleteRange(_)) | None => {
            message("etcdserverpb.RequestOp", &operation.encode_to_vec())
        }
    }
}

fn pool() -> &'static DescriptorPool {
    static POOL: OnceLock<DescriptorPool> = OnceLock::new();
    POOL.get_or_init(|| DescriptorPool::decode(proto::DESCRIPTORS).unwrap_or_default())
}

/// Returns the text of an encoded message; nothing for one that cannot be read.
pub(crate) fn message(name: &str, encoded: &[u8]) -> String {
    let descriptor: Option<MessageDescriptor> = pool().get_message_by_name(name);
    let decoded = descriptor.and_then(|descriptor| DynamicMessage::decode(descriptor, encoded).ok());
    decoded.map_or_else(String::new, |decoded| text(&decoded))
}

fn text(message: &DynamicMessage) -> String {
    let mut out = String::new();
    for (field, value) in message.fields() {
        add(&mut out, &field, value);
    }
    out
}

fn add(out: &mut String, field: &FieldDescriptor, value: &Value) {
    if let Value::List(items) = value {
        items.iter().for_each(|item| add(out, field, item));
        return;
    }
    if SECRETS.contains(&field.name()) {
        return;
    }
    if !out.is_empty() {
        out.push(' ');
    }
    let holder = field.parent_message().name().to_owned();
    let written = match value {
        Value::Bytes(bytes) if field.name() == "value" && matches!(&*holder, "PutRequest" | "Compare") => {
            write!(out, "value_size:{}", bytes.len())
        }
        Value::Bytes(bytes) => write!(out, "{}:{}", field.name(), quoted(bytes)),
        Value::String(text) => write!(out, "{}:{}", field.name(), quoted(text.as_bytes())),
        Value::Message(inner) => write!(out, "{}:{{{}}}", field.name(), text(inner)),
        Value::EnumNumber(number) => write!(out, "{}:{}", field.name(), enum_name(field, *number)),
        Value::Bool(value) => write!(out, "{}:{value}", field.name()),
        Value::I32(value) => write!(out, "{}:{value}", field.name()),
        Value::I64(value) => write!(out, "{}:{value}", field.name()),
        Value::U32(value) => write!(out, "{}:{value}", field.name()),
        Value::U64(value) => write!(out, "{}:{value}", field.name()),
        Value::F32(value) => write!(out, "{}:{value}", field.name()),
        Value::F64(value) => write!(out, "{}:{value}", field.name()),
        // etcd's messages have none, and lists were taken apart above.
        Value::Map(_) | Value::List(_) => Ok(()),
    };
    written.expect("a text can always grow");
}

fn enum_name(field: &FieldDescriptor, number: i32) -> String {
    let kind = field.kind();
    let value = kind.as_enum().and_then(|kind| kind.get_value(number));
    value.map_or_else(|| number.to_string(), |value| value.name().to_owned())
}

/// Quotes as protobuf's text format does: bytes that are no printable UTF-8 are escaped one by one.
fn quoted(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                character if character.is_control() => push_escaped(&mut out, character.to_string().as_bytes()),
                character => out.push(character),
            }
        }
        push_escaped(&mut out, chunk.invalid());
    }
    out.push('"');
    out
}

fn push_escaped(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        write!(out, "\\x{byte:02x}").expect("a text can always grow");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::etcdserverpb::compare::CompareTarget;
    use proto::etcdserverpb::{
        AuthUserAddRequest, AuthenticateRequest, InternalAuthenticateRequest, LeaseGrantRequest, RangeRequest,
    };

    fn put(key: &'static [u8], value: &'static [u8]) -> PutRequest {
        PutRequest { key: key.into(), value: value.into(), lease: 5, ..PutRequest::default() }
    }

    #[test]
    fn keys_are_shown_and_values_only_by_size() {
        assert_eq!(put_request(&put(b"a\x00\xffb\"\n", b"secret")), r#"key:"a\x00\xffb\"\n" value_size:6 lease:5"#);
        let range = RangeRequest {
            key: "a".into(),
            range_end: "b".into(),
            limit: 3,
            serializable: true,
            ..RangeRequest::default()
        };
        assert_eq!(
            message("etcdserverpb.RangeRequest", &range.encode_to_vec()),
            r#"key:"a" range_end:"b" limit:3 serializable:true"#
        );
    }

    #[test]
    fn transactions_show_no_value_at_any_depth() {
        let compare = Compare {
            target: CompareTarget::Value.into(),
            key: "k".into(),
            target_union: Some(TargetUnion::Value("secret".into())),
            ..Compare::default()
        };
        let inner = TxnRequest {
            success: vec![RequestOp { request: Some(Operation::RequestPut(put(b"in", b"secret"))) }],
            ..TxnRequest::default()
        };
        let txn = TxnRequest {
            compare: vec![compare],
            success: vec![RequestOp { request: Some(Operation::RequestTxn(inner)) }],
            failure: vec![RequestOp {
                request: Some(Operation::RequestRange(RangeRequest { key: "r".into(), ..RangeRequest::default() })),
            }],
        };
        assert_eq!(
            txn_request(&txn),
            "compare:<target:VALUE key:\"k\" value_size:6> success:<request_txn:<compare:<> success:<request_put:<key:\"in\" value_size:6 \
             lease:5>> failure:<>>> failure:<request_range:{key:\"r\"}>"
        );
    }

    #[test]
    fn raft_requests_show_no_secret() {
        let header = Some(RequestHeader { id: 7, username: "u".to_owned(), auth_revision: 0 });
        let text = |request: InternalRaftRequest| raft_request(&request.encode_to_vec().into());
        let base = InternalRaftRequest { header, ..InternalRaftRequest::default() };
        let grant = Some(LeaseGrantRequest { id: 255, ttl: 9 });
        assert_eq!(
            text(InternalRaftRequest { lease_grant: grant, ..base.clone() }),
            "header:<ID:7 username:\"u\"> lease_grant:<ttl:9-second id:00000000000000ff>"
        );
        let user = AuthUserAddRequest {
            name: "alice".to_owned(),
            password: "secret".to_owned(),
            hashed_password: "secret".to_owned(),
            ..AuthUserAddRequest::default()
        };
        let login = InternalAuthenticateRequest {
            name: "alice".to_owned(),
            password: "secret".to_owned(),
            simple_token: "secret".to_owned(),
        };
        for request in [
            InternalRaftRequest { auth_user_add: Some(user), ..base.clone() },
            InternalRaftRequest { authenticate: Some(login), ..base.clone() },
            InternalRaftRequest { put: Some(put(b"alice", b"secret")), ..base.clone() },
        ] {
            let text = text(request);
            assert!(text.contains("alice") && !text.contains("secret"), "{text}");
        }
        let login = AuthenticateRequest { name: "alice".to_owned(), password: "secret".to_owned() };
        assert_eq!(message("etcdserverpb.AuthenticateRequest", &login.encode_to_vec()), "name:\"alice\"");
    }
}
