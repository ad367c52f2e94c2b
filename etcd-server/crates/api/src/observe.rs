//! Counters of calls and of reads, common to all servers of calls.
//!
//! [`Observer::started`] gives a [`Call`], which receives each message and the end. It knows
//! nothing of bodies or headers, so that every server of calls can use it. A call that is dropped
//! before it is handled was given up by its client, or ended by its deadline.

use crate::call_head::{DEADLINE_EXCEEDED, Deadline};
use crate::fields::Fields;
use crate::request_stats::{self, Described, RequestStats};
use apply::{Operations, RequestKind as Applied};
use bytes::Bytes;
use otlp::{CallSpan, Tracer};
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use telemetry::metrics::{CallType, ClientVersion, Method, Metrics, RequestKind, StreamApi, StreamHalf};
use tonic::{Code, Status};
use tracing::Level;

/// Thresholds above which a request is logged.
#[derive(Clone, Copy, Debug)]
pub struct Thresholds {
    /// A read at the state (`--warning-apply-duration`).
    pub apply: Duration,
    /// A unary call (`--warning-unary-request-duration`).
    pub unary_request: Duration,
}

/// The counters of client requests. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Observer {
    metrics: Arc<Metrics>,
    thresholds: Thresholds,
    tracer: Option<Tracer>,
}

impl Observer {
    /// Counts into `metrics`.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, thresholds: Thresholds) -> Self {
        Self { metrics, thresholds, tracer: None }
    }

    /// The same with spans of `tracer` for the calls that it traces.
    #[must_use]
    pub fn with_tracer(self, tracer: Option<Tracer>) -> Self {
        Self { tracer, ..self }
    }

    pub(crate) fn thresholds(&self) -> &Thresholds {
        &self.thresholds
    }

    /// Everything that is counted.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// A call came in. `client_version` is the value of the metadata `client-api-version`.
    #[must_use]
    pub fn started(&self, method: Method, client_version: Option<&str>) -> Call {
        self.metrics.rpc(method).started();
        let version = client_version.map_or(ClientVersion::UNKNOWN, ClientVersion::parse);
        self.metrics.client_requests.count(version, method.call_type());
        Call {
            observer: self.clone(),
            method,
            remote: None,
            begun: Instant::now(),
            received_bytes: 0,
            received_elsewhere: None,
            sent_bytes: 0,
            handled: false,
            deadline: None,
            request: None,
            request_parts: None,
            span: None,
        }
    }

    /// A stream of `api` broke because of `status`. Counts it unless the client, or the connection
    /// to it, is the cause.
    pub(crate) fn receive_failed(&self, api: StreamApi, status: &Status) {
        let by_client = matches!(status.code(), Code::Cancelled | Code::DeadlineExceeded)
            || std::error::Error::source(status).is_some();
        if !by_client {
            tracing::warn!(error = %status, "failed to receive {} request from gRPC stream", api.request_name());
            self.metrics.network.stream_failed(StreamHalf::Receive, api);
        }
    }

    /// As the leader, this member promoted a learner, or failed to for this reason.
    pub(crate) fn learner_promoted(&self, failure: Option<&Status>) {
        match failure {
            None => self.metrics.server.learner_promote_successes.inc(),
            Some(status) => self.metrics.server.learner_promote_failed(promotion_failure(status)),
        }
    }

    /// One range was read for an answer, or refused.
    pub(crate) fn range_read(&self, success: bool, took: Duration) {
        self.metrics.server.range.record(success, took);
        self.executed(Operations::range());
    }

    /// Operations on keys were executed.
    pub(crate) fn executed(&self, operations: Operations) {
        count_operations(&self.metrics, operations);
    }
}

