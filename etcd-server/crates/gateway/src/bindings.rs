//! The table of paths: which JSON path calls which RPC (etcd v3.7.1, the `google.api.http` options
//! of its three proto files).
//!
//! Every binding is a POST with the whole request message as its body.

use std::collections::BTreeMap;

use prost_reflect::{DescriptorPool, MethodDescriptor};

/// One JSON path and the RPC it calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// Path on the client port, without query.
    pub path: &'static str,
    /// Full name of the gRPC service.
    pub service: &'static str,
    /// Method of that service.
    pub method: &'static str,
}

const fn bind(path: &'static str, service: &'static str, method: &'static str) -> Binding {
    Binding { path, service, method }
}

const KV: &str = "etcdserverpb.KV";
const WATCH: &str = "etcdserverpb.Watch";
const LEASE: &str = "etcdserverpb.Lease";
const CLUSTER: &str = "etcdserverpb.Cluster";
const MAINTENANCE: &str = "etcdserverpb.Maintenance";
const AUTH: &str = "etcdserverpb.Auth";
const LOCK: &str = "v3lockpb.Lock";
const ELECTION: &str = "v3electionpb.Election";

/// All bindings; the only place that names RPCs.
pub const BINDINGS: [Binding; 51] = [
    bind("/v3/kv/range", KV, "Range"),
    bind("/v3/kv/put", KV, "Put"),
    bind("/v3/kv/deleterange", KV, "DeleteRange"),
    bind("/v3/kv/txn", KV, "Txn"),
    bind("/v3/kv/compaction", KV, "Compact"),
    bind("/v3/watch", WATCH, "Watch"),
    bind("/v3/lease/grant", LEASE, "LeaseGrant"),
    bind("/v3/lease/revoke", LEASE, "LeaseRevoke"),
    bind("/v3/kv/lease/revoke", LEASE, "LeaseRevoke"),
    bind("/v3/lease/keepalive", LEASE, "LeaseKeepAlive"),
    bind("/v3/lease/timetolive", LEASE, "LeaseTimeToLive"),
    bind("/v3/kv/lease/timetolive", LEASE, "LeaseTimeToLive"),
    bind("/v3/lease/leases", LEASE, "LeaseLeases"),
    bind("/v3/kv/lease/leases", LEASE, "LeaseLeases"),
    bind("/v3/cluster/member/add", CLUSTER, "MemberAdd"),
    bind("/v3/cluster/member/remove", CLUSTER, "MemberRemove"),
    bind("/v3/cluster/member/update", CLUSTER, "MemberUpdate"),
    bind("/v3/cluster/member/list", CLUSTER, "MemberList"),
    bind("/v3/cluster/member/promote", CLUSTER, "MemberPromote"),
    bind("/v3/maintenance/alarm", MAINTENANCE, "Alarm"),
    bind("/v3/maintenance/status", MAINTENANCE, "Status"),
    bind("/v3/maintenance/defragment", MAINTENANCE, "Defragment"),
    bind("/v3/maintenance/hash", MAINTENANCE, "Hash"),
    bind("/v3/maintenance/hashkv", MAINTENANCE, "HashKV"),
    bind("/v3/maintenance/snapshot", MAINTENANCE, "Snapshot"),
    bind("/v3/maintenance/transfer-leadership", MAINTENANCE, "MoveLeader"),
    bind("/v3/maintenance/downgrade", MAINTENANCE, "Downgrade"),
    bind("/v3/auth/enable", AUTH, "AuthEnable"),
    bind("/v3/auth/disable", AUTH, "AuthDisable"),
    bind("/v3/auth/status", AUTH, "AuthStatus"),
    bind("/v3/auth/authenticate", AUTH, "Authenticate"),
    bind("/v3/auth/user/add", AUTH, "UserAdd"),
    bind("/v3/auth/user/get", AUTH, "UserGet"),
    bind("/v3/auth/user/list", AUTH, "UserList"),
    bind("/v3/auth/user/delete", AUTH, "UserDelete"),
    bind("/v3/auth/user/changepw", AUTH, "UserChangePassword"),
    bind("/v3/auth/user/grant", AUTH, "UserGrantRole"),
    bind("/v3/auth/user/revoke", AUTH, "UserRevokeRole"),
    bind("/v3/auth/role/add", AUTH, "RoleAdd"),
    bind("/v3/auth/role/get", AUTH, "RoleGet"),
    bind("/v3/auth/role/list", AUTH, "RoleList"),
    bind("/v3/auth/role/delete", AUTH, "RoleDelete"),
    bind("/v3/auth/role/grant", AUTH, "RoleGrantPermission"),
    bind("/v3/auth/role/revoke", AUTH, "RoleRevokePermission"),
    bind("/v3/lock/lock", LOCK, "Lock"),
    bind("/v3/lock/unlock", LOCK, "Unlock"),
    bind("/v3/election/campaign", ELECTION, "Campaign"),
    bind("/v3/election/proclaim", ELECTION, "Proclaim"),
    bind("/v3/election/leader", ELECTION, "Leader"),
    bind("/v3/election/observe", ELECTION, "Observe"),
    bind("/v3/election/resign", ELECTION, "Resign"),
];

/// Paths joined with the descriptors of their RPCs.
#[derive(Debug)]
pub(crate) struct Routes(BTreeMap<&'static str, MethodDescriptor>);

impl Routes {
    /// Reads `proto::DESCRIPTORS` once; the set is compiled into the program, so it always decodes
    /// and holds every RPC of the table.
    pub(crate) fn load() -> Routes {
        let pool = DescriptorPool::decode(proto::DESCRIPTORS).expect("the descriptors compiled into `proto` decode");
        Routes(BINDINGS.iter().map(|binding| (binding.path, method(&pool, binding))).collect())
    }

    pub(crate) fn get(&self, path: &str) -> Option<&MethodDescriptor> {
        self.0.get(path)
    }
}

fn method(pool: &DescriptorPool, binding: &Binding) -> MethodDescriptor {
    let service = pool.get_service_by_name(binding.service).expect("the table names services of `proto`");
    service.methods().find(|method| method.name() == binding.method).expect("the table names methods of `proto`")
}

#[cfg(test)]
mod tests {
    use prost_reflect::{Kind, MessageDescriptor};

    use super::*;

    #[test]
    fn every_path_is_listed_once_and_has_its_rpc() {
        assert_eq!(Routes::load().0.len(), BINDINGS.len());
    }

    /// The decoder has no code for maps and floating point numbers, because no request holds one.
    #[test]
    fn no_request_holds_a_map_or_a_float() {
        fn check(message: &MessageDescriptor, seen: &mut Vec<String>) {
            if seen.iter().any(|name| name == message.full_name()) {
                return;
            }
            seen.push(message.full_name().to_owned());
            for field in message.fields() {
                assert!(!field.is_map(), "{}", field.full_name());
                assert!(!matches!(field.kind(), Kind::Float | Kind::Double), "{}", field.full_name());
                if let Kind::Message(inner) = field.kind() {
                    check(&inner, seen);
                }
            }
        }
        let mut seen = Vec::new();
        Routes::load().0.values().for_each(|method| check(&method.input(), &mut seen));
        assert!(seen.len() > 40);
    }
}
