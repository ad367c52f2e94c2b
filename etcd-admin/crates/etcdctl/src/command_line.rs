//! Command lines of etcdctl, as Go's rules rewrite or refuse them.

use crate::args::Etcdctl;
use admin_ui::go_flags::{Kind, Line, as_in_go, read};
use clap::{Command, CommandFactory as _};
use std::ffi::OsString;

fn program() -> Command {
    as_in_go(Etcdctl::command())
}

fn os(args: &str) -> Vec<OsString> {
    args.split_whitespace().map(|arg| OsString::from(if arg == "''" { "" } else { arg })).collect()
}

fn line(args: &str) -> String {
    match read(&program(), &os(args)) {
        Ok(Line::Run(line)) => {
            line[1..].iter().map(|arg| arg.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
        }
        Ok(Line::Help(path)) => format!("help: {}", path.join(" ")),
        Ok(Line::NoTopic(text)) => text,
        Err(refused) => format!("{}: {}", refused.command, refused.text),
    }
}

#[test]
fn rewrites_flags_wherever_they_stand() {
    for (args, expected) in [
        ("get x", "get -- x"),
        ("--consistency s get x", "get --consistency=s -- x"),
        ("--consistency=s get x", "get --consistency=s -- x"),
        ("get x --prefix --prefix=false", "get --prefix=false -- x"),
        ("get --limit 1 --limit 0x10 x", "get --limit=16 -- x"),
        ("-w json get x -w=table -wfields", "get --write-out=fields -- x"),
        ("get -wjson x", "get --write-out=json -- x"),
        ("--endpoints a,b --endpoints=c get x", "get --endpoints=a --endpoints=b --endpoints=c -- x"),
        ("endpoint --cluster health", "endpoint health --cluster=true --"),
        ("endpoint --dial-timeout 3s health", "endpoint health --dial-timeout=3000000000ns --"),
        ("--dial-timeout=0s get x", "get --dial-timeout=0ns -- x"),
        ("get -- -x", "get -- -x"),
        ("put k -- -v", "put -- k -v"),
        ("get - x", "get -- - x"),
        ("get ''", "get -- "),
        ("watch a b -- echo --prefix", "watch a b -- echo --prefix"),
        ("watch --rev 3 -- echo", "watch --rev=3 -- echo"),
        ("watch -i", "watch --interactive=true"),
        ("mem li", "member list"),
        ("lease list anything", "lease list"),
        ("version a b", "version"),
        ("completion bash", "completion -- bash"),
        ("get --rev=-1 x", "get --rev=-1 -- x"),
        ("get --limit=1_000 x", "get --limit=1000 -- x"),
        ("--help=false get x", "get -- x"),
    ] {
        assert_eq!(line(args), expected, "{args}");
    }
}

#[test]
fn shows_help_as_cobra_does() {
    for (args, expected) in [
        ("", "help: "),
        ("--help", "help: "),
        ("help", "help: "),
        ("hel", "help: "),
        ("help get", "help: get"),
        ("help lease grant", "help: lease grant"),
        ("get -h", "help: get"),
        ("get x --help", "help: get"),
        ("--help get", "help: get"),
        ("lease", "help: lease"),
        ("lease unheard-of", "help: lease"),
        ("user get-nothing more", "help: user"),
        ("endpoint --cluster", "help: endpoint"),
        ("help nonsense x", "Unknown help topic [`nonsense` `x`]"),
    ] {
        assert_eq!(line(args), expected, "{args}");
    }
}

#[test]
fn refuses_what_is_wrong_in_gos_args() {
    for (args, expected) in [
        ("get --bogus x", "etcdctl get: unknown flag: --bogus"),
        ("get --bogus=1 x", "etcdctl get: unknown flag: --bogus"),
        ("--bogus", "etcdctl: unknown flag: --bogus"),
        ("get -z x", "etcdctl get: unknown shorthand flag: 'z' in -z"),
        ("watch -iz x", "etcdctl watch: unknown shorthand flag: 'z' in -z"),
        ("compaction -1", "etcdctl compaction: unknown shorthand flag: '1' in -1"),
        ("get --limit", "etcdctl get: flag needs an argument: --limit"),
        ("get x -w", "etcdctl get: flag needs an argument: 'w' in -w"),
        ("get --=x", "etcdctl get: bad flag syntax: --=x"),
        ("get ---x", "etcdctl get: bad flag syntax: ---x"),
        (
            "get --limit=x a",
            "etcdctl get: invalid argument \"x\" for \"--limit\" flag: strconv.ParseInt: parsing \"x\": invalid syntax",
        ),
        (
            "get --limit= a",
            "etcdctl get: invalid argument \"\" for \"--limit\" flag: strconv.ParseInt: parsing \"\": invalid syntax",
        ),
        (
            "get --limit 99999999999999999999 a",
            "etcdctl get: invalid argument \"99999999999999999999\" for \"--limit\" flag: strconv.ParseInt: parsing \"99999999999999999999\": value out of range",
        ),
        (
            "get --prefix=maybe a",
            "etcdctl get: invalid argument \"maybe\" for \"--prefix\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax",
        ),
        (
            "get --dial-timeout=x a",
            "etcdctl get: invalid argument \"x\" for \"--dial-timeout\" flag: time: invalid duration \"x\"",
        ),
        (
            "get --dial-timeout 5 a",
            "etcdctl get: invalid argument \"5\" for \"--dial-timeout\" flag: time: missing unit in duration \"5\"",
        ),
        (
            "make-mirror --max-txn-ops=-1 a",
            "etcdctl make-mirror: invalid argument \"-1\" for \"--max-txn-ops\" flag: strconv.ParseUint: parsing \"-1\": invalid syntax",
        ),
        ("gett", "etcdctl: unknown command \"gett\" for \"etcdctl\"\n\nDid you mean this?\n\tget\n"),
        // An unknown flag takes the next word with it.
        ("--prefix get x", "etcdctl: unknown command \"x\" for \"etcdctl\"\n\nDid you mean this?\n\ttxn\n"),
        ("completion", "etcdctl completion: accepts 1 arg(s), received 0"),
        ("completion foo", "etcdctl completion: invalid argument \"foo\" for \"etcdctl completion\""),
    ] {
        assert_eq!(line(args), expected, "{args}");
    }
}

/// clap accepts every command line that `go_flags` returns.
#[test]
fn clap_takes_every_rewritten_line() {
    fn walk(program: &Command, command: &Command, path: &[&str], lines: &mut usize) {
        for below in command.get_subcommands() {
            walk(program, below, &[path, &[below.get_name()]].concat(), lines);
        }
        if command.get_subcommands().next().is_some() {
            return;
        }
        let globals = program.get_arguments().filter(|flag| flag.is_global_set());
        for flag in command.get_arguments().chain(globals) {
            let Some(long) = flag.get_long() else { continue };
            let value = match Kind::of(flag) {
                Kind::Switch => "false",
                Kind::Integer => "-0x7",
                Kind::Unsigned => "0b11",
                Kind::Duration => "-1h",
                Kind::Text => "-text",
                Kind::List => "one,two",
            };
            let twice = [format!("--{long}={value}"), format!("--{long}={value}")];
            let args: Vec<OsString> = path.iter().map(OsString::from).chain(twice.iter().map(OsString::from)).collect();
            let args = if path == ["completion"] { [args, os("bash")].concat() } else { args };
            let Ok(Line::Run(line)) = read(program, &args) else { panic!("{args:?}") };
            if let Err(error) = program.clone().try_get_matches_from(line) {
                panic!("{args:?}: {error}");
            }
            *lines += 1;
        }
    }
    let (program, mut lines) = (program(), 0);
    walk(&program, &program, &[], &mut lines);
    assert!(lines > 800, "only {lines} lines");
}
