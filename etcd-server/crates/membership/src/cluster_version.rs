//! The decisions of the leader about the version of the cluster, and about a downgrade that is in
//! progress.
//!
//! The rules are etcd's (server/etcdserver/version/monitor.go): members decide alike whichever
//! implementation leads.

use crate::downgrade::Downgrade;
use crate::version::Version;

/// The cluster version while a member's version is not known yet (etcd: MinClusterVersion).
const MINIMUM: Version = Version::new(3, 0, 0);

/// A downgrade whose target does not lie right below a version in use: the cluster version cannot
/// be decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid downgrade target: version {from} can be downgraded to the minor version below it, not to {target}")]
pub struct InvalidDowngradeTarget {
    /// The cluster version, or the lowest version of a member.
    pub from: Version,
    /// The target of the downgrade.
    pub target: Version,
}

/// Returns the version that the leader proposes for the cluster, or `None` if the present one
/// stays.
///
/// `lowest` is the lowest version of all members, the leader's own included; `None` if a member's
/// version is not known.
///
/// # Errors
/// When a downgrade is in progress whose target is not one minor version below the cluster version
/// and below `lowest`. The target itself is allowed for `lowest`, since members of the target's
/// version join one after the other.
pub fn decide_cluster_version(
    present: Option<Version>,
    lowest: Option<Version>,
    downgrade: &Downgrade,
) -> Result<Option<Version>, InvalidDowngradeTarget> {
    let (present, lowest) = match (present, lowest.map(Version::cluster)) {
        (None, lowest) => return Ok(Some(lowest.unwrap_or(MINIMUM))),
        (Some(_), None) => return Ok(None),
        (Some(present), Some(lowest)) => (present.cluster(), lowest),
    };
    let Some(target) = downgrade.target() else {
        return Ok((present.major == lowest.major && present < lowest).then_some(lowest));
    };
    if target == present {
        return Ok(None);
    }
    for from in [present, lowest] {
        if from.downgrade_target() != Some(target) {
            return Err(InvalidDowngradeTarget { from, target });
        }
    }
    Ok(Some(target))
}

/// Returns `true` if all members run the version that a downgrade in progress leads to: then it is
/// complete, and the leader ends it.
///
/// A member whose version is not known counts as one that has another version.
pub fn downgrade_is_complete(downgrade: &Downgrade, versions: &[Option<Version>]) -> bool {
    downgrade
        .target()
        .is_some_and(|target| versions.iter().all(|version| version.map(Version::cluster) == Some(target)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Option<Version> {
        (!text.is_empty()).then(|| text.parse().unwrap())
    }

    fn downgrade(target: &str) -> Downgrade {
        Downgrade { target_version: target.to_owned(), enabled: !target.is_empty() }
    }

    #[test]
    fn cluster_version_follows_members_and_downgrade() {
        for (present, lowest, target, decided) in [
            // A new cluster.
            ("", "", "", "3.0.0"),
            ("", "3.7.1", "", "3.7.0"),
            ("3.0.0", "", "", ""),
            // An upgrade waits for the last member; nothing goes down by itself.
            ("3.0.0", "3.7.1", "", "3.7.0"),
            ("3.6.0", "3.7.1", "", "3.7.0"),
            ("3.6.0", "3.6.14", "", ""),
            ("3.7.0", "3.6.14", "", ""),
            ("3.7.0", "4.0.0", "", ""),
            // A downgrade takes effect at once, before a member of the target's version has joined.
            ("3.7.0", "3.7.1", "3.6.0", "3.6.0"),
            ("3.6.0", "3.7.1", "3.6.0", ""),
            ("3.6.0", "3.6.14", "3.6.0", ""),
            // A hold: no real member is left, and the version stays.
            ("3.5.0", "3.7.1", "3.5.0", ""),
            ("3.5.0", "3.5.30", "3.5.0", ""),
            ("3.5.0", "3.7.1", "", "3.7.0"),
            ("3.6.0", "3.6.14", "3.5.0", "3.5.0"),
            ("3.7.0", "", "3.6.0", ""),
        ] {
            let got = decide_cluster_version(version(present), version(lowest), &downgrade(target));
            assert_eq!(got, Ok(version(decided)), "present {present:?}, lowest {lowest:?}, downgrade {target:?}");
        }
    }

    #[test]
    fn cluster_version_refuses_invalid_downgrade_target() {
        for (present, lowest, target, from) in [
            ("3.7.0", "3.7.1", "3.5.0", "3.7.0"),
            ("3.7.0", "3.6.1", "3.6.0", "3.6.0"),
            ("3.7.0", "3.7.1", "3.8.0", "3.7.0"),
        ] {
            let got = decide_cluster_version(version(present), version(lowest), &downgrade(target));
            let expected = InvalidDowngradeTarget { from: version(from).unwrap(), target: version(target).unwrap() };
            assert_eq!(got, Err(expected), "present {present}, lowest {lowest}, downgrade {target}");
        }
    }

    #[test]
    fn downgrade_completes_when_all_members_match() {
        for (versions, complete) in [
            (&["3.6.14"][..], true),
            (&["3.6.14", "3.6.0", "3.6.1"], true),
            (&["3.6.14", "3.7.1"], false),
            (&["3.6.14", ""], false),
            (&["3.5.30"], false),
        ] {
            let versions: Vec<_> = versions.iter().map(|text| version(text)).collect();
            assert_eq!(downgrade_is_complete(&downgrade("3.6.0"), &versions), complete, "{versions:?}");
            assert!(!downgrade_is_complete(&downgrade(""), &versions), "no downgrade is in progress");
        }
    }
}
