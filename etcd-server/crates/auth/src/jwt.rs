//! JSON web tokens: made at login, checked without any state of this member but the key.
//!
//! A token carries the auth revision of its login, so any change of users or roles makes it too old
//! for key operations. It cannot be dropped before it expires. Some sign methods draw on the
//! system's randomness inside their libraries; that is allowed here because tokens are no part of
//! the replicated state.

use crate::jwt_keys::JwtKeys;
use crate::token_options::{JwtOptions, SignMethod, TokenOptionError};
use crate::{AuthError, Identity};
use jsonwebtoken::{Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// Makes and checks JWTs.
pub struct Jwt {
    keys: JwtKeys,
    sign_method: SignMethod,
    ttl: Duration,
    validation: Validation,
}

impl fmt::Debug for Jwt {
    // The keys must not reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwt").field("sign_method", &self.sign_method).field("ttl", &self.ttl).finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Made<'a> {
    username: &'a str,
    revision: u64,
    exp: u64,
}

/// The claims of a token. It may have another issuer: numbers may be written as fractions, and
/// `exp` and `nbf` may be absent.
#[derive(Deserialize)]
struct Claims {
    username: String,
    revision: f64,
    #[serde(default)]
    exp: Option<f64>,
    #[serde(default)]
    nbf: Option<f64>,
}

impl Jwt {
    /// With the contents of the files that the options name.
    ///
    /// # Errors
    /// A [`TokenOptionError`] that names the option at fault.
    pub fn new(
        options: &JwtOptions,
        public_key: Option<&[u8]>,
        private_key: Option<&[u8]>,
    ) -> Result<Self, TokenOptionError> {
        let keys = JwtKeys::read(options.sign_method, public_key, private_key)?;
        // Time is checked here rather than by the library, which would ask the clock; audience and
        // the like are not etcd's business.
        let mut validation = Validation::default();
        validation.algorithms = options.sign_method.algorithm.into_iter().collect();
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        Ok(Self { keys, sign_method: options.sign_method, ttl: options.ttl, validation })
    }

    /// Returns `true` if this member can make tokens, not only check them.
    pub fn can_sign(&self) -> bool {
        self.keys.can_sign()
    }

    /// A token for `identity`, made at `unix_seconds`. Burns CPU with RSA: to be run off the
    /// threads that serve requests.
    ///
    /// # Errors
    /// [`AuthError::VerifyOnlyKey`] without a private key.
    pub fn make(&self, identity: &Identity, unix_seconds: u64) -> Result<String, AuthError> {
        let exp = unix_seconds.saturating_add(self.ttl.as_secs());
        let claims = Made { username: &identity.user, revision: identity.auth_revision, exp };
        match &self.keys {
            JwtKeys::Library { algorithm, signing: Some(key), .. } => {
                Ok(encode(&Header::new(*algorithm), &claims, key).expect("the key has signed a probe when it was read"))
            }
            JwtKeys::Es512 { signing: Some(key), .. } => {
                Ok(key.token(&serde_json::to_vec(&claims).expect("a name and two numbers are JSON")))
            }
            JwtKeys::Library { signing: None, .. } | JwtKeys::Es512 { signing: None, .. } => {
                Err(AuthError::VerifyOnlyKey)
            }
        }
    }

    /// Returns the identity of `token` at `unix_seconds`. Its algorithm must be the configured one.
    ///
    /// # Errors
    /// [`AuthError::InvalidAuthToken`], without a reason: a token's content belongs neither in a
    /// response nor in a log.
    pub fn identity_of(&self, token: &str, unix_seconds: u64) -> Result<Identity, AuthError> {
        let claims = self.claims(token).ok_or(AuthError::InvalidAuthToken)?;
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^53")]
        let now = unix_seconds as f64;
        let in_time = claims.exp.is_none_or(|exp| now < exp) && claims.nbf.is_none_or(|nbf| nbf <= now);
        let revision = whole_number(claims.revision).filter(|_| in_time).ok_or(AuthError::InvalidAuthToken)?;
        Ok(Identity::new(claims.username, revision))
    }

    fn claims(&self, token: &str) -> Option<Claims> {
        match &self.keys {
            JwtKeys::Library { checking, .. } => {
                decode(token, checking, &self.validation).ok().map(|decoded| decoded.claims)
            }
            JwtKeys::Es512 { checking, .. } => serde_json::from_slice(&checking.claims(token)?).ok(),
        }
    }
}

/// A number as JSON writes it, without its fraction.
fn whole_number(number: f64) -> Option<u64> {
    let sensible = (0.0..9.0e15).contains(&number);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
    let whole = number as u64;
    sensible.then_some(whole)
}
