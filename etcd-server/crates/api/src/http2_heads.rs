//! Heads and trailers between the crate `http2` and the types of the services.

use crate::fields::Fields as _;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use http2::{Connection, End, Head, StreamKey};

/// The stand-in for each byte of an `:authority` that is no URI's: gRPC servers take any.
const STAND_IN: u8 = b'a';

fn fields(map: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    map.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
}

/// Returns `true` for the trailers of a call that succeeded, without anything else.
fn is_ok(trailers: &HeaderMap) -> bool {
    trailers.len() == 1 && trailers.get("grpc-status").is_some_and(|status| status == "0")
}

/// Sends the head of a response: the usual one from its encoded form.
pub(crate) fn send_head(connection: &mut Connection, key: StreamKey, head: &Response<()>, end: End) {
    let fields = fields(head.headers());
    let is_grpc = head.headers().len() == 1
        && head.headers().get(http::header::CONTENT_TYPE).is_some_and(|kind| kind == "application/grpc");
    if is_grpc && head.status() == StatusCode::OK && end == End::Later {
        connection.send_grpc_head(key);
    } else {
        connection.send_head(key, head.status().as_u16(), fields, end);
    }
}

/// Sends the trailers of a response: the usual ones from their encoded form.
pub(crate) fn send_trailers(connection: &mut Connection, key: StreamKey, trailers: &HeaderMap) {
    if is_ok(trailers) {
        connection.send_ok_trailers(key);
    } else {
        connection.send_trailers(key, fields(trailers));
    }
}

/// The request of a head, as services take it; `None` if its method or path is malformed.
pub(crate) fn request_of(head: &Head) -> Option<Request<()>> {
    let mut uri = http::uri::Parts::default();
    uri.authority = head.authority().filter(|authority| !authority.is_empty()).and_then(|authority| {
        let stand_in = || Authority::try_from(&vec![STAND_IN; authority.len()][..]).ok();
        Authority::try_from(authority).ok().or_else(stand_in)
    });
    let method = Method::from_bytes(head.method()).ok()?;
    if method != Method::CONNECT {
        uri.path_and_query = Some(PathAndQuery::try_from(head.path()).ok()?);
        uri.scheme = uri.authority.as_ref().and_then(|_| Scheme::try_from(head.scheme()).ok());
        if uri.scheme.is_none() {
            uri.authority = None;
        }
    }
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from_parts(uri).ok()?;
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = head.to_map().into_owned();
    Some(request)
}
