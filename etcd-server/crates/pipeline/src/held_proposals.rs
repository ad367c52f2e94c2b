//! Proposals that wait for a leader that takes them.

use crate::node_input::{Proposal, ProposalKind};
use proto::raftpb::Message;
use std::collections::VecDeque;

/// Proposals that are held at most; further ones are refused.
const PROPOSALS_MAX: usize = 10_000;
/// Bytes of proposals that are held at most.
const BYTES_MAX: usize = 64 << 20;

/// The proposals of this member's own clients, in order, and messages with those of others.
#[derive(Debug, Default)]
pub(crate) struct HeldProposals {
    own: VecDeque<(ProposalKind, Proposal)>,
    own_bytes: usize,
    messages: Vec<Message>,
    message_bytes: usize,
}

impl HeldProposals {
    /// Returns `true` if no proposal of this member's clients is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.own.is_empty()
    }

    /// Returns the number of held proposals of this member's clients.
    pub(crate) fn len(&self) -> usize {
        self.own.len()
    }

    /// Holds a proposal. Returns it if there is no room.
    pub(crate) fn push(&mut self, kind: ProposalKind, proposal: Proposal) -> Result<(), Proposal> {
        let bytes = self.own_bytes + proposal.data.len();
        if self.own.len() >= PROPOSALS_MAX || bytes > BYTES_MAX {
            return Err(proposal);
        }
        self.own_bytes = bytes;
        self.own.push_back((kind, proposal));
        Ok(())
    }

    /// Removes and returns the first proposals of one kind.
    pub(crate) fn take(&mut self) -> Option<(ProposalKind, Vec<Proposal>)> {
        let first = self.own.front()?.0;
        let mut proposals = Vec::new();
        while self.own.front().is_some_and(|(kind, _)| *kind == first) {
            let Some((_, proposal)) = self.own.pop_front() else { break };
            let bytes = proposal.data.len();
            assert!(bytes <= self.own_bytes, "a proposal of {bytes} bytes is held, and {} in all", self.own_bytes);
            self.own_bytes -= bytes;
            proposals.push(proposal);
        }
        assert!(!self.own.is_empty() || self.own_bytes == 0, "no proposal is held, and {} bytes", self.own_bytes);
        Some((first, proposals))
    }

    /// Drops the proposals that `waits` returns `false` for.
    pub(crate) fn retain(&mut self, mut waits: impl FnMut(u64) -> bool) {
        self.own.retain(|(_, proposal)| waits(proposal.id));
        self.own_bytes = self.own.iter().map(|(_, proposal)| proposal.data.len()).sum();
    }

    /// Holds a message of another member; one for which there is no room is dropped, which raft
    /// allows.
    pub(crate) fn push_message(&mut self, message: Message) {
        let bytes: usize = message.entries.iter().map(|entry| entry.data.len()).sum();
        if self.messages.len() < PROPOSALS_MAX && self.message_bytes + bytes <= BYTES_MAX {
            self.message_bytes += bytes;
            self.messages.push(message);
        }
    }

    /// Removes and returns the messages.
    pub(crate) fn take_messages(&mut self) -> Vec<Message> {
        self.message_bytes = 0;
        std::mem::take(&mut self.messages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::raftpb::Entry;

    fn proposal(id: u64, bytes: usize) -> Proposal {
        Proposal { id, data: vec![0; bytes].into() }
    }

    fn ids(taken: Option<(ProposalKind, Vec<Proposal>)>) -> Option<(ProposalKind, Vec<u64>)> {
        taken.map(|(kind, proposals)| (kind, proposals.iter().map(|proposal| proposal.id).collect()))
    }

    #[test]
    fn proposals_leave_in_order_and_by_kind() {
        let mut held = HeldProposals::default();
        let kinds = [ProposalKind::Request, ProposalKind::Request, ProposalKind::ConfChange, ProposalKind::Request];
        for (kind, id) in kinds.into_iter().zip(1..) {
            held.push(kind, proposal(id, 1)).unwrap();
        }
        held.retain(|id| id != 2);
        assert_eq!(ids(held.take()), Some((ProposalKind::Request, vec![1])));
        assert_eq!(ids(held.take()), Some((ProposalKind::ConfChange, vec![3])));
        assert_eq!(ids(held.take()), Some((ProposalKind::Request, vec![4])));
        assert_eq!(ids(held.take()), None);
    }

    #[test]
    fn proposals_are_bounded_by_number_and_bytes() {
        let mut held = HeldProposals::default();
        for id in 0..10_000 {
            held.push(ProposalKind::Request, proposal(id, 1)).unwrap();
        }
        assert_eq!(held.push(ProposalKind::Request, proposal(7, 1)).unwrap_err().id, 7);
        held.retain(|id| id == 0);
        held.push(ProposalKind::Request, proposal(8, BYTES_MAX - 1)).unwrap();
        assert_eq!(held.push(ProposalKind::Request, proposal(9, 1)).unwrap_err().id, 9, "one byte too many");
        held.take();
        held.push(ProposalKind::Request, proposal(10, BYTES_MAX)).unwrap();
    }

    #[test]
    fn messages_are_bounded_by_bytes() {
        let mut held = HeldProposals::default();
        let message = |bytes| {
            let entries = vec![Entry { data: vec![0; bytes].into(), ..Entry::default() }];
            Message { entries, ..Message::default() }
        };
        held.push_message(message(BYTES_MAX));
        held.push_message(message(1));
        assert_eq!(held.take_messages(), [message(BYTES_MAX)]);
        held.push_message(message(1));
        assert_eq!(held.take_messages(), [message(1)]);
    }
}
