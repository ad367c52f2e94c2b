//! Tests of apply by itself: entries go in, responses, events and the state come out.
#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

mod member;
mod responses;
mod v2_requests;
