//! Snapshots: taken here and served by a real etcd, taken from a real etcd and served here;
//! whatever is not whole is refused.

use crate::servers::{one, our_daemon, real_binaries, runtime, settings};
use crate::tool::{Ended, Tool};
use std::path::Path;
use std::process::Command;
use testbed::{Place, Server};

fn ctl(tool: &Tool, endpoint: &str, args: &str) -> Ended {
    tool.run(&format!("etcdctl --endpoints {endpoint} {args}"))
}

/// Keys, versions, a lease, a user, deletions.
fn fill(tool: &Tool, endpoint: &str) {
    let lines: String = (0..100).map(|number| format!("put key{number:03} value{number}\n")).collect();
    ctl_with(tool, endpoint, "txn", &format!("\n{lines}\n\n"));
    ctl(tool, endpoint, "put key000 again").good();
    ctl(tool, endpoint, "del key001").good();
    let lease = ctl(tool, endpoint, "lease grant 6000").good();
    let id = lease.split_whitespace().nth(1).unwrap().to_owned();
    ctl(tool, endpoint, &format!("put leased x --lease={id}")).good();
    ctl(tool, endpoint, "user add alice:secret").good();
    ctl(tool, endpoint, "role add reader").good();
}

fn ctl_with(tool: &Tool, endpoint: &str, args: &str, input: &str) {
    tool.run_with(&format!("etcdctl --endpoints {endpoint} {args}"), input).good();
}

fn hash(tool: &Tool, endpoint: &str, revision: i64) -> u64 {
    let output = ctl(tool, endpoint, &format!("endpoint hashkv --rev={revision} -w json")).good();
    serde_json::from_str::<serde_json::Value>(&output).unwrap()[0]["HashKV"]["hash"].as_u64().unwrap()
}

