//! All commands and flags of etcdctl and etcdutl 3.7, as their help lists them, beside ours: names,
//! defaults, and how each flag reads good and bad values.
//!
//! `command_lines/differences.txt` lists the intended differences, each with its reason. An entry
//! that does not differ fails the test.

use crate::servers::real_binaries;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The commands that global flags are tried with, of etcdctl and of etcdutl.
const PROBED: [&str; 2] = ["get", "snapshot status"];
const DIFFERENCES: &str = include_str!("command_lines/differences.txt");

/// A program to be compared: the real one or ours.
struct Program {
    command: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
struct Ended {
    code: Option<i32>,
    out: String,
    /// The first line of the error output, which names the error. What follows is usage, which each
    /// program writes in its own words.
    error: String,
}

impl Program {
    fn run(&self, args: &[impl AsRef<std::ffi::OsStr>]) -> Ended {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).args(args).env_clear().stdin(Stdio::null());
        let ended = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let error = text(&ended.stderr).lines().next().unwrap_or_default().to_owned();
        Ended { code: ended.status.code(), out: text(&ended.stdout), error }
    }

    fn help(&self, path: &[String]) -> String {
        let args: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
        let ended = self.run(&args);
        assert_eq!((ended.code, ended.error.as_str()), (Some(0), ""), "{args:?}");
        ended.out
    }
}

/// A flag as help shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Flag {
    long: String,
    short: Option<char>,
    default: String,
}

/// Reads `  -w, --write-out string   text (default "simple")`, of either program's help.
fn flag(line: &str) -> Option<Flag> {
    let line = line.strip_prefix("  ")?.trim_start();
    let (short, rest) = match line.strip_prefix('-')?.split_once(", --") {
        Some((short, rest)) if short.len() == 1 => (short.chars().next(), rest),
        _ => (None, line.strip_prefix("--")?),
    };
    let length = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-').unwrap_or(rest.len());
    Some(Flag { long: rest[..length].to_owned(), short, default: String::new() })
}

/// Flags of a help text, with the defaults that it tells on the same or on later lines.
fn flags(help: &str) -> BTreeMap<String, Flag> {
    let mut found: BTreeMap<String, Flag> = BTreeMap::new();
    let mut last = None;
    for line in help.lines() {
        if let Some(flag) = flag(line) {
            last = Some(flag.long.clone());
            found.insert(flag.long.clone(), flag);
        }
        let default = ["(default ", "[default: "].iter().find_map(|start| line.split_once(start));
        if let (Some((_, default)), Some(flag)) = (default, last.as_ref().and_then(|last| found.get_mut(last))) {
            let default = default.trim_end().trim_end_matches([')', ']']).trim_start_matches('[');
            default.trim_matches('"').clone_into(&mut flag.default);
        }
    }
    found
}

/// Names of commands in a group's help: lines that are indented by two blanks and have a
/// description.
fn commands(help: &str) -> Vec<String> {
    if !help.contains("[command]") && !help.contains("<COMMAND>") {
        return Vec::new();
    }
    let name = |line: &str| {
        let (name, text) = line.strip_prefix("  ")?.split_once(' ')?;
        // The line of a group's usage begins with the program's name.
        let is_usage = text.starts_with('[') || name.starts_with("etcd");
        let is_name =
            name.starts_with(|letter: char| letter.is_ascii_lowercase()) && !text.trim().is_empty() && !is_usage;
        is_name.then(|| name.to_owned())
    };
    help.lines().filter_map(name).filter(|name| name != "help").collect()
}

/// Every command below `path`, with its flags.
fn walk(program: &Program, path: &[String], all: &mut BTreeMap<String, BTreeMap<String, Flag>>) {
    let help = program.help(path);
    all.insert(path.join(" "), flags(&help));
    for name in commands(&help) {
        walk(program, &[path, &[name]].concat(), all);
    }
}

struct Differences {
    found: Vec<String>,
    known: BTreeMap<&'static str, bool>,
}

impl Differences {
    /// The known differences of one kind: `FLAG` or `LINE`.
    fn new(kind: &str) -> Self {
        let lines = DIFFERENCES.lines().filter_map(|line| line.strip_prefix(kind)?.strip_prefix(' '));
        let known = lines.map(|line| line.split_once(" | ").expect("WHAT | REASON"));
        Self { found: Vec::new(), known: known.map(|(what, _)| (what, false)).collect() }
    }

    fn compare<T: std::fmt::Debug + PartialEq>(&mut self, what: &str, theirs: &T, ours: &T) {
        if theirs == ours {
            return;
        }
        match self.known.get_mut(what) {
            Some(seen) => *seen = true,
            None => self.found.push(format!("{what}\n  theirs: {theirs:?}\n  ours:   {ours:?}")),
        }
    }

    fn check(self) {
        let unseen: Vec<&str> = self.known.iter().filter(|(_, seen)| !**seen).map(|(what, _)| *what).collect();
        assert!(self.found.is_empty(), "{} differences:\n{}", self.found.len(), self.found.join("\n"));
        assert!(unseen.is_empty(), "listed, but the same: {unseen:?}");
    }
}

