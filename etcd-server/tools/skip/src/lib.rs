//! Tests that cannot run on this machine: the test runner counts them as passed, so they are listed
//! in a file, which `make test` counts.
#![forbid(unsafe_code)]

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write as _;

/// The environment variable that names the file; without it the reason is only printed.
const FILE: &str = "SKIPPED_TESTS";

/// Reports that the calling test, or a part of it, cannot run here. Call it on the test's own
/// thread, whose name is that of the test.
///
/// # Panics
/// The file that `SKIPPED_TESTS` names cannot be written.
#[expect(clippy::print_stderr, reason = "the output of a test")]
pub fn report(reason: impl Display) {
    eprintln!("skipped: {reason}");
    let Some(path) = std::env::var_os(FILE) else { return };
    let current = std::thread::current();
    let line = format!("{}: {reason}\n", current.name().unwrap_or("unnamed"));
    // One write for a line: other test processes append to the same file.
    let appended =
        OpenOptions::new().create(true).append(true).open(&path).and_then(|mut file| file.write_all(line.as_bytes()));
    appended.unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
}
