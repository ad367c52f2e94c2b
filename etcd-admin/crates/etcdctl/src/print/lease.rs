//! Leases.

use super::json::{Object, base64, list};
use super::{Printer, Shown, header, header_fields, with_header};
use crate::error::CtlError;
use go_text::quoted;
use prost::Message;
use proto::etcdserverpb::{
    LeaseGrantResponse, LeaseKeepAliveResponse, LeaseLeasesResponse, LeaseRevokeResponse, LeaseTimeToLiveResponse,
    ResponseHeader,
};

pub(crate) struct Granted(pub(crate) LeaseGrantResponse);
pub(crate) struct Revoked {
    pub(crate) id: i64,
    pub(crate) response: LeaseRevokeResponse,
}
pub(crate) struct KeptAlive(pub(crate) LeaseKeepAliveResponse);
pub(crate) struct TimeToLive {
    pub(crate) response: LeaseTimeToLiveResponse,
    pub(crate) keys: bool,
}
pub(crate) struct Leases(pub(crate) LeaseLeasesResponse);

/// Encodes the header alone: etcdctl's own types of these responses embed the header and are no
/// messages themselves.
fn header_message(header: Option<&ResponseHeader>) -> Vec<u8> {
    header.map(Message::encode_to_vec).unwrap_or_default()
}

fn number(id: i64, style: &Printer) -> String {
    if style.hex { format!("{id:016x}") } else { id.to_string() }
}

impl Shown for Granted {
    fn simple(&self, _: &Printer) -> Option<Vec<u8>> {
        Some(format!("lease {:016x} granted with TTL({}s)\n", self.0.id, self.0.ttl).into_bytes())
    }

    fn json(&self, _: &Printer) -> Option<String> {
        let object = Object::default().embed(&header(self.0.header.as_ref())).raw("ID", &self.0.id.to_string());
        Some(object.raw("TTL", &self.0.ttl.to_string()).raw("Error", "\"\"").finish())
    }

    fn fields(&self, style: &Printer) -> Option<String> {
        let head = header_fields(self.0.header.as_ref(), style);
        Some(format!("{head}\"ID\" : {}\n\"TTL\" : {}\n", number(self.0.id, style), self.0.ttl))
    }

    fn protobuf(&self) -> Result<Vec<u8>, CtlError> {
        Ok(header_message(self.0.header.as_ref()))
    }
}

impl Shown for Revoked {
    fn simple(&self, _: &Printer) -> Option<Vec<u8>> {
        Some(format!("lease {:016x} revoked\n", self.id).into_bytes())
    }

    fn json(&self, _: &Printer) -> Option<String> {
        Some(with_header(self.response.header.as_ref()).finish())
    }

    fn fields(&self, style: &Printer) -> Option<String> {
        Some(header_fields(self.response.header.as_ref(), style))
    }

    fn protobuf(&self) -> Result<Vec<u8>, CtlError> {
        Ok(self.response.encode_to_vec())
    }
}

impl Shown for KeptAlive {
    fn simple(&self, _: &Printer) -> Option<Vec<u8>> {
        Some(format!("lease {:016x} keepalived with TTL({})\n", self.0.id, self.0.ttl).into_bytes())
    }

    fn json(&self, _: &Printer) -> Option<String> {
        let object = Object::default().embed(&header(self.0.header.as_ref())).raw("ID", &self.0.id.to_string());
        Some(object.raw("TTL", &self.0.ttl.to_string()).finish())
    }

    fn fields(&self, style: &Printer) -> Option<String> {
        let head = header_fields(self.0.header.as_ref(), style);
        Some(format!("{head}\"ID\" : {}\n\"TTL\" : {}\n", number(self.0.id, style), self.0.ttl))
    }

    fn protobuf(&self) -> Result<Vec<u8>, CtlError> {
        Ok(header_message(self.0.header.as_ref()))
    }
}

impl Shown for TimeToLive {
    fn simple(&self, _: &Printer) -> Option<Vec<u8>> {
        let response = &self.response;
        if response.granted_ttl == 0 && response.ttl == -1 {
            return Some(format!("lease {:016x} already expired\n", response.id).into_bytes());
        }
        let mut out = format!(
            "lease {:016x} granted with TTL({}s), remaining({}s)",
            response.id, response.granted_ttl, response.ttl
        )
        .into_bytes();
        if self.keys {
            out.extend_from_slice(b", attached keys([");
            out.extend_from_slice(&response.keys.join(&b' '));
            out.extend_from_slice(b"])");
        }
        out.push(b'\n');
        Some(out)
    }

    fn json(&self, _: &Printer) -> Option<String> {
        let response = &self.response;
        let keys = if response.keys.is_empty() {
            "null".to_owned()
        } else {
            list(response.keys.iter().map(|key| base64(key)))
        };
        let object = Object::default()
            .embed(&header(response.header.as_ref()))
            .raw("id", &response.id.to_string())
            .raw("ttl", &response.ttl.to_string())
            .raw("granted-ttl", &response.granted_ttl.to_string())
            .raw("keys", &keys);
        Some(object.finish())
    }

    fn fields(&self, style: &Printer) -> Option<String> {
        let response = &self.response;
        let keys: String = response.keys.iter().map(|key| format!("\"Key\" : {}\n", quoted(key))).collect();
        Some(format!(
            "{}\"ID\" : {}\n\"TTL\" : {}\n\"GrantedTTL\" : {}\n{keys}",
            header_fields(response.header.as_ref(), style),
            number(response.id, style),
            response.ttl,
            response.granted_ttl
        ))
    }

    fn protobuf(&self) -> Result<Vec<u8>, CtlError> {
        Ok(header_message(self.response.header.as_ref()))
    }
}

impl Shown for Leases {
    fn simple(&self, _: &Printer) -> Option<Vec<u8>> {
        let ids: String = self.0.leases.iter().map(|lease| format!("{:016x}\n", lease.id)).collect();
        Some(format!("found {} leases\n{ids}", self.0.leases.len()).into_bytes())
    }

    fn json(&self, _: &Printer) -> Option<String> {
        let leases =
            list(self.0.leases.iter().map(|lease| Object::default().raw("id", &lease.id.to_string()).finish()));
        Some(Object::default().embed(&header(self.0.header.as_ref())).raw("leases", &leases).finish())
    }

    fn fields(&self, style: &Printer) -> Option<String> {
        let ids: String = self.0.leases.iter().map(|lease| format!("\"ID\" : {}\n", number(lease.id, style))).collect();
        Some(header_fields(self.0.header.as_ref(), style) + &ids)
    }

    fn protobuf(&self) -> Result<Vec<u8>, CtlError> {
        Ok(header_message(self.0.header.as_ref()))
    }
}
