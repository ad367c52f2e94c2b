//! Membership changes: the effect of an ordered one on the state, and the report to raft.

use crate::{Applied, ApplyError, ApplyResponse, State};
use bytes::Bytes;
use membership::{ConfChange, Member};
use prost::Message as _;
use proto::raftpb;
use schema::Batch;
use types::{Fault, MemberId};

/// The effect of a change on the raft configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MembershipChange {
    /// None: it was refused, or concerned addresses only. Raft gets a report all the same.
    None,
    /// The member votes from now on.
    AddVoter(MemberId),
    /// The member receives the log from now on, without a vote.
    AddLearner(MemberId),
    /// The member is gone for good.
    Remove(MemberId),
}

impl State {
    /// Applies the data of a configuration change. `max_learners` is the same on every member.
    ///
    /// # Panics
    /// If `index` does not follow the last one, or the members are not those of the change.
    pub fn apply_conf_change(
        &mut self,
        batch: &mut dyn Batch,
        index: u64,
        data: &Bytes,
        max_learners: usize,
    ) -> Result<(Applied, MembershipChange), Fault> {
        self.begin(index);
        let damaged = |error: prost::DecodeError| Fault::corrupt(format_args!("raft entry {index}"), error);
        let change = raftpb::ConfChange::decode(data.clone()).map_err(damaged)?;
        let wanted = ConfChange::from_raft(&change)?;
        let outcome = self.members.apply_conf_change(&wanted, max_learners, batch);
        let group_change = match (&outcome, &wanted) {
            (Err(_), _) | (Ok(()), ConfChange::Update { .. }) => MembershipChange::None,
            (Ok(()), ConfChange::Add(member)) if member.is_learner => MembershipChange::AddLearner(member.id),
            (Ok(()), ConfChange::Add(member)) => MembershipChange::AddVoter(member.id),
            (Ok(()), ConfChange::Promote(id)) => MembershipChange::AddVoter(*id),
            (Ok(()), ConfChange::Remove(id)) => MembershipChange::Remove(*id),
        };
        let id = wanted.member_id();
        let holds = match group_change {
            MembershipChange::None => true,
            MembershipChange::AddVoter(id) => self.members.member(id).is_some_and(|member| !member.is_learner),
            MembershipChange::AddLearner(id) => self.members.member(id).is_some_and(|member| member.is_learner),
            MembershipChange::Remove(id) => self.members.member(id).is_none() && self.members.is_removed(id),
        };
        assert!(holds, "entry {index} makes {group_change:?} of raft, and member {id} is another");
        self.write_conf_state(batch);
        let members = || ApplyResponse::Members(self.members.members().map(Member::to_wire).collect());
        let outcome = outcome.map(|()| members()).map_err(ApplyError::from);
        Ok((Applied::without_request(change.id, self.keys.current(), outcome), group_change))
    }
}
