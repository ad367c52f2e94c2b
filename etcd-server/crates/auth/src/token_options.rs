//! Signed tokens: their methods, options and errors.

use jsonwebtoken::Algorithm;
use std::time::Duration;

/// The reason why `--auth-token` cannot be used. Each text begins with etcd's and then names the
/// option at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenOptionError {
    /// `sign-method` is missing or unknown.
    #[error("auth: invalid auth options: sign-method={method:?} is not one of RS, PS, ES, HS256/384/512, EdDSA")]
    UnknownSignMethod {
        /// The given text.
        method: String,
    },
    /// Neither `pub-key` nor `priv-key` is given, or the one that the method needs is missing or
    /// empty.
    #[error("auth: missing key data: {option} in --auth-token")]
    MissingKey {
        /// The option or options at fault.
        option: &'static str,
    },
    /// A key file's content cannot be read as a key of the method.
    #[error("auth: invalid auth options: {option} in --auth-token holds no key for sign-method={method}: {detail}")]
    BadKey {
        /// `pub-key` or `priv-key`.
        option: &'static str,
        /// The method's name.
        method: &'static str,
        /// The error of the key reader; never the key.
        detail: String,
    },
    /// `pub-key` and `priv-key` do not belong together.
    #[error("auth: public and private keys don't match: pub-key and priv-key in --auth-token")]
    KeyMismatch,
}

/// Sign methods of JWTs, by the names of RFC 7518.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignMethod {
    name: &'static str,
    /// The library's word for it; nothing for ES512, which it lacks.
    pub(crate) algorithm: Option<Algorithm>,
}

const fn library(name: &'static str, algorithm: Algorithm) -> SignMethod {
    SignMethod { name, algorithm: Some(algorithm) }
}

const SIGN_METHODS: [SignMethod; 13] = [
    library("RS256", Algorithm::RS256),
    library("RS384", Algorithm::RS384),
    library("RS512", Algorithm::RS512),
    library("PS256", Algorithm::PS256),
    library("PS384", Algorithm::PS384),
    library("PS512", Algorithm::PS512),
    library("ES256", Algorithm::ES256),
    library("ES384", Algorithm::ES384),
    SignMethod { name: "ES512", algorithm: None },
    library("HS256", Algorithm::HS256),
    library("HS384", Algorithm::HS384),
    library("HS512", Algorithm::HS512),
    library("EdDSA", Algorithm::EdDSA),
];

impl SignMethod {
    /// The method of this name; case matters.
    ///
    /// # Errors
    /// [`TokenOptionError::UnknownSignMethod`].
    pub fn named(method: &str) -> Result<Self, TokenOptionError> {
        let known = SIGN_METHODS.into_iter().find(|known| known.name == method);
        known.ok_or_else(|| TokenOptionError::UnknownSignMethod { method: method.to_owned() })
    }

    /// The method's name.
    pub fn name(self) -> &'static str {
        self.name
    }
}

/// The options of signed tokens, from `--auth-token jwt,…`; the configuration parses the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtOptions {
    /// `sign-method`.
    pub sign_method: SignMethod,
    /// `ttl`: time to live of a token.
    pub ttl: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_unknown_methods_by_name() {
        for method in ["", "rs256", "none"] {
            let text = SignMethod::named(method).unwrap_err().to_string();
            let list = "is not one of RS, PS, ES, HS256/384/512, EdDSA";
            assert_eq!(text, format!("auth: invalid auth options: sign-method={method:?} {list}"));
        }
    }

    #[test]
    fn finds_every_method_by_its_name() {
        assert!(SIGN_METHODS.iter().all(|known| SignMethod::named(known.name()) == Ok(*known)));
    }
}
