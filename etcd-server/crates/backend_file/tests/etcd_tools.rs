//! Against etcd's own programs, found in the directory that `ETCD_BIN_DIR` names.

use crate::support::write;
use backend_file::backend::{
    FINISHED_COMPACT_KEY, HistoryKey, KEY, KeepRule, META, bump_entry, hash_kv, put_entry, tombstone_entry, u64_value,
};
use backend_file::bolt::{BoltFile, Digest, MemoryBucket, Trailer, verify_trailer};
use backend_file::{StatusStyle, status};
use bytes::Bytes;
use proto::mvccpb::KeyValue;
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use types::{Fault, Revision};

/// Returns the directory of etcd's programs; prints one line when there is none.
fn programs() -> Option<&'static Path> {
    static DIR: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find = || {
        let dir = std::env::var_os("ETCD_BIN_DIR").map(PathBuf::from).filter(|dir| dir.join("etcdutl").exists());
        if dir.is_none() {
            // A handle of its own, which the test harness does not capture: a skipped test shall
            // not look like one that passed.
            let mut errors = std::io::stderr();
            writeln!(
                errors,
                "skipped: comparing with etcd: ETCD_BIN_DIR names no directory with etcd, etcdctl and etcdutl"
            )
            .unwrap();
        }
        dir
    };
    DIR.get_or_init(find).as_deref()
}

fn run(program: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} {arguments:?}: {errors}", program.display());
    output.stdout
}

fn json(program: &Path, arguments: &[&str]) -> Value {
    serde_json::from_slice(&run(program, arguments)).unwrap()
}

/// The history of `keys` user keys, each put `versions` times, every third deleted at the end;
/// every hundredth value has 20 kB.
fn history(keys: u32, versions: u32) -> MemoryBucket {
    let mut bucket = MemoryBucket::new(KEY);
    let mut main = 1;
    for version in 1..=versions {
        for number in 0..keys {
            main += 1;
            let value = if number % 100 == 7 {
                vec![b'x'; 20_000]
            } else {
                format!("value {number} of version {version}").into_bytes()
            };
            let kv = KeyValue {
                key: user_key(number),
                create_revision: i64::from(number) + 2,
                mod_revision: main,
                version: i64::from(version),
                value: value.into(),
                lease: 0,
            };
            put(&mut bucket, put_entry(Revision::new(main, 0), &kv));
        }
    }
    main += 1;
    for (sub, number) in (0..keys).step_by(3).enumerate() {
        put(&mut bucket, tombstone_entry(Revision::new(main, i64::try_from(sub).unwrap()), user_key(number)));
    }
    bucket
}

fn put(bucket: &mut MemoryBucket, (key, value): (Bytes, Bytes)) {
    bucket.put(key, value);
}

fn user_key(number: u32) -> Bytes {
    format!("key{number:07}").into()
}

fn meta() -> MemoryBucket {
    let mut bucket = MemoryBucket::new(META);
    bucket.put("consistent_index", u64_value(77));
    bucket.put("term", u64_value(3));
    bucket
}

#[test]
fn etcdutl_tells_our_status_of_our_files() {
    let Some(programs) = programs() else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("backup.db");
    for (keys, versions) in [(0, 0), (1, 1), (30, 1), (101, 1), (5_000, 3), (300_000, 1)] {
        std::fs::write(&path, write(&[history(keys, versions), meta()], Trailer::Sha256).unwrap()).unwrap();
        assert_status_is_etcdutls(programs, &path);
    }
    let mut bumped = history(10, 1);
    put(&mut bumped, bump_entry(1_000_000));
    std::fs::write(&path, write(&[bumped, meta()], Trailer::Sha256).unwrap()).unwrap();
    assert_status_is_etcdutls(programs, &path);
}

fn assert_status_is_etcdutls(programs: &Path, path: &Path) {
    let told = json(&programs.join("etcdutl"), &["snapshot", "status", "-w", "json", path.to_str().unwrap()]);
    let file = BoltFile::open(File::open(path).unwrap()).unwrap();
    let style = if told.get("version").is_some() { StatusStyle::V3_6 } else { StatusStyle::V3_5 };
    assert_eq!(serde_json::to_value(status(&file, style).unwrap()).unwrap(), told);
}

/// A running etcd, killed when dropped.
struct Etcd {
    process: Child,
    endpoint: String,
    etcdctl: PathBuf,
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.process.kill().expect("it was started here");
        self.process.wait().expect("it was started here");
    }
}

/// A port that was free a moment ago.
fn free_url() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

impl Etcd {
    /// Restores `backup` with `etcdutl` and starts a server on it, which is ready when this
    /// returns.
    fn restored(programs: &Path, backup: &Path, data: &Path) -> Self {
        let (endpoint, peer) = (free_url(), free_url());
        let data = data.to_str().unwrap();
        let cluster = format!("n1={peer}");
        let common =
            ["--name", "n1", "--data-dir", data, "--initial-cluster", &cluster, "--initial-advertise-peer-urls", &peer];
        run(&programs.join("etcdutl"), &[&["snapshot", "restore", backup.to_str().unwrap()][..], &common].concat());
        let process = Command::new(programs.join("etcd"))
            .args(common)
            .args([
                "--listen-client-urls",
                &endpoint,
                "--advertise-client-urls",
                &endpoint,
                "--listen-peer-urls",
                &peer,
            ])
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut etcd = Self { process, endpoint, etcdctl: programs.join("etcdctl") };
        etcd.wait_until_ready();
        etcd
    }

