//! Care and disaster on a cluster that speaks nothing but TLS: what works in the clear must work
//! there, with the hosts' own certificates.

use crate::bootstrapped::Hosts;
use crate::members::{Member, eventually, server};
use crate::tool::Tool;

const NAMES: [&str; 3] = ["m1", "m2", "m3"];

fn start(hosts: &Hosts) -> Vec<Member> {
    NAMES.iter().filter_map(|name| hosts.start(name)).collect()
}

fn every_day(tool: &Tool, at: &str) {
    tool.run(&format!("put greeting hello {at}")).good();
    tool.run(&format!("snapshot save one.db {at}")).good();
    tool.run("snapshot verify one.db --test-restore").good();
    tool.run(&format!("maintenance reclaim --yes {at}")).ends(0, "defragment m1");
    for kind in ["restart", "upgrade", "rotate"] {
        tool.run(&format!("roll {kind} {at}")).ends(0, "m3");
    }
    tool.run(&format!("top --once {at}")).ends(0, "m2");
    tool.run(&format!("leader move --to m2 {at}")).good();
    assert_eq!(tool.json(&format!("leader show {at}"))["name"], "m2");
    let config = tool.path("m1/etcd.yaml").display().to_string();
    let output = tool.json(&format!("support bundle --config {config} --log m1.log --interval 1ms --out bundle {at}"));
    let missing: Vec<_> =
        output["pieces"].as_array().unwrap().iter().filter(|piece| !piece["error"].is_null()).collect();
    assert!(missing.iter().all(|piece| piece["file"] == "unit.txt"), "{output}");
}

/// Root's password is lost, and found again through a member that is stopped.
fn rescue(hosts: &Hosts, members: &mut Vec<Member>, at: &str) {
    let tool = &hosts.tool;
    for args in ["user add root:lost", "role add root", "user grant-role root root", "auth enable"] {
        tool.run(&format!("{args} {at}")).good();
    }
    // Members are let in by their certificates, but are no users.
    certs::files::create(&tool.path("password"), b"found\n", 0o600).unwrap();
    drop(members.pop());
    let config = tool.path("m3/etcd.yaml").display().to_string();
    eventually("the lock is let go", || {
        tool.run(&format!("doctor offline {}", tool.path("m3/data").display())).code == Some(0)
    });
    tool.run(&format!("auth rescue --config {config} --new-password-file password --yes")).good();
    tool.run(&format!("get greeting --user root:found {at}")).ends(0, "hello");
    tool.run(&format!("get greeting --user root:lost {at}")).ends(6, "invalid user ID or password");
    members.extend(hosts.start("m3"));
    tool.run(&format!("wait --for healthy --timeout 3m --user root:found {at}")).good();
    tool.run(&format!("auth disable --user root:found {at}")).good();
}

#[test]
fn care_and_recovery_with_tls() {
    if server().is_none() {
        return;
    }
    let hosts = Hosts::new(3);
    hosts.prepare(&NAMES);
    let mut members = start(&hosts);
    let (tool, at) = (&hosts.tool, hosts.at(3));
    tool.run(&format!("wait --for healthy --timeout 3m {at}")).good();
    every_day(tool, &at);
    rescue(&hosts, &mut members, &at);

    // Two of three are lost with their disks.
    drop(members);
    for name in ["m2", "m3"] {
        std::fs::remove_dir_all(tool.path(name).join("data")).unwrap();
    }
    let survivor = tool.path("m1/data").display().to_string();
    eventually("the lock is let go", || tool.run(&format!("recover inspect {survivor}")).code == Some(0));
    tool.run(&format!("recover plan {survivor} --output-dir new --initial-cluster {}", hosts.initial_cluster())).good();
    tool.run("recover apply recovery-plan.json --yes").ends(0, "is ready");
    for name in NAMES {
        std::fs::rename(tool.path("new").join(name), tool.path(name).join("data")).unwrap();
    }
    let _members = start(&hosts);
    tool.run(&format!("wait --for healthy --timeout 3m {at}")).good();
    tool.run(&format!("recover verify recovery-plan.json {at}")).ends(0, "serves with 3 members");
    tool.run(&format!("get greeting {at}")).ends(0, "hello");
}
