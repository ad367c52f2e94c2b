//! Durations as Go writes them: `5m`, `1h30m`, `1.5s`, `250ms`.

use std::time::Duration;

/// The duration that `text` means; nothing when it is malformed, negative or too long to count in
/// nanoseconds.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let something = !rest.is_empty();
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let number_length = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit_and_more) = rest.split_at(number_length);
        let unit_length = unit_and_more.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(unit_and_more.len());
        let (unit, more) = unit_and_more.split_at(unit_length);
        total = total.checked_add(part(number, unit_nanoseconds(unit)?)?)?;
        rest = more;
    }
    let fits = i64::try_from(total.as_nanos()).is_ok();
    (fits && something).then_some(total)
}

fn unit_nanoseconds(unit: &str) -> Option<u64> {
    match unit {
        "ns" => Some(1),
        "us" | "µs" | "μs" => Some(1_000),
        "ms" => Some(1_000_000),
        "s" => Some(1_000_000_000),
        "m" => Some(60 * 1_000_000_000),
        "h" => Some(3600 * 1_000_000_000),
        _ => None,
    }
}

/// Returns `number` units, where the number may have a fraction; fractions of a nanosecond are cut
/// off.
fn part(number: &str, unit: u64) -> Option<Duration> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let no_digits = whole.is_empty() && fraction.is_empty();
    if no_digits || fraction.contains('.') {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanoseconds = whole.checked_mul(unit)?;
    let mut scale = unit;
    for digit in fraction.bytes() {
        scale /= 10;
        nanoseconds = nanoseconds.checked_add(scale * u64::from(digit - b'0'))?;
    }
    Some(Duration::from_nanos(nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_forms_are_read() {
        let read = |text| parse(text).map(|duration| duration.as_micros());
        assert_eq!(read("5m"), Some(300_000_000));
        assert_eq!(read("1h30m"), Some(5_400_000_000));
        assert_eq!(read("1.5s"), Some(1_500_000));
        assert_eq!(read(".5s"), Some(500_000));
        assert_eq!(read("+2ms3us"), Some(2_003));
        assert_eq!((read("0"), read("0s")), (Some(0), Some(0)));
    }

    #[test]
    fn everything_else_is_refused() {
        let wrong = ["", "5", "m", "-5m", "5 m", "5x", "1..2s", ".s", "999999999h", "+", "5m7"];
        assert!(wrong.iter().all(|text| parse(text).is_none()));
    }
}
