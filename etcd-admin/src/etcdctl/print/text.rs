//! Text as Go prints it.

use std::fmt::Write as _;
use std::time::Duration;

/// `\x66\x6f`.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        write!(out, "\\x{byte:02x}").expect("a string takes what is written");
        out
    })
}

/// A duration: `1.234ms`, `2m3.5s`.
pub(crate) fn duration(duration: Duration) -> String {
    let nanoseconds = duration.as_nanos();
    let with_unit = |scale: u128, digits: usize, unit: &str| {
        let (whole, rest) = (nanoseconds / scale, nanoseconds % scale);
        let fraction = format!("{rest:0digits$}");
        let fraction = fraction.trim_end_matches('0');
        if fraction.is_empty() { format!("{whole}{unit}") } else { format!("{whole}.{fraction}{unit}") }
    };
    match nanoseconds {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanoseconds}ns"),
        1_000..1_000_000 => with_unit(1_000, 3, "µs"),
        1_000_000..1_000_000_000 => with_unit(1_000_000, 6, "ms"),
        _ => {
            let minutes = duration.as_secs() / 60;
            let seconds = text_seconds(duration - Duration::from_secs(minutes * 60));
            match (minutes / 60, minutes % 60) {
                (0, 0) => seconds,
                (0, minutes) => format!("{minutes}m{seconds}"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    }
}

fn text_seconds(duration: Duration) -> String {
    let fraction = format!("{:09}", duration.subsec_nanos());
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { format!("{}s", duration.as_secs()) } else { format!("{}.{fraction}s", duration.as_secs()) }
}

/// Bytes in steps of a thousand, with three digits at most: `20 kB`, `1.2 MB`.
#[expect(clippy::cast_precision_loss, reason = "a figure of two digits for eyes")]
pub(crate) fn size(bytes: u64) -> String {
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
pub(crate) fn boxed(head: &[&str], rows: &[Vec<String>]) -> String {
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
    fn texts_are_those_of_go() {
        for (nanoseconds, text) in [
            (0, "0s"),
            (999, "999ns"),
            (1_500, "1.5µs"),
            (2_112_345, "2.112345ms"),
            (1_000_000_000, "1s"),
            (61_500_000_000, "1m1.5s"),
            (3_600_000_000_000, "1h0m0s"),
        ] {
            assert_eq!(duration(Duration::from_nanos(nanoseconds)), text);
        }
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
