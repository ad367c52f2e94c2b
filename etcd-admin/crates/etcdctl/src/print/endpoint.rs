//! Health, status and hash of endpoints.

use super::cluster::array;
use super::json::Object;
use super::text::duration;
use super::{Printer, Shown, header_fields, with_header};
use admin_ui::output::{boxed, size};
use go_text::quoted;
use proto::etcdserverpb::{HashKvResponse, StatusResponse};
use std::time::Duration;

/// The health of an endpoint.
pub(crate) struct Health {
    pub(crate) endpoint: String,
    pub(crate) took: Duration,
    /// Empty when it is healthy.
    pub(crate) error: String,
}

pub(crate) struct Healths(pub(crate) Vec<Health>);

impl Shown for Healths {
    fn simple(&self, _: &Printer) -> Option<Vec<u8>> {
        let line = |health: &Health| {
            let (endpoint, took) = (&health.endpoint, duration(health.took));
            if health.error.is_empty() {
                format!("{endpoint} is healthy: successfully committed proposal: took = {took}\n")
            } else {
                super::tell(&format!("{endpoint} is unhealthy: failed to commit proposal: {}", health.error));
                String::new()
            }
        };
        Some(self.0.iter().map(line).collect::<String>().into_bytes())
    }

    fn json(&self, _: &Printer) -> Option<String> {
        Some(array(self.0.iter().map(|health| {
            let object = Object::default().raw("endpoint", &super::json::quoted(&health.endpoint));
            let object = object.raw("health", &health.error.is_empty().to_string());
            object.raw("took", &super::json::quoted(&duration(health.took))).text("error", &health.error)
        })))
    }

    fn fields(&self, _: &Printer) -> Option<String> {
        let one = |health: &Health| {
            let healthy = health.error.is_empty();
            let (endpoint, took) = (quoted(health.endpoint.as_bytes()), duration(health.took));
            format!(
                "\"Endpoint\" : {endpoint}\n\"Health\" : {healthy}\n\"Took\" : {took}\n\"Error\" : {}\n\n",
                health.error
            )
        };
        Some(self.0.iter().map(one).collect())
    }

    fn table(&self) -> Option<String> {
        let row = |health: &Health| {
            vec![
                health.endpoint.clone(),
                health.error.is_empty().to_string(),
                duration(health.took),
                health.error.clone(),
            ]
        };
        Some(boxed(&["endpoint", "health", "took", "error"], &self.0.iter().map(row).collect::<Vec<_>>()))
    }
}

pub(crate) struct Statuses(pub(crate) Vec<(String, StatusResponse)>);

const STATUS_COLUMNS: [&str; 16] = [
    "endpoint",
    "ID",
    "version",
    "storage version",
    "db size",
    "in use",
    "percentage not in use",
    "quota",
    "is leader",
    "is learner",
    "raft term",
    "raft index",
    "raft applied index",
    "errors",
    "downgrade target version",
    "downgrade enabled",
];

fn row((endpoint, status): &(String, StatusResponse)) -> Vec<String> {
    let member = status.header.as_ref().map_or(0, |header| header.member_id);
    let bytes = |count: i64| u64::try_from(count).unwrap_or(0);
    let (all, used) = (bytes(status.db_size), bytes(status.db_size_in_use));
    let unused = (all.saturating_sub(used) * 100).checked_div(all).unwrap_or(0);
    let downgrade = status.downgrade_info.clone().unwrap_or_default();
    vec![
        endpoint.clone(),
        format!("{member:x}"),
        status.version.clone(),
        status.storage_version.clone(),
        size(all),
        size(used),
        format!("{unused}%"),
        size(bytes(status.db_size_quota)),
        (status.leader == member).to_string(),
        status.is_learner.to_string(),
        status.raft_term.to_string(),
        status.raft_index.to_string(),
        status.raft_applied_index.to_string(),
        status.errors.join(", "),
        downgrade.target_version,
        downgrade.enabled.to_string(),
    ]
}

impl Shown for Statuses {
    fn simple(&self, _: &Printer) -> Option<Vec<u8>> {
        Some(self.0.iter().map(|status| row(status).join(", ") + "\n").collect::<String>().into_bytes())
    }