    fn wait_until_ready(&mut self) {
        let mut lines = BufReader::new(self.process.stderr.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.any(|line| line.contains("ready to serve client requests")), "etcd stopped before it was ready");
        // Its pipe must not fill up.
        std::thread::spawn(move || lines.for_each(drop));
    }

    fn ctl(&self, arguments: &[&str]) -> Vec<u8> {
        run(&self.etcdctl, &[&["--endpoints", &self.endpoint, "--command-timeout", "60s"], arguments].concat())
    }

    fn ctl_json(&self, arguments: &[&str]) -> Value {
        serde_json::from_slice(&self.ctl(&[arguments, &["-w", "json"]].concat())).unwrap()
    }
}

#[test]
fn etcd_lives_on_our_files_and_we_read_its() {
    let Some(programs) = programs() else { return };
    let dir = tempfile::tempdir().unwrap();
    let backup = dir.path().join("backup.db");
    std::fs::write(&backup, write(&[history(10_000, 5), meta()], Trailer::Sha256).unwrap()).unwrap();
    let etcd = Etcd::restored(programs, &backup, &dir.path().join("data"));

    let listed = etcd.ctl_json(&["get", "--prefix", "key", "--limit", "1"]);
    assert_eq!(listed["count"], 6_666);
    assert_eq!(listed["header"]["revision"], 50_002);
    assert_eq!(etcd.ctl(&["get", "key0000001", "--print-value-only"]), b"value 1 of version 5\n");
    assert_eq!(etcd.ctl(&["get", "key0000001", "--rev", "20002", "--print-value-only"]), b"value 1 of version 2\n");
    assert_eq!(etcd.ctl(&["get", "key0000107", "--print-value-only"]).len(), 20_001);
    assert_eq!(etcd.ctl(&["get", "key0000003"]), b"");

    // Deleting four entries of five from our full pages makes bbolt join pages and branches
    // everywhere.
    etcd.ctl(&["put", "key0000003", "again"]);
    etcd.ctl(&["compaction", "--physical", "50002"]);
    etcd.ctl(&["put", "other", "1"]);
    etcd.ctl(&["del", "key0000004"]);
    let theirs = dir.path().join("theirs.db");
    etcd.ctl(&["snapshot", "save", theirs.to_str().unwrap()]);
    assert_eq!(verify_trailer(&File::open(&theirs).unwrap()).unwrap(), Digest::Right);
    assert_status_is_etcdutls(programs, &theirs);
    assert_hash_kv_is_etcds(&etcd, &theirs, 50_003..=50_005);
    etcd.ctl(&["defrag"]);
    assert_eq!(etcd.ctl_json(&["get", "--prefix", "key", "--limit", "1"])["count"], 6_666);
}

/// At revisions above the compaction, which etcd computes afresh.
fn assert_hash_kv_is_etcds(etcd: &Etcd, path: &Path, revisions: std::ops::RangeInclusive<i64>) {
    let file = BoltFile::open(File::open(path).unwrap()).unwrap();
    let meta = file.bucket(META).unwrap().unwrap();
    let mark = file.items(&meta).unwrap().map(Result::unwrap).find(|(key, _)| key == FINISHED_COMPACT_KEY).unwrap();
    let compacted = HistoryKey::decode(&mark.1).unwrap().revision.main;
    let key = file.bucket(KEY).unwrap().unwrap();
    for at in revisions {
        let told = etcd.ctl_json(&["endpoint", "hashkv", "--rev", &at.to_string()]);
        let entries = || Ok::<_, Fault>(file.items(&key)?.map(|item| Ok(item?)));
        let ours = hash_kv(entries, at, Some(compacted), KeepRule::Request).unwrap();
        assert_eq!(told[0]["HashKV"]["hash"], ours, "at {at}");
        assert_eq!(told[0]["HashKV"]["compact_revision"], compacted);
    }
}

#[test]
fn hash_kv_of_keys_that_die_is_etcds() {
    let Some(programs) = programs() else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("backup.db");
    std::fs::write(&path, write(&[history(0, 0), meta()], Trailer::Sha256).unwrap()).unwrap();
    let etcd = Etcd::restored(programs, &path, &dir.path().join("data"));
    let theirs = dir.path().join("theirs.db");
    for (key, value) in [("a", "1"), ("b", "1"), ("a", "2"), ("c", "1")] {
        etcd.ctl(&["put", key, value]);
    }
    etcd.ctl(&["del", "c"]);
    etcd.ctl(&["compaction", "--physical", "6"]);
    for key in ["a", "b"] {
        etcd.ctl(&["del", key]);
    }
    etcd.ctl(&["snapshot", "save", theirs.to_str().unwrap()]);
    // At 8 nothing lives.
    assert_hash_kv_is_etcds(&etcd, &theirs, 7..=8);
    for key in ["d", "a"] {
        etcd.ctl(&["put", key, "1"]);
    }
    etcd.ctl(&["snapshot", "save", theirs.to_str().unwrap()]);
    assert_hash_kv_is_etcds(&etcd, &theirs, 7..=10);
}
