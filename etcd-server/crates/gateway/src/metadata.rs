//! The HTTP headers that become gRPC metadata, and the deadline of a call.
//!
//! `Authorization` and `Grpc-Metadata-*` pass; nothing else does, so no header can pose as the
//! transport's own. `grpcgateway-accept` is always set: the service takes it as the sign that the
//! caller's TLS identity is not to be used (CVE-2018-16886).

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http::header::{ACCEPT, AUTHORIZATION, HOST, HeaderName};
use http::{HeaderMap, HeaderValue};
use tonic::Code;

use crate::status::RpcError;

const PREFIX: &str = "grpc-metadata-";
const GATEWAY_ACCEPT: HeaderName = HeaderName::from_static("grpcgateway-accept");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(crate) const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The metadata of the call that these request headers ask for.
pub(crate) fn forward(headers: &HeaderMap, remote: Option<SocketAddr>) -> Result<HeaderMap, RpcError> {
    let mut metadata = HeaderMap::new();
    for (name, value) in headers {
        if *name == AUTHORIZATION && is_text(value) {
            metadata.append(AUTHORIZATION, value.clone());
        } else if let Some(key) = name.as_str().strip_prefix(PREFIX) {
            forward_prefixed(&mut metadata, key, value)?;
        }
    }
    let accept = headers.get(ACCEPT).filter(|value| is_text(value)).cloned();
    metadata.insert(GATEWAY_ACCEPT, accept.unwrap_or(HeaderValue::from_static("*/*")));
    if let Some(host) = headers.get(HOST).filter(|value| is_text(value)) {
        metadata.insert(FORWARDED_HOST, host.clone());
    }
    if let Some(address) = remote.and_then(|remote| HeaderValue::from_str(&remote.ip().to_string()).ok()) {
        metadata.insert(FORWARDED_FOR, address);
    }
    Ok(metadata)
}

fn forward_prefixed(metadata: &mut HeaderMap, key: &str, value: &HeaderValue) -> Result<(), RpcError> {
    let Ok(name) = HeaderName::from_bytes(key.as_bytes()) else {
        return Err(RpcError::new(Code::Internal, "there is an empty key in the header"));
    };
    if is_reserved(&name) {
        return Ok(());
    }
    if key.ends_with("-bin") {
        metadata.append(name, binary(key, value)?);
    } else if is_text(value) {
        metadata.append(name, value.clone());
    }
    Ok(())
}

/// Names that belong to the transport or that this module sets itself.
fn is_reserved(name: &HeaderName) -> bool {
    let own = [GATEWAY_ACCEPT, FORWARDED_FOR, FORWARDED_HOST];
    let transport = [
        "connection",
        "content-length",
        "content-type",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    ];
    own.contains(name) || name.as_str().starts_with("grpc-") || transport.contains(&name.as_str())
}

/// Binary metadata travels as base64 without padding.
fn binary(key: &str, value: &HeaderValue) -> Result<HeaderValue, RpcError> {
    let text = value.to_str().unwrap_or_default().trim_end_matches('=');
    let bytes = STANDARD_NO_PAD.decode(text).map_err(|error| {
        let at = match error {
            base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => at,
            base64::DecodeError::InvalidLength(_) | base64::DecodeError::InvalidPadding => text.len(),
        };
        let header = canonical(&format!("{PREFIX}{key}"));
        RpcError::new(
            Code::InvalidArgument,
            format!("invalid binary header {header}: illegal base64 data at input byte {at}"),
        )
    })?;
    HeaderValue::from_str(&STANDARD_NO_PAD.encode(bytes))
        .map_err(|error| RpcError::new(Code::Internal, error.to_string()))
}

/// `grpc-metadata-x` as `Grpc-Metadata-X`.
pub(crate) fn canonical(name: &str) -> String {
    let words = name.split('-').map(|word| match word.split_at_checked(1) {
        Some((first, rest)) => first.to_ascii_uppercase() + rest,
        None => word.to_owned(),
    });
    words.collect::<Vec<_>>().join("-")
}

/// Printable ASCII, as gRPC wants text metadata; grpc-gateway drops other values without a word.
fn is_text(value: &HeaderValue) -> bool {
    value.as_bytes().iter().all(|byte| matches!(byte, 0x20..=0x7e))
}

