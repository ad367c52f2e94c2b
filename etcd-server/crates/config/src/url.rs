//! URLs of listeners and members, by etcd's rules: http, https, unix or unixs; http ones are host
//! and port, nothing else.
//!
//! Not the `url` crate: that one rewrites its input (a slash for the path, no port 80), while
//! member ids are made from the operator's text, and error texts are those of Go's net/url.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::Serialize;
use thiserror::Error;

/// The protocol of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scheme {
    Http,
    Https,
    Unix,
    Unixs,
}

impl Scheme {
    /// True when TLS is spoken.
    #[must_use]
    pub fn is_secure(self) -> bool {
        matches!(self, Self::Https | Self::Unixs)
    }

    fn of(word: &str) -> Option<Self> {
        Some(match word {
            "http" => Self::Http,
            "https" => Self::Https,
            "unix" => Self::Unix,
            "unixs" => Self::Unixs,
            _ => return None,
        })
    }
}

/// The target of a URL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Endpoint {
    /// `host` has no brackets; it may be empty. Port 0 leaves the choice to the system.
    Tcp {
        host: String,
        port: u16,
    },
    Unix(PathBuf),
}

/// A checked URL. Ordered and printed by its text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Url {
    text: String,
    scheme: Scheme,
    endpoint: Endpoint,
}

/// The reason why a text is no URL here. The texts are etcd's (client/pkg/types/urls.go) and Go's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UrlError {
    #[error("URL scheme must be http, https, unix, or unixs: {0}")]
    Scheme(String),
    #[error(r#"URL address does not have the form "host:port": {0}"#)]
    HostPort(String),
    #[error("URL must not contain a path: {0}")]
    Path(String),
    #[error("parse {text:?}: {reason}")]
    Syntax { text: String, reason: String },
    #[error("address {0}: invalid port")]
    Port(String),
    #[error("URL has no socket path: {0}")]
    NoSocketPath(String),
}

impl Url {
    /// Reads one URL; spaces around it are cut off.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let text = text.trim();
        let syntax = |reason: String| UrlError::Syntax { text: text.to_owned(), reason };
        if text.chars().any(|c| c.is_ascii_control()) {
            return Err(syntax("net/url: invalid control character in URL".to_owned()));
        }
        let (scheme_word, rest) = split_scheme(text).map_err(syntax)?;
        let rest = rest.split(['?', '#']).next().unwrap_or(rest);
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
            None => ("", rest),
        };
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        check_host(authority).map_err(syntax)?;
        let scheme_word = scheme_word.to_ascii_lowercase();
        let scheme = Scheme::of(&scheme_word).ok_or_else(|| UrlError::Scheme(text.to_owned()))?;
        let endpoint = match scheme {
            Scheme::Http | Scheme::Https => tcp_endpoint(text, authority, path)?,
            Scheme::Unix | Scheme::Unixs => unix_endpoint(text, authority, path)?,
        };
        Ok(Self { text: format!("{scheme_word}{}", &text[scheme_word.len()..]), scheme, endpoint })
    }

    /// Reads a comma separated list: sorted, without duplicates. An empty text is an empty list.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, UrlError> {
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let mut urls = text.split(',').map(Self::parse).collect::<Result<Vec<_>, _>>()?;
        urls.sort();
        urls.dedup();
        Ok(urls)
    }

    /// The same scheme at another host and port.
    pub(crate) fn at(&self, host: IpAddr, port: u16) -> Self {
        let scheme = self.text.split("://").next().unwrap_or("http");
        let host_text = match host {
            IpAddr::V4(host) => host.to_string(),
            IpAddr::V6(host) => format!("[{host}]"),
        };
        Self {
            text: format!("{scheme}://{host_text}:{port}"),
            scheme: self.scheme,
            endpoint: Endpoint::Tcp { host: host.to_string(), port },
        }
    }

    /// Returns `true` if both lead to the same host and port, or to the same path; spellings of an
    /// address do not matter.
    #[must_use]
    pub fn is_same_place(&self, other: &Self) -> bool {
        match (&self.endpoint, &other.endpoint) {
            (Endpoint::Tcp { host, port }, Endpoint::Tcp { host: other_host, port: other_port }) => {
                port == other_port && canonical(host) == canonical(other_host)
            }
            (own, other) => own == other,
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Returns `true` for sockets, `localhost` and addresses, to which a listener can be bound
    /// without DNS.
    #[must_use]
    pub fn is_bindable(&self) -> bool {
        match &self.endpoint {
            Endpoint::Tcp { host, .. } => host == "localhost" || host.parse::<IpAddr>().is_ok(),
            Endpoint::Unix(_) => true,
        }
    }

    /// True when the host of an http URL is missing.
    #[must_use]
    pub fn has_empty_host(&self) -> bool {
        matches!(&self.endpoint, Endpoint::Tcp { host, .. } if host.is_empty())
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Url {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// The host, an address in its shortest spelling.
pub(crate) fn canonical(host: &str) -> String {
    host.parse::<IpAddr>().map_or_else(|_| host.to_ascii_lowercase(), |address| address.to_string())
}

fn split_scheme(text: &str) -> Result<(&str, &str), String> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c)));
    match end {
        Some(0) if text.starts_with(':') => Err("missing protocol scheme".to_owned()),
        Some(end) if text[end..].starts_with(':') && text.starts_with(|c: char| c.is_ascii_alphabetic()) => {
            Ok((&text[..end], &text[end + 1..]))
        }
        _ if !text.starts_with('/') && text.split('/').next().is_some_and(|first| first.contains(':')) => {
            Err("first path segment in URL cannot contain colon".to_owned())
        }
        _ => Ok(("", text)),
    }
}

