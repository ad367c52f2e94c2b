//! The match between a certificate and a host, by the rules of Go's `VerifyHostname`: names of the
//! subject do not count.

use super::ParsedCertificate;
use std::net::IpAddr;

impl ParsedCertificate {
    /// Returns `true` if a subject alternative name stands for `host`, a name or an address, with
    /// or without brackets.
    #[must_use]
    pub fn stands_for(&self, host: &str) -> bool {
        let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if let Ok(address) = literal.parse::<IpAddr>() {
            return self.addresses().any(|own| own.to_canonical() == address.to_canonical());
        }
        let host = host.to_ascii_lowercase();
        self.dns_names().iter().any(|pattern| matches(&pattern.to_ascii_lowercase(), &host))
    }
}

/// Wildcards and trailing dots count in valid names only; others have to be equal.
fn matches(pattern: &str, host: &str) -> bool {
    let (trimmed, is_valid) =
        (host.strip_suffix('.').unwrap_or(host), is_valid_host(host.strip_suffix('.').unwrap_or(host), false));
    if !is_valid || !is_valid_host(pattern, true) {
        return !matches!(pattern, "" | ".") && !matches!(host, "" | ".") && pattern == host;
    }
    match pattern.strip_prefix("*.") {
        Some(domain) => trimmed.split_once('.').is_some_and(|(_, rest)| rest == domain),
        None => pattern == trimmed,
    }
}

fn is_valid_host(host: &str, is_pattern: bool) -> bool {
    if host == "*" {
        return false;
    }
    host.split('.').enumerate().all(|(place, label)| {
        if is_pattern && place == 0 && label == "*" {
            return true;
        }
        !label.is_empty()
            && !label.starts_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    })
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn matches_names_as_go_does() {
        for (pattern, host, good) in [
            ("a.example.org", "a.example.org", true),
            ("a.example.org", "a.example.org.", true),
            ("a.example.org.", "a.example.org", false),
            ("a.example.org.", "a.example.org.", true),
            ("*.example.org", "a.example.org", true),
            ("*.example.org", "example.org", false),
            ("*.example.org", "a.b.example.org", false),
            ("a.*.org", "a.example.org", false),
            ("*", "example", false),
            ("*", "*", true),
            ("a_b.example.org", "a_b.example.org", true),
            ("a b", "a b", true),
            ("-a.example.org", "-a.example.org", true),
            ("", "", false),
            (".", ".", false),
        ] {
            assert_eq!(matches(pattern, host), good, "{pattern:?} for {host:?}");
        }
    }
}
