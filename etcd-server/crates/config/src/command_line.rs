//! The command line in the grammar of Go's flag package.
//!
//! Own code rather than clap: `-name value` with one dash, `--flag=` with an empty value, booleans
//! that take `=false` but never the next word, and the end at the first stray word cannot be
//! expressed in clap, and scripts rely on them.

use crate::error::ConfigError;
use crate::given::Assignment;
use crate::nearest::nearest;
use crate::row::{Kind, Row};
use crate::table::{ignored, removed, row, rows};
use crate::value::Value;
use crate::warning::Warning;

/// A command line that could be read.
#[derive(Debug, Default)]
pub(crate) struct CommandLine {
    pub(crate) flags: Vec<Assignment>,
    /// `-h`, `-help` or `--help` was met; nothing after it was looked at.
    pub(crate) help: bool,
    pub(crate) warnings: Vec<Warning>,
}

enum Name {
    Setting(&'static Row),
    Ignored,
}

/// Reads the words after the program's name.
pub(crate) fn parse(words: &[String]) -> Result<CommandLine, ConfigError> {
    let mut line = CommandLine::default();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let Some((name, inline)) = split(word)? else {
            let stray = if word == "--" { rest.next() } else { Some(word) };
            return stray.map_or(Ok(line), |stray| Err(ConfigError::Stray(stray.clone())));
        };
        if matches!(name, "h" | "help") {
            line.help = true;
            return Ok(line);
        }
        match find(name)? {
            Name::Ignored => {
                line.warnings.push(Warning::new(format!("--{name}"), "flag is no longer supported - ignoring"))
            }
            Name::Setting(row) => {
                let value = value_of(row, inline, &mut rest)?;
                if line.flags.iter().any(|earlier| earlier.row.name == row.name) {
                    line.warnings.push(Warning::new(format!("--{name}"), "given more than once; the last one counts"));
                }
                line.flags.push(Assignment { row, value });
            }
        }
    }
    Ok(line)
}

/// A flag's name and its inline value; `None` for a word that is no flag.
fn split(word: &str) -> Result<Option<(&str, Option<&str>)>, ConfigError> {
    let Some(body) = word.strip_prefix('-').filter(|body| !body.is_empty()) else { return Ok(None) };
    let body = body.strip_prefix('-').unwrap_or(body);
    if body.is_empty() {
        return Ok(None);
    }
    if body.starts_with(['-', '=']) {
        return Err(ConfigError::FlagSyntax(word.to_owned()));
    }
    Ok(Some(body.split_once('=').map_or((body, None), |(name, value)| (name, Some(value)))))
}

fn find(name: &str) -> Result<Name, ConfigError> {
    if let Some(row) = row(name) {
        return Ok(Name::Setting(row));
    }
    if ignored().contains(&name) {
        return Ok(Name::Ignored);
    }
    Err(ConfigError::UnknownFlag { name: name.to_owned(), hint: hint(name) })
}

/// Returns the probable name of an unknown flag, in brackets, or nothing.
fn hint(name: &str) -> String {
    if let Some(removed) = removed(name) {
        let instead = if removed.instead.is_empty() {
            "nothing takes its place".to_owned()
        } else {
            format!("use {}", removed.instead)
        };
        return format!(" (removed in etcd {}; {instead})", removed.since);
    }
    nearest(name, rows().map(|(_, row)| row.name))
        .map_or_else(String::new, |known| format!(" (did you mean --{known}?)"))
}

fn value_of(
    row: &'static Row,
    inline: Option<&str>,
    rest: &mut std::slice::Iter<'_, String>,
) -> Result<Value, ConfigError> {
    let text = match (inline, row.kind) {
        (Some(text), _) => text,
        (None, Kind::Bool) => "true",
        (None, _) => rest.next().ok_or_else(|| ConfigError::MissingArgument(row.name.to_owned()))?,
    };
    row.kind.read(text).map_err(|reason| {
        let value = text.to_owned();
        if row.kind == Kind::Bool {
            ConfigError::FlagBool { flag: row.name, value }
        } else {
            ConfigError::FlagValue { flag: row.name, value, reason: reason.to_string() }
        }
    })
}

/// Returns the same arguments with secrets blanked, for logging the command line of the daemon.
#[must_use]
pub fn redacted(words: &[String]) -> Vec<String> {
    let mut hide_next = false;
    let hidden = |word: &String| match split(word) {
        Ok(Some((name, inline))) if row(name).is_some_and(|row| row.secret) => (format!("--{name}"), inline.is_some()),
        _ => (String::new(), false),
    };
    let mut shown = Vec::with_capacity(words.len());
    for word in words {
        let (secret_flag, has_value) = hidden(word);
        if std::mem::take(&mut hide_next) {
            shown.push("***".to_owned());
        } else if secret_flag.is_empty() {
            shown.push(word.clone());
        } else if has_value {
            shown.push(format!("{secret_flag}=***"));
        } else {
            shown.push(word.clone());
            hide_next = true;
        }
    }
    shown
}
