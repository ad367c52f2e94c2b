//! Proposals: where they go, and the fences of those that are forwarded.

use super::{Node, entry};
use crate::entry::EntryKind;
use crate::message;
use crate::message_validation::StepRefusal;
use crate::term_fence::TermFence;
use bytes::Bytes;
use proto::raftpb;
use raft::StateRole;
use raft::eraftpb::{self, MessageType};

/// A proposal that raft did not take: there is no leader, it is handing over or being removed, or
/// too much is uncommitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("raft proposal dropped")]
pub struct Dropped;

/// The way of a proposal that is handed in now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Into the log of this leader, or to a leader that honours fences: the proposal becomes an
    /// entry of this term or of none.
    Fenced(u64),
    /// To the leader of this term, which may pass it on to a later leader: a real etcd.
    Unfenced(u64),
    /// Nowhere: no leader is known, or this leader takes no proposals now.
    Closed,
}

impl Node {
    /// Proposes requests, in order and together. All of them are dropped or none. A follower
    /// forwards them to the leader, without a report when they get lost on the way; see
    /// [`Node::route`].
    ///
    /// Returns the message of a follower that forwarded them under a fence. In the same term it may
    /// be sent to the leader again as it is, which takes it once.
    pub fn propose(&mut self, requests: impl IntoIterator<Item = Bytes>) -> Result<Option<raftpb::Message>, Dropped> {
        let entries = requests.into_iter().map(|data| entry(EntryKind::Normal, data)).collect();
        self.step_proposal(entries)
    }

    /// Proposes requests as [`Node::propose`] does, but only while this member is leader: for
    /// requests of a leader itself that a later leader must not inherit, such as revoking leases
    /// that expired by this member's clock.
    pub fn propose_as_leader(&mut self, requests: impl IntoIterator<Item = Bytes>) -> Result<(), Dropped> {
        if self.raw.raft.state == StateRole::Leader { self.propose(requests).map(|_| ()) } else { Err(Dropped) }
    }

    /// Returns the way of a proposal that is handed in now.
    pub fn route(&self) -> Route {
        let raft = &self.raw.raft;
        let leads = raft.state == StateRole::Leader;
        if self.removed || raft.leader_id == raft::INVALID_ID || (leads && self.refuses_proposals()) {
            Route::Closed
        } else if leads || self.fencing.contains(&raft.leader_id) {
            Route::Fenced(raft.term)
        } else {
            Route::Unfenced(raft.term)
        }
    }

    /// Returns `true` while this leader takes no proposals, though it may go on to lead: leadership
    /// is under way to another member, or it is being removed.
    pub fn refuses_proposals(&self) -> bool {
        self.raw.raft.lead_transferee.is_some() || self.own_removal.is_some()
    }

    /// Records whether a member honours the fences of proposals.
    pub fn set_fencing(&mut self, member: u64, honours: bool) {
        if honours {
            self.fencing.insert(member);
        } else {
            self.fencing.remove(&member);
        }
    }

    /// Takes the fence off a forwarded proposal; `None` if it has none.
    pub(super) fn open_fence(&self, message: &mut raftpb::Message) -> Result<Option<TermFence>, StepRefusal> {
        let context = std::mem::take(&mut message.context);
        if context.is_empty() {
            return Ok(None);
        }
        let kind = message.r#type;
        let malformed = StepRefusal::Malformed { kind, what: "the context of a proposal is no fence" };
        let fence = TermFence::decode(&context).ok_or(malformed)?;
        let raft = &self.raw.raft;
        if raft.state != StateRole::Leader || raft.term != fence.term {
            return Err(StepRefusal::OutOfTerm { term: fence.term });
        }
        if self.taken_messages.is_new(message.from, fence) { Ok(Some(fence)) } else { Err(StepRefusal::Repeated) }
    }

    pub(super) fn note_taken(&mut self, sender: u64, fence: Option<TermFence>) {
        if let Some(fence) = fence {
            self.taken_messages.insert(sender, fence);
        }
    }

    pub(super) fn step_proposal(&mut self, entries: Vec<eraftpb::Entry>) -> Result<Option<raftpb::Message>, Dropped> {
        if self.removed || self.own_removal.is_some() {
            return Err(Dropped);
        }
        let mut message = eraftpb::Message::default();
        message.set_msg_type(MessageType::MsgPropose);
        message.from = self.raw.raft.id;
        message.set_entries(entries.into());
        if self.raw.raft.state != StateRole::Leader
            && let Route::Fenced(term) = self.route()
        {
            self.last_fence = TermFence { term, number: self.last_fence.number + 1, ..self.last_fence };
            message.context = self.last_fence.encode();
        }
        let fenced = (!message.context.is_empty()).then(|| {
            // As raft forwards it.
            let forwarded = eraftpb::Message { to: self.raw.raft.leader_id, ..message.clone() };
            message::from_raft(forwarded)
        });
        self.raw.raft.step(message).map_err(|_| Dropped)?;
        Ok(fenced)
    }
}
