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
    }
}
