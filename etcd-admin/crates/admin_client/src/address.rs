//! The address of a member, as given to `--endpoints`.

use std::fmt;
use std::path::PathBuf;

/// One endpoint. Its text is kept as it was given, because answers name it so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    text: String,
    pub(crate) place: Place,
    pub(crate) encryption: Encryption,
}

/// The target of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Host { name: String, port: u16 },
    Socket(PathBuf),
}

/// The encryption that a scheme implies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encryption {
    Never,
    Always,
    /// No scheme: when certificates were given.
    IfConfigured,
}

/// The reason why a text is no endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an endpoint: {reason}; write it as https://HOST:2379, HOST:2379 or unix:///PATH")]
pub struct AddressError {
    text: String,
    reason: &'static str,
}

impl Address {
    pub(crate) fn parse(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        let wrong = |reason| AddressError { text: text.to_owned(), reason };
        // gRPC's own spelling of a socket has no slashes.
        let socket = ["unix", "unixs"]
            .into_iter()
            .find_map(|scheme| Some((scheme, text.strip_prefix(scheme)?.strip_prefix(':')?)));
        let (scheme, rest) = match (text.split_once("://"), socket) {
            (Some((scheme, rest)), _) | (None, Some((scheme, rest))) => (Some(scheme), rest),
            (None, None) => (None, text),
        };
        let (encryption, socket) = match scheme {
            None => (Encryption::IfConfigured, false),
            Some("http") => (Encryption::Never, false),
            Some("https") => (Encryption::Always, false),
            Some("unix") => (Encryption::IfConfigured, true),
            Some("unixs") => (Encryption::Always, true),
            Some(_) => return Err(wrong("only http, https, unix and unixs are known")),
        };
        let place = if socket {
            // A second slash begins an absolute path; `unix://host:port` is a file of that name, as
            // in etcd.
            Place::Socket(PathBuf::from(rest))
        } else {
            let rest = rest.strip_suffix('/').unwrap_or(rest);
            if rest.contains('/') {
                return Err(wrong("it has a path"));
            }
            host(rest).map_err(wrong)?
        };
        Ok(Self { text: text.to_owned(), place, encryption })
    }

    /// Returns another listener of the same host. `None` for a socket.
    pub(crate) fn listener(&self, scheme: &str, port: u16) -> Option<Self> {
        match &self.place {
            Place::Host { name, .. } if name.contains(':') => Self::parse(&format!("{scheme}://[{name}]:{port}")).ok(),
            Place::Host { name, .. } => Self::parse(&format!("{scheme}://{name}:{port}")).ok(),
            Place::Socket(_) => None,
        }
    }

    /// Returns the `:authority` of a request.
    pub(crate) fn authority(&self) -> String {
        match &self.place {
            Place::Host { name, port } if name.contains(':') => format!("[{name}]:{port}"),
            Place::Host { name, port } => format!("{name}:{port}"),
            Place::Socket(_) => "localhost".to_owned(),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn host(text: &str) -> Result<Place, &'static str> {
    let (name, port) = match text.strip_prefix('[') {
        Some(inner) => {
            let (name, rest) = inner.split_once(']').ok_or("a bracket is not closed")?;
            (name, rest.strip_prefix(':').ok_or("it has no port")?)
        }
        None => text.rsplit_once(':').ok_or("it has no port")?,
    };
    if name.is_empty() {
        return Err("it has no host");
    }
    if !text.starts_with('[') && name.contains(':') {
        return Err("an IPv6 address must be in brackets");
    }
    let port = port.parse().map_err(|_| "its port is not a number up to 65535")?;
    Ok(Place::Host { name: name.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_as_etcdctl_reads_them() {
        let host = |name: &str, port| Place::Host { name: name.to_owned(), port };
        for (text, place, encryption) in [
            ("127.0.0.1:2379", host("127.0.0.1", 2379), Encryption::IfConfigured),
            ("http://m1.example.org:2379", host("m1.example.org", 2379), Encryption::Never),
            (" https://[::1]:2379/ ", host("::1", 2379), Encryption::Always),
            ("unix:localhost:20000", Place::Socket("localhost:20000".into()), Encryption::IfConfigured),
            ("unixs:/run/etcd.sock", Place::Socket("/run/etcd.sock".into()), Encryption::Always),
            ("unix:///run/etcd.sock", Place::Socket("/run/etcd.sock".into()), Encryption::IfConfigured),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!(
                (address.place, address.encryption, address.text.as_str()),
                (place, encryption, text.trim()),
                "{text}"
            );
        }
        assert_eq!(Address::parse("https://[::1]:2379").unwrap().authority(), "[::1]:2379");
        for (text, says) in [
            ("m1", "no port"),
            ("http://m1:2379/v3", "has a path"),
            ("ftp://m1:2379", "only http"),
            ("http://:2379", "no host"),
            ("::1:2379", "in brackets"),
            ("m1:99999", "not a number"),
        ] {
            assert!(Address::parse(text).unwrap_err().to_string().contains(says), "{text}");
        }
    }
}
