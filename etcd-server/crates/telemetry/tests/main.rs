//! Tests of what others read: the metrics page.

mod metrics;
