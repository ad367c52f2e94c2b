//! The content of etcd's backend file: ten buckets, their keys and values, and the hashes over
//! them.
//!
//! Plain translation: every function here is pure. Encodings are canonical, since etcd's hashes run
//! over the stored bytes.

mod auth;
mod backend_hash;
mod buckets;
mod cluster;
mod go_json;
mod hash_kv;
mod history;
mod lease;
mod meta;
mod record;

pub use auth::{AUTH_ENABLED_KEY, AUTH_REVISION_KEY, role_entry, role_from, user_entry, user_from};
pub use backend_hash::{BackendHash, Excluded};
pub use buckets::{
    ALARM, ALL_BUCKETS, AUTH, AUTH_ROLES, AUTH_USERS, CLUSTER, KEY, LEASE, MEMBERS, MEMBERS_REMOVED, META,
};
pub use cluster::{
    CLUSTER_VERSION_KEY, DOWNGRADE_KEY, Downgrade, MemberRecord, REMOVED_VALUE, Version, alarm_entry, alarm_from,
    member_id_from, member_key,
};
pub use hash_kv::{HashKv, HistoryItem, KeepRule, hash_kv};
pub use history::{HistoryKey, bump_entry, put_entry, put_from, tombstone_entry};
pub use lease::{lease_entry, lease_from};
pub use meta::{
    CONF_STATE_KEY, CONSISTENT_INDEX_KEY, FINISHED_COMPACT_KEY, SCHEDULED_COMPACT_KEY, STORAGE_VERSION_KEY, TERM_KEY,
    conf_state_from, conf_state_value, u64_from, u64_value,
};
pub use record::{Entry, RecordError};
