//! The crate from outside: stories in `scripts/`, whole requests, records byte for byte, tokens.

mod jwt;
mod requests;
mod script;
mod scripts;
