//! One event as it will be shown, before it is spelled for a certain output.

use std::fmt;

use serde_json::{Number, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata};

/// Names of fields that etcd spells with an underscore.
const UNDERSCORED: &[&str] = &["step_count", "trace_id"];

/// zap's levels, as far as they are used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineLevel {
    Debug,
    Info,
    Warn,
    Error,
    Fatal,
}

impl LineLevel {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }

    /// The priority of syslog and the journal.
    pub(crate) fn priority(self) -> u8 {
        match self {
            Self::Debug => 7,
            Self::Info => 6,
            Self::Warn => 4,
            Self::Error => 3,
            Self::Fatal => 2,
        }
    }
}

/// An event, taken apart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) level: LineLevel,
    /// `crate/file.rs`, as etcd shows `package/file.go`.
    pub(crate) file: String,
    pub(crate) line: u32,
    pub(crate) message: String,
    /// In the order they were given, with `-` where Rust has `_`.
    pub(crate) fields: Vec<(String, Value)>,
}

impl Line {
    pub(crate) fn of(event: &Event<'_>) -> Self {
        let metadata = event.metadata();
        let level = match *metadata.level() {
            Level::TRACE | Level::DEBUG => LineLevel::Debug,
            Level::INFO => LineLevel::Info,
            Level::WARN => LineLevel::Warn,
            Level::ERROR => LineLevel::Error,
        };
        let mut line = Self {
            level,
            file: file(metadata),
            line: metadata.line().unwrap_or(0),
            message: String::new(),
            fields: Vec::new(),
        };
        event.record(&mut line);
        line
    }

    /// A line of our own, about the log itself.
    pub(crate) fn about_log(message: &str, fields: Vec<(String, Value)>) -> Self {
        Self {
            level: LineLevel::Warn,
            file: "telemetry/writer.rs".to_owned(),
            line: line!(),
            message: message.to_owned(),
            fields,
        }
    }

    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), &value) {
            ("message", Value::String(text)) => self.message.clone_from(text),
            ("message", other) => self.message = other.to_string(),
            ("fatal", Value::Bool(fatal)) => {
                if *fatal {
                    self.level = LineLevel::Fatal;
                }
            }
            (name, _) if UNDERSCORED.contains(&name) => self.fields.push((name.to_owned(), value)),
            (name, _) => self.fields.push((name.replace('_', "-"), value)),
        }
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        // A list of texts is a list in etcd's lines too; its debug form is JSON unless it holds odd
        // characters.
        let list = text.starts_with('[').then(|| serde_json::from_str::<Vec<String>>(&text).ok()).flatten();
        self.add(field, list.map_or(Value::String(text), Value::from));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, Value::String(value.to_owned()));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.add(field, Value::String(value.to_string()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, Value::Bool(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no infinity; zap writes a word then.
        let number = Number::from_f64(value).map_or_else(|| Value::String(value.to_string()), Value::Number);
        self.add(field, number);
    }
}

fn file(metadata: &Metadata<'_>) -> String {
    let name = metadata.file().map_or("", |path| path.rsplit('/').next().unwrap_or(path));
    let module = metadata.module_path().unwrap_or_else(|| metadata.target());
    format!("{}/{name}", module.split("::").next().unwrap_or(module))
}
