//! Barriers that wait for an index from the leader.

use crate::waiters::Barrier;
use consensus::ReadContexts;
use std::collections::BTreeMap;

/// Ticks after which a read index that was not answered is asked for again.
const RETRY_TICKS: u32 = 5;

/// Barriers by what was asked for them. Nothing is asked twice under the same name: an answer to the first would be taken for one to
/// the second, and be stale.
#[derive(Debug)]
pub(crate) struct Reads {
    contexts: ReadContexts,
    waiting: Vec<Barrier>,
    asked: BTreeMap<u64, Vec<Barrier>>,
    ticks: u32,
}

impl Reads {
    pub(crate) fn new(contexts: ReadContexts) -> Self {
        Self { contexts, waiting: Vec::new(), asked: BTreeMap::new(), ticks: 0 }
    }

    /// One more that waits to be asked for.
    pub(crate) fn push(&mut self, barrier: Barrier) {
        self.waiting.push(barrier);
    }

    /// The context of one question for all that wait; nothing when nobody does.
    pub(crate) fn ask(&mut self) -> Option<Vec<u8>> {
        if self.waiting.is_empty() {
            return None;
        }
        let (number, context) = self.contexts.fresh();
        self.asked.insert(number, std::mem::take(&mut self.waiting));
        Some(context)
    }

    /// Those whose question was answered.
    pub(crate) fn answered(&mut self, context: &[u8]) -> Option<Vec<Barrier>> {
        self.asked.remove(&self.contexts.number_of(context)?)
    }

    /// All that was asked for is asked for again: the answers may never come.
    pub(crate) fn again(&mut self) {
        let unanswered = std::mem::take(&mut self.asked);
        self.waiting.extend(unanswered.into_values().flatten());
        self.waiting.retain(|barrier| !barrier.is_closed());
    }

    /// Time passes; questions get lost.
    pub(crate) fn tick(&mut self) {
        self.ticks += 1;
        if self.ticks.is_multiple_of(RETRY_TICKS) {
            self.again();
        }
    }
}
