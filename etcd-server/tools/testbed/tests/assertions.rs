//! Assertions in production code: invariants between the parts of a member, checked in release
//! builds, too. `--nocapture` prints their number in each crate.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Assertions in production code, at least.
const ASSERTIONS_MIN: usize = 150;

/// The macros that are counted; the last letters of another name do not make one of them.
const MACROS: [&str; 3] = ["assert!(", "assert_eq!(", "assert_ne!("];

fn crates() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).expect("this crate is two directories below the server").join("crates")
}

/// Adds the Rust files below `directory` that are part of the programs.
fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "tests" {
                sources(&path, found);
            }
        } else if name != "tests.rs" && path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Returns the number of assertions before the tests of a file.
fn count(source: &str) -> usize {
    let production = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let code = production.lines().map(str::trim_start).filter(|line| !line.starts_with("//"));
    let in_line = |line: &str| -> usize {
        let starts = |name: &str| {
            line.match_indices(name)
                .filter(|(at, _)| !line[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
                .count()
        };
        MACROS.iter().map(|name| starts(name)).sum()
    };
    code.map(in_line).sum()
}

#[test]
fn production_code_has_at_least_150_assertions() {
    let mut counts = BTreeMap::new();
    for entry in fs::read_dir(crates()).expect("a directory") {
        let path = entry.expect("an entry").path();
        let mut found = Vec::new();
        sources(&path.join("src"), &mut found);
        let assertions: usize = found.iter().map(|file| count(&fs::read_to_string(file).expect("a text"))).sum();
        if assertions > 0 {
            counts.insert(path.file_name().expect("a name").to_string_lossy().into_owned(), assertions);
        }
    }
    for (name, assertions) in &counts {
        println!("{assertions:>4} {name}");
    }
    let total: usize = counts.values().sum();
    println!("{total:>4} in all");
    assert!(total >= ASSERTIONS_MIN, "{total} assertions in {counts:?}");
}

#[test]
fn counts_assertions_outside_of_tests_and_comments() {
    let source = "fn f() {\n    assert!(a);\n    // assert!(b);\n    debug_assert!(c);\n    assert_eq!(d, e); }\n\
                  #[cfg(test)]\nmod tests {\n    assert!(f);\n}\n";
    assert_eq!(count(source), 2);
}
