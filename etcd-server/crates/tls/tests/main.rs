//! Handshakes over sockets in memory: accepted and refused clients, and the effect of changed files
//! on both.
#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

mod bounds;
mod dialling;
mod doors;
mod files;
mod rejections;
mod reload;
mod support;
