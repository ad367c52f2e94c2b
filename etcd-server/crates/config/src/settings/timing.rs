//! Settings of elections, checks, progress notifications and slow requests.

use std::time::Duration;

use crate::error::ConfigError;
use crate::feature_gate::{FeatureGates, Gate};
use crate::go_duration;
use crate::merged::Merged;
use crate::settings::{duration, positive};
use crate::warning::Warning;

const ELECTION_MILLISECONDS_MAX: u64 = 50_000;
const PEER_TIMEOUT_MIN: Duration = Duration::from_secs(5);
const PROGRESS_DEFAULT: Duration = Duration::from_secs(600);
const PROGRESS_MIN: Duration = Duration::from_millis(100);
const SLOW_REQUEST_DEFAULT: Duration = Duration::from_millis(300);

/// Raft's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ElectionSettings {
    /// One tick; above zero.
    pub heartbeat: Duration,
    /// At least five heartbeats, at most 50 s.
    pub timeout: Duration,
    pub pre_vote: bool,
    /// Shorten the first timeout after a start.
    pub initial_tick_advance: bool,
}

impl ElectionSettings {
    pub(super) fn from_merged(merged: &Merged) -> Result<Self, ConfigError> {
        let (heartbeat, election) = (merged.unsigned("heartbeat-interval"), merged.unsigned("election-timeout"));
        if heartbeat == 0 {
            return Err(ConfigError::ZeroMilliseconds { flag: "heartbeat-interval", milliseconds: heartbeat });
        }
        if election == 0 {
            return Err(ConfigError::ZeroMilliseconds { flag: "election-timeout", milliseconds: election });
        }
        if heartbeat.saturating_mul(5) > election {
            return Err(ConfigError::ElectionTooShort { election, heartbeat });
        }
        if election > ELECTION_MILLISECONDS_MAX {
            return Err(ConfigError::ElectionTooLong(election));
        }
        Ok(Self {
            heartbeat: Duration::from_millis(heartbeat),
            timeout: Duration::from_millis(election),
            pre_vote: merged.bool("pre-vote"),
            initial_tick_advance: merged.bool("initial-election-tick-advance"),
        })
    }

    /// Heartbeats in an election timeout, rounded down; at least five.
    #[must_use]
    pub fn timeout_ticks(&self) -> u64 {
        // Both are whole milliseconds of at most 50,000.
        u64::try_from(self.timeout.as_millis() / self.heartbeat.as_millis()).unwrap_or(u64::MAX)
    }
}

/// Time limits of connections between members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerSettings {
    /// At least 5 s.
    pub write_timeout: Duration,
}

impl PeerSettings {
    pub(super) fn from_merged(merged: &Merged, warnings: &mut Vec<Warning>) -> Self {
        let mut limit = |name: &str| {
            let given = duration(merged.nanos(name));
            if given < PEER_TIMEOUT_MIN {
                warnings.push(Warning::new(format!("--{name}"), "raised to the minimum of 5s"));
            }
            given.max(PEER_TIMEOUT_MIN)
        };
        Self { write_timeout: limit("raft-write-timeout") }
    }
}

/// Settings of the comparison of members' data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CorruptCheckSettings {
    /// Compare with the others before serving.
    pub at_start: bool,
    /// Time between full comparisons; `None` is never.
    pub interval: Option<Duration>,
    /// Time between comparisons of hashes taken at compactions; `None` is never.
    pub compact_hash_interval: Option<Duration>,
}

impl CorruptCheckSettings {
    pub(super) fn from_merged(merged: &Merged, gates: &FeatureGates) -> Result<Self, ConfigError> {
        let nanos = merged.nanos("compact-hash-check-time");
        let interval = positive(nanos).ok_or_else(|| ConfigError::CompactHashCheckTime(go_duration::format(nanos)))?;
        Ok(Self {
            at_start: gates.is_on(Gate::InitialCorruptCheck),
            interval: positive(merged.nanos("corrupt-check-time")),
            compact_hash_interval: gates.is_on(Gate::CompactHashCheck).then_some(interval),
        })
    }
}

/// Watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchSettings {
    /// Time between progress notices of an idle watch; at least 100 ms.
    pub progress_notify_interval: Duration,
}

impl WatchSettings {
    pub(super) fn from_merged(merged: &Merged, warnings: &mut Vec<Warning>) -> Self {
        let given = positive(merged.nanos("watch-progress-notify-interval")).unwrap_or(PROGRESS_DEFAULT);
        if given < PROGRESS_MIN {
            warnings.push(Warning::new("--watch-progress-notify-interval", "raised to the minimum of 100ms"));
        }
        Self { progress_notify_interval: given.max(PROGRESS_MIN) }
    }
}

/// Metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricsSettings {
    pub detail: MetricsDetail,
}

/// The detail of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsDetail {
    Basic,
    /// Durations of gRPC calls as well.
    Extensive,
}

impl MetricsSettings {
    pub(super) fn from_merged(merged: &Merged, warnings: &mut Vec<Warning>) -> Self {
        let detail = match merged.text("metrics") {
            "extensive" => MetricsDetail::Extensive,
            "basic" => MetricsDetail::Basic,
            // etcd takes any other word for basic, without saying so.
            other => {
                warnings.push(Warning::new(
                    "--metrics",
                    format!("{other:?} is neither basic nor extensive; basic is used"),
                ));
                MetricsDetail::Basic
            }
        };
        Self { detail }
    }
}

/// Thresholds of slow requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WarningSettings {
    pub apply: Duration,
    pub unary_request: Duration,
}

impl WarningSettings {
    pub(super) fn from_merged(merged: &Merged) -> Self {
        Self {
            apply: duration(merged.nanos("warning-apply-duration")),
            unary_request: positive(merged.nanos("warning-unary-request-duration")).unwrap_or(SLOW_REQUEST_DEFAULT),
        }
    }
}

/// Traces of requests, sent to a collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracingSettings {
    /// `HOST:PORT` of the collector.
    pub address: String,
    pub service_name: String,
    /// Not sent when it is `None`.
    pub instance_id: Option<String>,
    /// Of a million calls whose caller does not trace.
    pub rate_per_million: u32,
}

impl TracingSettings {
    /// `None` when tracing is off; its other settings are not even looked at then.
    pub(super) fn from_merged(merged: &Merged) -> Result<Option<Self>, ConfigError> {
        if !merged.bool("enable-distributed-tracing") {
            return Ok(None);
        }
        let rate = match merged.signed("distributed-tracing-sampling-rate") {
            rate if rate < 0 => return Err(ConfigError::SamplingRate("positive")),
            rate if rate > 1_000_000 => return Err(ConfigError::SamplingRate("less than 1000000")),
            rate => u32::try_from(rate).unwrap_or(0),
        };
        let text = |name| merged.text(name).to_owned();
        Ok(Some(Self {
            address: text("distributed-tracing-address"),
            service_name: text("distributed-tracing-service-name"),
            instance_id: Some(text("distributed-tracing-instance-id")).filter(|id| !id.is_empty()),
            rate_per_million: rate,
        }))
    }
}
