//! The head of a gRPC call: content type, method and deadline, checked before anything of the call
//! is read.
//!
//! The rules and texts are grpc-go's, which has two servers: the one behind a listener that serves
//! gRPC alone or in the clear answers refusals as gRPC (internal/transport/http2_server.go,
//! operateHeaders), the one behind a TLS listener shared with HTTP answers them as plain text
//! (internal/transport/handler_server.go). A content type that a web page may send without asking
//! first never runs a call.

use crate::fields::{Field, Fields};
use bytes::Bytes;
use go_text::quoted;
use http::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use std::time::Duration;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};

const GRPC: &str = "application/grpc";
const CONTENT_TYPE_OPTIONS: HeaderName = HeaderName::from_static("x-content-type-options");
/// Digits and unit.
const TIMEOUT_BYTES_MAX: usize = 9;
/// Of tokio's timers.
const TIMER_STEP: Duration = Duration::from_millis(2);
/// Longer timeouts are no deadline: the timer would overflow, and the process will not live as
/// long.
const TIMEOUT_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The message of the status of a call whose deadline has passed.
pub(crate) const DEADLINE_EXCEEDED: &str = "context deadline exceeded";

/// The moment at which a call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline(pub(crate) Instant);

impl Deadline {
    fn after(timeout: Duration) -> Option<Self> {
        Instant::now().checked_add(timeout.min(TIMEOUT_MAX)).map(Self)
    }

    /// Returns `true` if it has passed, within the rounding of timers.
    pub(crate) fn has_passed(self) -> bool {
        Instant::now() + TIMER_STEP >= self.0
    }

    /// Waits for it; for ever if there is none.
    pub(crate) async fn wait(deadline: Option<Self>) {
        match deadline {
            Some(Self(at)) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
    }
}

/// The one of grpc-go's two servers that etcd has behind a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    /// Everything on it is gRPC.
    Grpc,
    /// Web requests are served on it too.
    Shared,
}

/// A call that is refused by its head.
#[derive(Debug)]
pub(crate) struct Refusal {
    http: StatusCode,
    status: Status,
}

impl Refusal {
    fn new(http: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Self { http, status: Status::new(code, message) }
    }

    /// The whole response.
    pub(crate) fn into_response(self, listener: Listener) -> Response<Body> {
        // Only refusals with an HTTP status of their own differ.
        if listener == Listener::Grpc || self.http == StatusCode::OK {
            let mut response = self.status.into_http();
            *response.status_mut() = self.http;
            return response;
        }
        let mut response =
            Response::new(Body::new(http_body_util::Full::new(Bytes::from(format!("{}\n", self.status.message())))));
        *response.status_mut() = self.http;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if self.http == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        response
    }
}

/// Checks the head of a call and returns its deadline.
pub(crate) fn check(listener: Listener, method: &[u8], headers: &dyn Fields) -> Result<Option<Deadline>, Refusal> {
    let wrong_method = method != b"POST";
    if wrong_method && listener == Listener::Shared {
        let why = format!("invalid gRPC request method {}", quoted(method));
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, Code::Internal, why));
    }
    let mut names_grpc = false;
    headers.each(Field::ContentType, &mut |kind| names_grpc |= is_grpc(kind));
    if !names_grpc {
        let last = headers.last(Field::ContentType).unwrap_or_default();
        let why = format!("invalid gRPC request content-type {}", quoted(last));
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::InvalidArgument, why));
    }
    // The last of all timeouts, unless one is malformed.
    let mut timeout = Ok(None);
    headers.each(Field::GrpcTimeout, &mut |value| {
        if timeout.is_ok() {
            timeout = parse_timeout(value).map(Some);
        }
    });
    let malformed =
        |why| Refusal::new(StatusCode::BAD_REQUEST, Code::Internal, format!("malformed grpc-timeout: {why}"));
    let timeout = timeout.map_err(malformed)?;
    if wrong_method {
        let why = format!("Received a HEADERS frame with :method {} which should be POST", quoted(method));
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, Code::Internal, why));
    }
    match timeout {
        Some(Duration::ZERO) => Err(Refusal { http: StatusCode::OK, status: deadline_exceeded() }),
        Some(timeout) => Ok(Deadline::after(timeout)),
        None => Ok(None),
    }
}

/// The deadline of a call whose head was checked.
pub(crate) fn deadline_of(headers: &dyn Fields) -> Option<Deadline> {
    parse_timeout(headers.last(Field::GrpcTimeout)?).ok().and_then(Deadline::after)
}

/// The status of a call whose deadline has passed.
pub(crate) fn deadline_exceeded() -> Status {
    Status::deadline_exceeded(DEADLINE_EXCEEDED)
}