/// Members of a new cluster, started on data that the tool has made for them.
fn restored(tool: &Tool, source: &str, size: usize, flags: &str) -> Vec<Server> {
    let places: Vec<Place> = (1..=size).map(|number| Place::free(format!("r{number}")).unwrap()).collect();
    let entries = places.iter().map(Place::entry).collect::<Vec<_>>().join(",");
    tool.run(&format!("snapshot restore {source} --output-dir restored --initial-cluster {entries} {flags}")).good();
    let members = places.into_iter().map(|place| {
        let name = place.name.clone();
        let mut server =
            Server::launch(settings(&our_daemon()), place, vec!["--initial-cluster".to_owned(), entries.clone()])
                .unwrap();
        // The process is started again on the restored data, in the place that it knows.
        server.kill();
        std::fs::remove_dir_all(server.data_dir()).ok();
        copy(&tool.path(&format!("restored/{name}")), &server.data_dir());
        server.relaunch().unwrap();
        server
    });
    let members: Vec<Server> = members.collect();
    std::fs::remove_dir_all(tool.path("restored")).unwrap();
    members
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

/// Compares hash and revision of `s.db` with the real etcdutl's.
fn assert_status_as_etcdutl(binaries: &Path, tool: &Tool, saved: &serde_json::Value, revision: i64) {
    let text = Command::new(binaries.join("etcdutl"))
        .args(["snapshot", "status", "-w", "json"])
        .arg(tool.path("s.db"))
        .output()
        .unwrap();
    let theirs: serde_json::Value = serde_json::from_slice(&text.stdout).unwrap();
    assert_eq!(
        (theirs["hash"].as_u64(), theirs["revision"].as_i64()),
        (saved["hash"].as_u64(), Some(revision)),
        "{theirs}"
    );
}

#[test]
fn a_snapshot_of_ours_is_whole_and_serves_three_members_and_a_real_etcd() {
    let (runtime, tool) = (runtime(), Tool::new());
    let server = runtime.block_on(one(&our_daemon()));
    let endpoint = server.endpoint();
    fill(&tool, &endpoint);
    let saved = tool.json(&format!("snapshot save s.db --endpoints {endpoint}"));
    let revision = saved["revision"].as_i64().unwrap();
    assert_eq!(saved["hash_kv"].as_u64().unwrap(), hash(&tool, &endpoint, revision));
    tool.run(&format!("snapshot save s.db --endpoints {endpoint}")).ends(5, "nothing is overwritten");
    // Where it makes up the name, that says which revision it holds.
    std::fs::create_dir(tool.path("named")).unwrap();
    let named = tool.json(&format!("snapshot save --dir named --endpoints {endpoint}"));
    let revision = named["revision"].as_i64().unwrap();
    assert!(revision > 1 && named["file"].as_str().unwrap().contains(&format!("-{revision}-")), "{named}");
    tool.run("snapshot verify s.db").ends(0, "manifest agrees");
    tool.run("snapshot verify s.db --test-restore").ends(0, "returned the same hash");
    tool.run("snapshot list").ends(0, "s.db");

    // Three members from one plan: the keys are there, the revision is past all that the old
    // cluster had, and its watchers are told.
    let mut members = restored(&tool, "s.db", 3, "");
    runtime.block_on(async {
        for member in &mut members {
            member.healthy().await.unwrap();
        }
    });
    let here = members[0].endpoint();
    assert_eq!(ctl(&tool, &here, "get key000 --print-value-only").good(), "again\n");
    assert_eq!(ctl(&tool, &here, "get key001").good(), "");
    let read = ctl(&tool, &here, "get leased -w json").good();
    let read: serde_json::Value = serde_json::from_str(&read).unwrap();
    assert_eq!(read["header"]["revision"].as_i64(), Some(revision + 1_000_000_000));
    ctl(&tool, &here, &format!("watch key000 --rev={revision}")).ends(5, "required revision has been compacted");
    ctl(&tool, &here, "put key000 onwards").good();
    assert_eq!(ctl(&tool, &here, "user list").good(), "alice\n");
    assert!(ctl(&tool, &here, "lease list").good().starts_with("found 1 leases"));
    let hashes: Vec<u64> =
        members.iter().map(|member| hash(&tool, &member.endpoint(), revision + 1_000_000_001)).collect();
    assert!(hashes.windows(2).all(|pair| pair[0] == pair[1]), "{hashes:?}");
    drop(members);

    // Exactly as it was, for who wants it so.
    let mut members = restored(&tool, "s.db", 1, "--exact");
    runtime.block_on(members[0].healthy()).unwrap();
    assert_eq!(hash(&tool, &members[0].endpoint(), revision), saved["hash_kv"].as_u64().unwrap());

    let Some(binaries) = real_binaries() else {
        skip::report("the real etcd serving it; set ETCD_BIN_DIR to a directory with etcd, etcdctl and etcdutl");
        return;
    };
    assert_status_as_etcdutl(&binaries, &tool, &saved, revision);
    let place = Place::free("default").unwrap();
    let entry = place.entry();
    let mut etcd = Server::launch(
        settings(&binaries.join("etcd")),
        place.clone(),
        vec!["--initial-cluster".to_owned(), entry.clone()],
    )
    .unwrap();
    etcd.kill();
    std::fs::remove_dir_all(etcd.data_dir()).ok();
    let mut restore = Command::new(binaries.join("etcdutl"));
    restore.args(["snapshot", "restore"]).arg(tool.path("s.db")).arg("--data-dir").arg(etcd.data_dir());
    let restored = restore
        .args(["--initial-cluster", &entry, "--initial-advertise-peer-urls", &place.peer_url()])
        .output()
        .unwrap();
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    etcd.relaunch().unwrap();
    runtime.block_on(etcd.healthy()).unwrap();
    assert_eq!(hash(&tool, &etcd.endpoint(), revision), saved["hash_kv"].as_u64().unwrap());
    assert_eq!(ctl(&tool, &etcd.endpoint(), "get key000 --print-value-only").good(), "again\n");
}

#[test]
fn a_real_etcds_snapshot_and_data_directory_serve_here() {
    let Some(binaries) = real_binaries() else {
        skip::report("set ETCD_BIN_DIR to a directory with etcd, etcdctl and etcdutl");
        return;
    };
    let (runtime, tool) = (runtime(), Tool::new());
    let mut etcd = runtime.block_on(one(&binaries.join("etcd")));
    let endpoint = etcd.endpoint();
    fill(&tool, &endpoint);
    let saved = tool.json(&format!("snapshot save theirs.db --endpoints {endpoint}"));
    let revision = saved["revision"].as_i64().unwrap();
    let expected = hash(&tool, &endpoint, revision);
    assert_eq!(saved["hash_kv"].as_u64(), Some(expected));
    etcd.stop();
    for source in ["theirs.db".to_owned(), etcd.data_dir().display().to_string()] {
        let mut members = restored(&tool, &source, 1, "--exact");
        runtime.block_on(members[0].healthy()).unwrap();
        let here = members[0].endpoint();
        assert_eq!(hash(&tool, &here, revision), expected, "{source}");
        assert_eq!(ctl(&tool, &here, "user list").good(), "alice\n");
        assert_eq!(ctl(&tool, &here, "role list").good(), "reader\n");
        assert!(ctl(&tool, &here, "lease list").good().starts_with("found 1 leases"));
        let members_told = ctl(&tool, &here, "member list").good();
        assert_eq!(members_told.lines().count(), 1, "{members_told}");
    }
}

#[test]
fn what_is_not_whole_is_refused_by_name() {
    let (runtime, tool) = (runtime(), Tool::new());
    let server = runtime.block_on(one(&our_daemon()));
    fill(&tool, &server.endpoint());
    tool.run(&format!("snapshot save good.db --endpoints {}", server.endpoint())).good();
    let good = std::fs::read(tool.path("good.db")).unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(tool.path(name), bytes).unwrap();
    write("cut.db", &good[..good.len() / 2]);
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x10;
    write("flipped.db", &flipped);
    write("foreign.db", &[7; 8192]);
    write("empty.db", b"");
    let plan = "--output-dir out --initial-cluster a=http://127.0.0.1:1";
    for (file, code, says) in [
        ("cut.db", 7, "cut.db: snapshot missing hash but --skip-hash-check=false"),
        ("flipped.db", 7, "flipped.db: expected sha256"),
        ("foreign.db", 7, "foreign.db: it is not a snapshot of etcd"),
        ("foreign.db --skip-hash-check", 7, "foreign.db"),
        ("empty.db", 7, "empty.db"),
        ("nothing.db", 1, "nothing.db: No such file"),
        (".", 5, "neither a snapshot nor the data directory of an etcd"),
    ] {
        tool.run(&format!("snapshot verify {file}")).ends(code, says);
        tool.run(&format!("snapshot restore {file} {plan}")).ends(code, says);
        assert!(!tool.path("out").join("a").exists(), "{file}");
    }
    tool.run("snapshot restore good.db --output-dir out --initial-cluster a=http://127.0.0.1:1,b=http://127.0.0.1:1")
        .ends(2, "is given twice");
    tool.run("snapshot restore good.db --name c --data-dir c --initial-cluster a=http://127.0.0.1:1")
        .ends(2, "couldn't find local name");
    tool.run(&format!("--dry-run snapshot restore good.db {plan}")).ends(0, "would restore a");
    tool.run(&format!("snapshot restore good.db {plan}")).ends(0, "restored a");
    tool.run(&format!("snapshot restore good.db {plan}")).ends(5, "not empty or could not be read");

    // Copies and retention.
    tool.run("snapshot copy good.db other.db").good();
    tool.run("snapshot copy good.db other.db").ends(5, "nothing is overwritten");
    tool.run("snapshot copy flipped.db third.db").ends(7, "expected sha256");
    for day in 1..=2 {
        tool.run(&format!("snapshot copy good.db etcd-1-1-2026010{day}T000000Z.db")).good();
    }
    tool.run("snapshot prune").ends(2, "no rule given");
    tool.run("--dry-run snapshot prune --keep-last 1").ends(0, "would remove");
    tool.run("snapshot prune --keep-last 1").good();
    let left = std::fs::read_dir(tool.home())
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().ends_with(".db.json"))
        .count();
    assert_eq!(left, 3, "one of the tool's own names, and those that an operator has given");
    assert!(tool.path("foreign.db").exists(), "what is not known to be ours is left alone");
    tool.run("snapshot prune --keep-last 1").ends(0, "nothing to remove");
}

