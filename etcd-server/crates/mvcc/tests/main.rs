//! The key space from outside: scripts that tell each rule's story, a simple model, hashes, and
//! counts under stress.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

mod buckets;
mod generate;
mod hashes;
mod model;
mod moving;
mod script;
mod stage;
mod twin;
mod twin_hash;
