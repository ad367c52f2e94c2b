//! Common parts of all tokens: extraction from a header, and the form for logs.

use sha2::{Digest, Sha256};
use std::fmt;

/// The token in a `token` or `authorization` header: without a leading `Bearer `.
pub fn strip_bearer(header: &str) -> &str {
    header.strip_prefix("Bearer ").unwrap_or(header)
}

/// The one form in which a token may be logged: the first six bytes of its SHA-256, in hex.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 6]);

impl Fingerprint {
    /// The fingerprint of `token`.
    pub fn of(token: &str) -> Self {
        let digest = Sha256::digest(token);
        Self(std::array::from_fn(|at| digest[at]))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearer_is_stripped_once_and_only_in_front() {
        assert_eq!(
            ["Bearer abc", "abc", "bearer abc", "Bearer Bearer x"].map(strip_bearer),
            ["abc", "abc", "bearer abc", "Bearer x"]
        );
    }

    #[test]
    fn fingerprint_is_short_and_of_the_digest() {
        assert_eq!(Fingerprint::of("abc").to_string(), "ba7816bf8f01");
    }
}
