//! The buckets' names.

/// Alarms that are raised: `AlarmMember` → nothing.
pub const ALARM: &[u8] = b"alarm";
/// Authentication switch and revision.
pub const AUTH: &[u8] = b"auth";
/// Role name → role.
pub const AUTH_ROLES: &[u8] = b"authRoles";
/// User name → user.
pub const AUTH_USERS: &[u8] = b"authUsers";
/// Cluster version and downgrade.
pub const CLUSTER: &[u8] = b"cluster";
/// The history: revision → key and value.
pub const KEY: &[u8] = b"key";
/// Lease id → lease.
pub const LEASE: &[u8] = b"lease";
/// Member id → member.
pub const MEMBERS: &[u8] = b"members";
/// Ids that may never join again.
pub const MEMBERS_REMOVED: &[u8] = b"members_removed";
/// Index, term, conf state, compaction, storage version. `etcdutl` 3.6 crashes on a file without
/// it.
pub const META: &[u8] = b"meta";

/// All ten, in the order in which a file holds them. Etcd creates those that are missing when it
/// starts.
pub const ALL_BUCKETS: [&[u8]; 10] =
    [ALARM, AUTH, AUTH_ROLES, AUTH_USERS, CLUSTER, KEY, LEASE, MEMBERS, MEMBERS_REMOVED, META];

#[cfg(test)]
mod tests {
    #[test]
    fn buckets_stand_in_the_order_of_the_file() {
        assert!(super::ALL_BUCKETS.is_sorted());
    }
}
