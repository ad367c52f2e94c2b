//! User tokens and passwords.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::ConfigError;
use crate::go_duration;
use crate::merged::Merged;
use crate::warning::Warning;

/// etcd's default lifetime of a JWT.
const JWT_TTL: Duration = Duration::from_secs(300);
const BCRYPT_COST_DEFAULT: u32 = 10;
const SIGN_METHODS: &[&str] = &[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512",
];

/// Identification of users, and hashing of passwords.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthSettings {
    pub token: TokenKind,
    /// Work factor of new hashes, 4 to 31.
    pub bcrypt_cost: u32,
    /// Lifetime of an unused simple token.
    pub simple_token_ttl: Duration,
}

/// The kind of tokens handed to users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// An empty `--auth-token`: no login with a password is possible.
    None,
    Simple,
    Jwt(JwtSettings),
}

/// Options of JWT tokens. At least one key is there; the files are not opened here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtSettings {
    /// As in the token's header, such as `RS256`.
    pub sign_method: String,
    pub public_key: Option<PathBuf>,
    pub private_key: Option<PathBuf>,
    pub ttl: Duration,
}

impl AuthSettings {
    pub(super) fn from_merged(merged: &Merged, warnings: &mut Vec<Warning>) -> Result<Self, ConfigError> {
        let cost = u32::try_from(merged.unsigned("bcrypt-cost")).ok().filter(|cost| (4..=31).contains(cost));
        if cost.is_none() {
            warnings.push(Warning::new("--bcrypt-cost", "not between 4 and 31: the default 10 is used"));
        }
        Ok(Self {
            token: token_kind(merged.text("auth-token"))?,
            bcrypt_cost: cost.unwrap_or(BCRYPT_COST_DEFAULT),
            simple_token_ttl: Duration::from_secs(merged.unsigned("auth-token-ttl")),
        })
    }
}

fn token_kind(text: &str) -> Result<TokenKind, ConfigError> {
    let mut items = text.split(',');
    let kind = items.next().unwrap_or("");
    let mut options = BTreeMap::new();
    for item in items {
        let pair = item.split_once('=').filter(|(_, value)| !value.contains('='));
        let (key, value) = pair.ok_or_else(|| refused(format!("{item:?} is not of the form key=value")))?;
        if options.insert(key, value).is_some() {
            return Err(refused(format!("{key:?} is given twice")));
        }
    }
    match kind {
        "" => Ok(TokenKind::None),
        "simple" => Ok(TokenKind::Simple),
        "jwt" => jwt(&options).map(TokenKind::Jwt),
        _ => Err(refused(format!("unknown token type {kind:?}"))),
    }
}

fn jwt(options: &BTreeMap<&str, &str>) -> Result<JwtSettings, ConfigError> {
    let method = *options.get("sign-method").ok_or_else(|| refused("jwt needs sign-method".to_owned()))?;
    if !SIGN_METHODS.contains(&method) {
        return Err(refused(format!("unknown sign-method {method:?}")));
    }
    let path = |key: &str| options.get(key).filter(|path| !path.is_empty()).map(PathBuf::from);
    let (public_key, private_key) = (path("pub-key"), path("priv-key"));
    if private_key.is_none() && (public_key.is_none() || method.starts_with("HS")) {
        return Err(refused("jwt needs priv-key, or pub-key to verify only".to_owned()));
    }
    let ttl = options
        .get("ttl")
        .map(|text| go_duration::parse(text).map_err(|error| refused(error.to_string())))
        .transpose()?;
    let ttl = ttl.map_or(Some(JWT_TTL), super::positive).ok_or_else(|| refused("ttl must be above zero".to_owned()))?;
    Ok(JwtSettings { sign_method: method.to_owned(), public_key, private_key, ttl })
}

fn refused(reason: String) -> ConfigError {
    ConfigError::AuthToken(reason)
}