fn check_host(authority: &str) -> Result<(), String> {
    let after_host = if authority.starts_with('[') {
        let end = authority.rfind(']').ok_or("missing ']' in host")?;
        &authority[end + 1..]
    } else {
        &authority[authority.rfind(':').unwrap_or(authority.len())..]
    };
    let digits = after_host.strip_prefix(':').unwrap_or("");
    if !after_host.is_empty() && (!after_host.starts_with(':') || !digits.bytes().all(|b| b.is_ascii_digit())) {
        return Err(format!("invalid port {after_host:?} after host"));
    }
    if let Some(start) = authority.find('%').filter(|_| !authority.starts_with('[')) {
        let escape: String = authority[start..].chars().take(3).collect();
        return Err(format!("invalid URL escape {escape:?}"));
    }
    match authority.chars().find(|c| c.is_ascii() && " \"<>\\^`{}|".contains(*c)) {
        Some(bad) => Err(format!("invalid character {:?} in host name", bad.to_string())),
        None => Ok(()),
    }
}

fn tcp_endpoint(text: &str, authority: &str, path: &str) -> Result<Endpoint, UrlError> {
    let host_port = || UrlError::HostPort(text.to_owned());
    let (host, port) = authority.rsplit_once(':').ok_or_else(host_port)?;
    let host = match host.strip_prefix('[') {
        Some(host) => host.strip_suffix(']').ok_or_else(host_port)?,
        None if host.contains(':') => return Err(host_port()),
        None => host,
    };
    if !path.is_empty() {
        return Err(UrlError::Path(text.to_owned()));
    }
    // Go finds a port beyond 65535 only when it binds; here it is known at once.
    let port = if port.is_empty() { 0 } else { port.parse().map_err(|_| UrlError::Port(port.to_owned()))? };
    Ok(Endpoint::Tcp { host: host.to_owned(), port })
}

