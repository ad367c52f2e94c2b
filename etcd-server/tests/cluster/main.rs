//! Several members as one cluster: all have the acknowledged writes, after any change of leader or
//! members.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests: a failure is a failed test, figures are printed"
)]

mod auth;
mod catch_up;
mod corruption;
mod discovery;
mod downgrade;
mod leader_changes;
mod leases;
mod members;
mod monitoring;
mod old_copies;
mod recovery;
mod replication;
mod revisions;
mod strangers;
mod support;
