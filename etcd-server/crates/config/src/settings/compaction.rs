//! Settings of automatic compaction and its pace.

use std::num::NonZeroU64;
use std::time::Duration;

use crate::error::ConfigError;
use crate::go_duration;
use crate::merged::Merged;
use crate::settings::positive;

const HOUR_NANOS: i64 = 3_600_000_000_000;
const BATCH_LIMIT_DEFAULT: u64 = 1_000;
const SLEEP_INTERVAL_DEFAULT: Duration = Duration::from_millis(10);

/// Compaction that the leader starts by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoCompaction {
    Off,
    /// Keep this many revisions.
    Revision(NonZeroU64),
    /// Keep younger revisions; above zero.
    Periodic(Duration),
}

/// The pace of any compaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactionSettings {
    /// Most revisions dropped in one step.
    pub batch_limit: NonZeroU64,
    /// Pause between two steps.
    pub sleep_interval: Duration,
}

impl AutoCompaction {
    pub(super) fn from_merged(merged: &Merged) -> Result<Self, ConfigError> {
        let by_revision = match merged.text("auto-compaction-mode") {
            "revision" => true,
            "periodic" => false,
            "" => return Err(ConfigError::NoCompactionMode),
            other => return Err(ConfigError::CompactionMode(other.to_owned())),
        };
        let retention = retention(merged.text("auto-compaction-retention"), by_revision)?;
        Ok(match NonZeroU64::new(retention) {
            None => Self::Off,
            Some(revisions) if by_revision => Self::Revision(revisions),
            Some(nanos) => Self::Periodic(Duration::from_nanos(nanos.get())),
        })
    }
}

/// A plain number is revisions or hours; anything else is a duration in nanoseconds, in either
/// mode, as in etcd.
fn retention(text: &str, by_revision: bool) -> Result<u64, ConfigError> {
    let negative = || ConfigError::CompactionRetention(format!("negative retention {text:?}"));
    let number = text.parse::<i64>().ok().filter(|number| *number >= 0);
    let value = match number {
        Some(revisions) if by_revision => revisions,
        Some(hours) => hours
            .checked_mul(HOUR_NANOS)
            .ok_or_else(|| ConfigError::CompactionRetention(format!("{text} hours is too long")))?,
        None => go_duration::parse(text).map_err(|error| ConfigError::CompactionRetention(error.to_string()))?,
    };
    u64::try_from(value).map_err(|_| negative())
}

impl CompactionSettings {
    pub(super) fn from_merged(merged: &Merged) -> Self {
        let limit = u64::try_from(merged.signed("compaction-batch-limit")).unwrap_or(0);
        let default = NonZeroU64::new(BATCH_LIMIT_DEFAULT).expect("the default is not zero");
        Self {
            batch_limit: NonZeroU64::new(limit).unwrap_or(default),
            sleep_interval: positive(merged.nanos("compaction-sleep-interval")).unwrap_or(SLEEP_INTERVAL_DEFAULT),
        }
    }
}
