//! Stage one: the settings of each source, read but not yet compared.

use std::path::PathBuf;

use crate::row::Row;
use crate::value::Value;

/// The source of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Default,
    Flag,
    Variable,
    File,
}

/// One setting with the value that a source gave it.
#[derive(Clone, Debug)]
pub struct Assignment {
    pub row: &'static Row,
    pub value: Value,
}

/// The settings of all sources. With a file, `flags` and `variables` are empty: etcd ignores them
/// then.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// In the order of the command line; a later one wins.
    pub flags: Vec<Assignment>,
    pub variables: Vec<Assignment>,
    pub file: Vec<Assignment>,
    /// The configuration file that was read.
    pub file_path: Option<PathBuf>,
}
