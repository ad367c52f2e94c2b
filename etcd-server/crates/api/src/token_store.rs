//! Tokens of this member: the identity of a token, and issuing new ones.

use arc_swap::ArcSwap;
use auth::{AuthError, Identity, Jwt, SimpleTokens, TOKEN_LETTERS};
use parking_lot::RwLock;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use types::MonotonicTime;

/// The kind of tokens that this member issues.
#[derive(Debug)]
pub enum Tokens {
    /// None: only certificates identify.
    None,
    /// Letters that members remember.
    Simple(RwLock<SimpleTokens>),
    /// Signed claims without state on the server. The keys may be exchanged while the member runs.
    Jwt(ArcSwap<Jwt>),
}

/// Gives out tokens and recognises them.
#[derive(Debug)]
pub struct TokenStore {
    tokens: Tokens,
}

impl TokenStore {
    /// Deals in `tokens`.
    pub fn new(tokens: Tokens) -> Self {
        Self { tokens }
    }

    /// From now on tokens are made and recognised by these keys. Means nothing to a member that
    /// deals in other tokens.
    pub fn exchange_keys(&self, keys: Jwt) {
        if let Tokens::Jwt(jwt) = &self.tokens {
            jwt.store(Arc::new(keys));
        }
    }

    /// Returns the identity of `token`. `auth_revision` is the current one: a simple token always
    /// acts at it.
    pub(crate) fn identity_of(
        &self,
        token: &str,
        auth_revision: u64,
        now: MonotonicTime,
    ) -> Result<Identity, AuthError> {
        match &self.tokens {
            Tokens::None => Err(AuthError::InvalidAuthToken),
            Tokens::Simple(tokens) => {
                let tokens = tokens.read();
                tokens
                    .user_of(token, now)
                    .map(|user| Identity::new(user, auth_revision))
                    .ok_or(AuthError::InvalidAuthToken)
            }
            Tokens::Jwt(jwt) => jwt.load().identity_of(token, unix_seconds()),
        }
    }

    /// Letters for a simple token, drawn before proposing so that every member assigns the same;
    /// nothing for other kinds.
    pub(crate) fn draw_letters(&self) -> Result<String, getrandom::Error> {
        match &self.tokens {
            Tokens::None | Tokens::Jwt(_) => Ok(String::new()),
            Tokens::Simple(_) => random_letters(),
        }
    }

    /// Returns the token of a user that has logged in, from the drawn letters and the index of the
    /// login.
    pub(crate) fn token_of(&self, identity: &Identity, letters: &str, token_index: u64) -> Result<String, AuthError> {
        match &self.tokens {
            Tokens::None => Err(AuthError::InvalidAuthToken),
            Tokens::Simple(_) => Ok(auth::simple_token(letters, token_index)),
            Tokens::Jwt(jwt) => jwt.load().make(identity, unix_seconds()),
        }
    }

    /// Applies an effect that concerns tokens.
    pub fn follow(&self, effect: &apply::Effect, now: MonotonicTime) {
        let Tokens::Simple(tokens) = &self.tokens else { return };
        match effect {
            apply::Effect::AssignToken { token, user } => tokens.write().assign(token, user, now),
            apply::Effect::DropTokens(which) => tokens.write().drop_tokens(which),
            apply::Effect::Compacted | apply::Effect::RaiseNoSpace => {}
        }
    }
}

fn random_letters() -> Result<String, getrandom::Error> {
    const LETTERS: &[u8; 52] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let mut letters = String::with_capacity(TOKEN_LETTERS);
    while letters.len() < TOKEN_LETTERS {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        // Bytes beyond the largest multiple of 52 are left out, so that every letter is equally
        // likely.
        let fair = bytes
            .iter()
            .filter(|byte| **byte < 208)
            .map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]));
        letters.extend(fair.take(TOKEN_LETTERS - letters.len()));
    }
    Ok(letters)
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
