//! Requests as real clients send them, and the effect of one client's requests on another's.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "helpers of tests: a failure is a failed test")]

mod client;
mod deadlines;
mod heads;
mod json;
mod large;
mod leases;
mod locks;
mod stop;
