//! Linearizable reads that wait for a read index: collected, requested together, and requested
//! again when a response may not come.
//!
//! Invariant: a read gets the response to a request that was sent after the read arrived, so the
//! index covers everything acknowledged before. A repeated request has a new context; a response to
//! the old one is ignored.

use crate::node::Node;
use crate::read_contexts::ReadContexts;
use std::collections::BTreeMap;

/// The reads that wait for an index; `T` identifies a read. Bounded by the admission of its owner.
#[derive(Debug)]
pub struct ReadIndexQueue<T> {
    contexts: ReadContexts,
    waiting: Vec<T>,
    asked: BTreeMap<u64, Asked<T>>,
    /// Ticks after which a question is asked again.
    retry_ticks: u64,
    ticks: u64,
}

#[derive(Debug)]
struct Asked<T> {
    waiting: Vec<T>,
    at_tick: u64,
}

impl<T> ReadIndexQueue<T> {
    /// Returns an empty queue.
    pub fn new(contexts: ReadContexts, retry_ticks: u64) -> Self {
        Self { contexts, waiting: Vec::new(), asked: BTreeMap::new(), retry_ticks, ticks: 0 }
    }

    /// Adds a read.
    pub fn push(&mut self, read: T) {
        self.waiting.push(read);
    }

    /// Returns `true` if no read waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.asked.is_empty()
    }

    /// Asks one question for all that wait unasked, if it can be asked now.
    ///
    /// # Panics
    /// If the number of the question is not above all before it.
    pub fn ask(&mut self, node: &mut Node) {
        if self.waiting.is_empty() {
            return;
        }
        let (number, context) = self.contexts.fresh();
        if node.read_index(context).is_ok() {
            if let Some((last, _)) = self.asked.last_key_value() {
                assert!(*last < number, "the number {number} of a read index is used behind {last}");
            }
            self.asked.insert(number, Asked { waiting: std::mem::take(&mut self.waiting), at_tick: self.ticks });
        }
    }

    /// Takes the response to a context of [`crate::Ready::reads`]; returns the reads that waited
    /// for it.
    pub fn answered(&mut self, context: &[u8]) -> Vec<T> {
        let asked = self.contexts.number_of(context).and_then(|number| self.asked.remove(&number));
        asked.map_or_else(Vec::new, |asked| asked.waiting)
    }

    /// All questions are to be asked again: [`crate::Ready::ask_reads_again`].
    pub fn again(&mut self) {
        let asked = std::mem::take(&mut self.asked);
        self.waiting.extend(asked.into_values().flat_map(|asked| asked.waiting));
    }

    /// A tick has passed: questions that went unanswered for too long are to be asked again.
    pub fn tick(&mut self) {
        self.ticks += 1;
        while let Some(oldest) = self.asked.first_entry() {
            if self.ticks - oldest.get().at_tick < self.retry_ticks {
                return;
            }
            self.waiting.extend(oldest.remove().waiting);
        }
    }

    /// Removes and returns all that wait: this member can serve no read any more.
    pub fn drain(&mut self) -> Vec<T> {
        self.again();
        std::mem::take(&mut self.waiting)
    }

    /// Forgets those that gave up.
    pub fn retain(&mut self, mut waits: impl FnMut(&T) -> bool) {
        self.waiting.retain(&mut waits);
        for asked in self.asked.values_mut() {
            asked.waiting.retain(&mut waits);
        }
    }
}
