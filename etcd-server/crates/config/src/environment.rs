//! Settings from `ETCD_*` variables. An empty one counts as unset.

use crate::error::ConfigError;
use crate::given::Assignment;
use crate::nearest::nearest;
use crate::row::{Row, variable_of};
use crate::table::rows;
use crate::value::Value;
use crate::warning::Warning;

const PREFIX: &str = "ETCD_";
/// Variables with the prefix that are no settings.
const OTHERS: &[&str] = &["ETCD_UNSUPPORTED_ARCH"];
/// The prefix of the operator's tool, which shares the environment of a shell.
const TOOL_PREFIX: &str = "ETCD_ADMIN_";

/// Reads the variables. `on_line` are the flags of the command line: one that is set both ways is
/// refused.
pub(crate) fn parse(
    variables: &[(String, String)],
    on_line: &[Assignment],
) -> Result<(Vec<Assignment>, Vec<Warning>), ConfigError> {
    let mut assignments = Vec::new();
    let mut warnings = Vec::new();
    for (variable, text) in variables.iter().filter(|(variable, text)| variable.starts_with(PREFIX) && !text.is_empty())
    {
        if variable == "ETCD_VERSION" {
            warnings.push(Warning::new(variable, "cannot set special environment variable"));
        } else if let Some(row) = row_of(variable) {
            if on_line.iter().any(|flag| flag.row.name == row.name) {
                return Err(ConfigError::Shadowed(variable.clone()));
            }
            assignments.push(Assignment { row, value: value_of(row, variable, text)? });
        } else if !OTHERS.contains(&variable.as_str()) && !variable.starts_with(TOOL_PREFIX) {
            warnings.push(Warning::new(variable, format!("unrecognized environment variable{}", hint(variable))));
        }
    }
    Ok((assignments, warnings))
}

fn row_of(variable: &str) -> Option<&'static Row> {
    rows().map(|(_, row)| row).find(|row| row.variable() == variable)
}

fn value_of(row: &Row, variable: &str, text: &str) -> Result<Value, ConfigError> {
    row.kind.read(text).map_err(|reason| ConfigError::VariableValue {
        variable: variable.to_owned(),
        value: if row.secret { "***".to_owned() } else { text.to_owned() },
        reason: reason.to_string(),
    })
}

fn hint(variable: &str) -> String {
    let name = variable.trim_start_matches(PREFIX).to_ascii_lowercase().replace('_', "-");
    nearest(&name, rows().map(|(_, row)| row.name))
        .map_or_else(String::new, |known| format!(" (did you mean {}?)", variable_of(known)))
}