/// The `Grpc-Timeout` header; zero means none, as in grpc-gateway.
pub(crate) fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, RpcError> {
    let Some(value) = headers.get(GRPC_TIMEOUT).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(value.as_bytes());
    match parse_timeout(&text) {
        Some(timeout) => Ok(Some(timeout).filter(|timeout| !timeout.is_zero())),
        None => Err(RpcError::new(Code::InvalidArgument, format!("invalid grpc-timeout: {text}"))),
    }
}

/// A timeout as the service reads it: at most eight digits, rounded up.
pub(crate) fn encode_timeout(timeout: Duration) -> HeaderValue {
    const DIGITS_MAX: u128 = 99_999_999;
    let nanos = timeout.as_nanos();
    let units = [(1, "n"), (1_000, "u"), (1_000_000, "m"), (1_000_000_000, "S"), (60_000_000_000, "M")];
    let fitting =
        units.into_iter().map(|(unit, name)| (nanos.div_ceil(unit), name)).find(|(amount, _)| *amount <= DIGITS_MAX);
    let (amount, name) = fitting.unwrap_or((DIGITS_MAX, "H"));
    HeaderValue::try_from(format!("{amount}{name}")).unwrap_or(HeaderValue::from_static("99999999H"))
}

fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len() - 1)?;
    let amount: u32 = digits.parse().ok()?;
    let amount_wide = u64::from(amount);
    Some(match unit {
        "H" => Duration::from_secs(amount_wide * 3600),
        "M" => Duration::from_secs(amount_wide * 60),
        "S" => Duration::from_secs(amount_wide),
        "m" => Duration::from_millis(amount_wide),
        "u" => Duration::from_micros(amount_wide),
        "n" => Duration::from_nanos(amount_wide),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn only_what_is_meant_for_the_service_passes() {
        let given = headers(&[
            ("authorization", "token"),
            ("cookie", "c"),
            ("grpc-metadata-hasleader", "true"),
            ("grpc-metadata-token", "t"),
            ("grpc-metadata-x-bin", "AQI="),
            ("grpc-metadata-grpc-encoding", "gzip"),
            ("grpc-metadata-content-type", "x"),
            ("grpc-metadata-grpcgateway-accept", "spoof"),
            ("token", "not this one"),
        ]);
        let want = headers(&[
            ("authorization", "token"),
            ("hasleader", "true"),
            ("token", "t"),
            ("x-bin", "AQI"),
            ("grpcgateway-accept", "*/*"),
            ("x-forwarded-for", "10.0.0.1"),
        ]);
        assert_eq!(forward(&given, Some(([10, 0, 0, 1], 5).into())), Ok(want));
    }

    /// Texts recorded from etcd 3.5.30.
    #[test]
    fn bad_headers_are_refused() {
        let error = forward(&headers(&[("grpc-metadata-x-bin", "!!")]), None).unwrap_err();
        assert_eq!(error.message, "invalid binary header Grpc-Metadata-X-Bin: illegal base64 data at input byte 0");
        let error = forward(&headers(&[("grpc-metadata-", "a")]), None).unwrap_err();
        assert_eq!((error.code, error.message.as_str()), (Code::Internal, "there is an empty key in the header"));
    }

    #[test]
    fn encodes_timeouts_with_at_most_eight_digits() {
        for (timeout, encoded) in [
            (Duration::from_nanos(1), "1n"),
            (Duration::from_millis(500), "500000u"),
            (Duration::from_secs(5), "5000000u"),
            (Duration::from_secs(7200), "7200000m"),
            (Duration::from_secs(123_456_789), "2057614M"),
        ] {
            assert_eq!(encode_timeout(timeout), encoded);
        }
    }

    #[test]
    fn timeouts() {
        let timeout = |value| timeout(&headers(&[("grpc-timeout", value)]));
        assert_eq!(timeout("5S"), Ok(Some(Duration::from_secs(5))));
        assert_eq!(timeout("2H"), Ok(Some(Duration::from_secs(7200))));
        assert_eq!(timeout("1n"), Ok(Some(Duration::from_nanos(1))));
        assert_eq!(timeout("123456789S"), Ok(Some(Duration::from_secs(123_456_789))));
        assert_eq!(timeout("0S"), Ok(None));
        for bad in ["bad", "S", "5", "5x", "-1S", "99999999999S"] {
            assert_eq!(timeout(bad).unwrap_err().message, format!("invalid grpc-timeout: {bad}"));
        }
    }
}
