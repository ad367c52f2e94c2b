//! Kinds of requests, as the labels `op` and `type` of the durations name them.

macro_rules! kinds {
    ($($variant:ident = $label:literal;)*) => {
        /// The kind of a request.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum RequestKind {
            $($variant,)*
        }

        impl RequestKind {
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            #[must_use]
            pub fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $label,)*
                }
            }
        }
    };
}

kinds! {
    Range = "Range";
    ReadonlyTxn = "ReadonlyTxn";
    Put = "Put";
    DeleteRange = "DeleteRange";
    Txn = "Txn";
    Compaction = "Compaction";
    LeaseGrant = "LeaseGrant";
    LeaseRevoke = "LeaseRevoke";
    LeaseCheckpoint = "LeaseCheckpoint";
    Alarm = "Alarm";
    Authenticate = "Authenticate";
    AuthEnable = "AuthEnable";
    AuthDisable = "AuthDisable";
    AuthUserAdd = "AuthUserAdd";
    AuthUserDelete = "AuthUserDelete";
    AuthUserGet = "AuthUserGet";
    AuthUserList = "AuthUserList";
    AuthUserChangePassword = "AuthUserChangePassword";
    AuthUserGrantRole = "AuthUserGrantRole";
    AuthUserRevokeRole = "AuthUserRevokeRole";
    AuthRoleAdd = "AuthRoleAdd";
    AuthRoleDelete = "AuthRoleDelete";
    AuthRoleGet = "AuthRoleGet";
    AuthRoleList = "AuthRoleList";
    AuthRoleGrantPermission = "AuthRoleGrantPermission";
    AuthRoleRevokePermission = "AuthRoleRevokePermission";
    ClusterVersionSet = "ClusterVersionSet";
    ClusterMemberAttrSet = "ClusterMemberAttrSet";
    DowngradeInfoSet = "DowngradeInfoSet";
    DowngradeVersionTest = "DowngradeVersionTest";
    // Also etcd's name for AuthStatus.
    Unknown = "Unknown";
}

impl RequestKind {
    /// The label `op` of applying, which writes the unknown in lower case.
    pub(super) fn op_label(self) -> &'static str {
        if self == Self::Unknown { "unknown" } else { self.label() }
    }

    /// Place of a duration among those of all kinds, good and bad.
    pub(super) fn place(self, success: bool) -> usize {
        self as usize * 2 + usize::from(success)
    }
}
