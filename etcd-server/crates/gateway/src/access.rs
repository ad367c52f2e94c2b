//! Access by host and origin: the host whitelist against DNS rebinding, and CORS.

use std::collections::BTreeSet;

use http::header::{ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ORIGIN};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use crate::response::{Body, text};

/// A set of names in which `*`, or none at all, permits every name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowList(BTreeSet<String>);

impl AllowList {
    /// As given to `--cors` or `--host-whitelist`; names are compared letter by letter, as etcd
    /// does.
    pub fn new(names: impl IntoIterator<Item = impl Into<String>>) -> AllowList {
        AllowList(names.into_iter().map(Into::into).collect())
    }

    /// Returns `true` if every name is permitted.
    pub fn allows_all(&self) -> bool {
        self.0.is_empty() || self.0.contains("*")
    }

    /// Returns `true` if `name` is allowed.
    pub fn allows(&self, name: &str) -> bool {
        self.allows_all() || self.0.contains(name)
    }
}

/// The host of a `Host` header, without its port.
pub(crate) fn host_name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => match name.strip_prefix('[') {
            Some(address) => address.strip_suffix(']').unwrap_or(host),
            None if name.contains(':') => host,
            None => name,
        },
        Some(_) | None => host,
    }
}

/// The answer to a host that is not whitelisted. Anything that could be markup is left out of the
/// name.
pub(crate) fn misdirected(host: &str) -> Response<Body> {
    let host: String = host.chars().filter(|c| c.is_ascii_alphanumeric() || ".-:[]_".contains(*c)).collect();
    text(
        StatusCode::MISDIRECTED_REQUEST,
        format!(
            "\netcd received your request, but the Host header was unrecognized.\n\n\
             Either serve clients over TLS, where every host name is accepted,\n\
             or add the name to the whitelist, for example: etcd --host-whitelist \"{host}\"\n\n\
             Without the check a web page could reach this server by DNS rebinding (CVE-2018-5702).\n\n"
        ),
    )
}

/// The CORS headers that a request's answer carries; none if its origin is not listed.
pub(crate) fn cors(allowed: &AllowList, request: &HeaderMap) -> HeaderMap {
    let origin = match request.get(ORIGIN) {
        _ if allowed.allows_all() => Some(HeaderValue::from_static("*")),
        Some(origin) => {
            Some(origin.clone()).filter(|origin| origin.to_str().is_ok_and(|origin| allowed.allows(origin)))
        }
        None => None,
    };
    let mut headers = HeaderMap::new();
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("accept, content-type, authorization"));
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST, GET, OPTIONS, PUT, DELETE"));
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_cut_off_hosts() {
        for (host, name) in [
            ("a.b:2379", "a.b"),
            ("a.b", "a.b"),
            ("[::1]:2379", "::1"),
            ("[::1]", "[::1]"),
            ("::1", "::1"),
            ("", ""),
            ("a:b", "a:b"),
            ("a:", "a"),
        ] {
            assert_eq!(host_name(host), name, "{host}");
        }
    }

    #[test]
    fn an_empty_list_and_a_star_allow_all() {
        assert!(AllowList::default().allows("x"));
        assert!(AllowList::new(["a", "*"]).allows("x"));
        assert!(!AllowList::new(["a"]).allows("A"));
    }
}
