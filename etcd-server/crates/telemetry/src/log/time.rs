//! Times as etcd's log lines have them: `2026-01-02T03:04:05.123456Z`, always UTC.

use std::time::{SystemTime, UNIX_EPOCH};

const DAY_SECONDS: u64 = 86_400;

/// Returns `time` as log lines spell it: `2026-01-02T03:04:05.123456Z`.
#[must_use]
pub fn rfc3339(time: SystemTime) -> String {
    Calendar::of(time).rfc3339()
}

/// A calendar time in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Calendar {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
    microsecond: u32,
}

impl Calendar {
    /// A clock before 1970 counts as 1970.
    pub(crate) fn of(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (days, seconds) = (since.as_secs() / DAY_SECONDS, since.as_secs() % DAY_SECONDS);
        let (year, month, day) = date(days);
        Self {
            year,
            month,
            day,
            hour: seconds / 3_600,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            microsecond: since.subsec_micros(),
        }
    }

    /// `2026-01-02T03:04:05.123456Z`
    pub(crate) fn rfc3339(self) -> String {
        let Self { year, month, day, hour, minute, second, microsecond } = self;
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{microsecond:06}Z")
    }

    /// `2026-01-02T03-04-05.123`, for names of files.
    pub(crate) fn file_stamp(self) -> String {
        let Self { year, month, day, hour, minute, second, microsecond } = self;
        format!("{year:04}-{month:02}-{day:02}T{hour:02}-{minute:02}-{second:02}.{:03}", microsecond / 1_000)
    }
}

/// Year, month and day of a number of days since 1970. Years are taken to start in March, so that
/// the leap day is the last one; 400 years have 146,097 days.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn seconds_become_dates() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000007Z"),
            (951_782_400, "2000-02-29T00:00:00.000007Z"),
            (1_709_210_096, "2024-02-29T12:34:56.000007Z"),
            (1_767_323_045, "2026-01-02T03:04:05.000007Z"),
            (4_107_542_399, "2100-02-28T23:59:59.000007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000007Z"),
        ] {
            let time = UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_micros(7);
            assert_eq!(Calendar::of(time).rfc3339(), text);
        }
    }
}
