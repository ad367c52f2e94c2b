//! A setting's value as its kind reads it, from a command line, a variable or a file.

use thiserror::Error;

use crate::feature_gate::{FeatureGates, GateError};
use crate::go_duration;
use crate::go_number::{NumberError, parse_bool, parse_signed, parse_unsigned};
use crate::row::Kind;
use crate::url::{Url, UrlError};
use crate::yaml::Node;

/// A value, by its row's [`Kind`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Text(String),
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    /// Nanoseconds, possibly negative, as Go holds a duration.
    Nanos(i64),
    Urls(Vec<Url>),
    List(Vec<String>),
    Gates(FeatureGates),
}

/// The reason why a text is no value of its kind.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum ValueError {
    #[error("parse error")]
    Parse,
    #[error("value out of range")]
    Range,
    #[error("strconv.ParseUint: parsing {text:?}: {reason}")]
    Uint32 { text: String, reason: &'static str },
    #[error("invalid value")]
    Choice,
    #[error("invalid value {0:?}")]
    NamedChoice(String),
    #[error(transparent)]
    Url(#[from] UrlError),
    #[error(transparent)]
    Gate(#[from] GateError),
}

impl Kind {
    /// Reads a value from a command line or a variable.
    pub(crate) fn read(self, text: &str) -> Result<Value, ValueError> {
        Ok(match self {
            Self::Text => Value::Text(text.to_owned()),
            Self::Bool => Value::Bool(parse_bool(text).ok_or(ValueError::Parse)?),
            Self::Unsigned(32) => Value::Unsigned(parse_unsigned(text, 32).map_err(|error| uint32_error(text, error))?),
            Self::Unsigned(bits) => Value::Unsigned(parse_unsigned(text, bits)?),
            Self::Signed => Value::Signed(parse_signed(text)?),
            Self::Duration => Value::Nanos(go_duration::parse(text).map_err(|_| ValueError::Parse)?),
            Self::Urls => Value::Urls(Url::parse_list(text)?),
            Self::Origins => Value::List(read_origins(text)?),
            Self::CommaList | Self::List => Value::List(split_words(text)),
            Self::Choice(words) if words.contains(&text) => Value::Text(text.to_owned()),
            // etcd's enumerations of four words name the bad one, its pairs do not
            // (pkg/flags/selective_string.go).
            Self::Choice(words) if words.len() > 2 => return Err(ValueError::NamedChoice(text.to_owned())),
            Self::Choice(_) => return Err(ValueError::Choice),
            Self::Gates => Value::Gates(FeatureGates::parse(text)?),
        })
    }

    /// Reads a value from a node of the file; `None` when its shape is not the kind's.
    /// An empty string leaves lists of URLs, origins and hosts at their default, as in etcd.
    pub(crate) fn read_node(self, node: &Node) -> Option<Result<Value, ValueError>> {
        Some(match self {
            Self::Text | Self::Choice(_) => Ok(Value::Text(node.as_str()?.to_owned())),
            Self::Bool => Ok(Value::Bool(node.as_bool()?)),
            Self::Unsigned(bits) => {
                let number = u64::try_from(node.as_integer()?).ok();
                Ok(Value::Unsigned(number.filter(|value| bits >= 64 || value >> bits == 0)?))
            }
            Self::Signed => Ok(Value::Signed(i64::try_from(node.as_integer()?).ok()?)),
            Self::Duration => Ok(Value::Nanos(i64::try_from(node.as_integer()?).ok()?)),
            Self::List => {
                // etcd takes null for an empty word.
                let word =
                    |word: &Node| if word.is_null() { Some(String::new()) } else { word.as_str().map(str::to_owned) };
                let words = node.as_sequence()?.iter().map(word);
                Ok(Value::List(words.collect::<Option<Vec<_>>>()?))
            }
            Self::Urls | Self::Origins | Self::CommaList | Self::Gates => self.read(node.as_str()?),
        })
    }

    /// The name etcd has for the shape a file must give.
    pub(crate) fn shape(self) -> &'static str {
        match self {
            Self::Text | Self::Choice(_) | Self::Urls | Self::Origins | Self::CommaList | Self::Gates => "string",
            Self::Bool => "bool",
            Self::Unsigned(32) => "uint32",
            Self::Unsigned(_) => "uint",
            Self::Signed => "int",
            Self::Duration => "time.Duration (an integer count of nanoseconds)",
            Self::List => "[]string",
        }
    }
}

impl From<NumberError> for ValueError {
    fn from(error: NumberError) -> Self {
        match error {
            NumberError::Syntax => Self::Parse,
            NumberError::Range => Self::Range,
        }
    }
}

fn uint32_error(text: &str, error: NumberError) -> ValueError {
    let reason = match error {
        NumberError::Syntax => "invalid syntax",
        NumberError::Range => "value out of range",
    };
    ValueError::Uint32 { text: text.to_owned(), reason }
}

fn split_words(text: &str) -> Vec<String> {
    if text.is_empty() { Vec::new() } else { text.split(',').map(str::to_owned).collect() }
}

fn read_origins(text: &str) -> Result<Vec<String>, UrlError> {
    if text == "*" {
        return Ok(vec![text.to_owned()]);
    }
    Ok(Url::parse_list(text)?.iter().map(Url::to_string).collect())
}
