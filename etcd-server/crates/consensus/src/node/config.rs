//! How a node is set up, and what it may begin with.

use crate::tail::{Recovered, Tail};
use types::Fault;

/// How the node is set up.
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
    /// Whether a member asks for support before it raises its term.
    pub pre_vote: bool,
    /// What election timeouts are drawn from. Members may share it.
    pub seed: u64,
}

pub(super) fn check_recovered(config: &Config, recovered: &Recovered, tail: &Tail) -> Result<(), Fault> {
    let (commit, last) = (recovered.hard_state.commit, tail.last());
    if commit > last {
        return Err(Fault::corrupt("raft log", format_args!("ends at entry {last}, but entry {commit} was committed")));
    }
    if config.applied < tail.before() {
        let (first, applied) = (tail.before() + 1, config.applied);
        return Err(Fault::corrupt("raft log", format_args!("begins at entry {first}, but the state ends at entry {applied}")));
    }
    Ok(())
}