    fn json(&self, _: &Printer) -> Option<String> {
        Some(array(self.0.iter().map(|(endpoint, status)| {
            let downgrade = status.downgrade_info.as_ref();
            let downgrade = downgrade.map(|info| {
                Object::default().truth("enabled", info.enabled).text("targetVersion", &info.target_version)
            });
            let status = with_header(status.header.as_ref())
                .text("version", &status.version)
                .number("dbSize", status.db_size)
                .number("leader", status.leader)
                .number("raftIndex", status.raft_index)
                .number("raftTerm", status.raft_term)
                .number("raftAppliedIndex", status.raft_applied_index)
                .texts("errors", &status.errors)
                .number("dbSizeInUse", status.db_size_in_use)
                .truth("isLearner", status.is_learner)
                .text("storageVersion", &status.storage_version)
                .number("dbSizeQuota", status.db_size_quota)
                .object("downgradeInfo", downgrade);
            Object::default().raw("Endpoint", &super::json::quoted(endpoint)).object("Status", Some(status))
        })))
    }

    fn fields(&self, style: &Printer) -> Option<String> {
        let one = |(endpoint, status): &(String, StatusResponse)| {
            let downgrade = status.downgrade_info.clone().unwrap_or_default();
            let text = |value: &str| quoted(value.as_bytes());
            let mut out = header_fields(status.header.as_ref(), style);
            for (name, value) in [
                ("Version", text(&status.version)),
                ("StorageVersion", text(&status.storage_version)),
                ("DBSize", status.db_size.to_string()),
                ("DBSizeInUse", status.db_size_in_use.to_string()),
                ("DBSizeQuota", status.db_size_quota.to_string()),
                ("Leader", status.leader.to_string()),
                ("IsLearner", status.is_learner.to_string()),
                ("RaftIndex", status.raft_index.to_string()),
                ("RaftTerm", status.raft_term.to_string()),
                ("RaftAppliedIndex", status.raft_applied_index.to_string()),
                ("Errors", format!("[{}]", status.errors.join(" "))),
                ("Endpoint", text(endpoint)),
                ("DowngradeTargetVersion", text(&downgrade.target_version)),
                ("DowngradeEnabled", downgrade.enabled.to_string()),
            ] {
                out += &format!("\"{name}\" : {value}\n");
            }
            out + "\n"
        };
        Some(self.0.iter().map(one).collect())
    }

    fn table(&self) -> Option<String> {
        Some(boxed(&STATUS_COLUMNS, &self.0.iter().map(row).collect::<Vec<_>>()))
    }
}

pub(crate) struct Hashes(pub(crate) Vec<(String, HashKvResponse)>);

impl Hashes {
    fn rows(&self) -> Vec<Vec<String>> {
        self.0
            .iter()
            .map(|(endpoint, hash)| vec![endpoint.clone(), hash.hash.to_string(), hash.hash_revision.to_string()])
            .collect()
    }
}

impl Shown for Hashes {
    fn simple(&self, _: &Printer) -> Option<Vec<u8>> {
        Some(self.rows().iter().map(|row| row.join(", ") + "\n").collect::<String>().into_bytes())
    }

    fn json(&self, _: &Printer) -> Option<String> {
        Some(array(self.0.iter().map(|(endpoint, hash)| {
            let hash = with_header(hash.header.as_ref())
                .number("hash", hash.hash)
                .number("compact_revision", hash.compact_revision)
                .number("hash_revision", hash.hash_revision);
            Object::default().raw("Endpoint", &super::json::quoted(endpoint)).object("HashKV", Some(hash))
        })))
    }

    fn fields(&self, style: &Printer) -> Option<String> {
        let one = |(endpoint, hash): &(String, HashKvResponse)| {
            let head = header_fields(hash.header.as_ref(), style);
            format!(
                "{head}\"Endpoint\" : {}\n\"Hash\" : {}\n\"HashRevision\" : {}\n\n",
                quoted(endpoint.as_bytes()),
                hash.hash,
                hash.hash_revision
            )
        };
        Some(self.0.iter().map(one).collect())
    }

    fn table(&self) -> Option<String> {
        Some(boxed(&["endpoint", "hash", "hash revision"], &self.rows()))
    }
}
