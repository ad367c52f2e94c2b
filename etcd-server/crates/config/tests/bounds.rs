//! Values at the bounds of a setting, and every word of those that have a few.

use crate::support::{Machine, loaded, run, settings};
use config::LogLevel;
use std::time::Duration;

/// Returns the number of warnings that flags lead to.
fn warnings(words: &str) -> usize {
    loaded(words, &[], &Machine::default()).warnings.len()
}

#[test]
fn log_levels_are_those_of_etcd() {
    for (word, level) in [
        ("debug", LogLevel::Debug),
        ("info", LogLevel::Info),
        ("warn", LogLevel::Warn),
        ("error", LogLevel::Error),
        ("dpanic", LogLevel::Panic),
        ("panic", LogLevel::Panic),
        ("fatal", LogLevel::Fatal),
        ("DEBUG", LogLevel::Debug),
        ("Warn", LogLevel::Warn),
    ] {
        assert_eq!(settings(&format!("--log-level={word}")).log.level, level, "{word}");
    }
    assert!(run("--log-level=trace", &[], &Machine::default()).is_err());
}

#[test]
fn election_timeout_may_be_five_heartbeats_and_fifty_seconds() {
    let election = settings("--heartbeat-interval=100 --election-timeout=500").election;
    assert_eq!((election.timeout, election.timeout_ticks()), (Duration::from_millis(500), 5));
    let election = settings("--heartbeat-interval=10000 --election-timeout=50000").election;
    assert_eq!((election.timeout, election.timeout_ticks()), (Duration::from_secs(50), 5));
    let election = settings("--heartbeat-interval=300 --election-timeout=2000").election;
    assert_eq!(election.timeout_ticks(), 6, "rounded down");
}

#[test]
fn times_below_a_minimum_are_raised_with_a_warning() {
    let plain = warnings("");
    for (given, milliseconds, warns) in [("4999ms", 5000, true), ("5s", 5000, false), ("5001ms", 5001, false)] {
        let words = format!("--raft-write-timeout={given}");
        assert_eq!(settings(&words).peer.write_timeout, Duration::from_millis(milliseconds), "{given}");
        assert_eq!(warnings(&words) - plain, usize::from(warns), "{given}");
    }
    for (given, milliseconds, warns) in [("99ms", 100, true), ("100ms", 100, false), ("101ms", 101, false)] {
        let words = format!("--watch-progress-notify-interval={given}");
        let interval = settings(&words).watch.progress_notify_interval;
        assert_eq!(interval, Duration::from_millis(milliseconds), "{given}");
        assert_eq!(warnings(&words) - plain, usize::from(warns), "{given}");
    }
}

#[test]
fn large_sizes_are_warned_of_above_the_suggested_ones() {
    let plain = warnings("");
    for (flag, largest) in [("quota-backend-bytes", 8_u64 << 30), ("max-request-bytes", 10 << 20)] {
        assert_eq!(warnings(&format!("--{flag}={largest}")), plain, "{flag}");
        assert_eq!(warnings(&format!("--{flag}={}", largest + 1)), plain + 1, "{flag}");
    }
}
