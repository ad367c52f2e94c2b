//! Checks of requests before they are proposed: stories with etcd's answers, and random
//! transactions beside a model that looks at every path through them.
#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

mod model;
mod scripts;
