//! Log lines about slow requests, with etcd's texts and fields. Nothing is put together for a
//! request that is not logged.

use crate::observe::Observer;
use std::time::{Duration, Instant, SystemTime};
use telemetry::log::rfc3339;
use telemetry::metrics::RequestKind;
use tonic::Status;

/// Requests that take longer leave a `trace` line (etcd's figure).
const TRACE_THRESHOLD: Duration = Duration::from_millis(100);

/// The fields of the lines about a read.
#[derive(Debug, Default)]
pub(crate) struct ReadText {
    /// The request, without values.
    pub(crate) request: String,
    /// The sizes of the response; nothing when it was refused.
    pub(crate) response: String,
    /// The fields of the `trace` line.
    pub(crate) detail: String,
}

/// The course of a read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadTimes {
    begun: Instant,
    /// The read index was had.
    pub(crate) agreed: Option<Instant>,
}

impl ReadTimes {
    pub(crate) fn begin() -> Self {
        Self { begun: Instant::now(), agreed: None }
    }
}

/// The contents of a `trace` line.
struct Trace<'a> {
    operation: &'static str,
    detail: &'a str,
    took: Duration,
    /// Name and duration of each.
    steps: &'a [(&'static str, Duration)],
}

impl Trace<'_> {
    fn log(&self) {
        let count = u32::try_from(self.steps.len()).unwrap_or(u32::MAX);
        let threshold = TRACE_THRESHOLD / count.saturating_add(1);
        let shown = self.steps.iter().filter(|(_, took)| *took > threshold);
        let steps: Vec<_> = shown.map(|(step, took)| format!("'{step}'  (duration: {took:?})")).collect();
        let end = SystemTime::now();
        tracing::info!(
            trace_id = getrandom::u32().unwrap_or_default() >> 1,
            operation = self.operation,
            detail = self.detail,
            duration = ?self.took,
            start = rfc3339(end.checked_sub(self.took).unwrap_or(end)),
            end = rfc3339(end),
            step_count = steps.len(),
            ?steps,
            "trace"
        );
    }
}

impl Observer {
    /// A read was made or refused. `describe` is called if it is logged.
    pub(crate) fn read_decided(
        &self,
        kind: RequestKind,
        times: ReadTimes,
        failure: Option<&Status>,
        describe: impl FnOnce() -> ReadText,
    ) {
        let took = times.begun.elapsed();
        self.metrics().server.requests.record(kind, failure.is_none(), took);
        if took > self.thresholds().apply || took > TRACE_THRESHOLD {
            self.log_slow_read(kind, times, took, failure, &describe());
        }
    }

    #[cold]
    fn log_slow_read(
        &self,
        kind: RequestKind,
        times: ReadTimes,
        took: Duration,
        failure: Option<&Status>,
        text: &ReadText,
    ) {
        let (prefix, operation) = match kind {
            RequestKind::ReadonlyTxn => ("read-only txn ", "transaction"),
            _ => ("read-only range ", "range"),
        };
        if took > self.thresholds().apply {
            self.metrics().server.slow_apply.inc();
            tracing::warn!(
                took = ?took,
                "expected-duration" = ?self.thresholds().apply,
                prefix,
                request = text.request,
                response = text.response,
                error = failure.map(|status| tracing::field::display(status.message())),
                "apply request took too long"
            );
        }
        if took > TRACE_THRESHOLD {
            let agreement = times.agreed.map(|agreed| agreed.duration_since(times.begun));
            let reading = took.saturating_sub(agreement.unwrap_or_default());
            let steps = agreement.map(|took| ("agreement among raft nodes before linearized reading", took));
            let steps: Vec<_> = steps.into_iter().chain([("range keys from the state store", reading)]).collect();
            Trace { operation, detail: &text.detail, took, steps: &steps }.log();
        }
    }

    /// A write that was begun at `begun` is applied. `detail` gives the fields of its `trace` line
    /// if it has one.
    pub(crate) fn write_decided(&self, operation: &'static str, begun: Instant, detail: impl FnOnce() -> String) {
        let took = begun.elapsed();
        if took > TRACE_THRESHOLD {
            Trace { operation, detail: &detail(), took, steps: &[("process raft request", took)] }.log();
        }
    }

    /// A read index was had, or not, by a barrier that was begun at `begun`.
    pub(crate) fn barrier_decided(&self, begun: Instant) {
        let took = begun.elapsed();
        if took > TRACE_THRESHOLD {
            Trace { operation: "linearizableReadLoop", detail: "", took, steps: &[("read index received", took)] }
                .log();
        }
    }
}
