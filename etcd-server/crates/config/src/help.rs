//! The output of `--help`, from the table.

use std::fmt::Write;

use crate::row::{Meaning, Section};
use crate::table::rows;

const USAGE: &str = "Usage:

  etcd-server [flags]
    Start an etcd server.

  etcd-server --config-file FILE
    Start with the settings of a file. Other flags and ETCD_* variables are ignored then.

  etcd-server --check-config [flags]
    Check the settings and the files that they name; change nothing, and exit.

  etcd-server --version
    Print the version and exit.

  etcd-server -h | --help
    Print this text and exit.

Every flag can be given as a variable too: ETCD_ and its name in upper case, with underscores.
Durations are written 300ms, 5s, 1h30m; lists are comma separated.
";

/// The whole text.
#[must_use]
pub fn help_text() -> String {
    let mut text = USAGE.to_owned();
    let mut heading: Option<Section> = None;
    for (section, row) in rows() {
        if heading != Some(section) {
            push(&mut text, &format!("\n{}:\n", section.title()));
            heading = Some(section);
        }
        push(&mut text, &format!("  --{} '{}'\n    {}\n", row.name, row.default, row.help));
        match row.meaning {
            Meaning::NoEffect(why) => push(&mut text, &format!("    Accepted without effect: {why}.\n")),
            Meaning::Deprecated(_) => push(&mut text, "    Accepted without effect.\n"),
            Meaning::Used => {}
        }
    }
    text
}

fn push(text: &mut String, line: &str) {
    text.write_str(line).expect("writing to a string succeeds");
}
