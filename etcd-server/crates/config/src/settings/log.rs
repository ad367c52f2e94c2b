//! Settings of logging: content, format and outputs.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::error::{ConfigError, quoted};
use crate::merged::Merged;
use crate::warning::Warning;

/// Log lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    pub level: LogLevel,
    pub format: LogFormat,
    pub outputs: LogOutputs,
    /// Only with at most one file.
    pub rotation: Option<Rotation>,
}

/// The lowest level that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
    Panic,
    Fatal,
}

/// The shape of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Json,
    Console,
}

/// An output of log lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogOutputs {
    /// The journal when it reads our stderr, else stderr.
    Default,
    /// At least one; the journal is always alone.
    Listed(Vec<LogOutput>),
}

/// One place for lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogOutput {
    Stderr,
    Stdout,
    Journal,
    File(PathBuf),
}

/// When a log file is put aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Size at which the file is put aside, in bytes.
    pub bytes_max: u64,
    /// Files older than this are deleted; `None` keeps them.
    pub age_max: Option<Duration>,
    /// Files kept at most; `None` keeps all.
    pub backups_max: Option<usize>,
    /// Compresses files that were rotated.
    pub compress: bool,
}

/// The JSON that operators write. Defaults are those of etcd's rotation library.
#[derive(Deserialize)]
#[serde(default)]
struct RotationJson {
    maxsize: u64,
    maxage: u64,
    maxbackups: u64,
    localtime: bool,
    compress: bool,
}

impl Default for RotationJson {
    fn default() -> Self {
        Self { maxsize: 100, maxage: 0, maxbackups: 0, localtime: false, compress: false }
    }
}

impl LogSettings {
    pub(super) fn from_merged(merged: &Merged, warnings: &mut Vec<Warning>) -> Result<Self, ConfigError> {
        match merged.text("logger") {
            "zap" => {}
            "capnslog" => return Err(ConfigError::Capnslog),
            other => return Err(ConfigError::Logger(other.to_owned())),
        }
        let outputs = outputs(merged.list("log-outputs"))?;
        let rotation = if merged.bool("enable-log-rotation") {
            Some(rotation(&outputs, merged.text("log-rotation-config-json"), warnings)?)
        } else {
            None
        };
        let format = match merged.text("log-format") {
            "json" => LogFormat::Json,
            "console" => LogFormat::Console,
            other => return Err(ConfigError::LogFormat(other.to_owned())),
        };
        Ok(Self { level: level(merged.text("log-level"))?, format, outputs, rotation })
    }
}

fn level(text: &str) -> Result<LogLevel, ConfigError> {
    Ok(match text.to_ascii_lowercase().as_str() {
        "debug" => LogLevel::Debug,
        "info" | "" => LogLevel::Info,
        "warn" => LogLevel::Warn,
        "error" => LogLevel::Error,
        "panic" | "dpanic" => LogLevel::Panic,
        "fatal" => LogLevel::Fatal,
        _ => return Err(ConfigError::LogLevel(text.to_owned())),
    })
}

fn outputs(words: &[String]) -> Result<LogOutputs, ConfigError> {
    let mut words = words.to_vec();
    words.sort();
    words.dedup();
    if words.is_empty() || words.iter().any(String::is_empty) {
        return Err(ConfigError::EmptyOutput);
    }
    if words == ["default"] {
        return Ok(LogOutputs::Default);
    }
    if words.iter().any(|word| word == "default") {
        return Err(ConfigError::DefaultWithOthers);
    }
    let listed: Vec<_> = words.iter().map(|word| output(word)).collect();
    if listed.len() > 1 && listed.contains(&LogOutput::Journal) {
        return Err(ConfigError::JournalWithOthers(quoted(&words)));
    }
    Ok(LogOutputs::Listed(listed))
}

fn output(word: &str) -> LogOutput {
    match word {
        "stderr" => LogOutput::Stderr,
        "stdout" => LogOutput::Stdout,
        "systemd/journal" => LogOutput::Journal,
        path => LogOutput::File(path.into()),
    }
}

fn rotation(outputs: &LogOutputs, text: &str, warnings: &mut Vec<Warning>) -> Result<Rotation, ConfigError> {
    let LogOutputs::Listed(listed) = outputs else { return Err(ConfigError::RotationWithoutFile) };
    // etcd takes the journal for a file here, and would write one of that name.
    let files = listed.iter().filter(|output| matches!(output, LogOutput::File(_))).count();
    if files > 1 || (files == 0 && listed.len() == 1) {
        return Err(ConfigError::RotationWithoutFile);
    }
    let read: RotationJson = serde_json::from_str(text).map_err(|error| {
        let reason = error.to_string();
        if error.is_data() { ConfigError::RotationShape(reason) } else { ConfigError::RotationSyntax(reason) }
    })?;
    if read.localtime {
        let text = "localtime has no effect here: files are named by UTC, as log lines are";
        warnings.push(Warning::new("--log-rotation-config-json", text));
    }
    // A size of zero stands for the library's default of 100 MB.
    let megabytes = if read.maxsize == 0 { 100 } else { read.maxsize };
    Ok(Rotation {
        bytes_max: megabytes.saturating_mul(1 << 20),
        age_max: (read.maxage > 0).then(|| Duration::from_secs(read.maxage.saturating_mul(86_400))),
        backups_max: usize::try_from(read.maxbackups).ok().filter(|count| *count > 0),
        compress: read.compress,
    })
}
