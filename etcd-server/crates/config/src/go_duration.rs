//! Durations in Go's spelling: `1h30m`, `1.5s`, `-2ms`. Held as signed nanoseconds, as Go holds
//! them.

use thiserror::Error;

/// The reason why a text is no duration, in the words of Go's time package.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum DurationError {
    #[error("time: invalid duration {0:?}")]
    Invalid(String),
    #[error("time: missing unit in duration {0:?}")]
    MissingUnit(String),
    #[error("time: unknown unit {unit:?} in duration {text:?}")]
    UnknownUnit { unit: String, text: String },
}

const HOUR: i128 = 3_600_000_000_000;
const MINUTE: i128 = 60_000_000_000;
const SECOND: i128 = 1_000_000_000;

/// A duration in Go's spelling (`1m30s`, `500ms`) that is not below zero; else why not, in Go's
/// words.
///
/// # Errors
/// When it is none, or below zero.
pub fn duration(text: &str) -> Result<std::time::Duration, String> {
    let nanoseconds = parse(text).map_err(|error| error.to_string())?;
    u64::try_from(nanoseconds).map(std::time::Duration::from_nanos).map_err(|_| format!("{text:?} is below zero"))
}

/// Returns the nanoseconds of a duration in Go's spelling, which may be below zero.
///
/// # Errors
/// Go's text of why it is none.
pub fn duration_nanos(text: &str) -> Result<i64, String> {
    parse(text).map_err(|error| error.to_string())
}

/// Nanoseconds of a duration.
pub(crate) fn parse(text: &str) -> Result<i64, DurationError> {
    let invalid = || DurationError::Invalid(text.to_owned());
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let number_length = rest.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, tail) = rest.split_at(number_length);
        let unit_length = tail.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_length);
        if !number.bytes().any(|digit| digit.is_ascii_digit()) || number.matches('.').count() > 1 {
            return Err(invalid());
        }
        // Go looks at the size of a number before its unit.
        let whole = number.split('.').next().unwrap_or_default();
        if !whole.is_empty() && whole.parse::<u64>().map_or(true, |whole| whole > 1 << 63) {
            return Err(invalid());
        }
        if unit.is_empty() {
            return Err(DurationError::MissingUnit(text.to_owned()));
        }
        let scale = unit_nanos(unit)
            .ok_or_else(|| DurationError::UnknownUnit { unit: unit.to_owned(), text: text.to_owned() })?;
        total = scaled(number, scale).and_then(|part| total.checked_add(part)).ok_or_else(invalid)?;
        rest = tail;
    }
    i64::try_from(if negative { -total } else { total }).map_err(|_| invalid())
}

fn unit_nanos(unit: &str) -> Option<i128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        _ => return None,
    })
}

fn scaled(number: &str, scale: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole = if whole.is_empty() { 0 } else { whole.parse::<i128>().ok()? };
    // Digits beyond 15 are below a nanosecond even of an hour.
    let fraction = &fraction[..fraction.len().min(15)];
    let places = u32::try_from(fraction.len()).ok()?;
    let part = if fraction.is_empty() { 0 } else { fraction.parse::<i128>().ok()? * scale / 10_i128.pow(places) };
    whole.checked_mul(scale)?.checked_add(part)
}

/// Go's spelling of a duration.
pub(crate) fn format(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let size = i128::from(nanos).abs();
    let body = match size {
        0 => "0s".to_owned(),
        1..1_000 => format!("{size}ns"),
        1_000..1_000_000 => format!("{}µs", decimal(size, 1_000)),
        1_000_000..SECOND => format!("{}ms", decimal(size, 1_000_000)),
        _ => {
            let seconds = format!("{}s", decimal(size % MINUTE, SECOND));
            match (size / HOUR, size % HOUR / MINUTE) {
                (0, 0) => seconds,
                (0, minutes) => format!("{minutes}m{seconds}"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    };
    format!("{sign}{body}")
}

fn decimal(size: i128, unit: i128) -> String {
    let width = unit.ilog10() as usize;
    let fraction = format!("{:0width$}", size % unit);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { format!("{}", size / unit) } else { format!("{}.{fraction}", size / unit) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written_as_go_does() {
        for (text, nanos, canonical) in [
            ("0", 0, "0s"),
            ("5m", 300_000_000_000, "5m0s"),
            ("1h1m1.5s", 3_661_500_000_000, "1h1m1.5s"),
            ("100ms", 100_000_000, "100ms"),
            ("-1.5h", -5_400_000_000_000, "-1h30m0s"),
            ("1us", 1_000, "1µs"),
            ("1.25µs", 1_250, "1.25µs"),
            (".5s", 500_000_000, "500ms"),
            ("5.s", 5_000_000_000, "5s"),
            ("+7ns", 7, "7ns"),
            ("2562047h47m16.854775807s", i64::MAX, "2562047h47m16.854775807s"),
        ] {
            assert_eq!(parse(text), Ok(nanos), "{text}");
            assert_eq!(format(nanos), canonical, "{text}");
        }
    }

    #[test]
    fn errors_are_in_gos_words() {
        for (text, error) in [
            ("", r#"time: invalid duration """#),
            ("foo", r#"time: invalid duration "foo""#),
            ("1", r#"time: missing unit in duration "1""#),
            ("1.5", r#"time: missing unit in duration "1.5""#),
            ("-1", r#"time: missing unit in duration "-1""#),
            ("1d", r#"time: unknown unit "d" in duration "1d""#),
            (".s", r#"time: invalid duration ".s""#),
            ("3000000h", r#"time: invalid duration "3000000h""#),
            // Go looks at the size of a number before its unit.
            ("9223372036854775808", r#"time: missing unit in duration "9223372036854775808""#),
            ("9223372036854775809", r#"time: invalid duration "9223372036854775809""#),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), error);
        }
    }
}
