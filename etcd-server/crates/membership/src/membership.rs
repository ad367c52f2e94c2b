//! The members of the cluster and its version, as the log has ordered them.
//!
//! Invariants: a member's id is never among the removed ones; no two members share a peer URL,
//! unless an etcd backup brought them so. Only apply changes it, equally on every member, and all
//! of it is in the state. A refused change writes nothing. The consequences of a change
//! (connections to open or close, a removed member's own end) are the caller's work.

use crate::conf_change::ConfChange;
use crate::downgrade::Downgrade;
use crate::error::MembershipError;
use crate::member::{self, Member};
use crate::version::Version;
use schema::{Batch, Table, View};
use std::collections::{BTreeMap, BTreeSet};
use types::{Fault, MemberId};

/// Key of [`Table::Meta`]: the version of the cluster as text, `3.7.0`; absent until the first is
/// decided.
pub const CLUSTER_VERSION: &[u8] = b"clusterVersion";
/// Key of [`Table::Meta`]: the JSON of [`Downgrade`]; absent until the first is ordered.
pub const DOWNGRADE: &[u8] = b"downgrade";

/// The members of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    members: BTreeMap<MemberId, Member>,
    removed: BTreeSet<MemberId>,
    cluster_version: Option<Version>,
    downgrade: Downgrade,
}

impl Membership {
    /// Reads all of it; a store without any of it is that of a cluster without members.
    pub fn load(view: &impl View) -> Result<Self, Fault> {
        let cluster_version = view.get(Table::Meta, CLUSTER_VERSION)?;
        let downgrade = view.get(Table::Meta, DOWNGRADE)?;
        Ok(Self {
            members: member::read_all(view)?,
            removed: member::read_removed(view)?,
            cluster_version: cluster_version.map(|stored| decode_version(&stored)).transpose()?,
            downgrade: downgrade.map_or(Ok(Downgrade::default()), |stored| {
                Downgrade::from_json(&stored).map_err(|error| Fault::corrupt("downgrade record", error))
            })?,
        })
    }

    /// All members, learners too, ascending by id.
    pub fn members(&self) -> impl ExactSizeIterator<Item = &Member> {
        self.members.values()
    }

    /// The members that vote, ascending by id.
    pub fn voters(&self) -> impl Iterator<Item = &Member> {
        self.members().filter(|member| !member.is_learner)
    }

    /// The members that only receive the log, ascending by id.
    pub fn learners(&self) -> impl Iterator<Item = &Member> {
        self.members().filter(|member| member.is_learner)
    }

    /// One member.
    pub fn member(&self, id: MemberId) -> Option<&Member> {
        self.members.get(&id)
    }

    /// Returns `true` if the member once belonged to the cluster and may never come back.
    pub fn is_removed(&self, id: MemberId) -> bool {
        self.removed.contains(&id)
    }

    /// The ids that may never come back, ascending.
    pub fn removed(&self) -> impl ExactSizeIterator<Item = MemberId> {
        self.removed.iter().copied()
    }

    /// The version at which the members work together; none before the first leader has decided it.
    pub fn cluster_version(&self) -> Option<Version> {
        self.cluster_version
    }

    /// Returns the downgrade in progress, if it is enabled.
    pub fn downgrade(&self) -> &Downgrade {
        &self.downgrade
    }

    /// Returns the version at which the cluster is held: a downgrade in progress leads to the
    /// version that the cluster has already. No leader changes it until the downgrade is
    /// cancelled.
    pub fn held_version(&self) -> Option<Version> {
        self.downgrade.target().filter(|target| self.cluster_version.map(Version::cluster) == Some(*target))
    }

    /// Makes an ordered change, or refuses it: then nothing changes, and raft is given a change of
    /// member 0 in its place.
    ///
    /// `max_learners` must be the same on every member; so must everything else that this looks at.
    ///
    /// # Panics
    /// If the members behind the change are not those before it with the change.
    pub fn apply_conf_change(
        &mut self,
        change: &ConfChange,
        max_learners: usize,
        batch: &mut dyn Batch,
    ) -> Result<(), MembershipError> {
        self.validate(change, max_learners)?;
        let (members, removed) = (self.members.len(), self.removed.len());
        match change {
            ConfChange::Add(added) => {
                member::write(batch, added);
                let replaced = self.members.insert(added.id, added.clone());
                assert!(replaced.is_none(), "member {} is added while it is one", added.id);
            }
            ConfChange::Promote(id) => self.update(*id, batch, |member| member.is_learner = false),
            // The learner flag stays: etcd's since 3.5.31, 3.6.12 and 3.7; earlier ones cleared it
            // here.
            ConfChange::Update { id, peer_urls } => {
                self.update(*id, batch, |member| member.peer_urls.clone_from(peer_urls))
            }
            ConfChange::Remove(id) => {
                member::remove(batch, *id);
                self.members.remove(id);
                let is_new = self.removed.insert(*id);
                assert!(is_new, "member {id} is removed twice");
            }
        }
        let (added, gone) = match change {
            ConfChange::Add(_) => (1, 0),
            ConfChange::Remove(_) => (0, 1),
            ConfChange::Promote(_) | ConfChange::Update { .. } => (0, 0),
        };
        assert!(
            self.members.len() + gone == members + added,
            "{change:?} of {members} members leaves {}",
            self.members.len()
        );
        assert!(
            self.removed.len() == removed + gone,
            "{change:?} with {removed} removed members leaves {}",
            self.removed.len()
        );
        let id = change.member_id();
        assert!(
            self.members.contains_key(&id) != self.removed.contains(&id),
            "member {id} is either a member or removed"
        );
        Ok(())
    }

