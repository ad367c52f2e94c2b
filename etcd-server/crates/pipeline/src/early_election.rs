//! Elections before the election timeout, because the process of the leader is known to have ended.
//!
//! Only a pre-vote is asked for: members that still hear the leader ignore it, so a member that is
//! wrong about the leader disturbs nobody. Those that have noticed the end a little later ignore it
//! too, so it is repeated a few times.

use std::time::Duration;
use types::MonotonicTime;

/// The members ask one after the other, this far apart, so that they do not split the votes, and
/// each has noticed the end. Further apart with each attempt: on a busy machine messages take
/// longer than a turn.
const TURN: Duration = Duration::from_millis(15);
/// Within its turn, a member asks this much later at most.
const SPREAD: Duration = Duration::from_millis(5);
/// Between two pre-votes of a member, at least; doubled with each attempt. An election that is under
/// way has this time to succeed: a busy machine, or a slow disk, needs more of it.
const PAUSE: Duration = Duration::from_millis(50);
/// Pre-votes for one lost leader. Then the election timeout decides, as always.
const ATTEMPTS_MAX: u32 = 5;

/// The pre-votes that are planned because a leader has ended.
#[derive(Debug)]
pub(crate) struct EarlyElection {
    /// The term of the last election that is known.
    term: u64,
    /// The place of this member among those that may take the leader's place.
    turn: u32,
    attempts: u32,
    next: MonotonicTime,
    draws: u64,
}

impl EarlyElection {
    /// The leader of `term` has ended. `voters` are the members that may take its place, in order.
    pub(crate) fn new(now: MonotonicTime, term: u64, member: u64, voters: &[u64]) -> Self {
        let turn = voters.iter().position(|voter| *voter == member).unwrap_or(voters.len());
        let turn = u32::try_from(turn).unwrap_or(u32::MAX);
        let mut election = Self { term, turn, attempts: 0, next: now, draws: member ^ term.rotate_left(32) };
        election.next = now.after(election.delay());
        election
    }

    /// Returns the time of the next pre-vote.
    pub(crate) fn next(&self) -> MonotonicTime {
        self.next
    }

    /// Returns `true` if a pre-vote is to be asked for now, at a member that has come to `term`:
    /// while another member's election is under way, it waits.
    pub(crate) fn is_due(&mut self, now: MonotonicTime, term: u64) -> bool {
        if self.term != term {
            self.term = term;
            self.next = now.after(self.pause() + self.delay());
        }
        now >= self.next
    }

    /// A pre-vote is asked for now. Returns `false` if it was the last one.
    pub(crate) fn asked(&mut self, now: MonotonicTime) -> bool {
        assert!(self.attempts < ATTEMPTS_MAX, "a pre-vote follows the last one, number {}", self.attempts);
        self.next = now.after(self.pause() + self.delay());
        self.attempts += 1;
        self.attempts < ATTEMPTS_MAX
    }

    /// Returns the time for an election that is under way.
    fn pause(&self) -> Duration {
        PAUSE * 2_u32.pow(self.attempts.min(ATTEMPTS_MAX))
    }

    /// Returns the time until the turn of this member in the present attempt.
    fn delay(&mut self) -> Duration {
        TURN.saturating_mul(self.turn.saturating_mul(self.attempts + 1)) + self.draw(SPREAD)
    }

    /// Draws a time below `limit`: the same for the same member and term.
    fn draw(&mut self, limit: Duration) -> Duration {
        self.draws = self.draws.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.draws ^ (self.draws >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let micros = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX).max(1);
        Duration::from_micros((mixed >> 11) % micros)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_ask_one_after_the_other() {
        let begin = MonotonicTime::default();
        let asks = |member| EarlyElection::new(begin, 5, member, &[3, 5, 9]).next().since(begin);
        assert!(asks(3) < SPREAD);
        assert!((TURN..TURN + SPREAD).contains(&asks(5)));
        assert!((2 * TURN..2 * TURN + SPREAD).contains(&asks(9)));
    }

    #[test]
    fn pre_votes_are_repeated_a_few_times() {
        let begin = MonotonicTime::default();
        let mut election = EarlyElection::new(begin, 5, 3, &[1, 3]);
        let mut asked = 1;
        while election.asked(election.next()) {
            asked += 1;
        }
        assert_eq!(asked, ATTEMPTS_MAX);
        // Within about an election timeout.
        assert!(election.next().since(begin) < Duration::from_secs(2));
    }

    #[test]
    fn members_ask_further_apart_each_time() {
        let begin = MonotonicTime::default();
        let [mut first, mut second] = [3, 5].map(|member| EarlyElection::new(begin, 5, member, &[3, 5]));
        for attempt in 1..ATTEMPTS_MAX {
            first.asked(begin);
            second.asked(begin);
            assert!(second.next().since(begin) + SPREAD > first.next().since(begin) + TURN * attempt);
        }
    }

    #[test]
    fn the_election_of_another_member_has_its_time() {
        let begin = MonotonicTime::default();
        let mut election = EarlyElection::new(begin, 5, 3, &[1, 3]);
        let due = election.next();
        assert!(!election.is_due(due, 6), "another member asks in term 6");
        assert!(election.next().since(due) >= PAUSE);
        assert!(election.is_due(election.next(), 6));
    }
}
