//! Changes of the leader as this member sees them, and what became of its clients' proposals.

use consensus::{Role, Status};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};
use types::MemberId;

/// The reason why the cluster has another leader, as far as this member knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaderChangeCause {
    /// The member has just started, and no leader was known before.
    Start,
    /// Leadership was transferred.
    Transfer,
    /// The process of the leader had ended: its address refused connections.
    ProcessEnded,
    /// This member has not heard of the leader for an election timeout.
    ElectionTimeout,
    /// Another member called the election.
    OtherMember,
}

impl LeaderChangeCause {
    /// Every cause.
    pub const ALL: [Self; 5] =
        [Self::Start, Self::Transfer, Self::ProcessEnded, Self::ElectionTimeout, Self::OtherMember];

    /// Returns the name of the cause, as metrics, log and status spell it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Transfer => "transfer",
            Self::ProcessEnded => "process_ended",
            Self::ElectionTimeout => "election_timeout",
            Self::OtherMember => "other_member",
        }
    }
}

/// A change of the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderChange {
    /// When the new leader became known.
    pub at: SystemTime,
    /// The leader before; 0 if none was known.
    pub from: u64,
    /// The leader since.
    pub to: u64,
    /// Its term.
    pub term: u64,
    /// The reason.
    pub cause: LeaderChangeCause,
    /// The time during which no leader was known.
    pub leaderless: Duration,
}

/// Figures about leader changes since the start.
#[derive(Debug, Default)]
pub struct LeaderChanges {
    history: Mutex<History>,
    held: AtomicU64,
    held_in_all: AtomicU64,
    proposed_again: AtomicU64,
    forwarded_again: AtomicU64,
    repeated: AtomicU64,
    unknown: AtomicU64,
}

#[derive(Debug, Default)]
struct History {
    last: Option<LeaderChange>,
    counts: [u64; LeaderChangeCause::ALL.len()],
    leaderless: Duration,
    /// The last leader, and since when none is known.
    lost: Option<(u64, Instant)>,
    /// The reason of the present change, as far as it is known yet.
    cause: Option<LeaderChangeCause>,
}

impl LeaderChanges {
    /// Returns the last change; `None` before the first one.
    pub fn last(&self) -> Option<LeaderChange> {
        self.history.lock().last
    }

    /// Returns the number of changes by cause, in the order of [`LeaderChangeCause::ALL`].
    pub fn counts(&self) -> [u64; LeaderChangeCause::ALL.len()] {
        self.history.lock().counts
    }

    /// Returns the time during which no leader was known, after the first one.
    pub fn leaderless(&self) -> Duration {
        let history = self.history.lock();
        history.leaderless + history.lost.map_or(Duration::ZERO, |(_, since)| since.elapsed())
    }

    /// Returns the proposals that are held now until a leader takes them.
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Returns the proposals that were held and went to a leader.
    pub fn held_in_all(&self) -> u64 {
        self.held_in_all.load(Ordering::Relaxed)
    }

    /// Returns the proposals that were lost with a leader and proposed again.
    pub fn proposed_again(&self) -> u64 {
        self.proposed_again.load(Ordering::Relaxed)
    }

    /// Returns the messages with proposals that were sent to the leader again, because they had had
    /// no response for a while.
    pub fn forwarded_again(&self) -> u64 {
        self.forwarded_again.load(Ordering::Relaxed)
    }

    /// Returns the messages of other members with proposals that had arrived before, or were meant
    /// for the leader of another term.
    pub fn repeated(&self) -> u64 {
        self.repeated.load(Ordering::Relaxed)
    }

    /// Returns the proposals whose outcome is unknown because a leader was lost.
    pub fn unknown(&self) -> u64 {
        self.unknown.load(Ordering::Relaxed)
    }

    pub(crate) fn set_held(&self, held: usize) {
        self.held.store(held as u64, Ordering::Relaxed);
    }

    pub(crate) fn held_sent(&self, proposals: usize) {
        self.held_in_all.fetch_add(proposals as u64, Ordering::Relaxed);
    }

    pub(crate) fn again(&self, proposals: usize) {
        self.proposed_again.fetch_add(proposals as u64, Ordering::Relaxed);
    }

    pub(crate) fn note_forwarded_again(&self, messages: usize) {
        self.forwarded_again.fetch_add(messages as u64, Ordering::Relaxed);
    }

