//! Clusters of pipelines in memory: which actions an input leads to, and in which order.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

mod batches;
mod own_requests;
mod pending;
mod renewals;
mod scripts;
mod stage;
