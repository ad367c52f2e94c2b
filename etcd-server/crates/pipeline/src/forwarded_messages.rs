//! Messages with proposals that a follower has forwarded and that have had no response yet.
//!
//! A message gets lost when the stream to the leader breaks, or when the leader has no room for
//! it. While the term stays, no later entry shows that. But a leader takes each fenced message
//! once, so the follower sends the same message again after a while.

use proto::raftpb::Message;
use std::collections::VecDeque;

/// Ticks without a response after which a message is sent again, doubled each time.
const PAUSE_TICKS: u64 = 5;
/// Bytes that are sent again in a tick, except for the last message.
const RESENT_BYTES_MAX: usize = 4 << 20;

/// The fenced messages of one term, in the order in which they were sent.
#[derive(Debug, Default)]
pub(crate) struct ForwardedMessages {
    term: u64,
    messages: VecDeque<Forwarded>,
    ticks: u64,
}

#[derive(Debug)]
struct Forwarded {
    /// Its proposals.
    ids: Vec<u64>,
    message: Message,
    /// The tick at which it is sent again.
    due: u64,
    pause: u64,
}

impl ForwardedMessages {
    /// Adds a message that is being sent under a fence of `term`.
    pub(crate) fn push(&mut self, term: u64, ids: Vec<u64>, message: Message) {
        assert!(!ids.is_empty(), "a message that is forwarded in term {term} has proposals");
        self.forget_other_terms(term);
        let due = self.ticks + PAUSE_TICKS;
        self.messages.push_back(Forwarded { ids, message, due, pause: PAUSE_TICKS });
    }

    /// Drops the messages none of whose proposals waits for a response.
    pub(crate) fn retain(&mut self, mut waits: impl FnMut(u64) -> bool) {
        self.messages.retain(|forwarded| forwarded.ids.iter().any(|id| waits(*id)));
    }

    /// The leader could not be reached: what was sent once is sent again at the next tick.
    pub(crate) fn leader_unreachable(&mut self) {
        let first_time = |forwarded: &&mut Forwarded| forwarded.pause == PAUSE_TICKS;
        self.messages.iter_mut().filter(first_time).for_each(|forwarded| forwarded.due = self.ticks + 1);
    }

    /// A tick has passed. Returns the messages to send again to `leader` of `term`, if it is known and
    /// honours fences.
    pub(crate) fn tick(&mut self, leader: Option<(u64, u64)>) -> Vec<Message> {
        self.ticks += 1;
        let Some((leader, term)) = leader else { return Vec::new() };
        self.forget_other_terms(term);
        let mut bytes = 0;
        let mut again = Vec::new();
        for forwarded in &mut self.messages {
            if bytes >= RESENT_BYTES_MAX {
                break;
            }
            if forwarded.due <= self.ticks && forwarded.message.to == leader {
                forwarded.pause *= 2;
                forwarded.due = self.ticks + forwarded.pause;
                bytes += forwarded.message.entries.iter().map(|entry| entry.data.len()).sum::<usize>();
                again.push(forwarded.message.clone());
            }
        }
        again
    }

    /// Messages of another term become entries no more.
    fn forget_other_terms(&mut self, term: u64) {
        if self.term != term {
            self.messages.clear();
            self.term = term;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::raftpb::Entry;

    const LEADER: Option<(u64, u64)> = Some((7, 1));

    fn message(number: u8, bytes: usize) -> Message {
        let entries = vec![Entry { data: vec![number; bytes].into(), ..Entry::default() }];
        Message { to: 7, entries, ..Message::default() }
    }

    /// Passes ticks; returns those at which something was sent, with the numbers of the messages.
    fn pass(forwarded: &mut ForwardedMessages, ticks: u64) -> Vec<(u64, Vec<u8>)> {
        let mut sent = Vec::new();
        for _ in 0..ticks {
            let numbers: Vec<u8> = forwarded.tick(LEADER).iter().map(|message| message.entries[0].data[0]).collect();
            if !numbers.is_empty() {
                sent.push((forwarded.ticks, numbers));
            }
        }
        sent
    }

    #[test]
    fn waiting_messages_are_sent_again_ever_more_rarely() {
        let mut forwarded = ForwardedMessages::default();
        forwarded.push(1, vec![1, 2], message(1, 1));
        forwarded.push(1, vec![3], message(2, 1));
        assert_eq!(pass(&mut forwarded, 20), [(5, vec![1, 2]), (15, vec![1, 2])]);
        forwarded.retain(|id| id == 2);
        assert_eq!(pass(&mut forwarded, 70), [(35, vec![1]), (75, vec![1])]);
        forwarded.retain(|_| false);
        assert_eq!(pass(&mut forwarded, 200), []);
    }

    #[test]
    fn messages_hold_for_their_term_and_leader() {
        let mut forwarded = ForwardedMessages::default();
        forwarded.push(1, vec![1], message(1, 1));
        // Nobody leads for a while, then the same member in the same term, without fences.
        (0..8).for_each(|_| assert!(forwarded.tick(None).is_empty()));
        assert!(forwarded.tick(Some((8, 1))).is_empty());
        assert_eq!(pass(&mut forwarded, 1), [(10, vec![1])]);
        forwarded.push(2, vec![1], message(2, 1));
        assert_eq!(forwarded.tick(LEADER), []);
        assert!(forwarded.messages.is_empty(), "the term has ended");
    }

    #[test]
    fn unreachable_leaders_get_messages_again_at_once() {
        let mut forwarded = ForwardedMessages::default();
        forwarded.push(1, vec![1], message(1, 1));
        forwarded.leader_unreachable();
        assert_eq!(pass(&mut forwarded, 1), [(1, vec![1])]);
        // Reports that go on do not make it more.
        forwarded.leader_unreachable();
        assert_eq!(pass(&mut forwarded, 9), []);
    }

    #[test]
    fn bytes_per_tick_are_bounded() {
        let mut forwarded = ForwardedMessages::default();
        (1..=3).for_each(|number| forwarded.push(1, vec![number.into()], message(number, RESENT_BYTES_MAX / 2)));
        assert_eq!(pass(&mut forwarded, 6), [(5, vec![1, 2]), (6, vec![3])]);
    }
}