    pub(crate) fn refused_repeated(&self) {
        self.repeated.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn outcomes_unknown(&self, proposals: usize) {
        self.unknown.fetch_add(proposals as u64, Ordering::Relaxed);
    }

    /// The process of the leader was found to have ended.
    pub(crate) fn leader_ended(&self) {
        self.history.lock().cause = Some(LeaderChangeCause::ProcessEnded);
    }

    /// Follows the status of the raft node. Returns the change if another leader is known.
    pub(crate) fn follow(&self, before: &Status, after: &Status, now: Instant) -> Option<LeaderChange> {
        let mut history = self.history.lock();
        if before.leader != after.leader && before.leader != 0 {
            history.lost = Some((before.leader, now));
        }
        // A member that is told to campaign does not ask for a pre-vote.
        let hint = match after.role {
            Role::PreCandidate => Some(LeaderChangeCause::ElectionTimeout),
            Role::Candidate if before.role != Role::PreCandidate => Some(LeaderChangeCause::Transfer),
            _ if before.transferee.is_some() => Some(LeaderChangeCause::Transfer),
            Role::Follower | Role::Learner | Role::Candidate | Role::Leader => None,
        };
        history.cause = history.cause.or(hint);
        if after.leader == 0 || before.leader == after.leader {
            return None;
        }
        let lost = history.lost.take();
        let unknown = if lost.is_some() { LeaderChangeCause::OtherMember } else { LeaderChangeCause::Start };
        let cause = history.cause.take().filter(|_| lost.is_some()).unwrap_or(unknown);
        let leaderless = lost.map_or(Duration::ZERO, |(_, since)| now.saturating_duration_since(since));
        let from = lost.map_or(0, |(leader, _)| leader);
        let change =
            LeaderChange { at: SystemTime::now(), from, to: after.leader, term: after.term, cause, leaderless };
        history.leaderless += leaderless;
        for (count, counted) in history.counts.iter_mut().zip(LeaderChangeCause::ALL) {
            *count += u64::from(counted == cause);
        }
        history.last = Some(change);
        Some(change)
    }
}

impl LeaderChange {
    pub(crate) fn log(&self) {
        tracing::info!(
            from = %MemberId(self.from),
            to = %MemberId(self.to),
            term = self.term,
            cause = self.cause.label(),
            leaderless = ?self.leaderless,
            "leader changed"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(role: Role, leader: u64, term: u64, transferee: Option<u64>) -> Status {
        Status { role, leader, term, commit: 0, applied: 0, transferee }
    }

    /// Follows the steps of a member and returns the last change.
    fn last(steps: &[Status], ended_before: Option<usize>) -> (LeaderChanges, LeaderChange) {
        let changes = LeaderChanges::default();
        let begin = Instant::now();
        for (number, pair) in steps.windows(2).enumerate() {
            if ended_before == Some(number) {
                changes.leader_ended();
            }
            let now = begin + Duration::from_millis(10) * u32::try_from(number).unwrap();
            changes.follow(&pair[0], &pair[1], now);
        }
        let last = changes.last().unwrap();
        (changes, last)
    }

    #[test]
    fn every_cause_is_told_apart() {
        use LeaderChangeCause::{ElectionTimeout, OtherMember, ProcessEnded, Start, Transfer};
        use Role::{Candidate, Follower, Leader, PreCandidate};
        let begin = [status(Follower, 0, 1, None), status(Follower, 1, 2, None)];
        let steps = |more: &[Status]| [&begin, more].concat();
        for (steps, ended_before, cause, leaderless) in [
            (steps(&[]), None, Start, 0),
            (steps(&[status(Follower, 2, 3, None)]), None, OtherMember, 0),
            (steps(&[status(Follower, 0, 3, None), status(Follower, 3, 3, None)]), None, OtherMember, 10),
            (steps(&[status(PreCandidate, 0, 2, None), status(Leader, 2, 3, None)]), None, ElectionTimeout, 10),
            (steps(&[status(Candidate, 0, 3, None), status(Leader, 2, 3, None)]), None, Transfer, 10),
            (
                steps(&[status(Follower, 0, 2, None), status(PreCandidate, 0, 2, None), status(Leader, 2, 3, None)]),
                Some(1),
                ProcessEnded,
                20,
            ),
            (
                vec![
                    status(Follower, 0, 1, None),
                    status(Leader, 2, 2, None),
                    status(Leader, 2, 2, Some(1)),
                    status(Follower, 0, 3, None),
                    status(Follower, 1, 3, None),
                ],
                None,
                Transfer,
                10,
            ),
        ] {
            let (changes, change) = last(&steps, ended_before);
            let expected = (cause, Duration::from_millis(leaderless));
            assert_eq!((change.cause, change.leaderless), expected, "{steps:?}");
            assert_eq!((change.to, change.term), (steps[steps.len() - 1].leader, steps[steps.len() - 1].term));
            assert_eq!(changes.leaderless(), change.leaderless);
            assert_eq!(changes.counts().iter().sum::<u64>(), if steps.len() == 2 { 1 } else { 2 });
        }
    }

    #[test]
    fn labels_differ() {
        let labels: std::collections::BTreeSet<_> =
            LeaderChangeCause::ALL.into_iter().map(LeaderChangeCause::label).collect();
        assert_eq!(labels.len(), LeaderChangeCause::ALL.len());
    }
}
