//! Watching from outside: scripts that tell a story, messages byte by byte, and a simple model that
//! scans the whole history.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

mod encoding;
mod figures;
mod model;
mod script;
mod store;
