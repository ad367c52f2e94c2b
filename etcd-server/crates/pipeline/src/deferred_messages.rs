//! Messages that may not leave before their promises are durable.

use proto::raftpb::Message;
use std::collections::VecDeque;

/// In the order of the readies that they came with.
#[derive(Debug, Default)]
pub(crate) struct DeferredMessages {
    waiting: VecDeque<(u64, Vec<Message>)>,
    /// The newest ready that has something to persist, and the newest that is durable.
    last_synced: u64,
    durable: u64,
}

impl DeferredMessages {
    /// Takes the promises of ready `number`; returns the messages that may leave at once.
    pub(crate) fn take(&mut self, number: u64, must_sync: bool, deferred_messages: Vec<Message>) -> Vec<Message> {
        if must_sync {
            assert!(number > self.last_synced, "ready {number} comes behind ready {}", self.last_synced);
            self.last_synced = number;
        }
        if self.last_synced <= self.durable {
            return deferred_messages;
        }
        if !deferred_messages.is_empty() {
            if let Some((last, _)) = self.waiting.back() {
                assert!(*last <= self.last_synced, "messages of {last} wait before those of {}", self.last_synced);
            }
            self.waiting.push_back((self.last_synced, deferred_messages));
        }
        Vec::new()
    }

    /// Records that everything up to ready `number` is durable; returns the messages that may leave
    /// now.
    pub(crate) fn durable(&mut self, number: u64) -> Vec<Message> {
        assert!(number <= self.last_synced, "ready {number} is durable, and {} was the last", self.last_synced);
        self.durable = self.durable.max(number);
        let mut free = Vec::new();
        while self.waiting.front().is_some_and(|(needs, _)| *needs <= self.durable) {
            free.extend(self.waiting.pop_front().into_iter().flat_map(|(_, deferred_messages)| deferred_messages));
        }
        assert!(
            self.waiting.is_empty() || self.durable < self.last_synced,
            "messages wait, though all up to ready {} is durable",
            self.durable
        );
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(index: u64) -> Vec<Message> {
        vec![Message { index, ..Message::default() }]
    }

    fn indexes(messages: &[Message]) -> Vec<u64> {
        messages.iter().map(|message| message.index).collect()
    }

    #[test]
    fn promises_wait_for_all_that_came_before_them() {
        let mut deferred_messages = DeferredMessages::default();
        assert_eq!(indexes(&deferred_messages.take(1, false, message(1))), [1], "nothing has to be persisted");
        assert!(deferred_messages.take(2, true, message(2)).is_empty());
        assert!(deferred_messages.take(3, false, message(3)).is_empty(), "an earlier ready is not durable yet");
        assert!(deferred_messages.take(4, true, message(4)).is_empty());
        assert_eq!(indexes(&deferred_messages.durable(2)), [2, 3]);
        assert_eq!(indexes(&deferred_messages.durable(4)), [4]);
        assert_eq!(indexes(&deferred_messages.take(5, false, message(5))), [5]);
    }
}
