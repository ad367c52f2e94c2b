//! The facts about a cluster and a host that the decisions of a migration need.

use membership::Version;
use std::path::PathBuf;

/// The version of this server.
pub(super) const OURS: Version = Version::new(3, 7, 1);

/// The program that a member runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// A real etcd.
    Etcd,
    /// This server.
    Ours,
    /// The member does not report it.
    Unknown,
}

#[derive(Clone, Debug)]
pub(super) struct MemberFacts {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) version: Option<Version>,
    pub(super) is_started: bool,
    pub(super) is_learner: bool,
    pub(super) leads: bool,
    /// The reason for which the member is not known to follow the leader.
    pub(super) away: Option<String>,
    pub(super) bytes: u64,
    pub(super) quota_bytes: Option<i64>,
    /// Keys of the v2 API at the top of its tree.
    pub(super) v2_keys: usize,
}

impl MemberFacts {
    pub(super) fn minor(&self) -> Option<Version> {
        self.version.map(Version::cluster)
    }

    pub(super) fn is_etcd(&self) -> bool {
        self.kind == Kind::Etcd
    }
}

/// The result of a comparison of HashKV.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hashes {
    /// All members have the same history up to this revision.
    Equal { revision: i64 },
    /// They have not; the text gives the hash of each.
    Differ(String),
    /// A member did not report a hash, for this reason.
    Unknown(String),
}

#[derive(Clone, Debug)]
pub(super) struct ClusterFacts {
    pub(super) members: Vec<MemberFacts>,
    pub(super) cluster_version: Option<Version>,
    /// The target of the downgrade in progress; a hold has the cluster version as its target.
    pub(super) downgrade: Option<Version>,
    /// Member and alarm.
    pub(super) alarms: Vec<(String, String)>,
}

impl ClusterFacts {
    pub(super) fn etcds(&self) -> impl Iterator<Item = &MemberFacts> {
        self.members.iter().filter(|member| member.is_etcd())
    }

    pub(super) fn ours(&self) -> impl Iterator<Item = &MemberFacts> {
        self.members.iter().filter(|member| member.kind == Kind::Ours)
    }

    /// Returns the version at which the cluster is held.
    pub(super) fn held(&self) -> Option<Version> {
        self.downgrade.filter(|target| self.cluster_version.map(Version::cluster) == Some(*target))
    }
}

/// A file of the configuration that the daemon cannot use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnusableFile {
    pub(super) setting: String,
    pub(super) path: PathBuf,
    pub(super) reason: String,
}

/// A setting that has another value on another host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) setting: String,
    pub(super) here: String,
    pub(super) there: String,
    /// The file with the other value.
    pub(super) file: PathBuf,
}

#[derive(Clone, Debug, Default)]
pub(super) struct HostFacts {
    pub(super) from: PathBuf,
    /// The reason for which the configuration cannot be converted.
    pub(super) unmapped: Option<String>,
    pub(super) name: String,
    /// `true` if the cluster has a member of this name with these peer URLs.
    pub(super) is_member: bool,
    /// `true` if the configuration names an absolute data directory with the data of an etcd.
    pub(super) has_data: bool,
    /// The reason for which the user etcd cannot keep its data in the data directory.
    pub(super) foreign_data_dir: Option<String>,
    /// Set if the log of the etcd is on a filesystem of its own, which cannot be renamed.
    pub(super) mounted_wal_dir: Option<PathBuf>,
    pub(super) differences: Vec<Difference>,
    pub(super) unusable: Vec<UnusableFile>,
    /// Free and all bytes of the filesystem where the data will be.
    pub(super) disk: Option<(u64, u64)>,
}
