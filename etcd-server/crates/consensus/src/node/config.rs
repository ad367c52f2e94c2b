//! The configuration of a node, and checks of the recovered state.

use crate::raft_storage::{RaftStorage, Recovered};
use types::Fault;

/// The configuration of a node.
#[derive(Clone, Debug)]
pub struct Config {
    /// This member.
    pub id: u64,
    /// Ticks without a leader after which this member campaigns.
    pub election_ticks: usize,
    /// Ticks between heartbeats.
    pub heartbeat_ticks: usize,
    /// Index of the last entry whose effects are in the state.
    pub applied: u64,
    /// `true` if a member requests support before it raises its term.
    pub pre_vote: bool,
    /// The seed of election timeouts. Members may share it.
    pub seed: u64,
    /// The number of this process: one that the member had at no earlier start.
    pub process: u64,
}

pub(super) fn check_recovered(config: &Config, recovered: &Recovered, raft_storage: &RaftStorage) -> Result<(), Fault> {
    let (commit, last) = (recovered.hard_state.commit, raft_storage.last());
    if commit > last {
        return Err(Fault::corrupt("raft log", format_args!("ends at entry {last}, but entry {commit} was committed")));
    }
    if config.applied < raft_storage.before() {
        let (first, applied) = (raft_storage.before() + 1, config.applied);
        return Err(Fault::corrupt(
            "raft log",
            format_args!("begins at entry {first}, but the state ends at entry {applied}"),
        ));
    }
    Ok(())
}
