//! The hold of the cluster version, so that members of etcd 3.5 and 3.6 may return.
//!
//! While a member of etcd votes, the cluster version stays by itself: no leader raises it above the
//! lowest version of a member. The hold is needed from the moment when the last one leaves. It is a
//! downgrade to the version that the cluster has already: an entry and a record of etcd's. Members
//! of etcd let none join while one is in progress, so it is released when the first of them is back.

use super::facts::{ClusterFacts, Kind, MemberFacts, OURS};
use admin_client::{CallError, Client, Repeat, explained};
use admin_ui::error::CliError;
use membership::Version;
use proto::etcdserverpb::DowngradeRequest;
use proto::etcdserverpb::downgrade_request::DowngradeAction;

/// The next step for the hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// It is as it has to be.
    Settled,
    /// Set it at this version, through the member with this id.
    Set { version: Version, through: u64 },
    /// Release it, through the member with this id: a member of etcd keeps the cluster version.
    Release { through: u64 },
    /// A step that removes a member must not go on.
    Impossible(String),
}

/// Decides on the hold. `leaving` is the member that is removed next, if any.
pub(super) fn decide(cluster: &ClusterFacts, leaving: Option<u64>) -> Hold {
    let Some(version) = cluster.cluster_version.map(Version::cluster) else {
        return Hold::Impossible("the cluster version is unknown: no member reports it on /version".to_owned());
    };
    if version >= OURS.cluster() {
        return Hold::Settled;
    }
    let held = cluster.held();
    if let (Some(target), None) = (cluster.downgrade, held) {
        return Hold::Impossible(format!("a downgrade to {target} is in progress: etcdctl downgrade cancel ends it"));
    }
    let stays = |member: &MemberFacts| Some(member.id) != leaving;
    let unknown = |member: &&MemberFacts| member.kind == Kind::Unknown && !member.is_learner && stays(member);
    if let Some(unknown) = cluster.members.iter().find(unknown) {
        return Hold::Impossible(format!("{} does not report its program: bring it back", unknown.name));
    }
    // Members of etcd 3.5 carry the request out and never answer it, so ours are asked.
    let mut ours = cluster.ours().filter(|member| !member.is_learner && member.away.is_none());
    match (cluster.etcds().any(|member| !member.is_learner && stays(member)), held) {
        (true, None) | (false, Some(_)) => Hold::Settled,
        // Without a member of ours the leader ends it: all members run the version.
        (true, Some(_)) => ours.next().map_or(Hold::Settled, |through| Hold::Release { through: through.id }),
        (false, None) => match ours.find(|member| stays(member)) {
            Some(through) => Hold::Set { version, through: through.id },
            None => Hold::Impossible("no member of this server answers that could hold it: bring one back".to_owned()),
        },
    }
}

/// Sets the hold through a member of ours. A hold that another host has set meanwhile is the same.
pub(super) async fn set(through: &Client, version: Version) -> Result<(), CliError> {
    downgrade(through, DowngradeAction::Enable, &version.minor_text()).await
}

/// Releases the hold; nothing happens if there is none.
pub(super) async fn release(client: &Client) -> Result<(), CliError> {
    downgrade(client, DowngradeAction::Cancel, "").await
}

async fn downgrade(client: &Client, action: DowngradeAction, version: &str) -> Result<(), CliError> {
    const DONE: [&str; 2] =
        ["etcdserver: cluster has a downgrade job in progress", "etcdserver: no inflight downgrade job"];
    let request = DowngradeRequest { action: action.into(), version: version.to_owned() };
    match client.call(Repeat::Unsafe, async |session| session.maintenance().downgrade(request.clone()).await).await {
        Ok(_) => Ok(()),
        Err(CallError::Status { status, .. }) if DONE.contains(&status.message()) => Ok(()),
        Err(error) => Err(explained(client, error).await),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `e` is a member of etcd, `o` one of ours, `l` a learner of ours, `a` one of ours that does not
    /// follow, `?` one that does not answer; ids are positions from 1.
    fn cluster(members: &str, version: &str, target: &str) -> ClusterFacts {
        let member = |(letter, id): (char, u64)| MemberFacts {
            id,
            name: format!("m{id}"),
            kind: match letter {
                'e' => Kind::Etcd,
                '?' => Kind::Unknown,
                _ => Kind::Ours,
            },
            version: None,
            is_started: true,
            is_learner: letter == 'l',
            leads: false,
            away: (letter == 'a').then(String::new),
            bytes: 0,
            quota_bytes: None,
            v2_keys: 0,
        };
        ClusterFacts {
            members: members.chars().zip(1..).map(member).collect(),
            cluster_version: version.parse().ok(),
            downgrade: target.parse().ok(),
            alarms: Vec::new(),
        }
    }

    #[test]
    fn hold_is_set_before_last_etcd_leaves() {
        let v3_5 = Version::new(3, 5, 0);
        for (members, version, target, leaving, hold) in [
            // To ours: only when the last etcd leaves.
            ("eee", "3.7.0", "", Some(1), Hold::Settled),
            ("eee", "3.5.0", "", Some(1), Hold::Settled),
            ("lee", "3.5.0", "", None, Hold::Settled),
            ("oee", "3.5.0", "", Some(2), Hold::Settled),
            ("ooe", "3.5.0", "", Some(3), Hold::Set { version: v3_5, through: 1 }),
            ("aoe", "3.5.0", "", Some(3), Hold::Set { version: v3_5, through: 2 }),
            ("ooe", "3.5.0", "3.5.0", Some(3), Hold::Settled),
            ("oo", "3.5.0", "3.5.0", None, Hold::Settled),
            // And back.
            ("ooo", "3.5.0", "3.5.0", Some(1), Hold::Settled),
            ("eoo", "3.5.0", "3.5.0", None, Hold::Release { through: 2 }),
            ("eoo", "3.5.0", "", Some(2), Hold::Settled),
            ("eeo", "3.5.0", "3.5.0", Some(3), Hold::Release { through: 3 }),
            ("eee", "3.5.0", "3.5.0", None, Hold::Settled),
        ] {
            assert_eq!(decide(&cluster(members, version, target), leaving), hold, "{members} {version} {target:?}");
        }
        for (members, version, target, leaving) in [
            ("ooe", "", "", Some(3)),
            ("aae", "3.5.0", "", Some(3)),
            ("ooe", "3.6.0", "3.5.0", Some(3)),
            ("o?e", "3.5.0", "", Some(3)),
            ("?oo", "3.5.0", "3.5.0", None),
        ] {
            let decided = decide(&cluster(members, version, target), leaving);
            assert!(matches!(decided, Hold::Impossible(_)), "{members} {version} {target:?}: {decided:?}");
        }
    }
}
