//! The gateway as a client sees it: raw HTTP over an in-memory pipe, against a small service with
//! canned answers.

#![allow(clippy::unwrap_used, reason = "helpers outside test functions fail the test that calls them")]

mod client;
mod limits;
mod plain;
mod real_etcd;
mod recorded;
mod service;
mod streams;
mod websocket;
