//! Data directories that a member left earlier, in `recorded`: a stopped one, whose state is in
//! tables, and a killed one, whose last writes are in the raft log alone. The present daemon opens
//! them with the recorded content. A test that fails here means that the format on disk changed:
//! raise its number, and keep reading the old one. `ETCD_RECORD_DATA_DIR=1` records the present
//! format under its own name.

use crate::servers::our_daemon;
use crate::tool::Tool;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The present formats of state and raft log, and the ends of the members.
const PRESENT: &str = "state-2-log-1";
const ENDS: [(&str, Signal); 2] = [("stopped", Signal::SIGTERM), ("killed", Signal::SIGKILL)];
/// Commands whose output is recorded. None names a term or a time.
const CONTENT: [&str; 5] =
    ["get --from-key \u{1}", "get counter --rev 40", "lease list", "user list", "role get reader"];

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded")
}

/// A daemon on a data directory of the tool's home; killed when it is dropped.
struct Daemon {
    child: Child,
    at: String,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Daemon {
    fn start(tool: &Tool) -> Self {
        let [client, peer]: [u16; 2] = testbed::free_ports().unwrap();
        let [client, peer] = [client, peer].map(|port| format!("http://127.0.0.1:{port}"));
        let mut command = Command::new(our_daemon());
        command.args(["--name", "recorded", "--data-dir", "data", "--log-level", "error"]);
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &format!("recorded={peer}")]);
        let log = std::fs::File::create(tool.path("log")).unwrap();
        command.current_dir(tool.home()).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let daemon = Self { child: command.spawn().unwrap(), at: format!("--endpoints {client}") };
        let waited = tool.run(&format!("wait --for quorum --timeout 30s {}", daemon.at));
        assert_eq!(waited.code, Some(0), "{}{}", waited.complaint, std::fs::read_to_string(tool.path("log")).unwrap());
        daemon
    }

    fn run(&self, tool: &Tool, args: &str) -> String {
        tool.run(&format!("{args} {}", self.at)).good()
    }

    fn content(&self, tool: &Tool) -> String {
        let hash = self.run(tool, "etcdctl endpoint hashkv --rev 60 -w fields");
        let hash: String =
            hash.lines().filter(|line| line.contains("\"Hash")).map(|line| format!("{line}\n")).collect();
        let output = |args: &&str| format!("# {args}\n{}", self.run(tool, &format!("etcdctl {args}")));
        CONTENT.iter().map(output).collect::<String>() + &hash
    }

    fn end(mut self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
        self.child.wait().unwrap();
    }
}

fn tar(args: &[&str], tool: &Tool) {
    let ended = Command::new("tar").args(args).current_dir(tool.home()).status().unwrap();
    assert!(ended.success(), "tar {args:?}");
}

/// Keys with a history, of which a part is compacted, a lease, a user and a role.
fn record(end: &str, signal: Signal) {
    let tool = Tool::new();
    let daemon = Daemon::start(&tool);
    for number in 0..30 {
        daemon.run(&tool, &format!("put key/{} value-{number}", number % 10));
        daemon.run(&tool, &format!("put counter {number}"));
    }
    daemon.run(&tool, "del key/3");
    daemon.run(&tool, "compaction 20");
    let lease = daemon.run(&tool, "lease grant 1000000000");
    let lease = lease.split_whitespace().nth(1).unwrap().to_owned();
    daemon.run(&tool, &format!("put leased kept --lease {lease}"));
    daemon.run(&tool, "user add somebody:secret");
    daemon.run(&tool, "role add reader");
    daemon.run(&tool, "role grant-permission reader read key/");
    std::fs::write(tool.path("content.txt"), daemon.content(&tool)).unwrap();
    daemon.end(signal);
    std::fs::create_dir_all(directory()).unwrap();
    let file = directory().join(format!("{PRESENT}-{end}.tar.gz"));
    tar(&["-czSf", file.to_str().unwrap(), "data", "content.txt"], &tool);
}

#[test]
fn recorded_data_directories_are_opened_with_their_content() {
    if std::env::var_os("ETCD_RECORD_DATA_DIR").is_some() {
        ENDS.into_iter().for_each(|(end, signal)| record(end, signal));
    }
    let mut names: Vec<PathBuf> = std::fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    for (end, _) in ENDS {
        assert!(names.contains(&directory().join(format!("{PRESENT}-{end}.tar.gz"))), "{PRESENT}-{end} is missing");
    }
    for file in names {
        let tool = Tool::new();
        tar(&["-xzf", file.to_str().unwrap()], &tool);
        let expected = std::fs::read_to_string(tool.path("content.txt")).unwrap();
        // A second start opens what the first one made of it.
        for start in 1..=2 {
            let daemon = Daemon::start(&tool);
            assert_eq!(daemon.content(&tool), expected, "{}, start {start}", file.display());
            daemon.end(Signal::SIGTERM);
        }
    }
}
