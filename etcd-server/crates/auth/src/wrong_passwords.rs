//! Delays for password guessing: after wrong passwords for a name, the next one waits for the
//! name's turn before it is checked.
//!
//! Existing and unknown names are treated alike, so waiting reveals nothing. A name under attack is
//! slow for every login as it, for as long as the attack lasts; logins as others never wait for it.
//! Tokens and certificates in use are not affected.

use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::time::Duration;
use types::MonotonicTime;

/// Wrong passwords in a row that cost nothing: people mistype, and programs start with an old
/// secret.
const FREE: u32 = 10;
/// Between two passwords for a name, the first time; doubles with each wrong one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// After so long without a wrong password a name is like any other.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// Names that are remembered; the one whose turn came longest ago gives way.
const NAMES_MAX: usize = 10_000;

/// A name by its digest: it may be as long as a request.
type Name = [u8; 32];

/// The recent wrong passwords, by name. Nothing of the passwords themselves.
#[derive(Debug, Default)]
pub struct WrongPasswords {
    names: BTreeMap<Name, Attempts>,
    /// The names by their last turns.
    turns: BTreeMap<(MonotonicTime, u64), Name>,
    entered: u64,
}

#[derive(Clone, Copy, Debug)]
struct Attempts {
    wrong: u32,
    /// The position of the name in `turns`.
    turn: (MonotonicTime, u64),
}

impl WrongPasswords {
    /// Takes a turn and returns the time that a login as `name` has to wait before its password is
    /// checked. `None` if that exceeds `patience`: then no turn is taken, and the login is to be
    /// refused.
    pub fn turn(&mut self, name: &str, now: MonotonicTime, patience: Duration) -> Option<Duration> {
        let name = digest(name);
        let Some(attempts) = self.known(name, now).filter(|attempts| attempts.wrong >= FREE) else {
            return Some(Duration::ZERO);
        };
        let doublings = (attempts.wrong - FREE).min(16);
        let pause = FIRST_PAUSE.saturating_mul(1 << doublings).min(PAUSE_MAX);
        let turn = attempts.turn.0.after(pause).max(now);
        let wait = turn.since(now);
        if wait > patience {
            return None;
        }
        self.stand(name, attempts.wrong, turn);
        Some(wait)
    }

    /// The password that was given for `name` was wrong.
    pub fn wrong(&mut self, name: &str, now: MonotonicTime) {
        let name = digest(name);
        let known = self.known(name, now);
        let wrong = known.map_or(0, |attempts| attempts.wrong).saturating_add(1);
        let turn = known.map_or(now, |attempts| attempts.turn.0.max(now));
        self.stand(name, wrong, turn);
        if self.names.len() > NAMES_MAX
            && let Some((_, oldest)) = self.turns.pop_first()
        {
            self.names.remove(&oldest);
        }
    }

    /// Records a right password: earlier wrong ones are dropped.
    pub fn right(&mut self, name: &str) {
        self.forget(digest(name));
    }

    fn forget(&mut self, name: Name) {
        if let Some(attempts) = self.names.remove(&name) {
            self.turns.remove(&attempts.turn);
        }
    }

    fn known(&mut self, name: Name, now: MonotonicTime) -> Option<Attempts> {
        let attempts = *self.names.get(&name)?;
        if now.since(attempts.turn.0) < FORGOTTEN_AFTER {
            return Some(attempts);
        }
        self.forget(name);
        None
    }

    fn stand(&mut self, name: Name, wrong: u32, turn: MonotonicTime) {
        self.forget(name);
        self.entered += 1;
        let turn = (turn, self.entered);
        self.turns.insert(turn, name);
        self.names.insert(name, Attempts { wrong, turn });
        assert!(
            self.turns.len() == self.names.len(),
            "{} names have a turn, and {} are remembered",
            self.turns.len(),
            self.names.len()
        );
    }
}

fn digest(name: &str) -> Name {
    Sha256::digest(name).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(7);

    fn milliseconds(wait: Option<Duration>) -> Option<u128> {
        wait.map(|wait| wait.as_millis())
    }

    #[test]
    fn guessing_gets_slower_and_others_do_not_wait() {
        let mut attempts = WrongPasswords::default();
        let mut now = MonotonicTime(1_000);
        let mut waits = Vec::new();
        for _ in 0..18 {
            let wait = attempts.turn("root", now, PATIENCE).unwrap();
            now = now.after(wait);
            attempts.wrong("root", now);
            waits.push(wait.as_millis());
        }
        assert_eq!(waits[..10], [0; 10]);
        assert_eq!(waits[10..], [100, 200, 400, 800, 1600, 2000, 2000, 2000]);
        assert_eq!(milliseconds(attempts.turn("alice", now, PATIENCE)), Some(0));
        // Two at once take two turns, and no more than can be waited for.
        assert_eq!(
            [(); 5].map(|()| milliseconds(attempts.turn("root", now, PATIENCE))),
            [Some(2000), Some(4000), Some(6000), None, None]
        );
    }

    #[test]
    fn login_waits_no_longer_than_its_patience() {
        let (mut attempts, now) = (WrongPasswords::default(), MonotonicTime(5));
        (0..20).for_each(|_| attempts.wrong("root", now));
        let mut turn = |patience| milliseconds(attempts.turn("root", now, Duration::from_millis(patience)));
        assert_eq!(turn(1999), None);
        assert_eq!(turn(2000), Some(2000), "the refused login has taken no turn");
    }

    #[test]
    fn a_right_password_and_time_heal() {
        let mut attempts = WrongPasswords::default();
        let now = MonotonicTime(5);
        let spoil = |attempts: &mut WrongPasswords| (0..20).for_each(|_| attempts.wrong("root", now));
        spoil(&mut attempts);
        assert_eq!(milliseconds(attempts.turn("root", now, PATIENCE)), Some(2000));
        attempts.right("root");
        assert_eq!(milliseconds(attempts.turn("root", now, PATIENCE)), Some(0));
        spoil(&mut attempts);
        assert_eq!(milliseconds(attempts.turn("root", now.after(FORGOTTEN_AFTER), PATIENCE)), Some(0));
        assert_eq!((attempts.names.len(), attempts.turns.len()), (0, 0));
    }

    #[test]
    fn names_are_bounded() {
        let mut attempts = WrongPasswords::default();
        for number in 0..30_000_u64 {
            attempts.wrong(&format!("name{number}"), MonotonicTime(number / 10));
        }
        assert_eq!((attempts.names.len(), attempts.turns.len()), (NAMES_MAX, NAMES_MAX));
        assert!(
            attempts.names.contains_key(&digest("name29999")) && !attempts.names.contains_key(&digest("name19999"))
        );
    }
}