/// Returns `true` for a call, by etcd's rule where web requests are served too
/// (server/embed/serve.go, grpcHandlerFunc).
pub(crate) fn is_call(headers: &dyn Fields) -> bool {
    headers.text(Field::ContentType).is_some_and(|kind| kind.contains(GRPC))
}

/// grpc-go's rule: the type itself, or the type and a suffix or parameters.
fn is_grpc(content_type: &[u8]) -> bool {
    content_type.strip_prefix(GRPC.as_bytes()).is_some_and(|rest| matches!(rest, [] | [b'+' | b';', ..]))
}

/// Parses up to eight digits and a unit (grpc-go: internal/transport/http_util.go, decodeTimeout).
fn parse_timeout(value: &[u8]) -> Result<Duration, String> {
    let shown = || quoted(value);
    if value.len() < 2 {
        return Err(format!("transport: timeout string is too short: {}", shown()));
    }
    if value.len() > TIMEOUT_BYTES_MAX {
        return Err(format!("transport: timeout string is too long: {}", shown()));
    }
    let (digits, unit) = value.split_at(value.len() - 1);
    let of_unit: fn(u64) -> Duration = match unit {
        b"H" => |hours| Duration::from_secs(hours * 60 * 60),
        b"M" => |minutes| Duration::from_secs(minutes * 60),
        b"S" => Duration::from_secs,
        b"m" => Duration::from_millis,
        b"u" => Duration::from_micros,
        b"n" => Duration::from_nanos,
        _ => return Err(format!("transport: timeout unit is not recognized: {}", shown())),
    };
    // Go's ParseUint takes no sign, Rust's takes a plus.
    let number = std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()));
    let amount: Option<u64> = number.and_then(|number| number.parse().ok());
    amount.map(of_unit).ok_or_else(|| format!("strconv.ParseUint: parsing {}: invalid syntax", quoted(digits)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, Method};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    fn refused(method: &Method, pairs: &[(&'static str, &'static str)]) -> (u16, Code, String) {
        let refusal = check(Listener::Grpc, method.as_str().as_bytes(), &headers(pairs)).unwrap_err();
        (refusal.http.as_u16(), refusal.status.code(), refusal.status.message().to_owned())
    }

    #[test]
    fn reads_timeouts_of_every_unit() {
        for (value, timeout) in [
            ("2H", Duration::from_secs(7200)),
            ("99999999H", Duration::from_secs(99_999_999 * 3600)),
            ("3M", Duration::from_secs(180)),
            ("5S", Duration::from_secs(5)),
            ("00000005S", Duration::from_secs(5)),
            ("7m", Duration::from_millis(7)),
            ("8u", Duration::from_micros(8)),
            ("9n", Duration::from_nanos(9)),
        ] {
            assert_eq!(parse_timeout(value.as_bytes()), Ok(timeout), "{value}");
        }
    }

    #[test]
    fn refuses_malformed_timeouts_with_texts_of_grpc_go() {
        for (value, why) in [
            ("S", "transport: timeout string is too short: \"S\""),
            ("", "transport: timeout string is too short: \"\""),
            ("123456789S", "transport: timeout string is too long: \"123456789S\""),
            ("5x", "transport: timeout unit is not recognized: \"5x\""),
            ("5", "transport: timeout string is too short: \"5\""),
            ("-5S", "strconv.ParseUint: parsing \"-5\": invalid syntax"),
            ("+5S", "strconv.ParseUint: parsing \"+5\": invalid syntax"),
            ("1.5S", "strconv.ParseUint: parsing \"1.5\": invalid syntax"),
        ] {
            let (http, code, text) =
                refused(&Method::POST, &[("content-type", "application/grpc"), ("grpc-timeout", value)]);
            assert_eq!((http, code, text), (400, Code::Internal, format!("malformed grpc-timeout: {why}")));
        }
    }

    #[test]
    fn refuses_what_is_not_a_grpc_post() {
        let (http, code, text) = refused(&Method::POST, &[("content-type", "text/plain"), ("grpc-timeout", "x")]);
        assert_eq!(
            (http, code, text.as_str()),
            (415, Code::InvalidArgument, "invalid gRPC request content-type \"text/plain\"")
        );
        assert_eq!(refused(&Method::POST, &[]).2, "invalid gRPC request content-type \"\"");
        assert_eq!(refused(&Method::POST, &[("content-type", "application/grpcx")]).0, 415);
        assert_eq!(refused(&Method::POST, &[("content-type", "Application/grpc")]).0, 415);
        let (http, code, text) = refused(&Method::GET, &[("content-type", "application/grpc")]);
        assert_eq!(
            (http, code, text.as_str()),
            (405, Code::Internal, "Received a HEADERS frame with :method \"GET\" which should be POST")
        );
        for accepted in
            ["application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8", "application/grpc+"]
        {
            assert!(check(Listener::Grpc, b"POST", &headers(&[("content-type", accepted)])).is_ok(), "{accepted}");
        }
    }
}
