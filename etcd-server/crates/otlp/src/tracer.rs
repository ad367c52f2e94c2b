//! The decision which calls are traced, and the way of ended spans into the queue.

use crate::counts::Counts;
use crate::exporter::Exporter;
use crate::propagation::Parent;
use crate::sampler::{Cap, Sampler};
use crate::span::{CallSpan, Ended};
use http::HeaderMap;
use std::io;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;

/// Spans that wait for their batch; further ones are dropped (the figure of the OpenTelemetry
/// SDKs).
const QUEUE_SPANS_MAX: usize = 2048;

/// The traced share of calls, and the collector.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `HOST:PORT` of the collector, which is spoken to without TLS.
    pub address: String,
    /// The resource attribute `service.name`.
    pub service_name: String,
    /// The resource attribute `service.instance.id`, if it is to be sent.
    pub instance_id: Option<String>,
    /// Calls that are traced of a million calls whose caller does not trace.
    pub rate_per_million: u32,
    /// Traced calls per second; further ones are counted as dropped spans.
    pub calls_per_second_max: u32,
}

/// Begins spans and takes them when they end. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Tracer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    sampler: Sampler,
    cap: Cap,
    queue: mpsc::Sender<Ended>,
    counts: Arc<Counts>,
}

impl Tracer {
    /// Starts the thread that sends spans. The collector is connected to with the first batch.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(settings: &Settings) -> io::Result<(Self, Exporter)> {
        let (queue, spans) = mpsc::channel(QUEUE_SPANS_MAX);
        let counts = Arc::new(Counts::default());
        let exporter = Exporter::start(settings, spans, Arc::clone(&counts))?;
        let (sampler, cap) = (Sampler::new(settings.rate_per_million), Cap::new(settings.calls_per_second_max));
        Ok((Self(Arc::new(Inner { sampler, cap, queue, counts })), exporter))
    }

    /// The counts of the spans.
    pub fn counts(&self) -> &Counts {
        &self.0.counts
    }

    /// Begins the span of a call of `method` (`package.Service/Method`) with these headers; `None`
    /// if it is not traced.
    pub fn call(&self, method: &str, headers: &HeaderMap) -> Option<CallSpan> {
        let (trace_id, parent, state) = match Parent::of(headers) {
            Some(parent) if parent.is_sampled() => (parent.trace_id, Some(parent.span_id), parent.state),
            Some(_) => return None,
            None => (self.0.sampler.new_trace()?, None, String::new()),
        };
        if !self.0.cap.allows(Instant::now()) {
            self.0.counts.add_made(1);
            self.0.counts.add_dropped(1);
            return None;
        }
        Some(CallSpan::begin(self.clone(), trace_id, parent, state, method))
    }

    pub(crate) fn ended(&self, span: Ended) {
        self.0.counts.add_made(1);
        if self.0.queue.try_send(span).is_err() {
            self.0.counts.add_dropped(1);
        }
    }
}
