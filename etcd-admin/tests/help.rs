//! Every verb's `--help`, as golden files in `tests/help`; a verb without one fails.
//! `ETCD_ADMIN_RECORD_HELP=1` writes them anew.

use crate::tool::Tool;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// etcdctl's own commands: their texts are held to etcdctl's in `etcdctl.rs`.
const OF_ETCDCTL: [&str; 19] = [
    "get",
    "put",
    "del",
    "txn",
    "compaction",
    "watch",
    "lease",
    "endpoint",
    "alarm",
    "defrag",
    "move-leader",
    "user",
    "role",
    "lock",
    "elect",
    "check",
    "make-mirror",
    "downgrade",
    "help",
];

/// Words of every command of this tool's own, groups included, as its help tells them.
fn commands(tool: &Tool, args: &str, all: &mut Vec<String>) {
    all.push(args.to_owned());
    let output = tool.run(&format!("{args} --help")).good();
    // The first help has groups, the others one list. A description that goes on is indented
    // further; names of etcdctl end with commas.
    let (begin, end) = if args.is_empty() { ("Usage:", "Options:") } else { ("Commands:", "") };
    let listed = output.lines().skip_while(|line| !line.starts_with(begin)).skip(1).take_while(|line| *line != end);
    let names = listed
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next());
    let names = names.filter(|name| !name.ends_with(',') && !name.starts_with('-'));
    for name in names.filter(|name| !OF_ETCDCTL.contains(name)) {
        commands(tool, format!("{args} {name}").trim(), all);
    }
}

fn golden(args: &str) -> PathBuf {
    let name = if args.is_empty() { "etcd-admin".to_owned() } else { args.replace(' ', "-") };
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/help").join(format!("{name}.txt"))
}

#[test]
fn every_verb_tells_how_it_is_used() {
    let tool = Tool::new();
    let record = std::env::var_os("ETCD_ADMIN_RECORD_HELP").is_some();
    let mut all = Vec::new();
    commands(&tool, "", &mut all);
    assert!(all.len() > 60, "{all:?}");
    for args in &all {
        let output = tool.run(&format!("{args} --help")).good();
        let path = golden(args);
        if record {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &output).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(output == expected, "{args} --help differs from {}:\n{output}", path.display());
    }
    let kept: BTreeSet<PathBuf> =
        std::fs::read_dir(golden("").parent().unwrap()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(kept, all.iter().map(|args| golden(args)).collect(), "a file of a verb that is no more");
}

#[test]
fn wrong_args_and_dead_endpoints_end_with_their_own_codes() {
    let tool = Tool::new();
    std::fs::write(
        tool.path("cluster.yaml"),
        "name: t\ntoken: t\nmembers: [{name: m1, host: 127.0.0.1}, {name: m2, host: 127.0.0.2}]\ntls: {enabled: false}\n",
    )
    .unwrap();
    for args in [
        "init",
        "init render",
        "wait",
        "doctor",
        "doctor offline",
        "roll",
        "roll frobnicate",
        "maintenance",
        "support",
        "bench",
        "top extra",
    ] {
        let ended = tool.run(args);
        assert_eq!(ended.code, Some(2), "{args}: {}{}", ended.out, ended.complaint);
    }
    let dead = "--endpoints http://127.0.0.1:1";
    for args in ["top --once", "doctor cluster", "roll restart", "maintenance reclaim --yes"] {
        tool.run(&format!("{args} {dead}")).ends(4, "nothing listens there");
        tool.run(&format!("-o json {args} {dead}")).ends(4, "nothing listens there");
    }
    tool.run(&format!("wait --for leader --timeout 1s {dead}")).ends(8, "nothing listens there");
    tool.run(&format!("join --member m2 --root host {dead}")).ends(4, "nothing listens there");
    tool.run(&format!("support bundle --out bundle --config none --log none {dead}")).ends(0, "not had: members.json");
}
