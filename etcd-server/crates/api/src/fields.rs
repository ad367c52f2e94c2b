//! The header fields of a request that the services read, wherever they are kept: in a map, or in
//! the head that the connection decoded.

use http::{HeaderMap, HeaderName, HeaderValue};
use std::borrow::Cow;

/// Names in the order of [`Field`].
pub(crate) const NAMES: http2::FieldNames = &[
    "content-type",
    "grpc-timeout",
    "grpc-encoding",
    "authorization",
    "token",
    "client-api-version",
    "hasleader",
    "grpcgateway-accept",
];

/// A field that is read for every call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    ContentType,
    GrpcTimeout,
    GrpcEncoding,
    Authorization,
    Token,
    /// The client's library and version.
    ClientApiVersion,
    /// Set by a client that prefers an error to waiting for a leader.
    HasLeader,
    /// Set by a JSON gateway on every call, ours and that of others.
    GatewayAccept,
}

impl Field {
    fn name(self) -> &'static str {
        NAMES[self as usize]
    }

    fn tag(self) -> http2::Tag {
        http2::Tag(self as u8)
    }
}

/// The fields of a request.
pub(crate) trait Fields: Send + Sync {
    /// Calls `visit` with each value of a field, in order.
    fn each(&self, field: Field, visit: &mut dyn FnMut(&[u8]));

    /// The first value of a field.
    fn get(&self, field: Field) -> Option<&[u8]>;

    /// The last value of a field.
    fn last(&self, field: Field) -> Option<&[u8]>;

    /// All fields, as a map.
    fn to_map(&self) -> Cow<'_, HeaderMap>;
}

impl dyn Fields + '_ {
    /// The first value of a field as text; `None` if it is absent or not visible ASCII.
    pub(crate) fn text(&self, field: Field) -> Option<&str> {
        as_text(self.get(field)?)
    }
}

/// Returns a value as text, by the rule of [`HeaderValue::to_str`].
pub(crate) fn as_text(value: &[u8]) -> Option<&str> {
    let is_visible = value.iter().all(|byte| *byte == b'\t' || (b' '..0x7f).contains(byte));
    std::str::from_utf8(value).ok().filter(|_| is_visible)
}

impl Fields for HeaderMap {
    fn each(&self, field: Field, visit: &mut dyn FnMut(&[u8])) {
        self.get_all(field.name()).iter().for_each(|value| visit(value.as_bytes()));
    }

    fn get(&self, field: Field) -> Option<&[u8]> {
        Self::get(self, field.name()).map(HeaderValue::as_bytes)
    }

    fn last(&self, field: Field) -> Option<&[u8]> {
        self.get_all(field.name()).iter().next_back().map(HeaderValue::as_bytes)
    }

    fn to_map(&self) -> Cow<'_, HeaderMap> {
        Cow::Borrowed(self)
    }
}

impl Fields for http2::Head {
    fn each(&self, field: Field, visit: &mut dyn FnMut(&[u8])) {
        self.values(field.tag()).for_each(visit);
    }

    fn get(&self, field: Field) -> Option<&[u8]> {
        Self::get(self, field.tag())
    }

    fn last(&self, field: Field) -> Option<&[u8]> {
        self.values(field.tag()).next_back()
    }

    fn to_map(&self) -> Cow<'_, HeaderMap> {
        let mut map = HeaderMap::new();
        for (name, value) in self.fields() {
            // The connection has checked both by the same rules.
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
                map.append(name, value);
            }
        }
        Cow::Owned(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_the_order_of_fields() {
        for (field, name) in [
            (Field::ContentType, "content-type"),
            (Field::GrpcTimeout, "grpc-timeout"),
            (Field::GrpcEncoding, "grpc-encoding"),
            (Field::Authorization, "authorization"),
            (Field::Token, "token"),
            (Field::ClientApiVersion, "client-api-version"),
            (Field::HasLeader, "hasleader"),
            (Field::GatewayAccept, "grpcgateway-accept"),
        ] {
            assert_eq!(field.name(), name);
        }
    }

    #[test]
    fn text_is_visible_ascii_as_in_maps() {
        for byte in 0..=u8::MAX {
            let Ok(value) = HeaderValue::from_bytes(&[b'a', byte]) else { continue };
            assert_eq!(as_text(value.as_bytes()), value.to_str().ok(), "{byte}");
        }
    }
}
