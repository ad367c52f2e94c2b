//! Text forms of moments, spans and bytes.

use std::fmt::Write as _;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime, UtcOffset};

/// `2026-11-21T15:00:00Z`.
#[must_use]
pub fn rfc3339(moment: OffsetDateTime) -> String {
    let moment = moment.to_offset(UtcOffset::UTC).replace_nanosecond(0).unwrap_or(moment);
    moment.format(&Rfc3339).unwrap_or_else(|_| moment.unix_timestamp().to_string())
}

/// `364d`, `5h`, `12m`, or `expired 3d ago`.
#[must_use]
pub fn time_left(until: OffsetDateTime, now: OffsetDateTime) -> String {
    let left = until - now;
    if left.is_negative() { format!("expired {} ago", span(-left)) } else { span(left) }
}

fn span(span: Duration) -> String {
    match (span.whole_days(), span.whole_hours(), span.whole_minutes()) {
        (0, 0, minutes) => format!("{minutes}m"),
        (0, hours, _) => format!("{hours}h"),
        (days, _, _) => format!("{days}d"),
    }
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a text can always grow");
        text
    })
}
