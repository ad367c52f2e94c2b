//! Tests of the state machine from outside: scripts of frames, a client of another library, and
//! hostile input.
#![expect(clippy::disallowed_methods, reason = "tests begin at some moment")]
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

mod client;
mod frames;
mod hostile;
mod script;
