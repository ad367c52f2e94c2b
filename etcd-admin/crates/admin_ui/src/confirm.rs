//! Confirmation of operations that cannot be undone.

use crate::error::{CliError, NEEDS_CONFIRMATION, REFUSED};
use crate::progress::note;
use std::io::IsTerminal as _;

/// Shows the operation, and continues only when the operator types the name of its target. Without
/// a terminal, `--yes` is required.
pub fn confirm(what: &str, name: &str, yes: bool) -> Result<(), CliError> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(CliError::new(NEEDS_CONFIRMATION, format!("{what}\nnot a terminal: confirm with --yes")));
    }
    note(what);
    note(&format!("Type {name} to continue:"));
    let mut line = String::new();
    std::io::stdin()
        .read_line(&mut line)
        .map_err(|error| CliError::new(NEEDS_CONFIRMATION, format!("read the confirmation: {error}")))?;
    if line.trim() == name { Ok(()) } else { Err(CliError::new(REFUSED, "not confirmed: nothing was changed")) }
}
