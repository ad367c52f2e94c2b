//! Log lines about the members and the version of the cluster, with etcd's texts and fields.

use membership::{Member, Membership};
use types::{ClusterId, MemberId};

/// The role of a member in these lines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whose {
    pub(crate) cluster_id: ClusterId,
    pub(crate) member_id: MemberId,
}

impl Whose {
    /// Logs the changes between two states of the cluster.
    pub(crate) fn log_changes(self, before: &Membership, after: &Membership) {
        for member in after.members() {
            match before.member(member.id) {
                None => self.log_added(member),
                Some(known) if known.is_learner && !member.is_learner => self.log_promoted(member.id),
                Some(known) if known.peer_urls != member.peer_urls => self.log_updated(member),
                Some(_) => {}
            }
        }
        for member in before.members().filter(|member| after.member(member.id).is_none()) {
            self.log_removed(member);
        }
        self.log_version(before, after);
    }

    /// Logs the recovered members, at a start.
    pub(crate) fn log_recovered(self, members: &Membership) {
        for member in members.members() {
            tracing::info!(
                cluster_id = %self.cluster_id,
                local_member_id = %self.member_id,
                recovered_remote_peer_id = %member.id,
                recovered_remote_peer_urls = ?member.peer_urls,
                recovered_remote_peer_is_learner = member.is_learner,
                "recovered/added member from store"
            );
        }
        if let Some(version) = members.cluster_version() {
            tracing::info!(cluster_version = %version.minor_text(), "set cluster version from store");
            tracing::info!(cluster_version = %version.minor_text(), "enabled capabilities for version");
        }
    }

    fn log_added(self, member: &Member) {
        tracing::info!(
            cluster_id = %self.cluster_id,
            local_member_id = %self.member_id,
            added_peer_id = %member.id,
            added_peer_peer_urls = ?member.peer_urls,
            added_peer_is_learner = member.is_learner,
            "added member"
        );
    }

    fn log_promoted(self, id: MemberId) {
        tracing::info!(cluster_id = %self.cluster_id, local_member_id = %self.member_id, promoted_member_id = %id, "promote member");
    }

    fn log_updated(self, member: &Member) {
        tracing::info!(
            cluster_id = %self.cluster_id,
            local_member_id = %self.member_id,
            updated_remote_peer_id = %member.id,
            updated_remote_peer_urls = ?member.peer_urls,
            updated_remote_peer_is_learner = member.is_learner,
            "updated member"
        );
    }

    fn log_removed(self, member: &Member) {
        tracing::info!(
            cluster_id = %self.cluster_id,
            local_member_id = %self.member_id,
            removed_remote_peer_id = %member.id,
            removed_remote_peer_urls = ?member.peer_urls,
            removed_remote_peer_is_learner = member.is_learner,
            "removed member"
        );
    }

    fn log_version(self, before: &Membership, after: &Membership) {
        let Some(version) = after.cluster_version().filter(|version| before.cluster_version() != Some(*version)) else {
            return;
        };
        let text = version.minor_text();
        match before.cluster_version() {
            None => {
                tracing::info!(
                    cluster_id = %self.cluster_id,
                    local_member_id = %self.member_id,
                    cluster_version = text,
                    "set initial cluster version"
                );
            }
            Some(from) => {
                tracing::info!(
                    cluster_id = %self.cluster_id,
                    local_member_id = %self.member_id,
                    from = from.minor_text(),
                    to = text,
                    "updated cluster version"
                );
            }
        }
        tracing::info!(cluster_version = text, "enabled capabilities for version");
    }
}
