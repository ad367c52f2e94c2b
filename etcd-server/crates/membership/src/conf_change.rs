//! Changes of the member list as they stand in the log: `raftpb.ConfChange` with a JSON context.

use crate::json;
use crate::member::{Member, MemberJson};
use bytes::Bytes;
use proto::raftpb::{self, ConfChangeType};
use serde::{Deserialize, Serialize};
use types::{Fault, MemberId};

/// One change of the member list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfChange {
    /// A voter or a learner joins.
    Add(Member),
    /// A learner becomes a voter.
    Promote(MemberId),
    /// A member is reached elsewhere; nothing else about it changes.
    Update {
        /// The member.
        id: MemberId,
        /// Its new peer URLs.
        peer_urls: Vec<String>,
    },
    /// A member leaves for good.
    Remove(MemberId),
}

#[derive(Serialize, Deserialize)]
struct Context {
    #[serde(flatten)]
    member: MemberJson,
    #[serde(rename = "isPromote", default, skip_serializing_if = "std::ops::Not::not")]
    is_promote: bool,
}

impl ConfChange {
    /// The member that changes.
    pub fn member_id(&self) -> MemberId {
        match self {
            Self::Add(member) => member.id,
            Self::Promote(id) | Self::Update { id, .. } | Self::Remove(id) => *id,
        }
    }

    /// As a log entry holds it. `request_id` finds the waiting client; 0 for the entries of founding members.
    pub fn to_raft(&self, request_id: u64) -> raftpb::ConfChange {
        let (kind, context) = match self {
            Self::Add(member) if member.is_learner => (ConfChangeType::ConfChangeAddLearnerNode, member.to_json()),
            Self::Add(member) => (ConfChangeType::ConfChangeAddNode, member.to_json()),
            Self::Promote(id) => {
                let member = Member { id: *id, ..Member::default() }.into();
                (ConfChangeType::ConfChangeAddNode, json::encode(&Context { member, is_promote: true }))
            }
            Self::Update { id, peer_urls } => {
                let member = Member { id: *id, peer_urls: peer_urls.clone(), ..Member::default() };
                (ConfChangeType::ConfChangeUpdateNode, member.to_json())
            }
            Self::Remove(_) => (ConfChangeType::ConfChangeRemoveNode, String::new()),
        };
        raftpb::ConfChange { id: request_id, r#type: kind.into(), node_id: self.member_id().0, context: Bytes::from(context) }
    }

    /// Reads a committed change. One that cannot be read, or whose context names another member, stops the member, as etcd does.
    pub fn from_raft(change: &raftpb::ConfChange) -> Result<Self, Fault> {
        let damaged = |detail: &dyn std::fmt::Display| Fault::corrupt(format_args!("membership change of {:x}", change.node_id), detail);
        let kind = ConfChangeType::try_from(change.r#type).map_err(|error| damaged(&error))?;
        if kind == ConfChangeType::ConfChangeRemoveNode {
            return Ok(Self::Remove(MemberId(change.node_id)));
        }
        let context: Context = serde_json::from_slice(&change.context).map_err(|error| damaged(&error))?;
        let member = Member::from(context.member);
        if member.id.0 != change.node_id {
            return Err(damaged(&format_args!("its context names member {}", member.id)));
        }
        Ok(match kind {
            ConfChangeType::ConfChangeUpdateNode => Self::Update { id: member.id, peer_urls: member.peer_urls },
            _promotion if context.is_promote => Self::Promote(member.id),
            _addition => Self::Add(member),
        })
    }
}
