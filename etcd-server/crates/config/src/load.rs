//! From the inputs of the process to its settings: the stages in a row.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::error::ConfigError;
use crate::given::Given;
use crate::help::help_text;
use crate::merged::Merged;
use crate::row::Meaning;
use crate::settings::Settings;
use crate::table::rows;
use crate::value::Value;
use crate::warning::{Warning, WarningKind};
use crate::{command_line, environment, file};

/// Properties of the machine, read only when they matter.
pub trait Environment {
    /// The configuration file's text, or why it cannot be read, in the system's words.
    fn read_file(&self, path: &Path) -> Result<String, String>;
    /// The address by which this machine reaches the rest of the world, if it has one.
    fn default_host(&self) -> Option<IpAddr>;
}

/// The request of the command line.
#[derive(Debug)]
pub enum Start {
    Serve(Box<Loaded>),
    /// See whether these could be served, and exit.
    Check(Box<Loaded>),
    /// Print this text and exit with 0.
    Print(String),
    /// Print the version and exit with 0.
    Version,
}

/// Checked settings, and warnings for the operator about them.
#[derive(Debug)]
pub struct Loaded {
    pub settings: Settings,
    /// To be logged once each, at warn.
    pub warnings: Vec<Warning>,
    /// Variables that were used, for the line `recognized and used environment variable`.
    pub variables: Vec<String>,
    /// The file the settings come from, for the line `loaded server configuration, …`.
    pub file: Option<PathBuf>,
}

/// Reads, merges and checks. `words` are the arguments after the program's name.
pub fn load(
    words: &[String],
    variables: &[(String, String)],
    environment: &dyn Environment,
) -> Result<Start, ConfigError> {
    if let Some(word) = words.first().filter(|word| matches!(word.as_str(), "gateway" | "grpc-proxy")) {
        return Err(ConfigError::Subcommand(word.clone()));
    }
    let line = command_line::parse(words)?;
    if line.help {
        return Ok(Start::Print(help_text()));
    }
    let is_asked = |name: &str| line.flags.iter().any(|flag| flag.row.name == name && flag.value == Value::Bool(true));
    if is_asked("version") {
        return Ok(Start::Version);
    }
    let checks = is_asked("check-config");
    // A unit can require it regardless of the file.
    let strict_files = is_asked("strict-file-checks");
    let mut warnings = line.warnings;
    let mut given = Given { flags: line.flags, ..Given::default() };
    match config_file(&given, variables) {
        Some(path) => {
            let text =
                environment.read_file(&path).map_err(|reason| ConfigError::File { path: path.clone(), reason })?;
            let (assignments, more) = file::parse(&path, &text)?;
            warnings.extend(more);
            warnings.extend(ignored_beside_file(&given, variables));
            let strict = given.flags.into_iter().filter(|flag| strict_files && flag.row.name == "strict-file-checks");
            let file = assignments.into_iter().chain(strict).collect();
            given = Given { file, file_path: Some(path), ..Given::default() };
        }
        None => {
            let (assignments, more) = environment::parse(variables, &given.flags)?;
            warnings.extend(more);
            given.variables = assignments;
        }
    }
    let merged = Merged::of(&given);
    warnings.extend(without_effect(&merged));
    if checks {
        let unknown = warnings.iter().filter(|warning| warning.kind == WarningKind::UnknownKey);
        let unknown: Vec<_> = unknown.map(ToString::to_string).collect();
        if !unknown.is_empty() {
            return Err(ConfigError::UnknownKeys(unknown.join("; ")));
        }
    }
    let settings = Settings::from_merged(&merged, environment, &mut warnings)?;
    let variables = given.variables.iter().map(|assignment| assignment.row.variable()).collect();
    let loaded = Box::new(Loaded { settings, warnings, variables, file: given.file_path });
    Ok(if checks { Start::Check(loaded) } else { Start::Serve(loaded) })
}

fn config_file(given: &Given, variables: &[(String, String)]) -> Option<PathBuf> {
    let flag = given.flags.iter().rev().find(|flag| flag.row.name == "config-file");
    let flag = flag.and_then(|flag| if let Value::Text(path) = &flag.value { Some(PathBuf::from(path)) } else { None });
    let flag = flag.filter(|path| !path.as_os_str().is_empty());
    let variable = || variables.iter().find(|(name, path)| name == "ETCD_CONFIG_FILE" && !path.is_empty());
    flag.or_else(|| variable().map(|(_, path)| PathBuf::from(path)))
}

/// Returns the warnings about flags and variables, which are ignored beside a file.
fn ignored_beside_file(given: &Given, variables: &[(String, String)]) -> Vec<Warning> {
    let flags = given
        .flags
        .iter()
        .filter(|flag| !matches!(flag.row.name, "config-file" | "check-config" | "strict-file-checks"))
        .map(|flag| format!("--{}", flag.row.name));
    let known = |name: &str| name != "ETCD_CONFIG_FILE" && rows().any(|(_, row)| row.variable() == name);
    let variables =
        variables.iter().filter(|(name, text)| !text.is_empty() && known(name)).map(|(name, _)| name.clone());
    flags
        .chain(variables)
        .map(|setting| Warning::new(setting, "ignored, since a configuration file is given"))
        .collect()
}

/// One warning for each setting that was given and does nothing here.
fn without_effect(merged: &Merged) -> Vec<Warning> {
    rows()
        .filter_map(|(_, row)| match row.meaning {
            Meaning::NoEffect(why) if merged.is_given(row.name) => {
                Some(Warning::new(format!("--{}", row.name), format!("accepted, but has no effect here: {why}")))
            }
            Meaning::Deprecated(warning) if merged.is_given(row.name) => {
                Some(Warning::new(format!("--{}", row.name), warning.to_owned()))
            }
            Meaning::NoEffect(_) | Meaning::Deprecated(_) | Meaning::Used => None,
        })
        .collect()
}
