//! Answers: one table for eyes, or JSON or YAML for programs.

use crate::ui::error::{CliError, FAILED};
use serde::Serialize;
use std::io::Write as _;

/// The output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    #[default]
    Table,
    Json,
    Yaml,
}

/// A value as JSON, or the text that stands for it.
pub(crate) fn print_result(
    format: Format,
    value: &impl Serialize,
    text: impl FnOnce() -> String,
) -> Result<(), CliError> {
    match format {
        Format::Table => say(&text()),
        Format::Json => {
            let json = serde_json::to_string_pretty(value)
                .map_err(|error| CliError::new(FAILED, format!("write JSON: {error}")))?;
            say(&format!("{json}\n"))
        }
        Format::Yaml => {
            let yaml = serde_norway::to_string(value)
                .map_err(|error| CliError::new(FAILED, format!("write YAML: {error}")))?;
            say(&yaml)
        }
    }
}

/// Prints; whoever has stopped reading does not want the rest.
pub(crate) fn say(text: &str) -> Result<(), CliError> {
    match std::io::stdout().write_all(text.as_bytes()).and_then(|()| std::io::stdout().flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(CliError::new(FAILED, format!("write the output: {error}")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Columns as wide as their widest cell, two blanks apart.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    std::iter::once(&head).chain(rows).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["a".to_owned(), "bb".to_owned()], vec!["cccc".to_owned(), String::new()]];
        assert_eq!(table(&["ONE", "TWO"], &rows), "ONE   TWO\na     bb\ncccc\n");
    }
}
