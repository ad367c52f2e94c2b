//! `--auth-token`: which tokens this member gives out and takes. Reads the option's text; key files
//! are read by the caller.

use crate::duration;
use jsonwebtoken::Algorithm;
use std::time::Duration;

/// Time to live of a JWT when `ttl` is not given.
const JWT_TTL_DEFAULT: Duration = Duration::from_secs(300);

/// The reason why `--auth-token` cannot be used. Each text begins with etcd's and then names the
/// option at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenOptionError {
    /// The kind of token is none that exists.
    #[error("auth: invalid auth options: --auth-token={kind} is neither simple nor jwt")]
    UnknownKind {
        /// The given text.
        kind: String,
    },
    /// A part after the first comma is not `name=value`.
    #[error("auth: invalid auth options: {part:?} in --auth-token is not name=value")]
    NotAPair {
        /// The part.
        part: String,
    },
    /// A part is given more than once.
    #[error("auth: invalid auth options: {name} is given twice in --auth-token")]
    Duplicate {
        /// The option's name.
        name: String,
    },
    /// `ttl` is no duration, or a negative one.
    #[error("auth: invalid auth options: ttl={value} is not a duration such as 5m")]
    BadTtl {
        /// The given text.
        value: String,
    },
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

/// The parsed value of `--auth-token`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenOptions {
    /// Empty: no tokens are given out or taken; only certificates identify.
    None,
    /// `simple`, the default.
    Simple,
    /// `jwt,…`.
    Jwt(JwtOptions),
}

/// The parsed value of `--auth-token jwt,…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtOptions {
    /// `sign-method`.
    pub sign_method: SignMethod,
    /// `pub-key`: path of a file, if given.
    pub public_key_file: Option<String>,
    /// `priv-key`: path of a file, if given.
    pub private_key_file: Option<String>,
    /// `ttl`.
    pub ttl: Duration,
    /// Names that mean nothing; etcd warns of them and goes on.
    pub unknown: Vec<String>,
}

impl TokenOptions {
    /// Reads the option's text.
    ///
    /// # Errors
    /// A [`TokenOptionError`] that names the part at fault.
    pub fn parse(text: &str) -> Result<Self, TokenOptionError> {
        let mut parts = text.split(',');
        let kind = parts.next().unwrap_or_default();
        let pairs = pairs(parts)?;
        match kind {
            "" => Ok(Self::None),
            "simple" => Ok(Self::Simple),
            "jwt" => JwtOptions::from_pairs(&pairs).map(Self::Jwt),
            _ => Err(TokenOptionError::UnknownKind { kind: kind.to_owned() }),
        }
    }
}

fn pairs<'a>(parts: impl Iterator<Item = &'a str>) -> Result<Vec<(&'a str, &'a str)>, TokenOptionError> {
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    for part in parts {
        let pair = part.split_once('=').filter(|(_, value)| !value.contains('='));
        let (name, value) = pair.ok_or_else(|| TokenOptionError::NotAPair { part: part.to_owned() })?;
        if pairs.iter().any(|(other, _)| *other == name) {
            return Err(TokenOptionError::Duplicate { name: name.to_owned() });
        }
        pairs.push((name, value));
    }
    Ok(pairs)
}

impl JwtOptions {
    fn from_pairs(pairs: &[(&str, &str)]) -> Result<Self, TokenOptionError> {
        let given = |name: &str| {
            pairs.iter().find(|(other, _)| *other == name).map(|(_, value)| *value).filter(|value| !value.is_empty())
        };
        let ttl = match given("ttl") {
            None => JWT_TTL_DEFAULT,
            Some(value) => {
                duration::parse(value).ok_or_else(|| TokenOptionError::BadTtl { value: value.to_owned() })?
            }
        };
        let known = ["sign-method", "pub-key", "priv-key", "ttl"];
        Ok(Self {
            sign_method: SignMethod::named(given("sign-method").unwrap_or_default())?,
            public_key_file: given("pub-key").map(str::to_owned),
            private_key_file: given("priv-key").map(str::to_owned),
            ttl,
            unknown: pairs
                .iter()
                .filter(|(name, _)| !known.contains(name))
                .map(|(name, _)| (*name).to_owned())
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_defaults() {
        assert_eq!(TokenOptions::parse(""), Ok(TokenOptions::None));
        assert_eq!(TokenOptions::parse("simple"), Ok(TokenOptions::Simple));
        let expected = JwtOptions {
            sign_method: library("RS256", Algorithm::RS256),
            public_key_file: Some("/a.pub".into()),
            private_key_file: None,
            ttl: Duration::from_secs(300),
            unknown: vec!["color".into()],
        };
        assert_eq!(
            TokenOptions::parse("jwt,pub-key=/a.pub,sign-method=RS256,color=red,priv-key="),
            Ok(TokenOptions::Jwt(expected))
        );
    }

    #[test]
    fn errors_name_the_part_at_fault() {
        let message = |text| TokenOptions::parse(text).unwrap_err().to_string();
        assert_eq!(message("magic"), "auth: invalid auth options: --auth-token=magic is neither simple nor jwt");
        assert_eq!(message("jwt,ttl"), "auth: invalid auth options: \"ttl\" in --auth-token is not name=value");
        assert_eq!(message("jwt,ttl=1m,ttl=2m"), "auth: invalid auth options: ttl is given twice in --auth-token");
        assert_eq!(message("jwt,ttl=-1m"), "auth: invalid auth options: ttl=-1m is not a duration such as 5m");
        let list = "is not one of RS, PS, ES, HS256/384/512, EdDSA";
        assert_eq!(message("jwt"), format!("auth: invalid auth options: sign-method=\"\" {list}"));
        assert_eq!(
            message("jwt,sign-method=rs256"),
            format!("auth: invalid auth options: sign-method=\"rs256\" {list}")
        );
    }
}
