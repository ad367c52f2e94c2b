//! The network between members: two ordered connections per pair and direction, which lose, double,
//! delay and part.

use crate::plan::{Plan, spread};
use crate::schedule::Time;
use fastrand::Rng;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
pub(crate) struct Network {
    /// Pairs of sender and receiver between which nothing passes.
    pub(crate) blocked: BTreeSet<(u64, u64)>,
    /// When the last message of a connection arrives.
    last: BTreeMap<(u64, u64, bool), Time>,
    /// Raised when the connections of a pair break: messages in flight are lost.
    epochs: BTreeMap<(u64, u64), u64>,
    pub(crate) healed: bool,
}

impl Network {
    pub(crate) fn passes(&self, from: u64, to: u64) -> bool {
        !self.blocked.contains(&(from, to))
    }

    pub(crate) fn epoch(&self, from: u64, to: u64) -> u64 {
        self.epochs.get(&(from, to)).copied().unwrap_or(0)
    }

    pub(crate) fn reset(&mut self, from: u64, to: u64) {
        *self.epochs.entry((from, to)).or_default() += 1;
    }

    /// When a message arrives: never, once or twice.
    pub(crate) fn arrivals(
        &mut self,
        random: &mut Rng,
        plan: &Plan,
        now: Time,
        from: u64,
        to: u64,
        bulk: bool,
    ) -> Vec<Time> {
        let lost = !self.healed && random.u64(..1000) < plan.loss;
        if lost || !self.passes(from, to) {
            return Vec::new();
        }
        let doubled = !self.healed && random.u64(..1000) < plan.doubled;
        let copies = if doubled { 2 } else { 1 };
        (0..copies).map(|_| self.arrival(random, plan, now, (from, to, bulk))).collect()
    }

    fn arrival(&mut self, random: &mut Rng, plan: &Plan, now: Time, connection: (u64, u64, bool)) -> Time {
        let delayed = now + 50 + spread(random, plan.delay);
        if plan.overtaking && !self.healed {
            return delayed;
        }
        let last = self.last.entry(connection).or_default();
        *last = delayed.max(*last + 1);
        *last
    }
}
