//! The cluster as its members report it: their states, the connections between them, the failures
//! that it survives.
//!
//! Every command that looks at a cluster reads it from here; nothing is changed, and nothing is
//! printed.

mod leader_change;
mod links;
mod quorum_check;
mod summary;
mod view;

pub(crate) use links::{BrokenLink, LinkState};
pub(crate) use quorum_check::Judgement;
pub(crate) use summary::{headline, may_fail, role};
#[cfg(test)]
pub(crate) use view::seen_for_tests;
pub(crate) use view::{ClusterView, Seen};
