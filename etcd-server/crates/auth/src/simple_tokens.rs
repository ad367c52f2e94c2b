//! Simple tokens: random letters and a raft index, known to this member until they are not used for
//! a while.
//!
//! Every member holds every token, because each applies the login; but each renews only those that
//! are used on it. All are lost on restart. A token names the user, not the time: its identity
//! takes the auth revision of the request.
//!
//! Invariant: `of_user` and `by_deadline` hold each token once, at the position in its record, with
//! a deadline that is not later than the true one. The true one moves with each use, under a shared
//! reference; an order is corrected only when its front is looked at.

use crate::DropTokens;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use types::MonotonicTime;

/// Number of random letters a token begins with.
pub const TOKEN_LETTERS: usize = 16;
/// Tokens of one user at most. Thousands of hosts may share one user, but a client that logs in for
/// every request must not fill the memory: at the bound the token that was not used for longest is
/// dropped.
pub const TOKENS_PER_USER_MAX: usize = 16_384;
/// Tokens of all users at most, some 20 MB; dropped likewise.
pub const TOKENS_MAX: usize = 65_536;

/// The token that a login gets: the letters from the entry, a dot, and the index (etcd: that of the
/// entry, less one).
pub fn simple_token(letters: &str, index: u64) -> String {
    format!("{letters}.{index}")
}

/// The index in a token; a member must have applied that far before it may say that it does not
/// know the token. Nothing if this is no simple token.
pub fn simple_token_index(token: &str) -> Option<u64> {
    let (letters, index) = token.split_once('.')?;
    let digits_only = !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit());
    (!letters.is_empty() && digits_only).then(|| index.parse().ok())?
}

type Order = BTreeSet<(MonotonicTime, Arc<str>)>;

/// The simple tokens that this member knows.
pub struct SimpleTokens {
    ttl: Duration,
    tokens: BTreeMap<Arc<str>, Held>,
    by_deadline: Order,
    of_user: BTreeMap<Arc<str>, Order>,
}

struct Held {
    user: Arc<str>,
    /// A [`MonotonicTime`]; moves with each use.
    deadline: AtomicU64,
    /// The positions of the token in `by_deadline`, and among those of its user.
    stands: [MonotonicTime; 2],
}

/// Index into [`Held::stands`].
const AMONG_ALL: usize = 0;
/// Index into [`Held::stands`].
const AMONG_USERS_OWN: usize = 1;

impl Held {
    fn deadline(&self) -> MonotonicTime {
        MonotonicTime(self.deadline.load(Ordering::Relaxed))
    }
}

impl fmt::Debug for SimpleTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimpleTokens")
            .field("ttl", &self.ttl)
            .field("tokens", &self.tokens.len())
            .finish_non_exhaustive()
    }
}

impl SimpleTokens {
    /// No tokens yet; each will live for `ttl` after its last use.
    pub fn new(ttl: Duration) -> Self {
        Self { ttl, tokens: BTreeMap::new(), by_deadline: Order::new(), of_user: BTreeMap::new() }
    }

    /// Remembers that `token` stands for `user`. At a bound the token with the earliest deadline
    /// gives way.
    ///
    /// # Panics
    /// If more tokens are held than the bounds allow, or they are not all in order.
    pub fn assign(&mut self, token: &str, user: &str, now: MonotonicTime) {
        self.forget(token);
        self.expire(now);
        if self.of_user.get(user).is_some_and(|order| order.len() >= TOKENS_PER_USER_MAX) {
            let oldest = self.of_user.get_mut(user).and_then(|order| oldest(order, &mut self.tokens, AMONG_USERS_OWN));
            self.forget_all(oldest);
        }
        if self.tokens.len() >= TOKENS_MAX {
            let oldest = oldest(&mut self.by_deadline, &mut self.tokens, AMONG_ALL);
            self.forget_all(oldest);
        }
        self.insert(token.into(), user.into(), now.after(self.ttl));
        assert!(self.tokens.len() <= TOKENS_MAX, "{} tokens are held", self.tokens.len());
        assert!(
            self.by_deadline.len() == self.tokens.len(),
            "{} tokens are in order, and {} are held",
            self.by_deadline.len(),
            self.tokens.len()
        );
        assert!(
            self.of_user.len() <= self.tokens.len(),
            "{} users have {} tokens",
            self.of_user.len(),
            self.tokens.len()
        );
    }

