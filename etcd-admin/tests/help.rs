//! Every verb's `--help`, as golden files in `tests/help`; a verb without one fails. `ETCD_ADMIN_RECORD_HELP=1` writes them anew.

use crate::tool::Tool;
use std::path::{Path, PathBuf};

/// Words of every command of this tool's own, groups included.
const COMMANDS: [&str; 34] = [
    "",
    "init",
    "init new",
    "init schema",
    "init render",
    "init plan",
    "init apply",
    "init sign",
    "join",
    "adopt",
    "preflight",
    "wait",
    "doctor",
    "doctor cluster",
    "doctor host",
    "doctor offline",
    "bench fsync",
    "roll",
    "maintenance reclaim",
    "top",
    "support bundle",
    "explain",
    "auth rescue",
    "status",
    "member",
    "member add",
    "member remove",
    "member replace",
    "member rebuild",
    "leader move",
    "snapshot save",
    "snapshot restore",
    "recover plan",
    "recover apply",
];

fn golden(words: &str) -> PathBuf {
    let name = if words.is_empty() { "etcd-admin".to_owned() } else { words.replace(' ', "-") };
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/help").join(format!("{name}.txt"))
}

#[test]
fn every_verb_tells_how_it_is_used() {
    let tool = Tool::new();
    let record = std::env::var_os("ETCD_ADMIN_RECORD_HELP").is_some();
    for words in COMMANDS {
        let told = tool.run(&format!("{words} --help")).good();
        let path = golden(words);
        if record {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &told).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(told == expected, "{words} --help differs from {}:\n{told}", path.display());
    }
}

#[test]
fn wrong_words_and_dead_endpoints_end_with_their_own_codes() {
    let tool = Tool::new();
    std::fs::write(
        tool.path("cluster.yaml"),
        "name: t\ntoken: t\nmembers: [{name: m1, host: 127.0.0.1}, {name: m2, host: 127.0.0.2}]\ntls: {enabled: false}\n",
    )
    .unwrap();
    for words in [
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
        let ended = tool.run(words);
        assert_eq!(ended.code, Some(2), "{words}: {}{}", ended.out, ended.complaint);
    }
    let dead = "--endpoints http://127.0.0.1:1";
    for words in ["top --once", "doctor cluster", "roll restart", "maintenance reclaim --yes"] {
        tool.run(&format!("{words} {dead}")).ends(4, "nothing listens there");
        tool.run(&format!("-o json {words} {dead}")).ends(4, "nothing listens there");
    }
    tool.run(&format!("wait --for leader --timeout 1s {dead}")).ends(8, "nothing listens there");
    tool.run(&format!("join --member m2 --root host {dead}")).ends(4, "nothing listens there");
    tool.run(&format!("support bundle --out bundle --config none --log none {dead}")).ends(0, "not had: members.json");
}
