//! Paths as Go's server sees them: percent-decoded, with `.`, `..` and empty segments resolved by a
//! redirect.

use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, Response, StatusCode};

use crate::response::{Body, empty, whole};

/// The decoded path, or `None` for a broken escape. Bytes that are no UTF-8 match no path of ours,
/// so they are replaced.
pub(crate) fn decode(path: &str) -> Option<String> {
    let mut bytes = path.bytes();
    let mut decoded = Vec::with_capacity(path.len());
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' { hex(bytes.next()?)? * 16 + hex(bytes.next()?)? } else { byte });
    }
    Some(String::from_utf8_lossy(&decoded).into_owned())
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// The path without `.`, `..` and empty segments; a slash at the end stays.
pub(crate) fn clean(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            _ => kept.push(segment),
        }
    }
    let slash = if path.ends_with('/') && !kept.is_empty() { "/" } else { "" };
    format!("/{}{slash}", kept.join("/"))
}

/// Sends the client to `path`.
pub(crate) fn redirect(method: &Method, path: &str, query: Option<&str>) -> Response<Body> {
    let mut target = encode(path);
    if let Some(query) = query {
        target = format!("{target}?{query}");
    }
    let Ok(location) = HeaderValue::from_str(&target) else { return empty(StatusCode::BAD_REQUEST) };
    let mut response = empty(StatusCode::TEMPORARY_REDIRECT);
    response.headers_mut().insert(LOCATION, location);
    if matches!(*method, Method::GET | Method::HEAD) {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        let link = target
            .replace('&', "&amp;")
            .replace('"', "&#34;")
            .replace('\'', "&#39;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        *response.body_mut() = whole(format!("<a href=\"{link}\">Temporary Redirect</a>.\n\n"));
    }
    response
}

fn encode(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~$&+,:;=@".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded() {
        assert_eq!(decode("/v3/kv%2Frange").as_deref(), Some("/v3/kv/range"));
        for broken in ["/a%zz", "/a%2", "/a%", "/%+1"] {
            assert_eq!(decode(broken), None, "{broken}");
        }
    }

    #[test]
    fn paths_are_cleaned_as_go_does() {
        for (path, cleaned) in [
            ("/", "/"),
            ("//health", "/health"),
            ("/v3/../debug", "/debug"),
            ("/v3/./kv/range", "/v3/kv/range"),
            ("/../..", "/"),
            ("/v3//", "/v3/"),
            ("/a/..//", "/"),
            ("/v3/kv/range", "/v3/kv/range"),
        ] {
            assert_eq!(clean(path), cleaned, "{path}");
        }
    }

    #[test]
    fn a_redirect_cannot_be_made_to_carry_markup_or_headers() {
        let response = redirect(&Method::GET, "/a\r\nX: y<b>", Some("q=\"<"));
        assert_eq!(response.headers()[LOCATION], "/a%0D%0AX:%20y%3Cb%3E?q=\"<");
    }
}
