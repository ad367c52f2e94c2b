//! The page that a scrape gets.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Metrics;
use super::source::{Sample, Source};
use super::text;

/// The page: counters, and values that are read on request.
pub struct Page {
    metrics: Arc<Metrics>,
    source: Box<dyn Source>,
    /// The last sample shown; its lock also keeps scrapes one after another.
    shown: Mutex<Sample>,
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").field("metrics", &self.metrics).finish_non_exhaustive()
    }
}

impl Page {
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, source: Box<dyn Source>) -> Self {
        Self { metrics, source, shown: Mutex::default() }
    }

    /// The page in Prometheus' text format 0.0.4. Reads a few small files of /proc and memory, so
    /// it takes about a millisecond; scrapes at the same time wait for each other.
    #[must_use]
    pub fn text(&self) -> String {
        self.metrics.scrapes.in_flight.inc();
        let page = {
            let mut shown = self.shown.lock();
            let now = self.source.sample();
            self.metrics.sampled.set(&now, &shown);
            *shown = now;
            self.metrics.process.refresh();
            text::render(&self.metrics.registry.gather())
        };
        self.metrics.scrapes.in_flight.dec();
        self.metrics.scrapes.answered.inc();
        page
    }
}
