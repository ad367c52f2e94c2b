//! Where a node stands, and how far it knows the others to be.

/// What this member is in its group.
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

/// Where the node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// What this member is.
    pub role: Role,
    /// Who leads; 0 when nobody is known to.
    pub leader: u64,
    /// The current term.
    pub term: u64,
    /// Entries up to here are committed.
    pub commit: u64,
    /// Entries up to here were reported as applied.
    pub applied: u64,
    /// To whom this leader is handing over; it takes no proposals meanwhile.
    pub transferee: Option<u64>,
}

/// How far a leader knows a member to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The member.
    pub member: u64,
    /// It has the log up to here, durably; 0 until it has acknowledged something in this term.
    pub matched: u64,
    /// The next entry it is sent.
    pub next: u64,
    /// Whether it has acknowledged anything within the last election timeout. The leader itself always has.
    pub recently_active: bool,
    /// Ticks since it last acknowledged anything; nothing when it never did in this term.
    pub silent_ticks: Option<u64>,
    /// Whether it has no vote.
    pub learner: bool,
    /// Whether it was sent a snapshot and gets no entries until that is reported as finished or failed.
    pub snapshot: bool,
}

/// Who shall lead in the place of `leader`, whose view this is: the voter that is furthest of those recently heard of, if there is one.
pub fn successor(progress: &[Progress], leader: u64) -> Option<u64> {
    let heard = progress.iter().filter(|progress| progress.recently_active && !progress.learner && progress.member != leader);
    heard.max_by_key(|progress| (progress.matched, std::cmp::Reverse(progress.member))).map(|progress| progress.member)
}
