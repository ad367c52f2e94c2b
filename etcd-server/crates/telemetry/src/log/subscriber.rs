//! From tracing's events to lines in the queue.

use std::time::SystemTime;

use config::LogLevel;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::Context;

use crate::log::line::{Line, LineLevel};
use crate::log::writer::Queue;

/// Libraries whose own chatter at debug would bury ours.
const LIBRARIES: &[&str] = &["h2", "hyper", "hyper_util", "rustls", "tonic", "tower"];

/// Turns events into lines.
#[derive(Debug)]
pub(crate) struct LineLayer {
    queue: Queue,
    fatal_only: bool,
}

impl LineLayer {
    pub(crate) fn new(queue: Queue, level: LogLevel) -> Self {
        Self { queue, fatal_only: level >= LogLevel::Panic }
    }
}

impl<S: Subscriber> Layer<S> for LineLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let line = Line::of(event);
        if !self.fatal_only || line.level == LineLevel::Fatal {
            self.queue.put(line, SystemTime::now());
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.is_event()
    }
}

/// Returns the filter of a level. `trace` never passes: etcd has no such level.
pub(crate) fn filter(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Info => Level::INFO,
        LogLevel::Warn => Level::WARN,
        LogLevel::Error | LogLevel::Panic | LogLevel::Fatal => Level::ERROR,
    };
    let libraries = LevelFilter::from_level(level.min(Level::WARN));
    Targets::new().with_default(level).with_targets(LIBRARIES.iter().map(|library| (*library, libraries)))
}