    fn insert(&mut self, token: Arc<str>, user: Arc<str>, deadline: MonotonicTime) {
        self.by_deadline.insert((deadline, token.clone()));
        let of_user = self.of_user.entry(user.clone()).or_default();
        of_user.insert((deadline, token.clone()));
        assert!(of_user.len() <= TOKENS_PER_USER_MAX, "a user has {} tokens", of_user.len());
        self.tokens.insert(token, Held { user, deadline: AtomicU64::new(deadline.0), stands: [deadline; 2] });
    }

    /// The user that `token` stands for, and another TTL of life for it; nothing when it is unknown
    /// or expired.
    pub fn user_of(&self, token: &str, now: MonotonicTime) -> Option<&str> {
        let held = self.tokens.get(token).filter(|held| now < held.deadline())?;
        held.deadline.fetch_max(now.after(self.ttl).0, Ordering::Relaxed);
        Some(&held.user)
    }

    /// Forgets the tokens whose time is over. Unknown and expired tokens are answered alike, so
    /// this only gives memory back.
    pub fn expire(&mut self, now: MonotonicTime) {
        while self.by_deadline.first().is_some_and(|(deadline, _)| *deadline <= now) {
            match oldest(&mut self.by_deadline, &mut self.tokens, AMONG_ALL) {
                Some(token) if self.tokens.get(&token).is_some_and(|held| held.deadline() <= now) => {
                    self.forget(&token)
                }
                _ => return,
            }
        }
    }

    /// Drops the tokens that a change of users or of the switch makes invalid.
    pub fn drop_tokens(&mut self, which: &DropTokens) {
        match which {
            DropTokens::Nobody => {}
            DropTokens::OfUser(user) => {
                let order = self.of_user.get(user.as_str()).cloned().unwrap_or_default();
                self.forget_all(order.into_iter().map(|(_, token)| token));
            }
            DropTokens::Everybody => {
                self.tokens.clear();
                self.by_deadline.clear();
                self.of_user.clear();
            }
        }
    }

    /// Returns the number of held tokens, including expired ones that were not swept yet.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Returns `true` if no token is held.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    fn forget_all(&mut self, tokens: impl IntoIterator<Item = Arc<str>>) {
        tokens.into_iter().for_each(|token| self.forget(&token));
    }

    fn forget(&mut self, token: &str) {
        let Some((token, held)) = self.tokens.remove_entry(token) else { return };
        let was_ordered = self.by_deadline.remove(&(held.stands[AMONG_ALL], token.clone()));
        assert!(was_ordered, "a token is not at its place {:?}", held.stands[AMONG_ALL]);
        if let Some(order) = self.of_user.get_mut(&held.user) {
            let was_ordered = order.remove(&(held.stands[AMONG_USERS_OWN], token));
            assert!(was_ordered, "a token of a user is not at its place {:?}", held.stands[AMONG_USERS_OWN]);
            if order.is_empty() {
                self.of_user.remove(&held.user);
            }
        }
    }
}