/// Adds up operations on keys as etcd does: more than one of them is a transaction.
pub fn count_operations(metrics: &Metrics, operations: Operations) {
    let mvcc = &metrics.mvcc;
    for (counter, count) in
        [(&mvcc.range, operations.ranges), (&mvcc.put, operations.puts), (&mvcc.delete, operations.deletes)]
    {
        if count > 0 {
            counter.inc_by(count);
        }
    }
    if operations.total() > 1 {
        mvcc.txn.inc();
    }
    if operations.put_bytes > 0 {
        mvcc.put_bytes.add(i64::try_from(operations.put_bytes).unwrap_or(i64::MAX));
    }
}

/// The label of a failed promotion: etcd's own texts, of which there are few.
fn promotion_failure(status: &Status) -> &'static str {
    const REASONS: [(&str, &str); 6] = [
        ("etcdserver: member not found", "membership: ID not found"),
        ("etcdserver: can only promote a learner member", "membership: can only promote a learner member"),
        (
            "etcdserver: can only promote a learner member which is in sync with leader",
            "etcdserver: can only promote a learner member which is in sync with leader",
        ),
        (
            "etcdserver: re-configuration failed due to not enough started members",
            "etcdserver: re-configuration failed due to not enough started members",
        ),
        ("etcdserver: unhealthy cluster", "etcdserver: unhealthy cluster"),
        ("etcdserver: request timed out", "etcdserver: request timed out"),
    ];
    REASONS.iter().find(|(text, _)| *text == status.message()).map_or("other", |(_, reason)| reason)
}

/// The kind of an applied request as the metrics name it.
#[must_use]
pub fn kind_of_applied(kind: Applied) -> RequestKind {
    macro_rules! same {
        ($($kind:ident)*) => { match kind { $(Applied::$kind => RequestKind::$kind,)* } };
    }
    same!(
        ClusterVersionSet ClusterMemberAttrSet DowngradeInfoSet DowngradeVersionTest Range Put DeleteRange Txn Compaction LeaseGrant
        LeaseRevoke LeaseCheckpoint Alarm Authenticate AuthEnable AuthDisable AuthUserAdd AuthUserDelete AuthUserGet AuthUserList
        AuthUserChangePassword AuthUserGrantRole AuthUserRevokeRole AuthRoleAdd AuthRoleDelete AuthRoleGet AuthRoleList
        AuthRoleGrantPermission AuthRoleRevokePermission Unknown
    )
}

/// One call, from its start to its end.
#[derive(Debug)]
pub struct Call {
    observer: Observer,
    method: Method,
    remote: Option<SocketAddr>,
    begun: Instant,
    received_bytes: u64,
    /// Bytes that [`Received`] adds to it.
    received_elsewhere: Option<Arc<AtomicU64>>,
    sent_bytes: u64,
    handled: bool,
    deadline: Option<Deadline>,
    /// The encoded request, for the log.
    request: Option<Bytes>,
    /// The same as it comes in by a body, with its message prefix.
    request_parts: Option<Arc<Mutex<Vec<Bytes>>>>,
    /// `None` unless the call is traced.
    span: Option<CallSpan>,
}

/// The half of a call that counts the client's messages.
#[derive(Debug)]
pub struct Received {
    metrics: Arc<Metrics>,
    method: Method,
    bytes: Arc<AtomicU64>,
    parts: Option<Arc<Mutex<Vec<Bytes>>>>,
}

impl Received {
    /// Keeps a part of the body if the log may want to show the request. Bounded by the largest
    /// request.
    pub(crate) fn keep(&self, part: &Bytes) {
        if let Some(parts) = &self.parts {
            parts.lock().push(part.clone());
        }
    }

    /// A message of this many bytes, without its frame, came in whole.
    pub fn received(&self, message_bytes: usize) {
        self.metrics.rpc(self.method).received();
        self.metrics.network.client_received_bytes.inc_by(message_bytes as u64);
        self.bytes.fetch_add(message_bytes as u64, Ordering::Relaxed);
    }
}

