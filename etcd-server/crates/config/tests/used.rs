//! No setting without effect: every field of `Settings` is read outside of the crate that makes it,
//! and every feature gate too.
#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Gates that nothing asks for, with the reason. Those that only warn are asked for by `config`
/// itself.
const GATE_EXCEPTIONS: [(&str, &str); 3] = [
    ("TxnModeWriteWithSharedBuffer", "warned about: transactions need no buffer of their own"),
    ("StopGrpcServiceOnDefrag", "warned about: defragmentation never stops the service"),
    ("FastLeaseKeepAlive", "warned about: renewals that wait together share one read barrier"),
];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Code without comments, in which nothing is read.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Struct → its fields.
fn structs(dir: &Path) -> BTreeMap<String, Vec<String>> {
    let mut files = Vec::new();
    sources(dir, &mut files);
    let mut found = BTreeMap::new();
    for text in files.iter().map(|file| code(file)) {
        let mut current: Option<String> = None;
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("pub struct ") {
                current = rest.strip_suffix(" {").map(str::to_owned);
            } else if line == "}" {
                current = None;
            } else if let (Some(owner), Some(rest)) = (&current, line.strip_prefix("    pub "))
                && let Some((field, _)) = rest.split_once(": ")
            {
                found.entry(owner.clone()).or_insert_with(Vec::new).push(field.to_owned());
            }
        }
    }
    found
}

/// `.field`, and not the beginning of a longer word or a call.
fn reads(text: &str, field: &str) -> bool {
    text.match_indices(&format!(".{field}")).any(|(at, found)| {
        let next = text[at + found.len()..].chars().next();
        next.is_none_or(|next| !next.is_alphanumeric() && next != '_' && next != '(')
    })
}

#[test]
fn every_setting_is_read_outside_of_config() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let structs = structs(&crates.join("config/src/settings"));
    assert!(structs.len() > 20 && structs["Settings"].len() > 15, "the settings were found: {:?}", structs.keys());
    let mut files = Vec::new();
    sources(&crates.parent().unwrap().join("src"), &mut files);
    for entry in std::fs::read_dir(crates).unwrap() {
        let dir = entry.unwrap().path();
        if dir.file_name().is_some_and(|name| name != "config") && dir.join("src").is_dir() {
            sources(&dir.join("src"), &mut files);
        }
    }
    // Those that know of settings at all: a field of the same name elsewhere is no use of a
    // setting.
    let texts: Vec<_> = files.iter().map(|file| code(file)).filter(|text| text.contains("config::")).collect();
    assert!(texts.len() > 10, "{}", texts.len());
    let is_read = |field: &String| texts.iter().any(|text| reads(text, field));
    let fields = structs.iter().flat_map(|(owner, fields)| fields.iter().map(move |field| (owner, field)));
    let unread: Vec<_> = fields.filter(|(_, field)| !is_read(field)).collect();
    assert!(
        unread.is_empty(),
        "read by nothing: use them, or mark their rows in the table with `no_effect`: {unread:?}"
    );
    let gates: Vec<_> = config::Gate::ALL.iter().map(|gate| format!("{gate:?}")).collect();
    let used = |gate: &String| texts.iter().any(|text| text.contains(&format!("Gate::{gate}")));
    let in_config =
        |gate: &String| code(&crates.join("config/src/settings/timing.rs")).contains(&format!("Gate::{gate}"));
    let unread: Vec<_> = gates.iter().filter(|gate| !used(gate) && !in_config(gate)).collect();
    let unread: Vec<_> = unread
        .into_iter()
        .filter(|gate| !GATE_EXCEPTIONS.iter().any(|(exception, _)| exception == &gate.as_str()))
        .collect();
    assert!(unread.is_empty(), "gates that nothing asks for: {unread:?}");
}
