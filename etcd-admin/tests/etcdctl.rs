//! Our etcdctl beside the real one: the same commands, each tool at a server of its own, and what
//! they print and how they end compared.
//!
//! Values that a server chooses (ids, ports, times) is put into one form first. We follow etcdctl 3.7.
//! Where `ETCD_BIN_DIR` holds an older one, changes since then are accepted too, each
//! change with its reason.

use crate::command_lines::binaries_3_7;
use crate::servers::{one, our_daemon, real_binaries, runtime};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use testbed::Server;

/// Commands and their inputs, in an order that makes a story. `$LEASE` and `$MEMBER` are the ids that the
/// server chose.
const STORY: &str = include_str!("etcdctl/story.txt");
/// Commands to be run in every format; a line that begins with ONCE is run as it is.
const FORMATS: &str = include_str!("etcdctl/formats.txt");

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
        let line =
            line.replace("$LEASE", &self.lease).replace("$MEMBER", &self.member).replace("$ENDPOINT", &self.endpoint);
        let (variables, line) =
            line.strip_prefix("ENV ").map_or(("", line.as_str()), |rest| rest.split_once(' ').unwrap());
        let mut command = Command::new(&self.program[0]);
        command.args(&self.program[1..]).env_clear().env("PATH", "/usr/bin:/bin");
        command.envs(variables.split(';').filter_map(|pair| pair.split_once('=')));
        if !line.contains("--command-timeout") {
            // Neither tool shall give up on a machine that is busy with other tests.
            command.env("ETCDCTL_COMMAND_TIMEOUT", "60s");
        }
        if !line.contains("--endpoints") && !variables.contains("ENDPOINTS") {
            command.args(["--endpoints", &self.endpoint]);
        }
        command.args(args(line)).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
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
        Ended {
            code: ended.status.code(),
            out: self.plain(&out),
            complaint: self.plain(&complaint(&text(&ended.stderr))),
        }
    }

    /// With values that the server chose in one form.
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
            let (arg, more) = rest.split_at(length);
            out.push_str(if is_chosen(arg) { "CHOSEN" } else { arg });
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
fn is_chosen(arg: &str) -> bool {
    let decimal = arg.len() >= 15 && arg.bytes().all(|byte| byte.is_ascii_digit());
    let hex = (13..=16).contains(&arg.len())
        && arg.bytes().all(|byte| byte.is_ascii_hexdigit())
        && arg.bytes().any(|byte| byte.is_ascii_digit());
    decimal || hex
}

/// The error output: the lines that name the error. The real tool adds lines of its
/// client's log, ours what broke.
fn complaint(text: &str) -> String {
    let output = text.lines().filter(|line| !line.starts_with('{') && !line.starts_with("  "));
    output.map(|line| format!("{line}\n")).collect()
}

/// Words of a line; `'…'` holds blanks together.
fn args(line: &str) -> Vec<String> {
    let parts = line.split('\'').enumerate();
    let mut args = Vec::new();
    for (position, part) in parts {
        if position % 2 == 1 {
            args.push(part.to_owned())
        } else {
            args.extend(part.split_whitespace().map(str::to_owned))
        }
    }
    args
}

/// A reason for which two outputs may differ: the start of a command, and a change to both sides that takes the
/// difference away.
type Accepted = (&'static str, &'static str, fn(&mut Ended));

/// Of every etcdctl.
const ACCEPTED: [Accepted; 8] = [
    ("", "usage is written in other words behind the line that names the error", |ended| {
        let first = ended.complaint.lines().next().unwrap_or_default().to_owned();
        let starts =
            ["Error: unknown flag", "Error: unknown shorthand", "Error: invalid argument", "Error: flag needs"];
        if starts.iter().any(|start| first.starts_with(start)) {
            ended.complaint = first;
            ended.out = String::new();
        }
    }),
    ("txn", "we name the number that is none; usage follows a flag that is not known", |ended| {
        let output = |line: &&str| !line.is_empty() && !line.starts_with("Usage") && !line.starts_with("Flags");
        let lines = ended
            .complaint
            .lines()
            .filter(output)
            .map(|line| line.split(" (strconv").next().unwrap_or_default().to_owned() + "\n");
        ended.complaint = lines.collect();
    }),
    ("PROTOBUF", "ids are chosen, and written in as many bytes as they need", |ended| ended.out = String::new()),
    ("lease timetolive", "the time that is left differs", |ended| ended.out = measured(&ended.out)),
    ("member", "ids of 15 digits are padded", |ended| ended.out = ended.out.replace("  CHOSEN", " CHOSEN")),
    ("member list", "ids have 15 or 16 digits, and tables the width that they need", |ended| {
        ended.out = without_widths(&ended.out)
    }),
    (
        "endpoint",
        "times, sizes and places in the log differ, and widths with them; keys with leases hash differently",
        |ended| {
            ended.out = without_widths(&measured(&ended.out));
        },
    ),
    ("defrag", "times differ", |ended| ended.out = ended.out.split(']').next().unwrap_or_default().to_owned()),
];

