//! Tests of apply by itself: entries go in, responses, events and the state come out. After each
//! entry the model is asked for its verdict.
#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

mod commands;
mod costs;
mod generate;
mod member;
mod positions;
mod random;
mod responses;
mod scripts;
mod v2_requests;
