//! Values of flags (pflag, strconv and time of Go), rewritten into the spelling that clap takes.

use clap::{Arg, ArgAction};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

/// The kind of a flag's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Switch,
    Integer,
    Unsigned,
    Duration,
    Text,
    /// Values with commas between them.
    List,
}

impl Kind {
    /// Returns the kind of the values that a flag takes.
    pub fn of(argument: &Arg) -> Self {
        let parser = argument.get_value_parser().type_id();
        if parser == std::any::TypeId::of::<bool>() || matches!(argument.get_action(), ArgAction::SetTrue) {
            Self::Switch
        } else if parser == std::any::TypeId::of::<i64>() {
            Self::Integer
        } else if parser == std::any::TypeId::of::<u64>() {
            Self::Unsigned
        } else if parser == std::any::TypeId::of::<std::time::Duration>() {
            Self::Duration
        } else if matches!(argument.get_action(), ArgAction::Append) {
            Self::List
        } else {
            Self::Text
        }
    }
}

/// Reads one value of a flag.
///
/// # Errors
/// Go's text of why it is none.
pub fn read_value(kind: Kind, value: &OsStr) -> Result<Vec<OsString>, String> {
    let text = value.to_string_lossy();
    let one = |text: String| vec![OsString::from(text)];
    match kind {
        Kind::Switch => boolean(&text).map(|value| one(value.to_string())),
        Kind::Integer => integer(&text).map(|value| one(value.to_string())),
        Kind::Unsigned => unsigned(&text).map(|value| one(value.to_string())),
        Kind::Duration => config::duration_nanos(&text).map(|nanos| one(format!("{nanos}ns"))),
        Kind::Text => Ok(vec![value.to_owned()]),
        Kind::List => {
            Ok(value.as_bytes().split(|byte| *byte == b',').map(|part| OsStr::from_bytes(part).to_owned()).collect())
        }
    }
}

/// Reads a duration in Go's spelling. One below zero counts as none, as in etcd's client.
pub fn duration(text: &str) -> Result<Duration, String> {
    config::duration_nanos(text).map(|nanos| Duration::from_nanos(u64::try_from(nanos).unwrap_or(0)))
}

/// Reads a boolean in Go's spellings.
pub fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {}: invalid syntax", go_text::quoted(text.as_bytes()))),
    }
}

/// Go's ParseInt in base 0: the prefix names the base, and underscores may stand between digits.
fn integer(text: &str) -> Result<i64, String> {
    let failed = |reason| format!("strconv.ParseInt: parsing {}: {reason}", go_text::quoted(text.as_bytes()));
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let size = i128::from(magnitude(digits).map_err(failed)?);
    i64::try_from(if negative { -size } else { size }).map_err(|_| failed(OUT_OF_RANGE))
}

fn unsigned(text: &str) -> Result<u64, String> {
    magnitude(text)
        .map_err(|reason| format!("strconv.ParseUint: parsing {}: {reason}", go_text::quoted(text.as_bytes())))
}

const SYNTAX: &str = "invalid syntax";
const OUT_OF_RANGE: &str = "value out of range";

fn magnitude(text: &str) -> Result<u64, &'static str> {
    let lower = text.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, &lower[..]),
    };
    // Go takes one underscore between digits and behind a prefix.
    let is_led = radix == 10 && digits.starts_with('_');
    if is_led || digits.ends_with('_') || digits.contains("__") {
        return Err(SYNTAX);
    }
    let digits = digits.replace('_', "");
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err(SYNTAX);
    }
    u64::from_str_radix(&digits, radix).map_err(|_| OUT_OF_RANGE)
}