/// Of an etcdctl before 3.7.
const ACCEPTED_OF_OLDER: [Accepted; 10] = [
    ("", "from 3.6 on, tables have other lines and other columns may be wider: cells are compared", |ended| {
        if ended.out.starts_with(['+', '┌']) {
            let is_line = |line: &&str| !line.starts_with(['+', '┌', '├', '└']);
            let cells = |line: &str| line.split(['|', '│']).map(str::trim).collect::<Vec<_>>().join("|");
            ended.out = ended.out.lines().filter(is_line).map(|line| cells(line).to_uppercase() + "\n").collect();
        }
    }),
    ("PROTOBUF lease", "3.7 writes the header alone", |ended| {
        *ended = Ended { code: None, out: String::new(), complaint: String::new() }
    }),
    ("member list -w fields", "from 3.6 on, a revision of 0 is left out", |ended| {
        ended.out = ended.out.replace("\"Revision\" : 0\n", "")
    }),
    ("endpoint status", "3.6 and 3.7 tell more of a member", |ended| ended.out = String::new()),
    ("watch", "3.6 tells the reason of a cancellation in JSON, 3.7 has null where no event is", |ended| {
        ended.out = ended.out.replace(",\"CancelReason\":\"\"", "").replace("\"Events\":[]", "\"Events\":null");
    }),
    ("endpoint hashkv", "3.6 tells the revision of the hash", |ended| ended.out = String::new()),
    ("nosuchcommand", "before 3.6, the error is written twice", |ended| {
        ended.complaint = ended.complaint.lines().next().unwrap_or_default().to_owned();
    }),
    ("SIZES", "3.6 has new flags for the size of messages", |ended| {
        *ended = Ended { code: None, out: String::new(), complaint: String::new() }
    }),
    ("snapshot save", "3.6 names the argument", |ended| ended.complaint = ended.complaint.replace(" <filename>", "")),
    ("version", "the tools have their own versions", |ended| ended.out = String::new()),
];

