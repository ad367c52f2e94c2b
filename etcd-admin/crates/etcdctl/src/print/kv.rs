//! Keys and values, transactions, events.

use super::json::{Object, list};
use super::text::hex;
use super::{Printer, Shown, header, header_fields, with_header};
use crate::error::CtlError;
use go_text::quoted;
use prost::Message as _;
use proto::etcdserverpb::response_op::Response;
use proto::etcdserverpb::{DeleteRangeResponse, PutResponse, RangeResponse, ResponseOp, TxnResponse, WatchResponse};
use proto::mvccpb::{Event, KeyValue, event::EventType};

/// Key and value, a line each.
fn lines(kv: &KeyValue, style: &Printer) -> Vec<u8> {
    let mut out = Vec::new();
    let mut line = |bytes: &[u8]| {
        if style.hex {
            out.extend_from_slice(hex(bytes).as_bytes())
        } else {
            out.extend_from_slice(bytes)
        }
        out.push(b'\n');
    };
    if !style.value_only {
        line(&kv.key);
    }
    line(&kv.value);
    out
}

fn object(kv: &KeyValue) -> Object {
    Object::default()
        .bytes("key", &kv.key)
        .number("create_revision", kv.create_revision)
        .number("mod_revision", kv.mod_revision)
        .number("version", kv.version)
        .bytes("value", &kv.value)
        .number("lease", kv.lease)
}

fn fields_of(prefix: &str, kv: &KeyValue, style: &Printer) -> String {
    let lease = if style.hex { format!("{:016x}", kv.lease) } else { kv.lease.to_string() };
    format!(
        "\"{prefix}Key\" : {}\n\"{prefix}CreateRevision\" : {}\n\"{prefix}ModRevision\" : {}\n\"{prefix}Version\" : {}\n\"{prefix}Value\" : {}\n\"{prefix}Lease\" : {lease}\n",
        quoted(&kv.key),
        kv.create_revision,
        kv.mod_revision,
        kv.version,
        quoted(&kv.value),
    )
}

impl Shown for RangeResponse {
    fn simple(&self, style: &Printer) -> Option<Vec<u8>> {
        Some(self.kvs.iter().flat_map(|kv| lines(kv, style)).collect())
    }

    fn json(&self, _: &Printer) -> Option<String> {
        Some(range_object(self).finish())
    }

    fn fields(&self, style: &Printer) -> Option<String> {
        let kvs: String = self.kvs.iter().map(|kv| fields_of("", kv, style)).collect();
        Some(format!(
            "{}{kvs}\"More\" : {}\n\"Count\" : {}\n",
            header_fields(self.header.as_ref(), style),
            self.more,
            self.count
        ))
    }

    fn protobuf(&self) -> Result<Vec<u8>, CtlError> {
        Ok(self.encode_to_vec())
    }
}

fn range_object(range: &RangeResponse) -> Object {
    let kvs = range.kvs.iter().map(object);
    with_header(range.header.as_ref()).objects("kvs", kvs).truth("more", range.more).number("count", range.count)
}

impl Shown for PutResponse {
    fn simple(&self, style: &Printer) -> Option<Vec<u8>> {
        let mut out = b"OK\n".to_vec();
        out.extend(self.prev_kv.iter().flat_map(|kv| lines(kv, style)));
        Some(out)
    }

    fn json(&self, _: &Printer) -> Option<String> {
        Some(put_object(self).finish())
    }

    fn fields(&self, style: &Printer) -> Option<String> {
        let previous: String = self.prev_kv.iter().map(|kv| fields_of("Prev", kv, style)).collect();
        Some(header_fields(self.header.as_ref(), style) + &previous)
    }

    fn protobuf(&self) -> Result<Vec<u8>, CtlError> {
        Ok(self.encode_to_vec())
    }
}

fn put_object(put: &PutResponse) -> Object {
    with_header(put.header.as_ref()).object("prev_kv", put.prev_kv.as_ref().map(object))
}

impl Shown for DeleteRangeResponse {
    fn simple(&self, style: &Printer) -> Option<Vec<u8>> {
        let mut out = format!("{}\n", self.deleted).into_bytes();
        out.extend(self.prev_kvs.iter().flat_map(|kv| lines(kv, style)));
        Some(out)
    }

    fn json(&self, _: &Printer) -> Option<String> {
        Some(delete_object(self).finish())
    }

    fn fields(&self, style: &Printer) -> Option<String> {
        let previous: String = self.prev_kvs.iter().map(|kv| fields_of("Prev", kv, style)).collect();
        Some(format!("{}\"Deleted\" : {}\n{previous}", header_fields(self.header.as_ref(), style), self.deleted))
    }

    fn protobuf(&self) -> Result<Vec<u8>, CtlError> {
        Ok(self.encode_to_vec())
    }
}

