//! One helper: load settings from words, variables and a file, on a machine that is made up.

use std::net::IpAddr;
use std::path::Path;

use config::{ConfigError, Environment, Loaded, Settings, Start, load};

/// A machine with at most one file and one address.
#[derive(Default)]
pub(crate) struct Machine {
    pub(crate) file: Option<String>,
    pub(crate) host: Option<IpAddr>,
}

impl Environment for Machine {
    fn read_file(&self, _: &Path) -> Result<String, String> {
        self.file.clone().ok_or_else(|| "no such file or directory".to_owned())
    }

    fn default_host(&self) -> Option<IpAddr> {
        self.host
    }
}

/// Words are split at blanks; variables are written `NAME=value`.
pub(crate) fn run(words: &str, variables: &[&str], machine: &Machine) -> Result<Start, ConfigError> {
    let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    run_words(&words, variables, machine)
}

pub(crate) fn run_words(words: &[String], variables: &[&str], machine: &Machine) -> Result<Start, ConfigError> {
    let variables: Vec<_> =
        variables.iter().map(|pair| pair.split_once('=').expect("variables are written NAME=value")).collect();
    let variables: Vec<_> = variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    load(words, &variables, machine)
}

pub(crate) fn loaded(words: &str, variables: &[&str], machine: &Machine) -> Loaded {
    match run(words, variables, machine) {
        Ok(Start::Serve(loaded)) => *loaded,
        other => panic!("{words} {variables:?} led to {other:?}"),
    }
}

pub(crate) fn settings(words: &str) -> Settings {
    loaded(words, &[], &Machine::default()).settings
}

pub(crate) fn from_file(yaml: &str) -> Loaded {
    loaded("--config-file=f", &[], &Machine { file: Some(yaml.to_owned()), host: None })
}
