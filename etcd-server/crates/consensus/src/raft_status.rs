//! The status of a node, and the progress of the other members in its view.

/// The role of this member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Follows a leader, or waits for one.
    Follower,
    /// Follows a leader without a vote.
    Learner,
    /// Asks whether it would be elected.
    PreCandidate,
    /// Asks to be elected.
    Candidate,
    /// Leads.
    Leader,
}

/// The status of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The role of this member.
    pub role: Role,
    /// The leader; 0 if none is known.
    pub leader: u64,
    /// The current term.
    pub term: u64,
    /// Entries up to here are committed.
    pub commit: u64,
    /// Entries up to here were reported as applied.
    pub applied: u64,
    /// The target of a leadership transfer in progress; the leader takes no proposals meanwhile.
    pub transferee: Option<u64>,
}

/// The progress of a member in a leader's view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The member.
    pub member: u64,
    /// It has the log up to here, durably; 0 until it has acknowledged something in this term.
    pub matched: u64,
    /// The next entry it is sent.
    pub next: u64,
    /// `true` if it has acknowledged anything within the last election timeout. Always `true` for
    /// the leader itself.
    pub recently_active: bool,
    /// Ticks since it last acknowledged anything; nothing when it never did in this term.
    pub silent_ticks: Option<u64>,
    /// `true` if it has no vote.
    pub learner: bool,
    /// `true` if it was sent a snapshot and gets no entries until that is reported as finished or
    /// failed.
    pub snapshot: bool,
}

/// Returns the best successor of `leader`, whose view this is: the most up to date of the recently
/// active voters, if there is one.
pub fn successor(progress: &[Progress], leader: u64) -> Option<u64> {
    let heard =
        progress.iter().filter(|progress| progress.recently_active && !progress.learner && progress.member != leader);
    heard.max_by_key(|progress| (progress.matched, std::cmp::Reverse(progress.member))).map(|progress| progress.member)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An active voter that has the log up to `matched`.
    fn voter(member: u64, matched: u64) -> Progress {
        Progress {
            member,
            matched,
            next: matched + 1,
            recently_active: true,
            silent_ticks: Some(1),
            learner: false,
            snapshot: false,
        }
    }

    #[test]
    fn most_up_to_date_active_voter_succeeds() {
        let leader = voter(1, 100);
        let silent = Progress { recently_active: false, ..voter(2, 90) };
        let learner = Progress { learner: true, ..voter(3, 80) };
        assert_eq!(successor(&[leader, silent, learner, voter(4, 60), voter(5, 70)], 1), Some(5));
        assert_eq!(successor(&[leader, voter(4, 70), voter(5, 70)], 1), Some(4), "of two the lower id");
        assert_eq!(successor(&[leader, silent, learner], 1), None);
    }
}
