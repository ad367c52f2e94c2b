//! Tests of the metrics page.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking, as tests do")]

mod metrics;
