//! Real members under load and faults, and the proof afterwards that nothing was promised which did not hold.
//!
//! [`check`] is pure: it judges a [`history::History`]. Everything else starts processes, cuts links, breaks disks, and records.

mod board;
pub mod check;
mod cluster;
mod ending;
pub mod history;
mod model;
mod requests;
mod run;
pub mod scenario;
mod scenarios;
mod switch;
mod tracer;
mod traffic;
mod watching;

pub use cluster::ClusterError;
pub use run::{Options, Report, run};
pub use scenario::Scenario;