/// The text without the padding of table cells.
fn without_widths(text: &str) -> String {
    text.replace('─', "").split(' ').filter(|arg| !arg.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The text with every number that has a unit or stands for a place as `N`.
fn measured(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        match letter {
            '0'..='9' | '.' if out.ends_with('N') => {}
            '0'..='9' => out.push('N'),
            'µ' | 'm' if out.ends_with('N') => {}
            letter => out.push(letter),
        }
    }
    out
}

fn accept(line: &str, ended: &mut Ended, is_older: bool) {
    // Global flags may stand before the command.
    let command = line
        .split_whitespace()
        .skip_while(|arg| arg.starts_with("--") || arg.starts_with('$'))
        .collect::<Vec<_>>()
        .join(" ");
    let command = if line.contains("--max-request-bytes") { "SIZES".to_owned() } else { command };
    let has_ids =
        ["member", "get leased", "lease", "user get alice --detail"].iter().any(|start| command.starts_with(start));
    let command = if has_ids && command.contains("-w protobuf") { format!("PROTOBUF {command}") } else { command };
    let older = ACCEPTED_OF_OLDER.iter().filter(|_| is_older);
    for (_, _, change) in ACCEPTED.iter().chain(older).filter(|(start, ..)| command.starts_with(start)) {
        change(ended);
    }
}

fn side(program: &[&str], server: &Server) -> Side {
    let port_of = |url: String| url.rsplit(':').next().unwrap().to_owned();
    let (endpoint, port, peer_port) = (server.endpoint(), port_of(server.endpoint()), port_of(server.peer_url()));
    let program = program.iter().map(|arg| (*arg).to_owned()).collect();
    Side { program, endpoint, port, peer_port, lease: String::new(), member: String::new() }
}

/// Both tools, each with a server of ours.
struct Pair {
    theirs: Side,
    ours: Side,
    is_older: bool,
    commands: usize,
    differences: Vec<String>,
    _servers: [Server; 2],
}

impl Pair {
    /// `None` where no real etcdctl is.
    fn new() -> Option<Self> {
        let Some(binaries) = real_binaries() else {
            skip::report("set ETCD_BIN_DIR to a directory with etcd, etcdctl and etcdutl");
            return None;
        };
        let runtime = runtime();
        let daemon = our_daemon();
        let servers = runtime.block_on(async { [one(&daemon).await, one(&daemon).await] });
        let real = binaries.join("etcdctl");
        let theirs = side(&[&real.display().to_string()], &servers[0]);
        let ours = side(&[env!("CARGO_BIN_EXE_etcd-admin"), "etcdctl"], &servers[1]);
        let is_older = binaries_3_7().is_none();
        Some(Self { theirs, ours, is_older, commands: 0, differences: Vec::new(), _servers: servers })
    }

    fn run(&mut self, line: &str) {
        let (line, input) = line.split_once(" <<< ").unwrap_or((line, ""));
        let (theirs, ours) = (&mut self.theirs, &mut self.ours);
        let (mut expected, mut got) = std::thread::scope(|scope| {
            let other = scope.spawn(|| theirs.run(line, input));
            let got = ours.run(line, input);
            (other.join().unwrap(), got)
        });
        let bare = line.strip_prefix("ENV ").map_or(line, |rest| rest.split_once(' ').unwrap().1);
        let bare = &bare.replace("$LEASE", "LEASE");
        accept(bare, &mut expected, self.is_older);
        accept(bare, &mut got, self.is_older);
        self.commands += 1;
        if expected != got {
            self.differences.push(format!("etcdctl {line}\n  theirs: {expected:?}\n  ours:   {got:?}"));
        }
    }

    fn check(self) {
        eprintln!("{} commands, {} differences", self.commands, self.differences.len());
        if let Some(path) = std::env::var_os("ETCDCTL_DIFFERENCES") {
            std::fs::write(Path::new(&path), self.differences.join("\n")).unwrap();
        }
        assert!(
            self.differences.is_empty(),
            "{} of {} differ:\n{}",
            self.differences.len(),
            self.commands,
            self.differences.join("\n")
        );
    }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

#[test]
fn every_command_answers_as_the_real_etcdctl_does() {
    let Some(mut pair) = Pair::new() else { return };
    lines(STORY).for_each(|line| pair.run(line));
    pair.check();
}

/// Standard output, error output and exit code of every command in each of the five formats.
#[test]
fn every_format_is_that_of_the_real_etcdctl() {
    let Some(mut pair) = Pair::new().filter(|pair| !pair.is_older) else {
        skip::report("ETCD_BIN_DIR holds no etcdctl 3.7, whose formats ours are");
        return;
    };
    for line in lines(FORMATS) {
        match line.strip_prefix("ONCE ") {
            Some(line) => pair.run(line),
            None => {
                for format in ["simple", "fields", "json", "protobuf", "table"] {
                    let (command, input) = line
                        .split_once(" <<< ")
                        .map_or((line, String::new()), |(command, input)| (command, format!(" <<< {input}")));
                    pair.run(&format!("{command} -w {format}{input}"));
                    pair.run(&format!("{command} -w {format} --hex{input}"));
                }
            }
        }
    }
    assert!(pair.commands > 500, "only {} commands", pair.commands);
    pair.check();
}

/// A value with every code point there is, as `-w fields` quotes it.
#[test]
fn every_code_point_is_quoted_as_by_the_real_etcdctl() {
    const AT_ONCE: u32 = 0x8000;
    let Some(pair) = Pair::new().filter(|pair| !pair.is_older) else {
        skip::report("ETCD_BIN_DIR holds no etcdctl 3.7, whose Unicode tables ours are");
        return;
    };
    let run = |side: &Side, args: &[&str], input: &str| {
        let mut command = Command::new(&side.program[0]);
        command.args(&side.program[1..]).args(["--endpoints", &pair.ours.endpoint]).args(args).env_clear();
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    };
    let mut compared = 0;
    for first in (0..=u32::from(char::MAX)).step_by(usize::try_from(AT_ONCE).unwrap()) {
        let value: String = (first..first + AT_ONCE).filter_map(char::from_u32).collect();
        run(&pair.ours, &["put", "all"], &value);
        let shown = |side| {
            run(side, &["get", "all", "-w", "fields"], "")
                .lines()
                .find(|line| line.starts_with("\"Value\""))
                .map(str::to_owned)
        };
        let (theirs, ours) = (shown(&pair.theirs), shown(&pair.ours));
        assert!(theirs.is_some() && theirs == ours, "from U+{first:04X}: {theirs:?}\n{ours:?}");
        compared += value.chars().count();
    }
    assert_eq!(compared, 0x11_0000 - 0x800);
}
