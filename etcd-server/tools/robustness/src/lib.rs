//! Real members under load and faults, and the proof afterwards that nothing was promised which did
//! not hold.
//!
//! [`check`] is pure: it judges a [`history::History`]. Everything else starts processes, cuts
//! links, breaks disks, and records.

pub mod check;
mod cluster;
pub mod history;
mod model;
mod quiesce;
mod requests;
mod run;
pub mod scenario;
mod scenarios;
mod shared_state;
mod switch;
mod tracer;
mod traffic;
mod watching;

pub use cluster::ClusterError;
pub use run::{Options, Report, run};
pub use scenario::Scenario;
