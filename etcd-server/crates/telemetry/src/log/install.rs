//! The way in: settings in, logging on.

use std::io;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use config::LogSettings;
use thiserror::Error;
use tracing::Subscriber;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;

use crate::log::destination::{Destination, OpenError};
use crate::log::subscriber::{LineLayer, filter};
use crate::log::writer::{QUEUE_LINES_MAX, Queue, Writer};

/// The queue of the process's lines.
static QUEUE: OnceLock<Queue> = OnceLock::new();

/// The reason why logging cannot start.
#[derive(Debug, Error)]
pub enum InstallError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("start the log writer: {0}")]
    Thread(io::Error),
    #[error("logging is already set up in this process")]
    Twice,
}

/// Keeps the writer alive. Dropping it, last of all in `main`, waits until every line is written.
#[derive(Debug)]
pub struct LogGuard {
    writer: Writer,
}

impl LogGuard {
    /// Lines dropped since the start, because the queue was full or no output took them.
    #[must_use]
    pub fn dropped_lines(&self) -> u64 {
        self.writer.queue().dropped()
    }
}

/// Opens the outputs and makes `tracing` write to them for the whole process; entries of the
/// journal name the `member`. Call it once, before the first event.
pub fn install(settings: &LogSettings, member: &str) -> Result<LogGuard, InstallError> {
    let (subscriber, guard) = build(settings, member)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| InstallError::Twice)?;
    // The first one is the process's: the line before makes sure of it.
    drop(QUEUE.set(guard.writer.queue().clone()));
    Ok(guard)
}

/// Returns the number of lines of this process that were dropped, because the queue was full or no
/// output took them.
#[must_use]
pub fn dropped_lines() -> u64 {
    QUEUE.get().map_or(0, Queue::dropped)
}

/// Waits, no longer than `limit`, until every line left so far is written: for a process that is
/// about to end without a farewell.
pub fn wait_until_written(limit: Duration) {
    let begun = Instant::now();
    while QUEUE.get().is_some_and(|queue| queue.waiting() > 0) && begun.elapsed() < limit {
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Everything but making it the process's own.
fn build(
    settings: &LogSettings,
    member: &str,
) -> Result<(impl Subscriber + Send + Sync + use<>, LogGuard), InstallError> {
    let journal_stream = std::env::var("JOURNAL_STREAM").ok();
    let destination = Destination::open(settings, member, journal_stream.as_deref())?;
    let writer = Writer::start(destination, settings.format, QUEUE_LINES_MAX).map_err(InstallError::Thread)?;
    let layer = LineLayer::new(writer.queue().clone(), settings.level).with_filter(filter(settings.level));
    Ok((Registry::default().with(layer), LogGuard { writer }))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use config::{LogFormat, LogLevel, LogOutput, LogOutputs};
    use serde_json::{Value, json};
    use tracing::{debug, error, info, trace, warn};

    use super::*;

    fn settings(path: &Path, level: LogLevel) -> LogSettings {
        let outputs = LogOutputs::Listed(vec![LogOutput::File(path.to_owned())]);
        LogSettings { level, format: LogFormat::Json, outputs, rotation: None }
    }

    /// The lines that `act` leaves in a file.
    fn lines_of(level: LogLevel, act: impl FnOnce()) -> Vec<Value> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let (subscriber, guard) = build(&settings(&path, level), "m1").unwrap();
        tracing::subscriber::with_default(subscriber, act);
        assert_eq!(guard.dropped_lines(), 0);
        drop(guard);
        std::fs::read_to_string(&path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn everything() {
        trace!("0");
        debug!("1");
        info!("2");
        warn!("3");
        error!("4");
        error!(fatal = true, "5");
        debug!(target: "h2::codec", "chatter");
    }

    #[test]
    fn events_become_lines_with_their_fields() {
        let lines = lines_of(LogLevel::Info, || {
            let io: &(dyn std::error::Error + 'static) = &io::Error::other("no");
            info!(local_member_id = "8e9e", took_ms = 7_u64, delta = -1, ratio = 0.5, ready = true, error = io, list = ?["a"], "ready to serve {}", "now");
        });
        let line = &lines[0];
        assert!(line["caller"].as_str().unwrap().starts_with("telemetry/install.rs:"), "{line}");
        assert!(line["ts"].as_str().unwrap().ends_with('Z'), "{line}");
        for (name, value) in [
            ("level", json!("info")),
            ("msg", json!("ready to serve now")),
            ("local-member-id", json!("8e9e")),
            ("took-ms", json!(7)),
            ("delta", json!(-1)),
            ("ratio", json!(0.5)),
            ("ready", json!(true)),
            ("error", json!("no")),
            ("list", json!(["a"])),
        ] {
            assert_eq!(line[name], value, "{name}");
        }
    }

    #[test]
    fn levels_let_through_what_zap_lets_through() {
        for (level, expected) in [
            (LogLevel::Debug, vec!["1", "2", "3", "4", "5"]),
            (LogLevel::Info, vec!["2", "3", "4", "5"]),
            (LogLevel::Warn, vec!["3", "4", "5"]),
            (LogLevel::Error, vec!["4", "5"]),
            (LogLevel::Panic, vec!["5"]),
            (LogLevel::Fatal, vec!["5"]),
        ] {
            let lines = lines_of(level, everything);
            assert_eq!(
                lines.iter().map(|line| line["msg"].as_str().unwrap()).collect::<Vec<_>>(),
                expected,
                "{level:?}"
            );
            assert_eq!(lines.last().unwrap()["level"], "fatal");
        }
    }

    #[test]
    fn an_output_that_cannot_be_opened_is_named() {
        let error = install(&settings(Path::new("/nonexistent/log"), LogLevel::Info), "m1").unwrap_err();
        assert_eq!(error.to_string(), "open sink \"/nonexistent/log\": No such file or directory (os error 2)");
    }
}
