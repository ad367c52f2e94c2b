//! A state read back from the tables answers like the one that lived on; a damaged one is a fault.

use auth::{Access, AuthStore, Identity};
use bytes::Bytes;
use proto::authpb::Permission;
use proto::etcdserverpb::*;
use schema::{Batch, MemoryStore, Table};
use types::KeyRange;

const NAMES: [&str; 4] = ["ann", "bob", "cyd", "root"];
const KEYS: [&str; 6] = ["", "a", "a\0", "b", "c", "\0"];

fn pick<T: Copy>(random: &mut fastrand::Rng, from: &[T]) -> T {
    from[random.usize(0..from.len())]
}

/// One random change; most make sense, some are refused.
fn change(store: &mut AuthStore, batch: &mut MemoryStore, random: &mut fastrand::Rng) {
    let (name, role) = (pick(random, &NAMES).to_owned(), pick(random, &NAMES).to_owned());
    let (key, range_end) = (Bytes::from(pick(random, &KEYS)), Bytes::from(pick(random, &KEYS)));
    let perm = Some(Permission { perm_type: random.i32(0..4), key: key.clone(), range_end: range_end.clone() });
    // Refusals are responses like others here; the state afterwards is compared.
    let _refused = match random.u8(0..20) {
        0 => store.auth_enable(batch).is_err(),
        1 => store.auth_disable(batch) == auth::DropTokens::Nobody,
        2 | 3 => store.user_add(&AuthUserAddRequest { name, ..Default::default() }, batch).is_err(),
        4 => store.user_delete(&AuthUserDeleteRequest { name }, batch).is_err(),
        5 => store.user_change_password(&AuthUserChangePasswordRequest { name, ..Default::default() }, batch).is_err(),
        6..=8 => store.user_grant_role(&AuthUserGrantRoleRequest { user: name, role }, batch).is_err(),
        9 => store.user_revoke_role(&AuthUserRevokeRoleRequest { name, role }, batch).is_err(),
        10 | 11 => store.role_add(&AuthRoleAddRequest { name: role }, batch).is_err(),
        12 => store.role_delete(&AuthRoleDeleteRequest { role }, batch).is_err(),
        13..=17 => store.role_grant_permission(&AuthRoleGrantPermissionRequest { name: role, perm }, batch).is_err(),
        _ => store.role_revoke_permission(&AuthRoleRevokePermissionRequest { role, key, range_end }, batch).is_err(),
    };
}

#[test]
fn remembered_permissions_follow_every_change() {
    let mut random = fastrand::Rng::with_seed(3);
    let mut tables = MemoryStore::new();
    let mut store = AuthStore::load(&MemoryStore::new(), &mut tables).unwrap();
    let mut allowed = 0;
    for round in 0..3_000 {
        change(&mut store, &mut tables, &mut random);
        let fresh = AuthStore::load(&tables, &mut MemoryStore::new()).unwrap();
        for _ in 0..20 {
            let identity = Identity::new(pick(&mut random, &NAMES[..3]), store.auth_revision());
            let range = KeyRange::from_wire(pick(&mut random, &KEYS).into(), pick(&mut random, &KEYS).into());
            let access = pick(&mut random, &[Access::Read, Access::Write]);
            let response = store.check(&identity, access, &range);
            assert_eq!(
                response,
                fresh.check(&identity, access, &range),
                "round {round}: {identity:?} {access:?} {range:?}"
            );
            allowed += usize::from(store.enabled() && response.is_ok());
        }
    }
    assert!(allowed > 500, "the draw must also allow, allowed {allowed}");
}

#[test]
fn the_first_start_writes_the_revision_and_a_later_one_nothing() {
    let mut tables = MemoryStore::new();
    let store = AuthStore::load(&MemoryStore::new(), &mut tables).unwrap();
    assert!(tables.dump().eq([(Table::Meta, &b"authRevision"[..], &[0, 0, 0, 0, 0, 0, 0, 1][..])]));
    assert_eq!((store.auth_revision(), store.enabled()), (1, false));
}

#[test]
fn a_damaged_record_is_a_fault_that_names_it() {
    let fault = |table, key: &[u8], value: &[u8]| {
        let mut tables = MemoryStore::new();
        tables.put(table, key, value);
        AuthStore::load(&tables, &mut MemoryStore::new()).unwrap_err().to_string()
    };
    let says = [
        (fault(Table::Meta, b"authRevision", &[1]), "auth revision is damaged: 1 bytes instead of 8"),
        (fault(Table::Meta, b"authEnabled", &[2]), "auth switch is damaged: 1 bytes that are neither 0 nor 1"),
        (fault(Table::Users, b"ann", b"\x0a\x03bob"), "user record ann is damaged: holds the name bob"),
        (fault(Table::Roles, b"\xff", b""), "role name \\xff is damaged: not UTF-8"),
    ];
    for (text, expected) in says {
        assert_eq!(text, format!("load auth state: {expected}"));
    }
    assert!(fault(Table::Users, b"ann", b"\x0a\x09bob").starts_with("load auth state: user record ann is damaged: "));
}

#[test]
fn debug_shows_no_hash() {
    let mut store = AuthStore::load(&MemoryStore::new(), &mut MemoryStore::new()).unwrap();
    let request = AuthUserAddRequest { name: "ann".into(), hashed_password: "c2VjcmV0".into(), ..Default::default() };
    store.user_add(&request, &mut MemoryStore::new()).unwrap();
    assert_eq!(format!("{store:?}"), "AuthStore { enabled: false, auth_revision: 2, users: 1, roles: 0 }");
}
