//! Names in certificates: hosts and addresses, and the name constraints of a CA.

use rcgen::{CidrSubnet, GeneralSubtree, SanType};
use std::fmt;
use std::net::IpAddr;

/// A subject alternative name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// A host, lower case; the first label may be `*`.
    Dns(String),
    Ip(IpAddr),
    /// Of a kind that no part of etcd looks at: mail addresses, URIs. Kept to be shown.
    Other(String),
}

/// A text that is neither a host nor an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is neither a host name nor an IP address: {reason}")]
pub struct NameError {
    pub text: String,
    pub reason: &'static str,
}

impl Name {
    /// A host name, an IP address, or a URL of which the host is meant. The kind is found out.
    ///
    /// # Errors
    /// When it is none of them.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let host = host_of(text);
        if let Ok(address) = host.parse() {
            return Ok(Self::Ip(address));
        }
        let error = |reason| NameError { text: text.to_owned(), reason };
        check_host(host).map_err(error)?;
        Ok(Self::Dns(host.trim_end_matches('.').to_ascii_lowercase()))
    }

    /// Returns `true` if it names only the machine itself.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Dns(host) => host == "localhost" || host.ends_with(".localhost"),
            Self::Ip(address) => address.is_loopback(),
            Self::Other(_) => false,
        }
    }

    /// Returns `true` if a certificate with this name stands for `wanted`; a wildcard stands for
    /// one label.
    #[must_use]
    pub fn covers(&self, wanted: &Self) -> bool {
        match (self, wanted) {
            (Self::Dns(own), Self::Dns(wanted)) => match (own.strip_prefix("*."), wanted.split_once('.')) {
                (Some(domain), Some((_, rest))) => domain == rest || own == wanted,
                _ => own == wanted,
            },
            _ => self == wanted,
        }
    }

    pub(crate) fn to_rcgen(&self) -> Result<SanType, rcgen::Error> {
        Ok(match self {
            Self::Dns(host) => SanType::DnsName(host.as_str().try_into()?),
            Self::Ip(address) => SanType::IpAddress(*address),
            Self::Other(uri) => SanType::URI(uri.as_str().try_into()?),
        })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(host) => f.write_str(host),
            Self::Ip(address) => address.fmt(f),
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// The host of a URL; anything else as it is.
fn host_of(text: &str) -> &str {
    let Some((_, rest)) = text.split_once("://") else { return text.trim_start_matches('[').trim_end_matches(']') };
    let ca = rest.split('/').next().unwrap_or_default();
    if let Some(literal) = ca.strip_prefix('[') {
        return literal.split(']').next().unwrap_or_default();
    }
    ca.rsplit_once(':').map_or(ca, |(host, _)| host)
}

fn check_host(host: &str) -> Result<(), &'static str> {
    let plain = host.strip_prefix("*.").unwrap_or(host);
    let plain = plain.strip_suffix('.').unwrap_or(plain);
    if plain.is_empty() {
        return Err("it is empty");
    }
    if plain.len() > 253 {
        return Err("it is longer than 253 characters");
    }
    for label in plain.split('.') {
        if label.is_empty() || label.len() > 63 {
            return Err("each part between dots has 1 to 63 characters");
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err("no part between dots begins or ends with a dash");
        }
        if !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') {
            return Err("letters, digits, dashes and dots are allowed, and * as the whole first part");
        }
    }
    if plain.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err("it has the form of an address and is not one");
    }
    Ok(())
}

/// A name constraint of a CA: a domain with all below it, or a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Constraint {
    Domain(String),
    Network { address: IpAddr, prefix: u8 },
}

impl Constraint {
    /// `example.org`, `10.0.0.0/8` or a single address.
    ///
    /// # Errors
    /// When it is neither.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let error = |reason| NameError { text: text.to_owned(), reason };
        if let Some((address, prefix)) = text.split_once('/') {
            let address: IpAddr = address.parse().map_err(|_| error("a network is written as ADDRESS/BITS"))?;
            let bits = if address.is_ipv4() { 32 } else { 128 };
            let prefix = prefix.parse().ok().filter(|prefix| *prefix <= bits);
            return Ok(Self::Network {
                address,
                prefix: prefix.ok_or_else(|| error("a network is written as ADDRESS/BITS"))?,
            });
        }
        match Name::parse(text.trim_start_matches('.'))? {
            Name::Ip(address) => Ok(Self::Network { address, prefix: if address.is_ipv4() { 32 } else { 128 } }),
            Name::Dns(domain) if !domain.starts_with('*') => Ok(Self::Domain(domain)),
            Name::Dns(_) | Name::Other(_) => Err(error("a domain covers all below it without a wildcard")),
        }
    }

    pub(crate) fn to_rcgen(&self) -> GeneralSubtree {
        match self {
            Self::Domain(domain) => GeneralSubtree::DnsName(domain.clone()),
            Self::Network { address, prefix } => {
                GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(*address, *prefix))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_found_out() {
        for (text, name) in [
            ("Etcd1.Example.org", Name::Dns("etcd1.example.org".to_owned())),
            ("10.0.0.1", Name::Ip([10, 0, 0, 1].into())),
            ("::1", Name::Ip("::1".parse().unwrap())),
            ("[::1]", Name::Ip("::1".parse().unwrap())),
            ("https://10.0.0.1:2379", Name::Ip([10, 0, 0, 1].into())),
            ("https://[fd00::1]:2379", Name::Ip("fd00::1".parse().unwrap())),
            ("https://etcd1:2380/", Name::Dns("etcd1".to_owned())),
            ("*.example.org", Name::Dns("*.example.org".to_owned())),
        ] {
            assert_eq!(Name::parse(text), Ok(name), "{text}");
        }
        for text in ["", "a b", "-a", "a..b", "1.2.3.400", "a.*.b", "*", "a/b", "bücher.example"] {
            assert!(Name::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_wildcard_covers_one_label() {
        let wild = Name::parse("*.example.org").unwrap();
        assert!(wild.covers(&Name::parse("a.example.org").unwrap()));
        assert!(!wild.covers(&Name::parse("a.b.example.org").unwrap()));
        assert!(!wild.covers(&Name::parse("example.org").unwrap()));
    }

    #[test]
    fn constraints_are_domains_and_networks() {
        assert_eq!(Constraint::parse("example.org"), Ok(Constraint::Domain("example.org".to_owned())));
        assert_eq!(
            Constraint::parse("10.0.0.0/8"),
            Ok(Constraint::Network { address: [10, 0, 0, 0].into(), prefix: 8 })
        );
        assert_eq!(
            Constraint::parse("10.0.0.1"),
            Ok(Constraint::Network { address: [10, 0, 0, 1].into(), prefix: 32 })
        );
        for text in ["10.0.0.0/33", "a/8", "*.example.org", ""] {
            assert!(Constraint::parse(text).is_err(), "{text}");
        }
    }
}
