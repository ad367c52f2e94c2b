//! The crate from outside: stories in `scripts/`, whole requests, records byte for byte, tokens.
#![expect(
    clippy::unwrap_used,
    reason = "a test may fail by panicking; helpers outside of test functions are not seen as tests"
)]

mod jwt;
mod loading;
mod requests;
mod script;
mod scripts;
