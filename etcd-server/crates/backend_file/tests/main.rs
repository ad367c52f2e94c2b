//! Tests of the file format, of its contents, and against etcd's own tools.
#![allow(clippy::unwrap_used, reason = "clippy knows tests by their attribute, and not what they share")]

mod corrupt;
mod etcd_tools;
mod golden;
mod hashes;
mod round_trip;
mod support;
