//! Our etcdutl beside the real one, on the same snapshots: output, log and exit status.

use crate::command_lines::binaries_3_7;
use crate::servers::{one, our_daemon, runtime};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};

/// Messages of the restore itself. Others are of bbolt, which is not here.
const MESSAGES: [&str; 5] = [
    "restoring snapshot",
    "bumping latest revision",
    "marking revision compacted",
    "added member",
    "restored snapshot",
];

#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    out: String,
    /// Error output without log lines.
    error: String,
    /// Messages of the log and their fields.
    log: Vec<(String, Value)>,
}

/// Reads `TIME<tab>LEVEL<tab>[CALLER<tab>]MESSAGE<tab>FIELDS`.
fn logged(line: &str) -> Option<(String, Value)> {
    let parts: Vec<&str> = line.split('\t').collect();
    let [time, "info", .., message, fields] = parts[..] else { return None };
    assert!(time.ends_with('Z') && time.len() == "2026-01-01T00:00:00Z".len(), "{line}");
    MESSAGES.contains(&message).then(|| (message.to_owned(), serde_json::from_str(fields).unwrap()))
}

fn run(program: &[&str], directory: &Path, args: &str) -> Ended {
    let mut command = Command::new(program[0]);
    command.args(&program[1..]).args(args.split_whitespace()).current_dir(directory).env_clear();
    let ended = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let errors = text(&ended.stderr);
    let error = errors.lines().filter(|line| line.split('\t').count() < 4).map(|line| format!("{line}\n")).collect();
    Ended {
        code: ended.status.code(),
        out: text(&ended.stdout),
        error,
        log: errors.lines().filter_map(logged).collect(),
    }
}

/// The log of the real tool with the fields that ours has: the places of WAL and bbolt file mean
/// nothing here.
fn as_ours(theirs: &Ended) -> Vec<(String, Value)> {
    let drop_places = |(message, fields): &(String, Value)| {
        let mut fields = fields.clone();
        for place in ["wal-dir", "snap-dir", "initial-memory-map-size"] {
            fields.as_object_mut().unwrap().remove(place);
        }
        (message.clone(), fields)
    };
    theirs.log.iter().map(drop_places).collect()
}

/// The compared command lines; `OUT` becomes a directory of each program's own.
fn command_lines() -> Vec<String> {
    let cluster = "--initial-cluster one=http://127.0.0.1:1,two=http://127.0.0.1:2,one=http://127.0.0.1:3";
    let mut lines: Vec<String> = Vec::new();
    for format in ["simple", "fields", "json", "protobuf", "table", "other"] {
        lines.push(format!("snapshot status s.db -w {format}"));
        lines.push(format!("hashkv s.db -w {format}"));
    }
    lines.extend(
        ["hashkv s.db --rev 4", "hashkv s.db --rev 3", "hashkv s.db --rev 1", "hashkv s.db --rev 100"]
            .map(str::to_owned),
    );
    lines.extend(
        ["snapshot status none.db", "snapshot restore none.db --data-dir OUT", "hashkv none.db"].map(str::to_owned),
    );
    lines.extend(["snapshot restore s.db --data-dir OUT", "snapshot restore s.db --data-dir OUT"].map(str::to_owned));
    lines.extend(
        ["snapshot restore wrong.db --data-dir OUT1", "snapshot restore cut.db --data-dir OUT2"].map(str::to_owned),
    );
    lines.push("snapshot restore cut.db --data-dir OUT3 --skip-hash-check".to_owned());
    lines.push("snapshot restore s.db --data-dir OUT4 --bump-revision 1000 --mark-compacted".to_owned());
    lines.push(format!(
        "snapshot restore s.db --data-dir OUT5 {cluster} --name two --initial-advertise-peer-urls http://127.0.0.1:2"
    ));
    lines.push(format!("snapshot restore s.db --data-dir OUT6 {cluster} --name three"));
    lines.push(format!(
        "snapshot restore s.db --data-dir OUT7 {cluster} --name two --initial-advertise-peer-urls http://127.0.0.1:2,http://127.0.0.1:9"
    ));
    lines.push("snapshot restore s.db --data-dir OUT8 --wal-dir wal".to_owned());
    lines
}

#[test]
fn etcdutl_prints_and_logs_as_the_real_one() {
    let Some(binaries) = binaries_3_7() else {
        skip::report("ETCD_BIN_DIR names no directory with etcd, etcdctl and etcdutl 3.7");
        return;
    };
    let runtime = runtime();
    let server = runtime.block_on(one(&our_daemon()));
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let tool = env!("CARGO_BIN_EXE_etcd-admin");
    let ctl = |args: &str| run(&[tool, "etcdctl", "--endpoints", &server.endpoint()], home, args);
    for args in ["put a 1", "put b 2", "put a 3", "del b", "compaction 2", "snapshot save s.db"] {
        assert_eq!(ctl(args).code, Some(0), "{args}");
    }
    let good = std::fs::read(home.join("s.db")).unwrap();
    let mut wrong = good.clone();
    wrong[9000] ^= 1;
    std::fs::write(home.join("wrong.db"), wrong).unwrap();
    std::fs::write(home.join("cut.db"), &good[..good.len() - 32]).unwrap();
    std::fs::create_dir(home.join("wal")).unwrap();
    let theirs = binaries.join("etcdutl").display().to_string();
    let lines = command_lines();
    let mut differences = Vec::new();
    for line in &lines {
        // The real hashkv opens the file for writing, and changes it.
        let expected = run(&[&theirs], home, &line.replace("OUT", "theirs"));
        std::fs::write(home.join("s.db"), &good).unwrap();
        let got = run(&[tool, "etcdutl"], home, &line.replace("OUT", "ours"));
        let plain = |text: &str| text.replace("theirs", "ours");
        let with_place = |(message, fields): (String, Value)| (message, plain(&fields.to_string()));
        let expected_log: Vec<_> = as_ours(&expected).into_iter().map(with_place).collect();
        let got_log: Vec<_> = got.log.iter().cloned().map(with_place).collect();
        let (theirs, ours) = (
            (expected.code, expected.out, plain(&expected.error), expected_log),
            (got.code, got.out, got.error, got_log),
        );
        if theirs != ours {
            differences.push(format!("etcdutl {line}\n  theirs: {theirs:?}\n  ours:   {ours:?}"));
        }
    }
    assert!(differences.is_empty(), "{} of {} differ:\n{}", differences.len(), lines.len(), differences.join("\n"));
    // Data of ours is of one version.
    let up_to_date = run(&[tool, "etcdutl"], home, "migrate --data-dir ours --target-version 3.7");
    assert_eq!((up_to_date.code, up_to_date.error.as_str()), (Some(0), ""));
    let other = run(&[tool, "etcdutl"], home, "migrate --data-dir ours --target-version 3.6 --force");
    assert!(other.code == Some(1) && other.error.contains("take a snapshot"), "{other:?}");
    let real = run(&[tool, "etcdutl"], home, "migrate --data-dir theirs --target-version 3.6");
    assert!(real.code == Some(1) && real.error.contains("the etcdutl that came with it"), "{real:?}");
}
