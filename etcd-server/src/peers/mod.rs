//! This member in the view of the other members of its cluster.

pub(crate) mod local_peer;
pub(crate) mod raft_snapshot;
