//! Numbers in a given base, with the error texts of Go's strconv.

/// Go's way to say that a text is no number.
fn number_error(function: &str, text: &str, kind: &std::num::IntErrorKind) -> String {
    use std::num::IntErrorKind as Kind;
    let reason =
        if matches!(kind, Kind::PosOverflow | Kind::NegOverflow) { "value out of range" } else { "invalid syntax" };
    format!("strconv.{function}: parsing {}: {reason}", go_text::quoted(text.as_bytes()))
}

pub fn signed(text: &str, radix: u32) -> Result<i64, String> {
    i64::from_str_radix(text, radix).map_err(|error| number_error("ParseInt", text, error.kind()))
}

pub fn unsigned(text: &str, radix: u32) -> Result<u64, String> {
    let signed = text.starts_with('+');
    match u64::from_str_radix(text, radix) {
        Ok(number) if !signed => Ok(number),
        Ok(_) => Err(number_error("ParseUint", text, &std::num::IntErrorKind::InvalidDigit)),
        Err(error) => Err(number_error("ParseUint", text, error.kind())),
    }
}
