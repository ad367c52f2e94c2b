//! The RPCs of the client port, as a closed list: metrics are found by place, never by a string of
//! a request.

/// The number of messages on each side of a call. The texts are the values of the label
/// `grpc_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallType {
    Unary,
    ServerStream,
    BidiStream,
}

impl CallType {
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Unary => "unary",
            Self::ServerStream => "server_stream",
            Self::BidiStream => "bidi_stream",
        }
    }
}

macro_rules! methods {
    ($($variant:ident = $service:literal / $name:literal, $call_type:ident;)*) => {
        /// One RPC. The order is that of the services in etcd's .proto files.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Method {
            $($variant,)*
        }

        impl Method {
            /// Every RPC, each at its [`Method::place`].
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Full name of the service, for example `etcdserverpb.KV`.
            #[must_use]
            pub fn service(self) -> &'static str {
                match self {
                    $(Self::$variant => $service,)*
                }
            }

            /// Name within the service, for example `Range`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Both, as a path without its first slash: `etcdserverpb.KV/Range`.
            #[must_use]
            pub fn full_name(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($service, "/", $name),)*
                }
            }

            #[must_use]
            pub fn call_type(self) -> CallType {
                match self {
                    $(Self::$variant => CallType::$call_type,)*
                }
            }

            /// The RPC of an HTTP/2 `:path`, for example `/etcdserverpb.KV/Range`; `None` for any
            /// other path.
            #[must_use]
            pub fn from_path(path: &str) -> Option<Self> {
                match path {
                    $(concat!("/", $service, "/", $name) => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

methods! {
    Range = "etcdserverpb.KV" / "Range", Unary;
    RangeStream = "etcdserverpb.KV" / "RangeStream", ServerStream;
    Put = "etcdserverpb.KV" / "Put", Unary;
    DeleteRange = "etcdserverpb.KV" / "DeleteRange", Unary;
    Txn = "etcdserverpb.KV" / "Txn", Unary;
    Compact = "etcdserverpb.KV" / "Compact", Unary;
    Watch = "etcdserverpb.Watch" / "Watch", BidiStream;
    LeaseGrant = "etcdserverpb.Lease" / "LeaseGrant", Unary;
    LeaseRevoke = "etcdserverpb.Lease" / "LeaseRevoke", Unary;
    LeaseKeepAlive = "etcdserverpb.Lease" / "LeaseKeepAlive", BidiStream;
    LeaseTimeToLive = "etcdserverpb.Lease" / "LeaseTimeToLive", Unary;
    LeaseLeases = "etcdserverpb.Lease" / "LeaseLeases", Unary;
    MemberAdd = "etcdserverpb.Cluster" / "MemberAdd", Unary;
    MemberRemove = "etcdserverpb.Cluster" / "MemberRemove", Unary;
    MemberUpdate = "etcdserverpb.Cluster" / "MemberUpdate", Unary;
    MemberList = "etcdserverpb.Cluster" / "MemberList", Unary;
    MemberPromote = "etcdserverpb.Cluster" / "MemberPromote", Unary;
    Alarm = "etcdserverpb.Maintenance" / "Alarm", Unary;
    Status = "etcdserverpb.Maintenance" / "Status", Unary;
    Defragment = "etcdserverpb.Maintenance" / "Defragment", Unary;
    Hash = "etcdserverpb.Maintenance" / "Hash", Unary;
    HashKv = "etcdserverpb.Maintenance" / "HashKV", Unary;
    Snapshot = "etcdserverpb.Maintenance" / "Snapshot", ServerStream;
    MoveLeader = "etcdserverpb.Maintenance" / "MoveLeader", Unary;
    Downgrade = "etcdserverpb.Maintenance" / "Downgrade", Unary;
    AuthEnable = "etcdserverpb.Auth" / "AuthEnable", Unary;
    AuthDisable = "etcdserverpb.Auth" / "AuthDisable", Unary;
    AuthStatus = "etcdserverpb.Auth" / "AuthStatus", Unary;
    Authenticate = "etcdserverpb.Auth" / "Authenticate", Unary;
    UserAdd = "etcdserverpb.Auth" / "UserAdd", Unary;
    UserGet = "etcdserverpb.Auth" / "UserGet", Unary;
    UserList = "etcdserverpb.Auth" / "UserList", Unary;
    UserDelete = "etcdserverpb.Auth" / "UserDelete", Unary;
    UserChangePassword = "etcdserverpb.Auth" / "UserChangePassword", Unary;
    UserGrantRole = "etcdserverpb.Auth" / "UserGrantRole", Unary;
    UserRevokeRole = "etcdserverpb.Auth" / "UserRevokeRole", Unary;
    RoleAdd = "etcdserverpb.Auth" / "RoleAdd", Unary;
    RoleGet = "etcdserverpb.Auth" / "RoleGet", Unary;
    RoleList = "etcdserverpb.Auth" / "RoleList", Unary;
    RoleDelete = "etcdserverpb.Auth" / "RoleDelete", Unary;
    RoleGrantPermission = "etcdserverpb.Auth" / "RoleGrantPermission", Unary;
    RoleRevokePermission = "etcdserverpb.Auth" / "RoleRevokePermission", Unary;
    HealthCheck = "grpc.health.v1.Health" / "Check", Unary;
    HealthList = "grpc.health.v1.Health" / "List", Unary;
    HealthWatch = "grpc.health.v1.Health" / "Watch", ServerStream;
    Lock = "v3lockpb.Lock" / "Lock", Unary;
    Unlock = "v3lockpb.Lock" / "Unlock", Unary;
    Campaign = "v3electionpb.Election" / "Campaign", Unary;
    Proclaim = "v3electionpb.Election" / "Proclaim", Unary;
    Leader = "v3electionpb.Election" / "Leader", Unary;
    Observe = "v3electionpb.Election" / "Observe", ServerStream;
    Resign = "v3electionpb.Election" / "Resign", Unary;
}

impl Method {
    /// Place of this RPC in [`Method::ALL`].
    #[must_use]
    pub fn place(self) -> usize {
        self as usize
    }

    /// Returns `true` if the series exist, at zero, before the first call. etcd registers locks and
    /// elections later than the rest, so that their series appear with their first call only.
    pub(super) fn shown_before_use(self) -> bool {
        self < Self::Lock
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_method_is_found_at_its_place_and_by_its_path() {
        assert_eq!(Method::ALL.len(), 52);
        for (place, method) in Method::ALL.iter().enumerate() {
            assert_eq!(method.place(), place);
            let path = format!("/{}/{}", method.service(), method.name());
            assert_eq!(Method::from_path(&path), Some(*method), "{path}");
        }
        assert_eq!(Method::from_path("/etcdserverpb.KV/range"), None);
    }
}
