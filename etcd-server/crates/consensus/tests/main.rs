//! A few members in memory: the promises of a node to its owner, and that nothing from the network
//! can break it.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

mod cluster;
mod fences;
mod hostile;
mod lost_commits;
mod members;
mod progress;
mod reads;
mod replication;
