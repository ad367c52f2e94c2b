//! The effect of one committed entry, as a value: the same on every member, independent of clock,
//! disk and clients.
//!
//! [`State`] is everything that is replicated. [`State::apply`] takes one entry, writes into a
//! batch and returns the response to the waiting client, the events for watchers and further
//! actions of this member. Order of checks: corruption alarm, space alarm, permission, quota, then
//! the state itself, as in etcd (server/etcdserver/apply).
#![forbid(unsafe_code)]

mod alarms;
mod applied;
mod auth_requests;
mod cluster_requests;
mod conf_changes;
mod cost;
mod error;
mod key_requests;
mod leases;
mod operations;
mod request_kind;
mod state;
mod v2_request;

pub use alarms::Alarms;
pub use applied::{Applied, ApplyResponse, Effect, Ordered};
pub use conf_changes::MembershipChange;
pub use cost::quota_cost;
pub use error::ApplyError;
pub use leases::Attachments;
pub use operations::Operations;
pub use request_kind::RequestKind;
pub use state::{Settings, State};
