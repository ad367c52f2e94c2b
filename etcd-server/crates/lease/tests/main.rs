//! Leases from outside: scripts that tell a story, and a simple model that recomputes everything.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

mod agenda;
mod model;
mod script;
