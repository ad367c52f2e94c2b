//! The kind of request in an entry.

use proto::etcdserverpb::InternalRaftRequest;

macro_rules! kinds {
    ($($field:ident => $kind:ident;)*) => {
        /// The kind of a request, by the names that etcd's metrics and logs use.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum RequestKind {
            $(#[doc = concat!("`", stringify!($field), "`.")] $kind,)*
            /// None of the requests that etcd names.
            Unknown,
        }

        impl RequestKind {
            /// The request that is meant; when several are set the first in the order of
            /// [`State::apply`](crate::State::apply) is.
            #[must_use]
            pub fn of(request: &InternalRaftRequest) -> Self {
                $(if request.$field.is_some() {
                    return Self::$kind;
                })*
                Self::Unknown
            }
        }
    };
}

kinds! {
    cluster_version_set => ClusterVersionSet;
    cluster_member_attr_set => ClusterMemberAttrSet;
    downgrade_info_set => DowngradeInfoSet;
    downgrade_version_test => DowngradeVersionTest;
    range => Range;
    put => Put;
    delete_range => DeleteRange;
    txn => Txn;
    compaction => Compaction;
    lease_grant => LeaseGrant;
    lease_revoke => LeaseRevoke;
    lease_checkpoint => LeaseCheckpoint;
    alarm => Alarm;
    authenticate => Authenticate;
    auth_enable => AuthEnable;
    auth_disable => AuthDisable;
    auth_user_add => AuthUserAdd;
    auth_user_delete => AuthUserDelete;
    auth_user_get => AuthUserGet;
    auth_user_list => AuthUserList;
    auth_user_change_password => AuthUserChangePassword;
    auth_user_grant_role => AuthUserGrantRole;
    auth_user_revoke_role => AuthUserRevokeRole;
    auth_role_add => AuthRoleAdd;
    auth_role_delete => AuthRoleDelete;
    auth_role_get => AuthRoleGet;
    auth_role_list => AuthRoleList;
    auth_role_grant_permission => AuthRoleGrantPermission;
    auth_role_revoke_permission => AuthRoleRevokePermission;
}
