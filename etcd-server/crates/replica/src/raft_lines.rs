//! Log lines about elections and leaders, in the words of etcd's raft library, which tools and
//! people search for.

use consensus::{Role, Status, Voters};
use types::MemberId;

/// Logs the changes between two states of the raft node of `member`.
pub(crate) fn log_changes(member: u64, before: &Status, after: &Status) {
    let id = MemberId(member);
    if before.role != after.role || before.term != after.term {
        log_role(id, before, after);
    }
    if before.leader != after.leader {
        let (old, new, term) = (MemberId(before.leader), MemberId(after.leader), after.term);
        match (before.leader, after.leader) {
            (_, 0) => tracing::info!("raft.node: {id} lost leader {old} at term {term}"),
            (0, _) => tracing::info!("raft.node: {id} elected leader {new} at term {term}"),
            _ => tracing::info!("raft.node: {id} changed leader from {old} to {new} at term {term}"),
        }
    }
    if let Some(to) = after.transferee.filter(|to| before.transferee != Some(*to)) {
        tracing::info!("{id} [term {}] starts to transfer leadership to {}", after.term, MemberId(to));
    }
}

fn log_role(id: MemberId, before: &Status, after: &Status) {
    let stands = |role| matches!(role, Role::PreCandidate | Role::Candidate);
    if matches!(before.role, Role::Follower | Role::Learner) && (stands(after.role) || after.role == Role::Leader) {
        tracing::info!("{id} is starting a new election at term {}", before.term);
    }
    match after.role {
        Role::Follower | Role::Learner => tracing::info!("{id} became follower at term {}", after.term),
        Role::PreCandidate => tracing::info!("{id} became pre-candidate at term {}", after.term),
        Role::Candidate => tracing::info!("{id} became candidate at term {}", after.term),
        Role::Leader => {
            // A member without others is a candidate for no longer than it takes to count its own
            // vote.
            if before.role != Role::Candidate {
                tracing::info!("{id} became candidate at term {}", after.term);
            }
            tracing::info!("{id} became leader at term {}", after.term);
        }
    }
}

/// Logs the voters and learners from now on.
pub(crate) fn log_configuration(member: u64, voters: &Voters) {
    let id = MemberId(member);
    let list = |ids: &[u64]| ids.iter().map(|id| MemberId(*id).to_string()).collect::<Vec<_>>().join(" ");
    let voting = list(&voters.voters);
    if voters.learners.is_empty() {
        tracing::info!("{id} switched to configuration voters=({voting})");
    } else {
        tracing::info!("{id} switched to configuration voters=({voting}) learners=({})", list(&voters.learners));
    }
}
