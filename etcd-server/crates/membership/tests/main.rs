//! Membership from outside: scripts that tell a story, and a simple model that replays history.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

mod model;
mod script;
mod values;
