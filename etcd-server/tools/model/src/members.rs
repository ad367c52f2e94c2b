//! Members of the cluster, its version and its downgrade.

use crate::response::{Response, Verdict};
use crate::{Model, Refusal};
use prost::Message as _;
use proto::raftpb::{ConfChange, ConfChangeType};
use proto::{etcdserverpb as pb, membershippb};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// URLs for other members.
    pub peer_urls: Vec<String>,
    /// `true` if it does not vote.
    pub is_learner: bool,
    /// Empty before it was published.
    pub name: String,
    /// URLs for clients, empty before they were published.
    pub client_urls: Vec<String>,
}

/// The members of the cluster.
#[derive(Clone, Debug, Default)]
pub struct Members {
    /// Members by id.
    pub members: BTreeMap<u64, Member>,
    /// Ids that may not join again.
    pub removed: BTreeSet<u64>,
    /// The version of the cluster, as text; empty before it was decided.
    pub version: String,
    /// The version that the cluster is downgraded to; empty for none.
    pub downgrade: String,
}

/// The effect of a change on the configuration of raft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Configuration {
    /// None.
    Unchanged,
    /// A member votes.
    Voter(u64),
    /// A member receives the log without a vote.
    Learner(u64),
    /// A member is no longer part of the cluster.
    Removed(u64),
}

impl Members {
    /// Returns the ids of the voters, ascending.
    pub fn voters(&self) -> Vec<u64> {
        self.members.iter().filter(|(_, member)| !member.is_learner).map(|(id, _)| *id).collect()
    }

    /// Returns `true` if the cluster has a version in which checkpoints survive a restart: 3.6 or
    /// later.
    pub(crate) fn keeps_checkpoints(&self) -> bool {
        let mut numbers = self.version.split('.').filter_map(|number| number.parse::<u32>().ok());
        numbers.next().zip(numbers.next()).is_some_and(|version| version >= (3, 6))
    }

    fn has_peer_url_of(&self, id: u64, urls: &[String]) -> bool {
        self.members.iter().any(|(other, member)| *other != id && member.peer_urls.iter().any(|url| urls.contains(url)))
    }

    fn wire(&self) -> Vec<pb::Member> {
        let one = |(id, member): (&u64, &Member)| pb::Member {
            id: *id,
            name: member.name.clone(),
            peer_ur_ls: member.peer_urls.clone(),
            client_ur_ls: member.client_urls.clone(),
            is_learner: member.is_learner,
        };
        self.members.iter().map(one).collect()
    }

    pub(crate) fn set_version(&mut self, set: &membershippb::ClusterVersionSetRequest) {
        self.version.clone_from(&set.ver);
    }

    pub(crate) fn set_attributes(&mut self, set: &membershippb::ClusterMemberAttrSetRequest) {
        let attributes = set.member_attributes.clone().unwrap_or_default();
        if let Some(member) = self.members.get_mut(&set.member_id) {
            (member.name, member.client_urls) = (attributes.name, attributes.client_urls);
        }
    }

    pub(crate) fn set_downgrade(&mut self, set: &membershippb::DowngradeInfoSetRequest) {
        self.downgrade = if set.enabled { set.ver.clone() } else { String::new() };
    }

    fn change(&mut self, change: &ConfChange, learners_max: usize) -> Result<Configuration, Refusal> {
        let id = change.node_id;
        if self.removed.contains(&id) {
            return Err(Refusal::MemberNotFound);
        }
        let context: Value = serde_json::from_slice(&change.context).unwrap_or_default();
        let (wanted, promotes) = (member_of(&context), context["isPromote"] == true);
        match change.r#type() {
            ConfChangeType::ConfChangeRemoveNode => {
                self.members.remove(&id).ok_or(Refusal::MemberNotFound)?;
                self.removed.insert(id);
                Ok(Configuration::Removed(id))
            }
            ConfChangeType::ConfChangeUpdateNode => {
                let taken = self.has_peer_url_of(id, &wanted.peer_urls);
                let member = self.members.get_mut(&id).ok_or(Refusal::MemberNotFound)?;
                if taken {
                    return Err(Refusal::PeerUrlExists);
                }
                member.peer_urls = wanted.peer_urls;
                Ok(Configuration::Unchanged)
            }
            ConfChangeType::ConfChangeAddNode | ConfChangeType::ConfChangeAddLearnerNode if promotes => {
                let member = self.members.get_mut(&id).ok_or(Refusal::MemberNotFound)?;
                if !member.is_learner {
                    return Err(Refusal::MemberNotLearner);
                }
                member.is_learner = false;
                Ok(Configuration::Voter(id))
            }
            ConfChangeType::ConfChangeAddNode | ConfChangeType::ConfChangeAddLearnerNode => {
                if self.members.contains_key(&id) {
                    return Err(Refusal::MemberExists);
                }
                if self.has_peer_url_of(id, &wanted.peer_urls) {
                    return Err(Refusal::PeerUrlExists);
                }
                let learners = self.members.len() - self.voters().len();
                if wanted.is_learner && learners >= learners_max {
                    return Err(Refusal::TooManyLearners);
                }
                let is_learner = wanted.is_learner;
                self.members.insert(id, wanted);
                Ok(if is_learner { Configuration::Learner(id) } else { Configuration::Voter(id) })
            }
        }
    }
}

pub(crate) fn member_of(context: &Value) -> Member {
    let texts = |value: &Value| {
        value.as_array().into_iter().flatten().filter_map(|url| Some(url.as_str()?.to_owned())).collect()
    };
    Member {
        peer_urls: texts(&context["peerURLs"]),
        is_learner: context["isLearner"] == true,
        name: context["name"].as_str().unwrap_or_default().to_owned(),
        client_urls: texts(&context["clientURLs"]),
    }
}

impl Model {
    /// Applies the data of a configuration change.
    ///
    /// # Panics
    /// If `data` is none: faults are outside of the model.
    pub fn apply_configuration(&mut self, data: &[u8]) -> (Verdict, Configuration) {
        let change = ConfChange::decode(data).expect("the data of a configuration change");
        let outcome = self.members.change(&change, self.limits.learners_max);
        let response = outcome.map(|_| Response::Members(self.members.wire()));
        let (changes, effects, counts) = Default::default();
        let verdict =
            Verdict { request_id: change.id, response, revision: self.keys.current, changes, effects, counts };
        (verdict, outcome.unwrap_or(Configuration::Unchanged))
    }
}
