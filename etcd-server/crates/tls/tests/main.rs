//! Handshakes over sockets in memory: who is let in, who is not, and what a change of files does to both.
#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

mod bounds;
mod dialling;
mod doors;
mod files;
mod rejections;
mod reload;
mod support;
