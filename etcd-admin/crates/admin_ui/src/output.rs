//! Answers: one table for eyes, or JSON or YAML for programs.

use crate::error::{CliError, FAILED};
use serde::Serialize;
use std::io::Write as _;

/// The output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    #[default]
    Table,
    Json,
    Yaml,
}

/// A value as JSON, or the text that stands for it.
pub fn print_result(format: Format, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), CliError> {
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
pub fn say(text: &str) -> Result<(), CliError> {
    match std::io::stdout().write_all(text.as_bytes()).and_then(|()| std::io::stdout().flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(CliError::new(FAILED, format!("write the output: {error}")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Columns as wide as their widest cell, two blanks apart.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
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

/// Bytes in steps of a thousand, with three digits at most: `20 kB`, `1.2 MB`.
#[expect(clippy::cast_precision_loss, reason = "a figure of two digits for eyes")]
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 10 {
        return format!("{bytes} B");
    }
    let mut step = 0;
    let mut rest = bytes;
    while rest >= 1000 && step < UNITS.len() - 1 {
        rest /= 1000;
        step += 1;
    }
    let value = bytes as f64 / 1000_f64.powi(i32::try_from(step).unwrap_or(0));
    let rounded = (value * 10.0 + 0.5).floor() / 10.0;
    if rounded < 10.0 { format!("{rounded:.1} {}", UNITS[step]) } else { format!("{rounded:.0} {}", UNITS[step]) }
}

/// A table with lines around its cells: heads in capitals and centred, cells to the right.
pub fn boxed(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|cell| cell.to_uppercase()).collect();
    let width = |column: usize| rows.iter().chain([&head]).map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let rule = |left: &str, middle: &str, right: &str| {
        let lines: Vec<String> = widths.iter().map(|width| "─".repeat(width + 2)).collect();
        format!("{left}{}{right}\n", lines.join(middle))
    };
    let line = |cells: Vec<String>| format!("│{}│\n", cells.join("│"));
    let heads = head.iter().zip(&widths).map(|(cell, width)| format!(" {cell:^width$} ")).collect();
    let mut out = rule("┌", "┬", "┐") + &line(heads) + &rule("├", "┼", "┤");
    for row in rows {
        out += &line(row.iter().zip(&widths).map(|(cell, width)| format!(" {cell:>width$} ")).collect());
    }
    out + &rule("└", "┴", "┘")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["a".to_owned(), "bb".to_owned()], vec!["cccc".to_owned(), String::new()]];
        assert_eq!(table(&["ONE", "TWO"], &rows), "ONE   TWO\na     bb\ncccc\n");
    }

    #[test]
    fn sizes_have_three_digits_at_most() {
        for (bytes, text) in [
            (0, "0 B"),
            (9, "9 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (20_480, "20 kB"),
            (1_234_567, "1.2 MB"),
            (82_854_982, "83 MB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
