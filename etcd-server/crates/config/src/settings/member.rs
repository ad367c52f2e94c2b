//! Settings of this member alone: its name, its directories and its limits.

use std::path::PathBuf;

use crate::error::ConfigError;
use crate::merged::Merged;
use crate::settings::cluster::path;
use crate::warning::Warning;

const GIB: u64 = 1 << 30;
const QUOTA_DEFAULT: u64 = 2 * GIB;
const QUOTA_SUGGESTED_MAX: u64 = 8 * GIB;
const REQUEST_BYTES_SUGGESTED_MAX: u64 = 10 << 20;

/// The name of this member and its directories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberSettings {
    pub name: String,
    /// Never empty. Not opened, and not known to exist.
    pub data_dir: PathBuf,
    /// A directory of its own for the raft log; `None` keeps it inside `data_dir`.
    pub raft_log_dir: Option<PathBuf>,
}

/// Limits of one request, and of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitSettings {
    pub txn_ops_max: u64,
    pub request_bytes_max: u64,
    pub learners_max: u64,
    /// `true` if the leader promotes learners that have caught up.
    pub auto_promote_learners: bool,
}

/// Bytes of data at which writes are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quota {
    Off,
    Bytes(u64),
}

/// The kept part of the raft log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotSettings {
    /// Entries kept for slow followers.
    pub catchup_entries: u64,
}

impl MemberSettings {
    pub(super) fn from_merged(merged: &Merged, warnings: &mut Vec<Warning>) -> Result<Self, ConfigError> {
        let name = merged.text("name").to_owned();
        // etcd goes on, finds no member of this name, and never serves.
        if name.is_empty() {
            return Err(ConfigError::EmptyName);
        }
        if name == "default" {
            warnings.push(Warning::new("--name", "it's recommended to use an explicit name instead of \"default\""));
        }
        let data_dir = path(merged, "data-dir").unwrap_or_else(|| {
            let chosen = format!("{name}.etcd");
            warnings.push(Warning::new("--data-dir", format!("'data-dir' was empty; using default {chosen}")));
            PathBuf::from(chosen)
        });
        Ok(Self { name, data_dir, raft_log_dir: path(merged, "wal-dir") })
    }
}

impl LimitSettings {
    pub(super) fn from_merged(merged: &Merged, warnings: &mut Vec<Warning>) -> Self {
        let request_bytes_max = merged.unsigned("max-request-bytes");
        if request_bytes_max > REQUEST_BYTES_SUGGESTED_MAX {
            warnings.push(Warning::new("--max-request-bytes", "exceeded recommended request limit of 10 MiB"));
        }
        Self {
            txn_ops_max: merged.unsigned("max-txn-ops"),
            request_bytes_max,
            learners_max: u64::try_from(merged.signed("max-learners")).unwrap_or(0),
            auto_promote_learners: merged.bool("auto-promote-learners"),
        }
    }
}

impl Quota {
    pub(super) fn from_merged(merged: &Merged, warnings: &mut Vec<Warning>) -> Self {
        let Ok(bytes) = u64::try_from(merged.signed("quota-backend-bytes")) else { return Self::Off };
        if bytes > QUOTA_SUGGESTED_MAX {
            warnings
                .push(Warning::new("--quota-backend-bytes", "quota exceeds the maximum of 8 GiB that etcd recommends"));
        }
        Self::Bytes(if bytes == 0 { QUOTA_DEFAULT } else { bytes })
    }
}

impl SnapshotSettings {
    pub(super) fn from_merged(merged: &Merged) -> Self {
        Self { catchup_entries: merged.unsigned("snapshot-catchup-entries") }
    }
}
