//! Changes of the member list as they stand in the log: `raftpb.ConfChange` with a JSON context.

use crate::json;
use crate::member::{Member, MemberJson};
use bytes::Bytes;
use proto::raftpb::{self, ConfChangeType};
use serde::{Deserialize, Serialize};
use std::fmt::Display;
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

    /// Returns the change in the form of a log entry. `request_id` finds the waiting client; 0 for
    /// the entries of initial members.
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
        raftpb::ConfChange {
            id: request_id,
            r#type: kind.into(),
            node_id: self.member_id().0,
            context: Bytes::from(context),
        }
    }

    /// Reads a committed change. One that cannot be read, or whose context names another member,
    /// stops the member, as etcd does.
    pub fn from_raft(change: &raftpb::ConfChange) -> Result<Self, Fault> {
        let kind = ConfChangeType::try_from(change.r#type).map_err(|error| damaged(change, error))?;
        Ok(match kind {
            ConfChangeType::ConfChangeRemoveNode => Self::Remove(MemberId(change.node_id)),
            ConfChangeType::ConfChangeUpdateNode => {
                let Member { id, peer_urls, .. } = read_context(change)?.member.into();
                Self::Update { id, peer_urls }
            }
            ConfChangeType::ConfChangeAddNode | ConfChangeType::ConfChangeAddLearnerNode => {
                let Context { member, is_promote } = read_context(change)?;
                if is_promote { Self::Promote(MemberId(member.id)) } else { Self::Add(member.into()) }
            }
        })
    }
}

fn read_context(change: &raftpb::ConfChange) -> Result<Context, Fault> {
    let context: Context = serde_json::from_slice(&change.context).map_err(|error| damaged(change, error))?;
    if context.member.id != change.node_id {
        return Err(damaged(change, format_args!("its context names member {:x}", context.member.id)));
    }
    Ok(context)
}

fn damaged(change: &raftpb::ConfChange, detail: impl Display) -> Fault {
    Fault::corrupt(format_args!("membership change of {:x}", change.node_id), detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HIGH: u64 = u64::MAX - 1;

    fn member(is_learner: bool, name: &str) -> Member {
        let peer_urls = vec!["http://a:2380".to_owned()];
        Member { id: MemberId(HIGH), peer_urls, is_learner, name: name.to_owned(), client_urls: vec![] }
    }

    #[test]
    fn contexts_are_etcds_bytes() {
        let update = ConfChange::Update { id: MemberId(HIGH), peer_urls: vec!["http://a:2380".to_owned()] };
        for (change, kind, context) in [
            (ConfChange::Add(member(false, "")), 0, r#"{"id":18446744073709551614,"peerURLs":["http://a:2380"]}"#),
            (
                ConfChange::Add(member(false, "n")),
                0,
                r#"{"id":18446744073709551614,"peerURLs":["http://a:2380"],"name":"n"}"#,
            ),
            (
                ConfChange::Add(member(true, "")),
                3,
                r#"{"id":18446744073709551614,"peerURLs":["http://a:2380"],"isLearner":true}"#,
            ),
            (ConfChange::Promote(MemberId(HIGH)), 0, r#"{"id":18446744073709551614,"peerURLs":null,"isPromote":true}"#),
            (update, 2, r#"{"id":18446744073709551614,"peerURLs":["http://a:2380"]}"#),
            (ConfChange::Remove(MemberId(HIGH)), 1, ""),
        ] {
            let raft = change.to_raft(7);
            assert_eq!((raft.r#type, raft.node_id, raft.id), (kind, HIGH, 7));
            assert_eq!(raft.context, context);
            assert_eq!(ConfChange::from_raft(&raft).unwrap(), change);
        }
    }

    #[test]
    fn contexts_of_older_members_are_read() {
        let context = r#"{"isPromote":false,"name":"","more":[1],"id":5,"peerURLs":["http://a:1"],"clientURLs":null}"#;
        let raft = raftpb::ConfChange { id: 1, r#type: 0, node_id: 5, context: context.into() };
        let expected = Member { id: MemberId(5), peer_urls: vec!["http://a:1".to_owned()], ..Member::default() };
        assert_eq!(ConfChange::from_raft(&raft).unwrap(), ConfChange::Add(expected));
    }

    #[test]
    fn what_cannot_be_read_is_a_fault() {
        for (kind, context) in [(0, ""), (0, "{}"), (2, r#"{"id":6}"#), (9, r#"{"id":5}"#), (3, r#"{"id":-5}"#)] {
            let raft = raftpb::ConfChange { id: 1, r#type: kind, node_id: 5, context: context.into() };
            assert!(ConfChange::from_raft(&raft).is_err(), "{kind} {context}");
        }
    }
}
