//! Integers as JSON writes them: `5`, `5.0`, `50e-1` and `"5"` are the same number to protobuf's
//! JSON mapping.

/// The integer that a JSON number denotes exactly, or `None` if it is no JSON number, has a
/// fraction, or exceeds 128 bits.
pub(crate) fn integer(text: &str) -> Option<i128> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (mantissa, ""),
    };
    let whole_is_plain = !whole.is_empty() && (whole == "0" || !whole.starts_with('0'));
    if !whole_is_plain || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let digits = format!("{whole}{fraction}");
    let magnitude = shift(&digits, exponent - i64::try_from(fraction.len()).ok()?)?;
    Some(if negative { -magnitude } else { magnitude })
}

fn all_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn parse_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !all_digits(digits) {
        return None;
    }
    // 32 bits are plenty: larger exponents can only belong to zero or to a number far beyond 64
    // bits, and both are rare enough to refuse.
    text.parse::<i32>().ok().map(i64::from)
}

/// `digits` times ten to the power of `exponent`, if that is a whole number.
fn shift(digits: &str, exponent: i64) -> Option<i128> {
    let significant = digits.trim_start_matches('0');
    let trimmed = significant.trim_end_matches('0');
    if trimmed.is_empty() {
        return Some(0);
    }
    let exponent = exponent + i64::try_from(significant.len() - trimmed.len()).ok()?;
    let scale = 10_i128.checked_pow(u32::try_from(exponent).ok()?)?;
    trimmed.parse::<i128>().ok()?.checked_mul(scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_in_any_spelling() {
        for (text, value) in [
            ("0", 0),
            ("-0", 0),
            ("5", 5),
            ("-5", -5),
            ("5.0", 5),
            ("1e1", 10),
            ("1E+2", 100),
            ("-1e2", -100),
            ("10e-1", 1),
            ("1.50e1", 15),
            ("0e99999", 0),
            ("18446744073709551615", 18_446_744_073_709_551_615),
        ] {
            assert_eq!(integer(text), Some(value), "{text}");
        }
    }

    #[test]
    fn what_is_no_whole_number_is_refused() {
        for text in [
            "",
            "-",
            "+5",
            "05",
            " 5",
            "0x5",
            "1.5",
            "1.0e-1",
            "1.",
            ".5",
            "1e",
            "1e+",
            "1e99999999999",
            "1e40",
            "NaN",
            "٣",
            "-e1",
        ] {
            assert_eq!(integer(text), None, "{text}");
        }
    }
}
