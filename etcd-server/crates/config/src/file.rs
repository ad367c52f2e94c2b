//! Settings from the configuration file: YAML, and JSON as a part of it.
//!
//! Keys match in any case, as in etcd. Unknown keys, and keys given twice, are warned about: etcd
//! takes no notice of either, and files that people have hold keys of older releases.

use std::path::Path;

use crate::error::ConfigError;
use crate::given::Assignment;
use crate::nearest::nearest;
use crate::row::{Kind, Row};
use crate::table::{removed, row_at, rows};
use crate::value::ValueError;
use crate::warning::Warning;
use crate::yaml::{self, Mapping, Node};

/// Reads the text of a file; `path` is for messages.
pub(crate) fn parse(path: &Path, text: &str) -> Result<(Vec<Assignment>, Vec<Warning>), ConfigError> {
    let syntax = |reason: String| ConfigError::FileSyntax { path: path.to_owned(), reason };
    let root = yaml::load(text).map_err(|error| syntax(format!("error converting YAML to JSON: {error}")))?;
    let mut found = Found { keys: Vec::new(), assignments: Vec::new(), warnings: Vec::new() };
    match root {
        Node::Null => {}
        Node::Mapping(ref mapping) => found.walk(mapping)?,
        Node::Bool(_) | Node::Integer(_) | Node::Float(_) | Node::Text(_) | Node::Sequence(_) => {
            return Err(syntax(format!("the file must be a mapping of settings, not {}", shape_of(&root))));
        }
    }
    Ok((found.assignments, found.warnings))
}

/// The result of the walk so far, and the keys that lead to its position.
struct Found {
    keys: Vec<String>,
    assignments: Vec<Assignment>,
    warnings: Vec<Warning>,
}

impl Found {
    /// Takes in one mapping. Its depth is bounded by the table's paths: only known sections are
    /// entered.
    fn walk(&mut self, mapping: &Mapping) -> Result<(), ConfigError> {
        for key in &mapping.repeated {
            self.warnings.push(Warning::new(
                self.path_to(key),
                "given more than once in the configuration file; the last one counts",
            ));
        }
        let mut seen: Vec<String> = Vec::new();
        for (key, node) in &mapping.entries {
            let folded = key.to_ascii_lowercase();
            if seen.contains(&folded) {
                self.warnings.push(Warning::new(
                    self.path_to(key),
                    "given in several spellings in the configuration file; the last one by bytes counts",
                ));
            }
            seen.push(folded.clone());
            self.keys.push(folded);
            self.take(node)?;
            self.keys.pop();
        }
        Ok(())
    }

    fn take(&mut self, node: &Node) -> Result<(), ConfigError> {
        let path = self.keys.join(".");
        if let Some(row) = row_at(&self.keys) {
            if let Some(assignment) = assignment(row, &path, node)? {
                self.assignments.push(assignment);
            }
            return Ok(());
        }
        if is_section(&self.keys) {
            return match node {
                Node::Null => Ok(()),
                Node::Mapping(mapping) => self.walk(mapping),
                Node::Bool(_) | Node::Integer(_) | Node::Float(_) | Node::Text(_) | Node::Sequence(_) => {
                    Err(ConfigError::FileSection(path))
                }
            };
        }
        self.warnings.push(Warning::unknown_key(path.clone(), unknown_key(&path, &self.keys)));
        Ok(())
    }

    fn path_to(&self, key: &str) -> String {
        self.keys.iter().map(String::as_str).chain([key]).collect::<Vec<_>>().join(".")
    }
}

fn is_section(keys: &[String]) -> bool {
    rows().any(|(_, row)| {
        row.yaml_path().len() > keys.len() && row.yaml_path().iter().zip(keys).all(|(known, key)| known == key)
    })
}

/// The value of a node; `None` when it leaves the default in place.
fn assignment(row: &'static Row, path: &str, node: &Node) -> Result<Option<Assignment>, ConfigError> {
    if node.is_null() || (keeps_default_when_empty(row) && node.as_str() == Some("")) {
        return Ok(None);
    }
    let shape = || ConfigError::FileShape {
        setting: path.to_owned(),
        found: shape_of(node).to_owned(),
        wanted: row.kind.shape(),
    };
    let value = row.kind.read_node(node).ok_or_else(shape)?;
    let value = value.map_err(|reason: ValueError| ConfigError::FileValue {
        setting: path.to_owned(),
        reason: reason.to_string(),
    })?;
    Ok(Some(Assignment { row, value }))
}

fn keeps_default_when_empty(row: &Row) -> bool {
    matches!(row.kind, Kind::Urls | Kind::Origins | Kind::CommaList | Kind::Gates | Kind::Choice(_))
}

fn unknown_key(path: &str, keys: &[String]) -> String {
    let mut text = "unknown key in the configuration file, ignored".to_owned();
    let name = keys.last().map_or("", String::as_str);
    if let Some(removed) = removed(name).filter(|_| keys.len() == 1) {
        text.push_str(&format!(" (removed in etcd {})", removed.since));
    } else {
        let known: Vec<String> =
            rows().map(|(_, row)| row.yaml_path().join(".")).filter(|path| !path.is_empty()).collect();
        if let Some(known) = nearest(path, known.iter().map(String::as_str)) {
            text.push_str(&format!(" (did you mean {known}?)"));
        }
    }
    text
}

fn shape_of(node: &Node) -> &'static str {
    match node {
        Node::Null => "null",
        Node::Bool(_) => "bool",
        Node::Integer(_) | Node::Float(_) => "number",
        Node::Text(_) => "string",
        Node::Sequence(_) => "array",
        Node::Mapping(_) => "object",
    }
}
