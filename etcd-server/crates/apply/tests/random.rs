//! Random entries, each compared with the model: response, events, effects, and the state behind
//! every batch.

use crate::generate;
use crate::member::Member;
use fastrand::Rng;
use std::collections::BTreeMap;

/// Entries of one run.
const ENTRIES: usize = 400;

/// Users, roles and permissions to begin with.
const SWITCHED_ON: [&str; 10] = [
    "user add root",
    "user grant root root",
    "user add ann",
    "role add reader",
    "role grant reader read a d",
    "role add writer",
    "role grant writer readwrite c",
    "user grant ann reader",
    "user grant ann writer",
    "auth enable",
];

/// Runs a seed, and counts the refusals by name; `ok` counts the others.
fn run(seed: u64, refusals: &mut BTreeMap<String, usize>) {
    let random = &mut Rng::with_seed(seed);
    let quota = seed.is_multiple_of(3).then_some(5000);
    let mut member = Member::with_quota(quota);
    let auths = seed.is_multiple_of(2);
    if seed.is_multiple_of(4) {
        for line in SWITCHED_ON {
            member.apply(generate::request(line, Default::default()));
        }
    }
    for _ in 0..ENTRIES {
        member.stored_bytes = if random.u8(..20) == 0 { 4700 } else { 0 };
        if random.u8(..20) == 0 {
            member.apply_conf_change(&generate::conf_change(random));
        } else {
            let line = generate::entry(random, member.state.keys.current(), auths);
            let caller = generate::caller(random, member.state.auth.auth_revision());
            let applied =
                if line == "empty" { member.apply_data(&[]) } else { member.apply(generate::request(&line, caller)) };
            let name =
                judge::verdict(&applied, 0).response.map_or_else(|refusal| format!("{refusal:?}"), |_| "ok".to_owned());
            *refusals.entry(name).or_default() += 1;
        }
        // Alarms do not last, else most entries would be refused.
        if random.u8(..8) == 0 {
            let line = format!("alarm clear {} {}", random.u8(1..3), random.choice(&["nospace", "corrupt"]).unwrap());
            member.apply(generate::request(&line, Default::default()));
        }
        match random.u8(..10) {
            0..4 => member.end_batch(),
            4 if random.u8(..5) == 0 => member.restart(),
            _ => {}
        }
    }
    member.end_batch();
}

#[test]
fn entries_agree_with_model() {
    let mut refusals = BTreeMap::new();
    for seed in 0..90 {
        run(seed, &mut refusals);
    }
    // The run proves something only about refusals that it meets.
    let met: Vec<_> = refusals.keys().map(String::as_str).collect();
    for name in [
        "AuthNotEnabled",
        "AuthOldRevision",
        "Compacted",
        "Corrupt",
        "FutureRevision",
        "InvalidAuthManagement",
        "KeyNotFound",
        "LeaseExists",
        "LeaseNotFound",
        "LeaseTtlTooLarge",
        "NoSpace",
        "PermissionDenied",
        "RoleNotFound",
        "RootRoleNotExist",
        "RootUserNotExist",
        "UnknownRequest",
        "UserEmpty",
        "UserExists",
        "UserNotFound",
        "ok",
    ] {
        assert!(met.contains(&name), "no entry came to {name}: {refusals:?}");
    }
    assert!(refusals["ok"] * 2 > refusals.values().sum::<usize>(), "{refusals:?}");
}
