//! Changes of the group.

use super::{Dropped, Node, entry};
use crate::entry::EntryKind;
use crate::message_validation::StepRefusal;
use crate::raft_storage::Voters;
use bytes::Bytes;
use prost::Message as _;
use proto::raftpb;
use raft::StateRole;
use raft::eraftpb::{self, ConfChangeType};
use types::Fault;

/// A change of the group that raft did not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfChangeDropped {
    /// As any proposal.
    #[error(transparent)]
    Dropped(#[from] Dropped),
    /// Too many changes wait for the one before them to be applied.
    #[error("too many changes of the members wait already")]
    TooMany,
}

/// The effect of a configuration change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfChangeKind {
    /// The member votes from now on.
    AddVoter,
    /// The member receives the log from now on.
    AddLearner,
    /// The member is gone.
    Remove,
    /// The group stays as it is: the change was refused by apply, or concerned addresses only.
    None,
}

impl Node {
    /// Proposes an encoded `raftpb.ConfChange`. A follower forwards it, and is not notified if the
    /// leader drops it. A leader proposes it when the change before it is applied; a new leader,
    /// when it has applied the entries of its log. Returns the message that was forwarded, as
    /// [`Node::propose`] does.
    pub fn propose_conf_change(&mut self, change: Bytes) -> Result<Option<raftpb::Message>, ConfChangeDropped> {
        let raft = &self.raw.raft;
        if raft.state == StateRole::Leader && (raft.has_pending_conf() || !self.waiting_changes.is_empty()) {
            let deadline = self.change_deadline();
            // Its proposer proposes it again if this leadership ends before.
            return if self.waiting_changes.push(change, deadline, true) {
                Ok(None)
            } else {
                Err(ConfChangeDropped::TooMany)
            };
        }
        self.propose_change_now(change)
    }

    fn propose_change_now(&mut self, change: Bytes) -> Result<Option<raftpb::Message>, ConfChangeDropped> {
        let removes_self = removes(&change, self.raw.raft.id);
        let forwarded = self.step_proposal(vec![entry(EntryKind::ConfChange, change)])?;
        self.note_own_removal(removes_self);
        Ok(forwarded)
    }

    /// Takes the changes out of a forwarded proposal that must wait until another one is applied.
    pub(super) fn keep_changes(&mut self, message: &mut raftpb::Message, fenced: bool) -> Result<(), StepRefusal> {
        let mut pending = self.raw.raft.has_pending_conf() || !self.waiting_changes.is_empty();
        let deadline = self.change_deadline();
        let mut has_room = true;
        let waiting = &mut self.waiting_changes;
        message.entries.retain(|entry| {
            let is_change = entry.r#type != 0;
            if is_change && pending {
                has_room &= waiting.push(entry.data.clone(), deadline, fenced);
                return false;
            }
            // Only one change at a time, also of those that came together.
            pending |= is_change;
            true
        });
        if has_room { Ok(()) } else { Err(StepRefusal::Dropped) }
    }

    /// Proposes the next change that waits, if none is pending. A member that is no longer the
    /// leader forwards it.
    pub(super) fn propose_waiting_change(&mut self) {
        let raft = &self.raw.raft;
        let leads = raft.state == StateRole::Leader;
        // While leadership is being transferred, and while there is no leader, proposals are
        // dropped.
        let blocked = if leads {
            raft.has_pending_conf() || raft.lead_transferee.is_some()
        } else {
            raft.leader_id == raft::INVALID_ID
        };
        if blocked || self.waiting_changes.is_empty() {
            return;
        }
        if let Some(change) = self.waiting_changes.pop(self.ticks) {
            // One that is dropped here has become impossible: this member was removed, or is about
            // to be.
            self.propose_change_now(change).ok();
        }
    }

