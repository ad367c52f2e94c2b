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