fn delete_object(delete: &DeleteRangeResponse) -> Object {
    with_header(delete.header.as_ref())
        .number("deleted", delete.deleted)
        .objects("prev_kvs", delete.prev_kvs.iter().map(object))
}

impl Shown for TxnResponse {
    fn simple(&self, style: &Printer) -> Option<Vec<u8>> {
        let mut out = if self.succeeded { b"SUCCESS\n".to_vec() } else { b"FAILURE\n".to_vec() };
        for response in &self.responses {
            out.push(b'\n');
            out.extend(match response.response.as_ref()? {
                Response::ResponseRange(range) => range.simple(style)?,
                Response::ResponsePut(put) => put.simple(style)?,
                Response::ResponseDeleteRange(delete) => delete.simple(style)?,
                Response::ResponseTxn(txn) => txn.simple(style)?,
            });
        }
        Some(out)
    }

    fn json(&self, _: &Printer) -> Option<String> {
        Some(txn_object(self).finish())
    }

    fn fields(&self, style: &Printer) -> Option<String> {
        let mut out = format!("{}\"Succeeded\" : {}\n", header_fields(self.header.as_ref(), style), self.succeeded);
        for response in &self.responses {
            out += &match response.response.as_ref()? {
                Response::ResponseRange(range) => range.fields(style)?,
                Response::ResponsePut(put) => put.fields(style)?,
                Response::ResponseDeleteRange(delete) => delete.fields(style)?,
                Response::ResponseTxn(txn) => txn.fields(style)?,
            };
        }
        Some(out)
    }

    fn protobuf(&self) -> Result<Vec<u8>, CtlError> {
        Ok(self.encode_to_vec())
    }
}

fn txn_object(txn: &TxnResponse) -> Object {
    let responses = txn.responses.iter().map(response_object);
    with_header(txn.header.as_ref()).truth("succeeded", txn.succeeded).objects("responses", responses)
}

fn response_object(response: &ResponseOp) -> Object {
    let (name, inner) = match &response.response {
        Some(Response::ResponseRange(range)) => ("response_range", range_object(range)),
        Some(Response::ResponsePut(put)) => ("response_put", put_object(put)),
        Some(Response::ResponseDeleteRange(delete)) => ("response_delete_range", delete_object(delete)),
        Some(Response::ResponseTxn(txn)) => ("response_txn", txn_object(txn)),
        None => return Object::default().raw("Response", "null"),
    };
    Object::default().object("Response", Some(Object::default().object(name, Some(inner))))
}

/// A response to a watcher.
pub(crate) struct Watched<'a>(pub(crate) &'a WatchResponse);

impl Shown for Watched<'_> {
    fn simple(&self, style: &Printer) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        for event in &self.0.events {
            out.extend_from_slice(kind(event).as_bytes());
            out.push(b'\n');
            out.extend(event.prev_kv.iter().flat_map(|kv| lines(kv, style)));
            out.extend(event.kv.iter().flat_map(|kv| lines(kv, style)));
        }
        Some(out)
    }

    fn json(&self, _: &Printer) -> Option<String> {
        let event = |event: &Event| {
            let object_of = |kv: &Option<KeyValue>| kv.as_ref().map(object);
            let event = Object::default()
                .number("type", event.r#type)
                .object("kv", object_of(&event.kv))
                .object("prev_kv", object_of(&event.prev_kv));
            event.finish()
        };
        let response = self.0;
        let events =
            if response.events.is_empty() { "null".to_owned() } else { list(response.events.iter().map(event)) };
        let object = Object::default()
            .object("Header", Some(header(response.header.as_ref())))
            .raw("Events", &events)
            .raw("CompactRevision", &response.compact_revision.to_string())
            .raw("Canceled", &response.canceled.to_string())
            .raw("Created", &response.created.to_string())
            .raw("CancelReason", &super::json::quoted(&response.cancel_reason));
        Some(object.finish())
    }

    fn fields(&self, style: &Printer) -> Option<String> {
        let mut out = header_fields(self.0.header.as_ref(), style);
        for event in &self.0.events {
            out += &format!("\"Type\" : {}\n", kind(event));
            out.extend(event.prev_kv.iter().map(|kv| fields_of("Prev", kv, style)));
            out.extend(event.kv.iter().map(|kv| fields_of("", kv, style)));
        }
        Some(out)
    }

    fn protobuf(&self) -> Result<Vec<u8>, CtlError> {
        // etcdctl leaves out the watcher's id and the reason.
        let response = WatchResponse { watch_id: 0, cancel_reason: String::new(), fragment: false, ..self.0.clone() };
        Ok(response.encode_to_vec())
    }
}

/// `PUT` or `DELETE`.
pub(crate) fn kind(event: &Event) -> &'static str {
    match event.r#type() {
        EventType::Put => "PUT",
        EventType::Delete => "DELETE",
    }
}
