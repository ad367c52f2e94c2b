//! Scripts of tests: a story in comments and commands, with the recorded output under each command.
//!
//! ```text
//! # A key that was never put has no previous version.
//! put a=1 prev
//!   put at 2
//! ```
//!
//! A line that begins with `#` is a comment, a line that begins with two spaces is recorded output,
//! any other line is a command. With the variable `RECORD` set, [`run`] rewrites the output; review
//! the difference before you commit it.
#![forbid(unsafe_code)]

mod requests;
mod responses;

pub use requests::{delete, flag, key, number, put, range, txn};
pub use responses::{delete_text, key_values, put_text, range_text, txn_text};

use std::fmt::Write as _;
use std::path::Path;

const OUTPUT: &str = "  ";

/// Runs every script in `directory`, each on a stage of its own, and compares the output of each
/// command with the recorded one.
///
/// # Panics
/// If a script cannot be read, there is none, or an output differs.
pub fn run<S>(
    directory: impl AsRef<Path>,
    mut stage: impl FnMut() -> S,
    mut command: impl FnMut(&mut S, &str) -> String,
) {
    let directory = directory.as_ref();
    let listed =
        std::fs::read_dir(directory).unwrap_or_else(|error| panic!("cannot list {}: {error}", directory.display()));
    let mut paths: Vec<_> = listed.map(|entry| entry.expect("a directory entry").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "there is no script in {}", directory.display());
    for path in paths {
        let recorded =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
        let mut stage = stage();
        let told = tell(&recorded, |line| command(&mut stage, line));
        if std::env::var_os("RECORD").is_some() {
            std::fs::write(&path, told).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
        } else if let Some(line) = first_difference(&recorded, &told) {
            panic!("{}: {line}; RECORD=1 records the new output", path.display());
        }
    }
}

/// Returns a script with the present output under each command.
fn tell(script: &str, mut command: impl FnMut(&str) -> String) -> String {
    let mut told = String::new();
    for line in script.lines().filter(|line| !line.starts_with(OUTPUT)) {
        told.push_str(line);
        told.push('\n');
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        for output in command(line).lines().filter(|output| !output.is_empty()) {
            writeln!(told, "{OUTPUT}{}", output.trim_end()).expect("a string takes every line");
        }
    }
    told
}

/// Returns the first line that differs, with its number.
fn first_difference(recorded: &str, told: &str) -> Option<String> {
    let (mut recorded, mut told) = (recorded.lines(), told.lines());
    for number in 1.. {
        match (recorded.next(), told.next()) {
            (None, None) => break,
            (before, now) if before == now => {}
            (before, now) => {
                return Some(format!(
                    "line {number} is\n{}\nand was recorded as\n{}",
                    now.unwrap_or("-"),
                    before.unwrap_or("-")
                ));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_replaces_recorded_output() {
        let script = "# A story.\n\none\n  old\n  lines\ntwo\n";
        assert_eq!(
            tell(script, |line| format!("{line}\nof it")),
            "# A story.\n\none\n  one\n  of it\ntwo\n  two\n  of it\n"
        );
    }

    #[test]
    fn difference_names_line_and_texts() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        assert!(first_difference("a\nb\n", "a\nc\n").is_some_and(|line| line.starts_with("line 2 is\nc\n")));
        assert!(first_difference("a\n", "a\nb\n").is_some());
    }
}
