//! Numbers and booleans as Go's flag package reads them: base prefixes, underscores, `t` and `F`.

/// The reason why a text is no number of the wanted size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NumberError {
    Syntax,
    Range,
}

/// An unsigned number below `2^bits`. Prefixes 0x, 0o, 0b and a leading 0 (octal) are understood.
pub(crate) fn parse_unsigned(text: &str, bits: u32) -> Result<u64, NumberError> {
    let value = magnitude(text)?;
    if bits < 64 && value >> bits != 0 { Err(NumberError::Range) } else { Ok(value) }
}

/// A signed 64-bit number.
pub(crate) fn parse_signed(text: &str) -> Result<i64, NumberError> {
    if let Some(digits) = text.strip_prefix('-') {
        let value = i128::from(magnitude(digits)?);
        return i64::try_from(-value).map_err(|_| NumberError::Range);
    }
    let value = magnitude(text.strip_prefix('+').unwrap_or(text))?;
    i64::try_from(value).map_err(|_| NumberError::Range)
}

/// `1`, `t`, `true` and their opposites, in Go's three spellings.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn magnitude(text: &str) -> Result<u64, NumberError> {
    let lower = text.to_ascii_lowercase();
    let (digits, radix) = match lower.as_bytes() {
        [b'0', b'x', ..] => (&lower[2..], 16),
        [b'0', b'o', ..] => (&lower[2..], 8),
        [b'0', b'b', ..] => (&lower[2..], 2),
        [b'0', _, ..] => (&lower[1..], 8),
        _ => (lower.as_str(), 10),
    };
    // An underscore may stand between digits, and after a prefix.
    let misplaced = digits.ends_with('_') || digits.contains("__") || (radix == 10 && digits.starts_with('_'));
    let digits = digits.replace('_', "");
    if misplaced || digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err(NumberError::Syntax);
    }
    u64::from_str_radix(&digits, radix).map_err(|_| NumberError::Range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsigned_numbers_are_read_as_go_reads_them() {
        for (text, bits, expected) in [
            ("0", 64, Ok(0)),
            ("10", 64, Ok(10)),
            ("0x10", 64, Ok(16)),
            ("0b11", 64, Ok(3)),
            ("0o17", 64, Ok(15)),
            ("017", 64, Ok(15)),
            ("1_000", 64, Ok(1000)),
            ("1__0", 64, Err(NumberError::Syntax)),
            ("_1", 64, Err(NumberError::Syntax)),
            ("09", 64, Err(NumberError::Syntax)),
            ("", 64, Err(NumberError::Syntax)),
            ("-1", 64, Err(NumberError::Syntax)),
            ("+1", 64, Err(NumberError::Syntax)),
            ("1.0", 64, Err(NumberError::Syntax)),
            ("4294967295", 32, Ok(4_294_967_295)),
            ("4294967296", 32, Err(NumberError::Range)),
            ("18446744073709551615", 64, Ok(u64::MAX)),
            ("18446744073709551616", 64, Err(NumberError::Range)),
        ] {
            assert_eq!(parse_unsigned(text, bits), expected, "{text}");
        }
    }

    #[test]
    fn signed_numbers_reach_both_ends() {
        assert_eq!(parse_signed("-9223372036854775808"), Ok(i64::MIN));
        assert_eq!(parse_signed("+9223372036854775807"), Ok(i64::MAX));
        assert_eq!(parse_signed("9223372036854775808"), Err(NumberError::Range));
        assert_eq!(parse_signed("--1"), Err(NumberError::Syntax));
    }
}