impl Call {
    /// Names the client, for the log.
    #[must_use]
    pub fn from(mut self, remote: Option<SocketAddr>) -> Self {
        self.remote = remote;
        self
    }

    /// Sets the deadline: a call that is dropped behind it was ended by it.
    #[must_use]
    pub(crate) fn until(mut self, deadline: Option<Deadline>) -> Self {
        self.deadline = deadline;
        self
    }

    /// Begins the span of the call if it is to be traced. `local` is where the client connected to.
    pub(crate) fn traced(mut self, headers: &dyn Fields, local: Option<SocketAddr>) -> Self {
        if let Some(tracer) = &self.observer.tracer {
            self.span = tracer.call(self.method.full_name(), &headers.to_map());
            if let (Some(span), Some(local)) = (&self.span, local) {
                span.set("server.address", &*local.ip().to_string());
                span.set("server.port", i64::from(local.port()));
            }
        }
        self
    }

    /// The span of the call; `None` unless it is traced.
    pub(crate) fn span(&self) -> Option<&CallSpan> {
        self.span.as_ref()
    }

    /// Keeps the encoded request for the log.
    pub(crate) fn requested(&mut self, message: &Bytes) {
        self.request = Some(message.clone());
    }

    /// The half for the body of the request, which may be read elsewhere.
    #[must_use]
    pub fn receiving(&mut self) -> Received {
        let bytes = Arc::clone(self.received_elsewhere.get_or_insert_default());
        let parts = request_stats::shows_content(self.method).then(Arc::default);
        self.request_parts.clone_from(&parts);
        Received { metrics: Arc::clone(&self.observer.metrics), method: self.method, bytes, parts }
    }

    /// A message of this many bytes, without its frame, came in whole.
    pub fn received(&mut self, message_bytes: usize) {
        self.observer.metrics.rpc(self.method).received();
        self.observer.metrics.network.client_received_bytes.inc_by(message_bytes as u64);
        self.received_bytes += message_bytes as u64;
    }

    /// A message of this many bytes, without its frame, goes out.
    pub fn sent(&mut self, message_bytes: usize) {
        self.observer.metrics.rpc(self.method).sent();
        self.observer.metrics.network.client_sent_bytes.inc_by(message_bytes as u64);
        self.sent_bytes += message_bytes as u64;
    }

    /// The call is over.
    pub fn handled(self, code: Code) {
        self.handled_with(code, "", Described::Nothing);
    }

    /// The call is over, with the message of its status, and with a response that the log may
    /// describe.
    pub(crate) fn handled_with(mut self, code: Code, message: &str, response: Described<'_>) {
        self.end(code, message, response);
    }

    fn end(&mut self, code: Code, message: &str, response: Described<'_>) {
        self.handled = true;
        let took = self.begun.elapsed();
        self.observer.metrics.rpc(self.method).handled(code.into(), took);
        if let Some(span) = &self.span {
            span.end(code, message);
        }
        if self.method.call_type() == CallType::Unary {
            let in_detail = tracing::event_enabled!(Level::DEBUG);
            if in_detail || took > self.observer.thresholds.unary_request {
                self.log_stats(in_detail, took, response);
            }
        }
    }

    #[cold]
    fn log_stats(&self, in_detail: bool, took: Duration, response: Described<'_>) {
        let parts = self.request_parts.as_ref().map(|parts| request_stats::message_of(&parts.lock()));
        let request = self.request.clone().or(parts).unwrap_or_default();
        let stats = RequestStats::of(self.method, &request, self.sent_bytes, response);
        stats.log(in_detail, self.method, took, self.remote);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.handled {
            let late = self.deadline.is_some_and(Deadline::has_passed);
            let code = if late { Code::DeadlineExceeded } else { request_stats::code_when_abandoned(self.method) };
            let message = if late { DEADLINE_EXCEEDED } else { "context canceled" };
            self.end(code, message, Described::Nothing);
        }
    }
}