/// The reading of a flag's values. An unknown flag behind it keeps the command from running.
fn probe(
    path: &str,
    flag: &Flag,
    theirs: &Program,
    ours: &Program,
    name: &str,
    differences: &mut Differences,
) -> usize {
    const STOP: &str = "--no-such-flag";
    let long = format!("--{}", flag.long);
    let line = |more: Vec<&str>| path.split_whitespace().chain(more).map(str::to_owned).collect::<Vec<String>>();
    let values = ["@", "", "-1", "0x10", "7s", "true", "1_0", "99999999999999999999"];
    let given: Vec<String> = values.iter().map(|value| format!("{long}={value}")).collect();
    let mut lines: Vec<Vec<String>> = given.iter().map(|given| line(vec![given, STOP])).collect();
    let is_switch = theirs.run(&lines[0]).error.contains("ParseBool");
    lines.push(line(if is_switch { vec![&long, STOP] } else { vec![&long] }));
    lines.push(line(vec![&long, "7s", STOP]));
    if let Some(short) = flag.short.map(|short| format!("-{short}")) {
        lines.push(line(vec![&format!("{short}@"), STOP]));
        lines.push(line(vec![&format!("{short}=@"), STOP]));
        lines.push(line(vec![&short, "@", STOP]));
    }
    for line in &lines {
        let what = format!("{name} {}", line.join(" "));
        differences.compare(&what, &theirs.run(line), &ours.run(line));
    }
    lines.len()
}

fn pairs(binaries: &Path) -> [(&'static str, Program, Program); 2] {
    let tool = env!("CARGO_BIN_EXE_etcd-admin");
    ["etcdctl", "etcdutl"].map(|name| {
        let theirs = Program { command: vec![binaries.join(name).display().to_string()] };
        (name, theirs, Program { command: vec![tool.to_owned(), name.to_owned()] })
    })
}

/// The binaries of 3.7, whose behaviour ours is.
pub(crate) fn binaries_3_7() -> Option<PathBuf> {
    let binaries = real_binaries()?;
    let version = Program { command: vec![binaries.join("etcdctl").display().to_string()] }.run(&["version"]);
    version.out.contains("etcdctl version: 3.7.").then_some(binaries)
}

#[test]
fn every_command_and_flag_is_that_of_the_real_tools() {
    let Some(binaries) = binaries_3_7() else {
        skip::report("ETCD_BIN_DIR names no directory with etcd, etcdctl and etcdutl 3.7");
        return;
    };
    let mut differences = Differences::new("FLAG");
    let (mut command_count, mut flag_count, mut line_count) = (0, 0, 0);
    for (name, theirs, ours) in pairs(&binaries) {
        let [mut their_commands, mut our_commands] = [BTreeMap::new(), BTreeMap::new()];
        walk(&theirs, &[], &mut their_commands);
        walk(&ours, &[], &mut our_commands);
        // etcdctl hides its global flags in the help of its commands.
        let mut globals = flags(&theirs.run(&[if name == "etcdctl" { "options" } else { "--help" }]).out);
        globals.remove("help");
        their_commands.insert(String::new(), globals.clone());
        let all: BTreeSet<&String> = their_commands.keys().chain(our_commands.keys()).collect();
        for path in all {
            let command = format!("{name} {path}").trim_end().to_owned();
            let (their_flags, our_flags) = (their_commands.get(path), our_commands.get(path));
            differences.compare(&command, &their_flags.is_some(), &our_flags.is_some());
            let (Some(their_flags), Some(our_flags)) = (their_flags, our_flags) else { continue };
            command_count += 1;
            assert!(globals.keys().all(|global| our_flags.contains_key(global)), "{command} lacks a global flag");
            let is_local = |flag: &&String| *flag != "help" && (path.is_empty() || !globals.contains_key(*flag));
            for flag in their_flags.keys().chain(our_flags.keys()).filter(is_local).collect::<BTreeSet<_>>() {
                let what = format!("{command} --{flag}");
                differences.compare(&what, &their_flags.get(flag), &our_flags.get(flag));
                flag_count += 1;
            }
            // A global flag reads the same before and behind every command: one command stands for
            // all.
            let is_probed = |flag: &&Flag| {
                flag.long != "help" && (path == PROBED[0] || path == PROBED[1] || !globals.contains_key(&flag.long))
            };
            let is_leaf = !their_commands.keys().any(|other| other.starts_with(&format!("{path} ")) || path.is_empty());
            for flag in their_flags.values().chain(globals.values()).filter(is_probed).filter(|_| is_leaf) {
                line_count += probe(path, flag, &theirs, &ours, name, &mut differences);
            }
        }
    }
    println!("{command_count} commands, {flag_count} flags of them, {line_count} lines with values");
    assert!(command_count > 70 && flag_count > 100 && line_count > 1000, "{command_count} {flag_count} {line_count}");
    differences.check();
}

/// Lines whose reading does not depend on a flag's own kind: where words and flags stand.
#[test]
fn command_lines_are_read_as_the_real_tools_read_them() {
    let Some(binaries) = binaries_3_7() else {
        skip::report("ETCD_BIN_DIR names no directory with etcd, etcdctl and etcdutl 3.7");
        return;
    };
    let [ctl, utl] = pairs(&binaries);
    let mut differences = Differences::new("LINE");
    for ((name, theirs, ours), lines) in
        [(ctl, include_str!("command_lines/etcdctl.txt")), (utl, include_str!("command_lines/etcdutl.txt"))]
    {
        for line in lines.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let args: Vec<&str> = line.split_whitespace().map(|arg| if arg == "''" { "" } else { arg }).collect();
            let (mut theirs, mut ours) = (theirs.run(&args), ours.run(&args));
            // Help is in each program's own words; that it is help is compared.
            for ended in [&mut theirs, &mut ours] {
                if ended.out.contains("Usage:") {
                    "help".clone_into(&mut ended.out);
                }
            }
            differences.compare(&format!("{name} {line}"), &theirs, &ours);
        }
    }
    differences.check();
}