    /// Checks whether the state allows a change, in etcd's order.
    pub fn validate(&self, change: &ConfChange, max_learners: usize) -> Result<(), MembershipError> {
        let id = change.member_id();
        if self.is_removed(id) {
            return Err(MembershipError::MemberRemoved { id });
        }
        match (change, self.member(id)) {
            (ConfChange::Add(_), Some(_)) => Err(MembershipError::MemberExists { id }),
            (ConfChange::Add(added), None) => {
                self.validate_peer_urls(id, &added.peer_urls)?;
                let learners = self.learners().count();
                if added.is_learner && learners >= max_learners {
                    Err(MembershipError::TooManyLearners { learners })
                } else {
                    Ok(())
                }
            }
            (ConfChange::Promote(_) | ConfChange::Update { .. } | ConfChange::Remove(_), None) => {
                Err(MembershipError::MemberNotFound { id })
            }
            (ConfChange::Promote(_), Some(known)) if !known.is_learner => Err(MembershipError::NotLearner { id }),
            (ConfChange::Update { peer_urls, .. }, Some(_)) => self.validate_peer_urls(id, peer_urls),
            (ConfChange::Promote(_) | ConfChange::Remove(_), Some(_)) => Ok(()),
        }
    }

    /// Records the published attributes of a member: its name and client URLs.
    ///
    /// Those of a removed member come too late and are ignored. Those of a member that never
    /// existed stop this one, as they stop etcd.
    pub fn set_attributes(
        &mut self,
        id: MemberId,
        name: &str,
        client_urls: &[String],
        batch: &mut dyn Batch,
    ) -> Result<(), Fault> {
        if self.member(id).is_none() && !self.is_removed(id) {
            return Err(Fault::corrupt("ordered member attributes", format_args!("there is no member {id}")));
        }
        self.update(id, batch, |member| {
            name.clone_into(&mut member.name);
            client_urls.clone_into(&mut member.client_urls);
        });
        Ok(())
    }

    /// Sets the version of the cluster, up or down, as ordered, and returns it.
    ///
    /// # Errors
    ///
    /// A text that is no version stops the member, and so does a version whose `major.minor` lies
    /// above `own`: this server does not know the entries that other members may write from now on.
    pub fn set_cluster_version(&mut self, text: &str, own: Version, batch: &mut dyn Batch) -> Result<Version, Fault> {
        let version = text.parse().map_err(|error| Fault::corrupt("ordered cluster version", error))?;
        check_own_version(own, version)?;
        batch.put(Table::Meta, CLUSTER_VERSION, version.to_string().as_bytes());
        self.cluster_version = Some(version);
        Ok(version)
    }

    /// Begins or ends a downgrade, as ordered; [`validate_downgrade`](crate::validate_downgrade)
    /// was asked before.
    pub fn set_downgrade(&mut self, downgrade: Downgrade, batch: &mut dyn Batch) {
        batch.put(Table::Meta, DOWNGRADE, downgrade.to_json().as_bytes());
        self.downgrade = downgrade;
    }

    fn validate_peer_urls(&self, id: MemberId, peer_urls: &[String]) -> Result<(), MembershipError> {
        let mut others = self.members().filter(|other| other.id != id);
        let taken =
            others.find_map(|other| Some((other.id, peer_urls.iter().find(|url| other.peer_urls.contains(url))?)));
        taken.map_or(Ok(()), |(by, url)| Err(MembershipError::PeerUrlInUse { url: url.clone(), by }))
    }

    fn update(&mut self, id: MemberId, batch: &mut dyn Batch, change: impl FnOnce(&mut Member)) {
        if let Some(member) = self.members.get_mut(&id) {
            change(member);
            assert!(member.id == id, "a change of member {id} makes it {}", member.id);
            member::write(batch, member);
        }
    }
}

/// Checks that a server of version `own` may run in a cluster of version `cluster`: when the
/// version is set and at every start.
pub fn check_own_version(own: Version, cluster: Version) -> Result<(), Fault> {
    if own.cluster() < cluster.cluster() {
        return Err(Fault::store(
            format_args!("follow the cluster to version {cluster}"),
            format_args!("this server is only {own}"),
        ));
    }
    Ok(())
}

fn decode_version(stored: &[u8]) -> Result<Version, Fault> {
    let text = std::str::from_utf8(stored).map_err(|error| Fault::corrupt("cluster version", error))?;
    text.parse().map_err(|error| Fault::corrupt("cluster version", error))
}
