//! Checks that hints refer to existing things: every `etcd-admin ...` in a text of this repository is a command
//! with these flags, every topic of `etcd-admin explain` is known, every unit of `systemctl` and
//! `journalctl` is packaged.

use crate::cli::args;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Files whose texts an operator reads.
fn texts() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for directory in [
        "etcd-admin/src",
        "etcd-admin/crates",
        "etcd-server/src",
        "etcd-server/crates/tls/src",
        "etcd-server/crates/peer/src",
        "systemd",
        "docs",
    ] {
        collect(&repository().join(directory), &mut found);
    }
    for file in [
        "README.md",
        "packaging/README.md",
        "packaging/RUNBOOKS.md",
        "etcd-admin/cluster-yaml.md",
        "etcd-admin/screens.md",
    ] {
        let path = repository().join(file);
        if let Ok(text) = std::fs::read_to_string(&path) {
            found.push((path, text));
        }
    }
    found
}

fn collect(directory: &Path, found: &mut Vec<(PathBuf, String)>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            collect(&path, found);
        } else if let (false, Ok(text)) = (path.ends_with("hints.rs"), std::fs::read_to_string(&path)) {
            found.push((path, text));
        }
    }
}

/// Returns the words behind each `prefix` of a text, up to the end of the sentence or line; a line
/// that goes on in a string is joined.
fn behind<'a>(text: &'a str, prefix: &'a str) -> impl Iterator<Item = Vec<&'a str>> {
    text.match_indices(prefix).map(move |(at, _)| {
        let rest = &text[at + prefix.len()..];
        let end = rest.find(['\n', '"', '`', '\'', ';', '(', ')', ',', '|', '>', '&', '#']).unwrap_or(rest.len());
        rest[..end].split_whitespace().collect()
    })
}

/// Returns a word as it may be a command or flag: without the point of a sentence.
fn plain(word: &str) -> &str {
    word.trim_end_matches(['.', ':', '\\', ']'])
}

/// Returns the reason for which these words are no command, if they are none.
fn flaw(root: &clap::Command, words: &[&str]) -> Option<String> {
    let is_name = |word: &str| {
        !word.is_empty()
            && word.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-')
            && !word.starts_with('-')
    };
    // Flags before the command, and texts that only name the tool.
    let end = words.iter().position(|word| word.ends_with(['.', ':'])).map_or(words.len(), |last| last + 1);
    let mut words = words[..end].iter().map(|word| plain(word)).peekable();
    let mut command = root;
    let mut path = Vec::new();
    while let Some(word) = words.peek() {
        if !is_name(word) {
            break;
        }
        match command.find_subcommand(word) {
            Some(below) => {
                command = below;
                path.push(*word);
                words.next();
            }
            // Prose goes on behind the name of a group.
            None if *word == "from" => break,
            None if command.has_subcommands() && !path.is_empty() => {
                return Some(format!("{} has no command {word}", path.join(" ")));
            }
            None => break,
        }
    }
    if path.is_empty() {
        return None;
    }
    let known: BTreeSet<&str> = command.get_arguments().filter_map(|arg| arg.get_long()).collect();
    words
        .filter_map(|word| word.strip_prefix("--"))
        .map(|flag| flag.split('=').next().unwrap_or_default())
        // The rest of a flag that a format string completes is not known here.
        .find(|flag| !flag.is_empty() && !flag.contains('{') && !known.contains(flag) && *flag != "help")
        .map(|flag| format!("{} has no flag --{flag}", path.join(" ")))
}

#[test]
fn every_hint_names_a_command_with_its_flags() {
    let mut root = args::command();
    root.build();
    let (mut seen, mut flaws) = (0, Vec::new());
    for (path, text) in texts() {
        let joined = text.replace("\\\n", " ");
        for words in behind(&joined, "etcd-admin ") {
            seen += 1;
            flaws.extend(
                flaw(&root, &words).map(|flaw| format!("{}: etcd-admin {}: {flaw}", path.display(), words.join(" "))),
            );
        }
    }
    assert!(seen > 150, "only {seen} hints were found");
    assert!(flaws.is_empty(), "{}", flaws.join("\n"));
}

#[test]
fn the_check_of_hints_finds_wrong_ones() {
    let mut root = args::command();
    root.build();
    for (hint, is_wrong) in [
        ("member remove m1 --yes", false),
        ("member frobnicate", true),
        ("snapshot save --dir /x", false),
        ("snapshot list --endpoints x", true),
        ("status.", false),
        ("roll upgrade lists the order", false),
        ("ca rotate start --kind peer", false),
        ("ca rotate start --sort peer", true),
    ] {
        assert_eq!(flaw(&root, &hint.split(' ').collect::<Vec<_>>()).is_some(), is_wrong, "{hint}");
    }
}

#[test]
fn every_hint_names_a_packaged_unit() {
    let units = repository().join("systemd/usr/lib/systemd/system");
    let known: BTreeSet<String> =
        std::fs::read_dir(units).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let mut flaws = Vec::new();
    for (path, text) in texts() {
        for word in text.split(|letter: char| !(letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.' | '@'))) {
            let is_own = word.starts_with("etcd-") && (word.ends_with(".service") || word.ends_with(".timer"));
            if is_own && !known.contains(word) && !word.contains("@") && word != "etcd-cert-renewal.timer" {
                flaws.push(format!("{}: {word}", path.display()));
            }
        }
    }
    assert!(flaws.is_empty(), "{}", flaws.join("\n"));
}
