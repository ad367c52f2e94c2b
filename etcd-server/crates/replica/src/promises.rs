//! Messages that may not leave before their promises are durable.

use proto::raftpb::Message;
use std::collections::VecDeque;

/// In the order of the readies that they came with.
#[derive(Debug, Default)]
pub(crate) struct Promises {
    waiting: VecDeque<(u64, Vec<Message>)>,
    /// The newest ready that has something to persist, and the newest that is durable.
    last_synced: u64,
    durable: u64,
}

impl Promises {
    /// Takes the promises of ready `number`; returns the messages that may leave at once.
    pub(crate) fn take(&mut self, number: u64, must_sync: bool, promises: Vec<Message>) -> Vec<Message> {
        if must_sync {
            self.last_synced = number;
        }
        if self.last_synced <= self.durable {
            return promises;
        }
        if !promises.is_empty() {
            self.waiting.push_back((self.last_synced, promises));
        }
        Vec::new()
    }

    /// Records that everything up to ready `number` is durable; returns the messages that may leave
    /// now.
    pub(crate) fn durable(&mut self, number: u64) -> Vec<Message> {
        self.durable = self.durable.max(number);
        let mut free = Vec::new();
        while self.waiting.front().is_some_and(|(needs, _)| *needs <= self.durable) {
            free.extend(self.waiting.pop_front().into_iter().flat_map(|(_, promises)| promises));
        }
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
        let mut promises = Promises::default();
        assert_eq!(indexes(&promises.take(1, false, message(1))), [1], "nothing has to be persisted");
        assert!(promises.take(2, true, message(2)).is_empty());
        assert!(promises.take(3, false, message(3)).is_empty(), "an earlier ready is not durable yet");
        assert!(promises.take(4, true, message(4)).is_empty());
        assert_eq!(indexes(&promises.durable(2)), [2, 3]);
        assert_eq!(indexes(&promises.durable(4)), [4]);
        assert_eq!(indexes(&promises.take(5, false, message(5))), [5]);
    }
}
