//! The interface of the member behind the plain endpoints.

use futures::future::BoxFuture;
use proto::etcdserverpb::AlarmType;

/// The future of a member's response.
pub type MemberFuture<'a, T> = BoxFuture<'a, T>;

/// An alarm that is raised somewhere in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alarm {
    /// The member that raised it.
    pub member_id: u64,
    /// Its type; a number that `AlarmType` does not know counts as an alarm too.
    pub alarm: i32,
}

impl Alarm {
    /// The alarm's name, as `exclude=` and the reason of /health spell it.
    pub(crate) fn name(&self) -> &'static str {
        match AlarmType::try_from(self.alarm) {
            Ok(AlarmType::Nospace) => "NOSPACE",
            Ok(AlarmType::Corrupt) => "CORRUPT",
            Ok(AlarmType::None) | Err(_) => "UNKNOWN",
        }
    }
}

/// The content of /version. `None` is spelled `not_decided` for the cluster and `unknown` for the
/// storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versions {
    /// Version of this program, such as `3.7.1`.
    pub server: String,
    /// Version that the cluster has agreed on, such as `3.7.0`.
    pub cluster: Option<String>,
    /// Version of the data on disk, such as `3.7.0`.
    pub storage: Option<String>,
}

/// An outcome to be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthRecord {
    /// /health: etcd_server_health_success and etcd_server_health_failures.
    Health {
        /// `true` if the member was healthy.
        success: bool,
    },
    /// One check of /livez or /readyz: etcd_server_healthcheck{type,name} and
    /// etcd_server_healthchecks_total{type,name,status}.
    Check {
        /// `livez` or `readyz`: the label `type`.
        endpoint: &'static str,
        /// The label `name`.
        name: &'static str,
        /// `true` if the check passed.
        success: bool,
    },
}

/// The member behind a port. Everything but `read` and `metrics_text` answers at once from memory.
pub trait Member: Send + Sync + 'static {
    /// Alarms raised by any member.
    fn alarms(&self) -> Vec<Alarm>;

    /// Returns `true` if a leader is known.
    fn has_leader(&self) -> bool;

    /// Returns `true` if this member is a learner.
    fn is_learner(&self) -> bool;

    /// Returns `true` if authentication is enabled in the cluster.
    fn auth_enabled(&self) -> bool;

    /// Reads at most one key without its value, with root's rights and past the learner's limits;
    /// the error is shown to the client.
    fn read(&self, serializable: bool) -> MemberFuture<'_, Result<(), String>>;

    /// The three versions of /version.
    fn versions(&self) -> Versions;

    /// All metrics in Prometheus' text format 0.0.4.
    fn metrics_text(&self) -> MemberFuture<'_, String>;

    /// The members of /debug/vars: an object with `cmdline`, `raft.status` and so on.
    fn debug_vars(&self) -> serde_json::Map<String, serde_json::Value>;

    /// The state of this member and of its connections to the others, for /debug/member.
    fn member_page(&self) -> serde_json::Value;

    /// Counts an outcome.
    fn record_health(&self, record: HealthRecord);
}