    /// The tick until which a change may wait: clients wait for a little longer than five election
    /// timeouts (etcd: ReqTimeout).
    fn change_deadline(&self) -> u64 {
        let timeout = u64::try_from(self.raw.raft.election_timeout()).unwrap_or(u64::MAX);
        self.ticks.saturating_add(timeout.saturating_mul(5))
    }

    /// Takes the decision of apply on a configuration change, before [`Node::applied`] of its
    /// entry. Returns the configuration from now on.
    ///
    /// # Panics
    /// If the configuration from now on has no voters, or is not that of the change.
    pub fn conf_changed(&mut self, kind: ConfChangeKind, member: u64) -> Result<Voters, Fault> {
        if self.installing() {
            // The change is from before the snapshot, whose members raft already goes by.
            return Ok(self.voters());
        }
        let mut change = eraftpb::ConfChange::default();
        let (change_type, node) = match kind {
            ConfChangeKind::AddVoter => (ConfChangeType::AddNode, member),
            ConfChangeKind::AddLearner => (ConfChangeType::AddLearnerNode, member),
            ConfChangeKind::Remove => (ConfChangeType::RemoveNode, member),
            // raft-rs takes a change without a member as one that is done.
            ConfChangeKind::None => (ConfChangeType::AddNode, raft::INVALID_ID),
        };
        change.set_change_type(change_type);
        change.node_id = node;
        let lone_removal = kind == ConfChangeKind::Remove && self.voters().voters == [member];
        if lone_removal {
            // raft-rs has no configuration without voters; the removal of the last one ends the
            // cluster.
            self.removed |= member == self.raw.raft.id;
            return Ok(self.voters());
        }
        let state =
            self.raw.apply_conf_change(&change).map_err(|error| Fault::store("change the raft group", error))?;
        let voters = Voters::from_raft(&state);
        assert!(!voters.voters.is_empty(), "{kind:?} of {member:x} leaves no voters");
        let (votes, learns) = (voters.voters.contains(&member), voters.learners.contains(&member));
        let expected = match kind {
            ConfChangeKind::AddVoter => (true, false),
            ConfChangeKind::AddLearner => (false, true),
            ConfChangeKind::Remove | ConfChangeKind::None => (false, false),
        };
        assert!((votes, learns) == expected, "{kind:?} of {member:x} gives {voters:?}");
        self.raw.mut_store().set_voters(voters.clone());
        let raft = &mut self.raw.raft;
        if raft.state == StateRole::Leader && !raft.promotable() {
            // raft-rs would go on leading, and panic at the next acknowledgement.
            let term = raft.term;
            raft.become_follower(term, raft::INVALID_ID);
        }
        self.removed |= kind == ConfChangeKind::Remove && member == self.raw.raft.id;
        self.settle();
        Ok(voters)
    }

    /// Returns the voters and learners.
    pub fn voters(&self) -> Voters {
        Voters::from_raft(&self.raw.raft.prs().conf().to_conf_state())
    }

    /// Returns `true` if this member is a voter or learner in its own view: not yet when it joins,
    /// not any more when it was removed. A removed member continues, passively, until another one
    /// refuses it because it knows of the removal too.
    pub fn is_member(&self) -> bool {
        !self.removed && self.raw.raft.prs().get(self.raw.raft.id).is_some()
    }

    /// A proposal that removes this member was taken: it is somewhere in the log, if this member
    /// leads.
    pub(super) fn note_own_removal(&mut self, taken: bool) {
        let raft = &self.raw.raft;
        if taken && raft.state == StateRole::Leader {
            self.own_removal = Some(raft.raft_log.last_index());
        }
    }
}

/// Returns `true` if an encoded change removes this member. An unreadable change removes none.
pub(super) fn removes(change: &Bytes, member: u64) -> bool {
    let change = raftpb::ConfChange::decode(change.clone());
    change
        .is_ok_and(|change| change.node_id == member && change.r#type() == raftpb::ConfChangeType::ConfChangeRemoveNode)
}
