//! Metrics under etcd's names and logs in etcd's shape.

pub mod log;
pub mod metrics;
