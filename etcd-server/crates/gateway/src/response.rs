//! The answers that every part gives alike: plain texts with the headers of Go's net/http, JSON,
//! empty bodies.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};

/// The error of a body or a service.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Bodies of requests and answers. An error in an answer's body breaks the connection, as it must:
/// the status line is out.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(crate) const PLAIN_TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// An answer with a body and its type.
pub(crate) fn respond(status: StatusCode, content_type: HeaderValue, bytes: impl Into<Bytes>) -> Response<Body> {
    let mut response = empty(status);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    *response.body_mut() = whole(bytes);
    response
}

pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(whole(Bytes::new()));
    *response.status_mut() = status;
    response
}

/// A text that no browser may take for anything else; `text` brings its own line end.
pub(crate) fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = respond(status, PLAIN_TEXT, text);
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

pub(crate) fn not_found() -> Response<Body> {
    text(StatusCode::NOT_FOUND, "404 page not found\n")
}

pub(crate) fn only_get() -> Response<Body> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
    response
}

/// A request that Go's net/http refuses before any handler sees it.
pub(crate) fn bad_request(detail: &str) -> Response<Body> {
    respond(StatusCode::BAD_REQUEST, PLAIN_TEXT, format!("400 Bad Request{detail}"))
}