/// A copy is the snapshot and its manifest, or nothing.
#[test]
fn copy_is_verified_and_keeps_its_manifest() {
    let tool = Tool::new();
    let server = runtime().block_on(one(&our_daemon()));
    fill(&tool, &server.endpoint());
    tool.run(&format!("snapshot save good.db --endpoints {}", server.endpoint())).good();
    let content = |name: &str| std::fs::read(tool.path(name)).unwrap();
    std::fs::create_dir(tool.path("elsewhere")).unwrap();
    for (to, file) in [("elsewhere", "elsewhere/good.db"), ("elsewhere/other.db", "elsewhere/other.db")] {
        let before = tool.everything();
        tool.run(&format!("--dry-run snapshot copy good.db {to}")).ends(0, "would copy good.db to ");
        assert_eq!(tool.everything(), before, "a dry run writes nothing");
        let output = tool.json(&format!("snapshot copy good.db {to}"));
        assert_eq!((output["changed"].as_bool(), output["file"].as_str()), (Some(true), Some(file)));
        assert_eq!(content(file), content("good.db"));
        assert_eq!(content(&format!("{file}.json")), content("good.db.json"));
        tool.run(&format!("snapshot verify {file}")).ends(0, "manifest agrees");
    }
    // A snapshot without a manifest, such as etcdctl's, is copied alone.
    std::fs::copy(tool.path("good.db"), tool.path("alone.db")).unwrap();
    tool.run("snapshot copy alone.db elsewhere").good();
    assert!(!tool.path("elsewhere/alone.db.json").exists());
    let mut damaged = content("good.db");
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(tool.path("damaged.db"), damaged).unwrap();
    std::fs::write(tool.path("torn.db"), content("good.db")).unwrap();
    std::fs::write(tool.path("torn.db.json"), "{").unwrap();
    let before = tool.everything();
    for (args, code, says) in [
        ("damaged.db third.db", 7, "expected sha256"),
        ("torn.db third.db", 7, "torn.db.json"),
        ("good.db elsewhere", 5, "nothing is overwritten"),
        ("good.db elsewhere/other.db", 5, "nothing is overwritten"),
        ("good.db nowhere/third.db", 1, "No such file"),
        ("missing.db third.db", 1, "missing.db: No such file"),
    ] {
        tool.run(&format!("snapshot copy {args}")).ends(code, says);
        assert_eq!(tool.everything(), before, "{args}");
    }
}