/// Returns the token with the earliest true deadline in `order`, correcting positions of tokens
/// used meanwhile.
fn oldest(order: &mut Order, tokens: &mut BTreeMap<Arc<str>, Held>, which: usize) -> Option<Arc<str>> {
    loop {
        let (stood, token) = order.pop_first()?;
        let held = tokens.get_mut(&token).expect("an order holds only tokens that are held");
        let deadline = held.deadline();
        assert!(deadline >= stood, "the deadline of a token moves back from {stood:?} to {deadline:?}");
        held.stands[which] = deadline;
        order.insert((deadline, token.clone()));
        if deadline == stood {
            return Some(token);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(300);
    const TTL_MS: u64 = 300_000;

    #[test]
    fn use_renews_a_token_and_disuse_ends_it() {
        let mut tokens = SimpleTokens::new(TTL);
        tokens.assign("a.1", "ann", MonotonicTime(0));
        assert_eq!(tokens.user_of("a.1", MonotonicTime(TTL_MS - 1)), Some("ann"));
        assert_eq!(tokens.user_of("a.1", MonotonicTime(2 * TTL_MS - 2)), Some("ann"));
        assert_eq!(tokens.user_of("a.1", MonotonicTime(3 * TTL_MS - 2)), None);
        assert_eq!(tokens.user_of("b.1", MonotonicTime(0)), None);
        tokens.expire(MonotonicTime(3 * TTL_MS - 2));
        assert!(tokens.is_empty() && tokens.by_deadline.is_empty() && tokens.of_user.is_empty());
    }

    #[test]
    fn dropping_spares_other_users_unless_all_are_meant() {
        let mut tokens = SimpleTokens::new(TTL);
        for (token, user) in [("a.1", "ann"), ("b.2", "bob"), ("c.3", "ann")] {
            tokens.assign(token, user, MonotonicTime(0));
        }
        tokens.drop_tokens(&DropTokens::Nobody);
        assert_eq!(tokens.len(), 3);
        tokens.drop_tokens(&DropTokens::OfUser("ann".into()));
        assert_eq!(
            (tokens.user_of("a.1", MonotonicTime(1)), tokens.user_of("b.2", MonotonicTime(1)), tokens.len()),
            (None, Some("bob"), 1)
        );
        tokens.drop_tokens(&DropTokens::Everybody);
        assert!(tokens.is_empty());
    }

    #[test]
    fn at_the_bound_of_a_user_the_longest_unused_gives_way() {
        let mut tokens = SimpleTokens::new(TTL);
        tokens.assign("other.0", "bob", MonotonicTime(0));
        for index in 0..TOKENS_PER_USER_MAX {
            tokens.assign(&format!("t.{index}"), "ann", MonotonicTime(1));
        }
        assert_eq!(tokens.user_of("t.0", MonotonicTime(2)), Some("ann"));
        tokens.assign("new.1", "ann", MonotonicTime(3));
        let known = |token| tokens.user_of(token, MonotonicTime(4)).is_some();
        assert!(known("t.0") && known("new.1") && known("other.0") && !known("t.1"));
        assert_eq!(tokens.len(), TOKENS_PER_USER_MAX + 1);
    }

    #[test]
    fn at_the_bound_of_all_the_longest_unused_of_anybody_gives_way() {
        let mut tokens = SimpleTokens::new(TTL);
        for index in 0..TOKENS_MAX {
            tokens.assign(&format!("t.{index}"), &format!("user{}", index % 8), MonotonicTime(index as u64 / 1000));
        }
        tokens.assign("new.1", "ann", MonotonicTime(100));
        assert!(
            tokens.user_of("t.0", MonotonicTime(100)).is_none() && tokens.user_of("t.1", MonotonicTime(100)).is_some()
        );
        assert_eq!(tokens.len(), TOKENS_MAX);
    }

    #[test]
    fn tokens_agree_with_a_plain_list() {
        let mut random = fastrand::Rng::with_seed(11);
        let mut tokens = SimpleTokens::new(Duration::from_millis(50));
        let mut list: BTreeMap<String, (String, u64)> = BTreeMap::new();
        let mut now = 0;
        for round in 0..20_000 {
            now += random.u64(0..4);
            let (token, user) = (format!("t.{}", random.u8(0..40)), format!("u{}", random.u8(0..4)));
            match random.u8(0..40) {
                0 => tokens.expire(MonotonicTime(now)),
                1 => {
                    tokens.drop_tokens(&DropTokens::OfUser(user.clone()));
                    list.retain(|_, (owner, _)| *owner != user);
                }
                2..=10 => {
                    tokens.assign(&token, &user, MonotonicTime(now));
                    list.insert(token, (user, now + 50));
                }
                _ => {
                    let expected =
                        list.get_mut(&token).filter(|(_, deadline)| now < *deadline).map(|(owner, deadline)| {
                            *deadline = now + 50;
                            owner.as_str()
                        });
                    assert_eq!(tokens.user_of(&token, MonotonicTime(now)), expected, "round {round}");
                }
            }
            let per_user: usize = tokens.of_user.values().map(BTreeSet::len).sum();
            assert_eq!((tokens.by_deadline.len(), per_user), (tokens.len(), tokens.len()), "round {round}");
        }
    }

    #[test]
    fn the_index_is_read_from_well_formed_tokens_only() {
        assert_eq!(simple_token_index(&simple_token("abcdefghijklmnop", 26)), Some(26));
        let malformed = ["", "abc", ".5", "abc.", "abc.x", "abc.-1", "abc.+1", "a.b.3", "abc.99999999999999999999"];
        assert!(malformed.iter().all(|token| simple_token_index(token).is_none()));
    }

    #[test]
    fn debug_names_no_token() {
        let mut tokens = SimpleTokens::new(TTL);
        tokens.assign("verysecret.1", "ann", MonotonicTime(0));
        assert!(!format!("{tokens:?}").contains("verysecret"));
    }
}
