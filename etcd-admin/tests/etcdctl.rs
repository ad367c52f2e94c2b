//! Our etcdctl beside the real one: the same commands, each tool at a server of its own, and what they print and how they end compared.
//!
//! What a server chooses (ids, ports, times) is put into one form first. Known differences are those between etcdctl 3.5, which is what
//! runs here, and 3.7, which is what we follow; each has its reason.

use crate::servers::{one, our_daemon, real_binaries, runtime};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use testbed::Server;

/// Commands and their inputs, in an order that makes a story. `$LEASE` and `$MEMBER` are what the server chose.
const STORY: &str = include_str!("etcdctl/story.txt");

#[derive(Debug, PartialEq, Eq)]
struct Ended {
    code: Option<i32>,
    out: String,
    complaint: String,
}

struct Side {
    program: Vec<String>,
    endpoint: String,
    port: String,
    peer_port: String,
    lease: String,
    member: String,
}

impl Side {
    fn run(&mut self, line: &str, input: &str) -> Ended {
        let line = line.replace("$LEASE", &self.lease).replace("$MEMBER", &self.member).replace("$ENDPOINT", &self.endpoint);
        let (variables, line) = line.strip_prefix("ENV ").map_or(("", line.as_str()), |rest| rest.split_once(' ').unwrap());
        let mut command = Command::new(&self.program[0]);
        command.args(&self.program[1..]).env_clear().env("PATH", "/usr/bin:/bin");
        command.envs(variables.split(';').filter_map(|pair| pair.split_once('=')));
        if !line.contains("--endpoints") && !variables.contains("ENDPOINTS") {
            command.args(["--endpoints", &self.endpoint]);
        }
        command.args(words(line)).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that wants no input may have ended already.
        drop(child.stdin.take().unwrap().write_all(input.replace("\\n", "\n").as_bytes()));
        let ended = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let out = if line.contains("protobuf") { message(&ended.stdout) } else { text(&ended.stdout) };
        if line.starts_with("lease grant")
            && let Some(id) = out.split_whitespace().nth(1).filter(|id| id.len() == 16)
        {
            self.lease = id.to_owned();
        }
        if line == "member list"
            && let Some(id) = out.split(", ").next()
        {
            self.member = id.to_owned();
        }
        Ended { code: ended.status.code(), out: self.plain(&out), complaint: self.plain(&complaint(&text(&ended.stderr))) }
    }

    /// With what the server chose in one form.
    fn plain(&self, text: &str) -> String {
        let text = text.replace(&self.port, "PORT").replace(&self.peer_port, "PEER");
        let text = if self.lease.is_empty() { text } else { text.replace(&self.lease, "LEASE") };
        let mut out = String::new();
        let mut rest = text.as_str();
        while let Some(first) = rest.chars().next() {
            let length = rest.find(|letter: char| !letter.is_ascii_alphanumeric()).unwrap_or(rest.len());
            if length == 0 {
                out.push(first);
                rest = &rest[first.len_utf8()..];
                continue;
            }
            let (word, more) = rest.split_at(length);
            out.push_str(if is_chosen(word) { "CHOSEN" } else { word });
            rest = more;
        }
        out
    }
}

/// A message without its header, which is the first field of each.
fn message(bytes: &[u8]) -> String {
    match bytes {
        [0x0a, length, rest @ ..] => rest.get(usize::from(*length)..).unwrap_or_default().escape_ascii().to_string(),
        other => other.escape_ascii().to_string(),
    }
}

/// Ids of members, clusters and leases, in whichever base.
fn is_chosen(word: &str) -> bool {
    let decimal = word.len() >= 15 && word.bytes().all(|byte| byte.is_ascii_digit());
    let hex = (13..=16).contains(&word.len())
        && word.bytes().all(|byte| byte.is_ascii_hexdigit())
        && word.bytes().any(|byte| byte.is_ascii_digit());
    decimal || hex
}

/// What is said beside the answer: the lines that name the error. The real tool adds lines of its client's log, ours what broke.
fn complaint(text: &str) -> String {
    let told = text.lines().filter(|line| !line.starts_with('{') && !line.starts_with("  "));
    told.map(|line| format!("{line}\n")).collect()
}

/// Words of a line; `'…'` holds blanks together.
fn words(line: &str) -> Vec<String> {
    let parts = line.split('\'').enumerate();
    let mut words = Vec::new();
    for (position, part) in parts {
        if position % 2 == 1 { words.push(part.to_owned()) } else { words.extend(part.split_whitespace().map(str::to_owned)) }
    }
    words
}

/// Why two answers may differ: the start of a command, and a change to both sides that takes the difference away.
type Accepted = (&'static str, &'static str, fn(&mut Ended));

