//! Signed tokens, and their form in headers.

use crate::{Dice, Target};
use auth::{Identity, Jwt, JwtOptions, SignMethod};
use std::time::Duration;

const NOW: u64 = 1_700_000_000;

pub(super) struct Tokens {
    jwt: Jwt,
    good: Vec<String>,
}

impl Tokens {
    pub(super) fn new() -> Self {
        let sign_method = SignMethod::named("HS256").expect("the method is known");
        let options = JwtOptions { sign_method, ttl: Duration::from_secs(60) };
        let jwt = Jwt::new(&options, None, Some(b"key")).expect("any bytes are a key");
        let made = |user: &str| jwt.make(&Identity::new(user, 7), NOW).expect("the key signs");
        let good = vec![made("root"), made(""), made(&"x".repeat(1000)), "abcdefghijklmnop.17".to_owned()];
        Self { jwt, good }
    }
}

impl Target for Tokens {
    fn try_one(&mut self, dice: &mut Dice) -> bool {
        let mut bytes = dice.pick(&self.good).clone().into_bytes();
        if !dice.once_in(20) {
            dice.spoil(&mut bytes);
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let token = auth::strip_bearer(&text);
        let is_simple = auth::simple_token_index(token).is_some();
        self.jwt.identity_of(token, NOW).is_ok() || is_simple
    }
}
