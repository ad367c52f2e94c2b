//! A model of etcd: the response, the events and the state that etcd's documentation demands of
//! each entry of the log.
//!
//! It is small and slow on purpose: every version of every key stays in memory, a range walks all
//! keys, the keys of a lease are found by looking at all keys. It knows no store, no batch and no
//! cache, and it shares no code with the crates that it judges, except the wire messages.
//!
//! A fault (an entry that stops a member) is outside of its scope.
#![forbid(unsafe_code)]

mod auth;
mod counts;
mod defects;
mod keys;
mod members;
mod refusal;
mod response;
mod rules;
mod txn;
mod v2;

pub use auth::{Role, User, Users};
pub use counts::Counts;
pub use defects::defect;
pub use keys::{Change, Keys};
pub use members::{Configuration, Member, Members};
pub use refusal::Refusal;
pub use response::{Effect, Response, Tokens, Verdict};
pub use rules::cost;

use proto::etcdserverpb::AlarmMember;
use std::collections::{BTreeMap, BTreeSet};

/// The limits of the member that is judged.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes at which a write is refused; `None` for no limit.
    pub quota_bytes: Option<u64>,
    /// The shortest lease, in seconds.
    pub minimum_ttl_seconds: i64,
    /// The number of learners that the cluster may have.
    pub learners_max: usize,
    /// `true` if checkpoints of leases survive a restart in clusters of every version.
    pub keeps_checkpoints: bool,
}

/// A lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// As granted, in seconds.
    pub ttl_seconds: i64,
    /// As recorded by the last checkpoint, in seconds; 0 for none.
    pub remaining_seconds: i64,
    /// The part of it that a restart finds again.
    pub durable_remaining_seconds: i64,
}

/// The replicated state.
#[derive(Clone, Debug)]
pub struct Model {
    limits: Limits,
    /// Keys with all their versions.
    pub keys: Keys,
    /// Leases by id.
    pub leases: BTreeMap<i64, Lease>,
    /// Users, roles and the switch.
    pub users: Users,
    /// Active alarms: member and kind.
    pub alarms: BTreeSet<(u64, i32)>,
    /// Members of the cluster.
    pub members: Members,
}

impl Model {
    /// Returns the state of a cluster before its first entry.
    pub fn new(limits: Limits) -> Self {
        let (leases, alarms) = Default::default();
        Self { limits, keys: Keys::new(), leases, users: Users::new(), alarms, members: Members::default() }
    }

    /// Restarts the member: checkpoints that were recorded in memory alone are lost.
    pub fn restart(&mut self) {
        for lease in self.leases.values_mut() {
            lease.remaining_seconds = lease.durable_remaining_seconds;
        }
    }

    /// Returns the keys that are attached to a lease, ascending.
    pub fn keys_of_lease(&self, lease: i64) -> Vec<Vec<u8>> {
        let attached = self.keys.live().filter(|kv| kv.lease == lease && lease != 0);
        attached.map(|kv| kv.key.to_vec()).collect()
    }

    /// Returns the active alarms of a kind, 0 for all kinds.
    pub fn alarms_of(&self, kind: i32) -> Vec<AlarmMember> {
        let wanted = self.alarms.iter().filter(|(_, active)| kind == 0 || *active == kind);
        wanted.map(|(member_id, alarm)| AlarmMember { member_id: *member_id, alarm: *alarm }).collect()
    }
}
