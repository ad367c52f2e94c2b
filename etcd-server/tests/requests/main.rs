//! Requests that clients really send, and what one client's requests do to another's.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "helpers of tests: a failure is a failed test")]

mod client;
mod deadlines;
mod heads;
mod json;
mod large;
mod leases;
mod locks;
mod stop;