const ACCEPTED: [Accepted; 13] = [
    ("", "from 3.6 on, tables have other lines and other columns may be wider: cells are compared", |ended| {
        if ended.out.starts_with(['+', '┌']) {
            let is_line = |line: &&str| !line.starts_with(['+', '┌', '├', '└']);
            let cells = |line: &str| line.split(['|', '│']).map(str::trim).collect::<Vec<_>>().join("|");
            ended.out = ended.out.lines().filter(is_line).map(|line| cells(line).to_uppercase() + "\n").collect();
        }
    }),
    ("", "usage is told in other words behind the line that names the error", |ended| {
        let first = ended.complaint.lines().next().unwrap_or_default().to_owned();
        if first.starts_with("Error: unknown") || first.starts_with("Error: invalid argument") || first.starts_with("Error: flag needs") {
            ended.complaint = first;
            ended.out = String::new();
        }
    }),
    ("txn", "3.7 tells why a number is none; usage follows a flag that is not known", |ended| {
        let told = |line: &&str| !line.is_empty() && !line.starts_with("Usage") && !line.starts_with("Flags");
        let lines = ended.complaint.lines().filter(told).map(|line| line.split(" (strconv").next().unwrap_or_default().to_owned() + "\n");
        ended.complaint = lines.collect();
    }),
    ("lease timetolive LEASE -w protobuf", "3.7 has no such form of leases", |ended| {
        *ended = Ended { code: None, out: String::new(), complaint: String::new() }
    }),
    ("member list -w fields", "from 3.6 on, a revision of 0 is left out", |ended| ended.out = ended.out.replace("\"Revision\" : 0\n", "")),
    ("member list -w protobuf", "ids are chosen, and written in as many bytes as they need", |ended| ended.out = String::new()),
    ("endpoint status", "3.6 and 3.7 tell more of a member", |ended| ended.out = String::new()),
    ("endpoint health", "times differ", |ended| {
        let cut = |line: &str| line.split("took").next().unwrap_or_default().to_owned() + "\n";
        ended.out = ended.out.lines().map(cut).collect();
    }),
    ("defrag", "3.6 tells the time that it took", |ended| ended.out = ended.out.split(']').next().unwrap_or_default().to_owned()),
    ("watch", "3.6 tells the reason of a cancellation in JSON", |ended| ended.out = ended.out.replace(",\"CancelReason\":\"\"", "")),
    ("endpoint hashkv", "3.6 tells the revision of the hash; keys with leases hash differently", |ended| ended.out = String::new()),
    ("get nothing ", "the real one logs this as JSON", |ended| {
        if ended.complaint.contains("shadowed") {
            ended.complaint.clear();
        }
    }),
    ("version", "the tools have their own versions", |ended| ended.out = String::new()),
];

fn accept(line: &str, ended: &mut Ended) {
    // Global flags may stand before the command.
    let command = line.split_whitespace().skip_while(|word| word.starts_with("--")).collect::<Vec<_>>().join(" ");
    for (_, _, change) in ACCEPTED.iter().filter(|(start, ..)| command.starts_with(start)) {
        change(ended);
    }
}

fn side(program: &[&str], server: &Server) -> Side {
    let port_of = |url: String| url.rsplit(':').next().unwrap().to_owned();
    let (endpoint, port, peer_port) = (server.endpoint(), port_of(server.endpoint()), port_of(server.peer_url()));
    let program = program.iter().map(|word| (*word).to_owned()).collect();
    Side { program, endpoint, port, peer_port, lease: String::new(), member: String::new() }
}

#[test]
fn every_command_answers_as_the_real_etcdctl_does() {
    let Some(binaries) = real_binaries() else {
        eprintln!("skipped: set ETCD_BIN_DIR to a folder with etcd, etcdctl and etcdutl");
        return;
    };
    let runtime = runtime();
    let daemon = our_daemon();
    let servers = runtime.block_on(async { [one(&daemon).await, one(&daemon).await] });
    let real = binaries.join("etcdctl");
    let mut theirs = side(&[&real.display().to_string()], &servers[0]);
    let mut ours = side(&[env!("CARGO_BIN_EXE_etcd-admin"), "etcdctl"], &servers[1]);
    let (mut commands, mut differences) = (0, Vec::new());
    for line in STORY.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (line, input) = line.split_once(" <<< ").unwrap_or((line, ""));
        let (mut expected, mut got) = std::thread::scope(|scope| {
            let other = scope.spawn(|| theirs.run(line, input));
            let got = ours.run(line, input);
            (other.join().unwrap(), got)
        });
        let bare = line.strip_prefix("ENV ").map_or(line, |rest| rest.split_once(' ').unwrap().1);
        let bare = &bare.replace("$LEASE", "LEASE");
        accept(bare, &mut expected);
        accept(bare, &mut got);
        commands += 1;
        if expected != got {
            differences.push(format!("etcdctl {line}\n  theirs: {expected:?}\n  ours:   {got:?}"));
        }
    }
    println!("{commands} commands, {} differences", differences.len());
    if let Some(path) = std::env::var_os("ETCDCTL_DIFFERENCES") {
        std::fs::write(Path::new(&path), differences.join("\n")).unwrap();
    }
    assert!(differences.is_empty(), "{} of {commands} differ:\n{}", differences.len(), differences.join("\n"));
}
