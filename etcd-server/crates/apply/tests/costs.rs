//! Costs for the quota, and the kinds of requests.

use crate::commands::request;
use apply::{Operations, RequestKind, quota_cost};

/// A request, its cost in bytes, and its kind.
const REQUESTS: &[(&str, u64, &str)] = &[
    ("put ab=cde", 256 + 5, "Put"),
    ("put ab", 256 + 2, "Put"),
    ("txn then put a=1 ; put b=22 else put c=333 end", 2 * 256 + 5, "Txn"),
    ("txn then get a else put c=333 end", 256 + 4, "Txn"),
    ("txn then put a ; txn then put b=1 ; put c else put d end end", 3 * 256 + 4, "Txn"),
    ("txn then get a ; del b end", 0, "Txn"),
    ("txn end", 0, "Txn"),
    ("grant 7 60", 64, "LeaseGrant"),
    ("get a", 0, "Range"),
    ("del a", 0, "DeleteRange"),
    ("compact 1", 0, "Compaction"),
    ("revoke 7", 0, "LeaseRevoke"),
    ("checkpoint 7 30", 0, "LeaseCheckpoint"),
    ("alarm get 0 none", 0, "Alarm"),
    ("version 3.7.0", 0, "ClusterVersionSet"),
    ("publish 1 m", 0, "ClusterMemberAttrSet"),
    ("downgrade off", 0, "DowngradeInfoSet"),
    ("downgrade-test", 0, "DowngradeVersionTest"),
    ("login u", 0, "Authenticate"),
    ("auth enable", 0, "AuthEnable"),
    ("auth disable", 0, "AuthDisable"),
    ("user add u", 0, "AuthUserAdd"),
    ("user delete u", 0, "AuthUserDelete"),
    ("user get u", 0, "AuthUserGet"),
    ("user list", 0, "AuthUserList"),
    ("user password u", 0, "AuthUserChangePassword"),
    ("user grant u r", 0, "AuthUserGrantRole"),
    ("user revoke u r", 0, "AuthUserRevokeRole"),
    ("role add r", 0, "AuthRoleAdd"),
    ("role delete r", 0, "AuthRoleDelete"),
    ("role get r", 0, "AuthRoleGet"),
    ("role list", 0, "AuthRoleList"),
    ("role grant r read a", 0, "AuthRoleGrantPermission"),
    ("role revoke r a", 0, "AuthRoleRevokePermission"),
    ("auth status", 0, "Unknown"),
    ("unknown", 0, "Unknown"),
];

#[test]
fn requests_have_cost_and_kind() {
    for (line, cost, kind) in REQUESTS {
        let request = request(&line.split_whitespace().collect::<Vec<_>>());
        assert_eq!(quota_cost(&request), *cost, "{line}");
        assert_eq!(format!("{:?}", RequestKind::of(&request)), *kind, "{line}");
    }
}

#[test]
fn operations_are_summed() {
    let all = Operations { ranges: 4, puts: 2, deletes: 1, put_bytes: 9 };
    assert_eq!((all.total(), Operations::range().total()), (7, 1));
    assert_eq!(Operations::range(), Operations { ranges: 1, ..Operations::default() });
}