fn unix_endpoint(text: &str, authority: &str, path: &str) -> Result<Endpoint, UrlError> {
    let has_authority_or_root = !authority.is_empty() || path.starts_with('/');
    if has_authority_or_root {
        Ok(Endpoint::Unix(format!("{authority}{path}").into()))
    } else {
        Err(UrlError::NoSocketPath(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let tcp = |host: &str, port| Endpoint::Tcp { host: host.to_owned(), port };
        for (text, scheme, endpoint, printed) in [
            ("http://127.0.0.1:2379", Scheme::Http, tcp("127.0.0.1", 2379), "http://127.0.0.1:2379"),
            (" HTTPS://a.example:1 ", Scheme::Https, tcp("a.example", 1), "https://a.example:1"),
            ("http://[::1]:2379", Scheme::Http, tcp("::1", 2379), "http://[::1]:2379"),
            ("http://:2379", Scheme::Http, tcp("", 2379), "http://:2379"),
            ("http://1.2.3.4:", Scheme::Http, tcp("1.2.3.4", 0), "http://1.2.3.4:"),
            ("http://u:p@1.2.3.4:5", Scheme::Http, tcp("1.2.3.4", 5), "http://u:p@1.2.3.4:5"),
            ("http://1.2.3.4:5?x=1", Scheme::Http, tcp("1.2.3.4", 5), "http://1.2.3.4:5?x=1"),
            ("unix:///tmp/x", Scheme::Unix, Endpoint::Unix("/tmp/x".into()), "unix:///tmp/x"),
            ("unix:/tmp/x", Scheme::Unix, Endpoint::Unix("/tmp/x".into()), "unix:/tmp/x"),
            ("unixs://foo:1", Scheme::Unixs, Endpoint::Unix("foo:1".into()), "unixs://foo:1"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!((url.scheme(), url.endpoint(), url.as_str()), (scheme, &endpoint, printed), "{text}");
        }
    }

    // Recorded from etcd 3.5.30, except the last two.
    #[test]
    fn errors_are_etcds() {
        for (text, error) in [
            ("http://127.0.0.1:2379/path", "URL must not contain a path: http://127.0.0.1:2379/path"),
            ("http://127.0.0.1:2379/", "URL must not contain a path: http://127.0.0.1:2379/"),
            ("http://127.0.0.1", r#"URL address does not have the form "host:port": http://127.0.0.1"#),
            ("http:///x", r#"URL address does not have the form "host:port": http:///x"#),
            ("localhost:2379", "URL scheme must be http, https, unix, or unixs: localhost:2379"),
            ("ftp://1.2.3.4:1", "URL scheme must be http, https, unix, or unixs: ftp://1.2.3.4:1"),
            ("127.0.0.1:2379", r#"parse "127.0.0.1:2379": first path segment in URL cannot contain colon"#),
            (" ", "URL scheme must be http, https, unix, or unixs: "),
            ("http://[::1:2379", r#"parse "http://[::1:2379": missing ']' in host"#),
            ("http://a:xyz", r#"parse "http://a:xyz": invalid port ":xyz" after host"#),
            ("http:// 1:2", r#"parse "http:// 1:2": invalid character " " in host name"#),
            ("http://%zz:1", r#"parse "http://%zz:1": invalid URL escape "%zz""#),
            ("://x", r#"parse "://x": missing protocol scheme"#),
            ("http://127.0.0.1:99999", "address 99999: invalid port"),
            ("unix://", "URL has no socket path: unix://"),
        ] {
            assert_eq!(Url::parse(text).unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn lists_are_sorted_and_unique() {
        let urls = Url::parse_list("http://b:2,http://a:1,http://b:2").unwrap();
        assert_eq!(urls.iter().map(Url::as_str).collect::<Vec<_>>(), ["http://a:1", "http://b:2"]);
        assert!(Url::parse_list("http://a:1,").is_err());
        assert_eq!(Url::parse_list(""), Ok(vec![]));
    }

    #[test]
    fn only_addresses_and_localhost_can_be_bound() {
        for (text, bindable) in [
            ("http://127.0.0.1:1", true),
            ("http://[::1]:1", true),
            ("http://localhost:1", true),
            ("unix:///x", true),
            ("http://example.com:1", false),
            ("http://:1", false),
            ("http://[fe80::1%25eth0]:1", false),
        ] {
            assert_eq!(Url::parse(text).unwrap().is_bindable(), bindable, "{text}");
        }
    }
}
