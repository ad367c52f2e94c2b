//! Leadership: status, progress of the members, and transfer.

use super::Node;
use crate::raft_status::{Progress, Role, Status, successor};
use raft::{ProgressState, StateRole};

impl Node {
    /// Requests the leader, this member or another, to transfer leadership to a voter. The status
    /// shows the result within an election timeout.
    pub fn transfer_leader(&mut self, to: u64) {
        if !self.removed {
            self.raw.transfer_leader(to);
            self.settle();
        }
    }

    /// Transfers leadership to the most up to date of the recently active voters, if there is one.
    /// Returns that voter.
    pub fn transfer_leadership(&mut self) -> Option<u64> {
        let to = successor(&self.progress(), self.raw.raft.id)?;
        self.transfer_leader(to);
        Some(to)
    }

    /// Stops leading without a successor: for a leader that cannot do its work, such as one whose
    /// disk hangs. It may be elected again.
    pub fn step_down(&mut self) {
        let raft = &mut self.raw.raft;
        if raft.state == StateRole::Leader {
            let term = raft.term;
            raft.become_follower(term, raft::INVALID_ID);
            self.settle();
        }
    }

    /// Follows the leader no longer, whose process has ended: this member grants and asks for votes
    /// before the election timeout. Returns `false` if it is not following anybody.
    pub fn forget_leader(&mut self) -> bool {
        let raft = &mut self.raw.raft;
        let follows = raft.state == StateRole::Follower && raft.leader_id != raft::INVALID_ID;
        if follows {
            raft.leader_id = raft::INVALID_ID;
            self.settle();
        }
        follows
    }

    /// Returns the status of the node.
    pub fn status(&self) -> Status {
        let raft = &self.raw.raft;
        let role = role(raft.state, raft.prs().conf().learners().contains(&raft.id));
        Status {
            role,
            leader: raft.leader_id,
            term: raft.term,
            commit: raft.raft_log.committed,
            applied: raft.raft_log.applied,
            transferee: raft.lead_transferee,
        }
    }

    /// Returns the progress of every member in this leader's view, itself included, in the order of
    /// their ids; empty if it is not leader.
    pub fn progress(&self) -> Vec<Progress> {
        let raft = &self.raw.raft;
        if raft.state != StateRole::Leader {
            return Vec::new();
        }
        let timeout = u64::try_from(raft.election_timeout()).unwrap_or(u64::MAX);
        let mut progress: Vec<_> = raft
            .prs()
            .iter()
            .map(|(&member, progress)| {
                let own = member == raft.id;
                let silent_ticks = if own { Some(0) } else { self.heard.get(&member).map(|heard| self.ticks - heard) };
                Progress {
                    member,
                    matched: progress.matched,
                    next: progress.next_idx,
                    recently_active: silent_ticks.is_some_and(|silent| silent <= timeout),
                    silent_ticks,
                    learner: raft.prs().conf().learners().contains(&member),
                    snapshot: progress.state == ProgressState::Snapshot,
                }
            })
            .collect();
        progress.sort_unstable_by_key(|progress| progress.member);
        progress
    }

    /// Returns `true` if this node is leader of a single-member cluster and has applied an entry of
    /// its own term: then everything acknowledged is applied, and no other member can acknowledge
    /// anything. A new leader may still have an earlier log to apply.
    pub fn leads_alone(&self) -> bool {
        let raft = &self.raw.raft;
        raft.state == StateRole::Leader && raft.apply_to_current_term() && self.voters().voters == [raft.id]
    }
}

pub(super) fn role(state: StateRole, learner: bool) -> Role {
    match state {
        StateRole::Follower if learner => Role::Learner,
        StateRole::Follower => Role::Follower,
        StateRole::PreCandidate => Role::PreCandidate,
        StateRole::Candidate => Role::Candidate,
        StateRole::Leader => Role::Leader,
    }
}
