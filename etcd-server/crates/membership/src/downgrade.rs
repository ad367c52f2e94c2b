//! The downgrade that is under way, if any, and whether one may begin.
//!
//! A downgrade to the present cluster version is a hold: no leader, a real etcd or ours, raises the
//! version until it is cancelled, and members of that version may join. A migration holds the
//! version so that members of etcd 3.5 and 3.6 can return. The record and the request are etcd's, so
//! real members keep the hold too, and every raft snapshot carries it.
//!
//! Kept in [`Table::Meta`](schema::Table::Meta) as the JSON of etcd's bucket `cluster`, key
//! `downgrade`.

use crate::json;
use crate::version::Version;
use proto::membershippb::DowngradeInfoSetRequest;
use serde::{Deserialize, Serialize};

/// A downgrade of the cluster to an earlier version, or none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Downgrade {
    /// For example `3.6.0`; empty when none is under way.
    #[serde(rename = "target-version", default)]
    pub target_version: String,
    /// `true` if one is under way.
    #[serde(default)]
    pub enabled: bool,
}

impl Downgrade {
    /// Returns the downgrade of an ordered request. One that cancels leaves no target, even if it
    /// names one.
    pub fn from_request(request: &DowngradeInfoSetRequest) -> Self {
        if request.enabled { Self { target_version: request.ver.clone(), enabled: true } } else { Self::default() }
    }

    /// Returns the version that the downgrade in progress leads to; `None` if none is in progress.
    pub fn target(&self) -> Option<Version> {
        // Only a validated version is ever proposed, by etcd too.
        self.enabled.then(|| self.target_version.parse().map(Version::cluster).ok()).flatten()
    }

    /// The JSON of a backup.
    pub fn to_json(&self) -> String {
        json::encode(self)
    }

    /// Reads that JSON.
    pub fn from_json(text: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }
}

/// The reason why no downgrade may begin; nothing was proposed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DowngradeRejection {
    /// The target is not a version of the form `X.Y` or `X.Y.Z`.
    #[error("{target:?} is not a valid downgrade target")]
    WrongFormat {
        /// The requested target.
        target: String,
    },
    /// No cluster version is decided yet.
    #[error("the cluster has no version yet")]
    NoClusterVersion,
    /// The target is not the minor version right below the cluster's.
    #[error("a cluster of version {cluster} does not go down to {target}")]
    InvalidTarget {
        /// The requested target.
        target: Version,
        /// The version of the cluster.
        cluster: Version,
    },
    /// A downgrade is under way.
    #[error("the cluster goes down to {target} already")]
    InProgress {
        /// The target of the downgrade in progress.
        target: String,
    },
}

/// Checks whether a cluster of this version may be downgraded to `target`, and returns the target
/// as `major.minor.0`.
///
/// For `DowngradeRequest` with VALIDATE, and before proposing one with ENABLE; the checks are made
/// in etcd's order. Below the version of this server, `own`, the cluster version itself is a target
/// too: a hold. etcd refuses it.
pub fn validate_downgrade(
    target: &str,
    own: Version,
    cluster_version: Option<Version>,
    under_way: &Downgrade,
) -> Result<Version, DowngradeRejection> {
    let wanted: Version = target.parse().map_err(|_| DowngradeRejection::WrongFormat { target: target.to_owned() })?;
    let wanted = wanted.cluster();
    let cluster = cluster_version.ok_or(DowngradeRejection::NoClusterVersion)?;
    let is_hold = wanted == cluster.cluster() && wanted < own.cluster();
    if !is_hold && cluster.downgrade_target() != Some(wanted) {
        return Err(DowngradeRejection::InvalidTarget { target: wanted, cluster });
    }
    if under_way.enabled {
        return Err(DowngradeRejection::InProgress { target: under_way.target_version.clone() });
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_is_etcds_json() {
        let off = Downgrade::default();
        let on = Downgrade { target_version: "3.6.0".to_owned(), enabled: true };
        for (downgrade, json) in
            [(&off, r#"{"target-version":"","enabled":false}"#), (&on, r#"{"target-version":"3.6.0","enabled":true}"#)]
        {
            assert_eq!(downgrade.to_json(), json);
            assert_eq!(&Downgrade::from_json(json.as_bytes()).unwrap(), downgrade);
        }
    }

    #[test]
    fn a_request_that_switches_off_leaves_no_target() {
        let request = |enabled| DowngradeInfoSetRequest { enabled, ver: "3.6.0".to_owned() };
        assert_eq!(Downgrade::from_request(&request(false)), Downgrade::default());
        assert_eq!(
            Downgrade::from_request(&request(true)),
            Downgrade { target_version: "3.6.0".to_owned(), enabled: true }
        );
    }
}
