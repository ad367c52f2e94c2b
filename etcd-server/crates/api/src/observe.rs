//! What is counted of calls and of reads, whichever way they come in.
//!
//! [`Observer::started`] gives a [`Call`], which is told of each message and of the end. It knows nothing of bodies or headers, so that
//! every server of calls can use it. A call that is dropped before it is handled was given up by its client, or ended by its deadline.

use crate::call_head::Deadline;
use apply::{Operations, RequestKind as Applied};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};
use telemetry::metrics::{CallType, ClientVersion, Method, Metrics, RequestKind};
use tonic::Code;

/// Above these a request is told in the log.
#[derive(Clone, Copy, Debug)]
pub struct Thresholds {
    /// A read at the state (`--warning-apply-duration`).
    pub apply: Duration,
    /// A unary call (`--warning-unary-request-duration`).
    pub unary_request: Duration,
}

/// Counts what clients ask for. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Observer {
    metrics: Arc<Metrics>,
    thresholds: Thresholds,
}

impl Observer {
    /// Counts into `metrics`.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, thresholds: Thresholds) -> Self {
        Self { metrics, thresholds }
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

    /// A read was made or refused, from asking to the result.
    pub(crate) fn read_decided(&self, kind: RequestKind, success: bool, took: Duration) {
        self.metrics.server.requests.record(kind, success, took);
        if took > self.thresholds.apply {
            self.metrics.server.slow_apply.inc();
            tracing::warn!(
                took = ?took,
                "expected-duration" = ?self.thresholds.apply,
                prefix = "read-only range ",
                request = kind.label(),
                success,
                "apply request took too long"
            );
        }
    }
}

/// Adds up operations on keys as etcd does: more than one of them is a transaction.
pub fn count_operations(metrics: &Metrics, operations: Operations) {
    let mvcc = &metrics.mvcc;
    for (counter, count) in [(&mvcc.range, operations.ranges), (&mvcc.put, operations.puts), (&mvcc.delete, operations.deletes)] {
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
    /// What [`Received`] adds to it.
    received_elsewhere: Option<Arc<AtomicU64>>,
    sent_bytes: u64,
    handled: bool,
    deadline: Option<Deadline>,
}

/// The half of a call that counts what the client sends.
#[derive(Debug)]
pub struct Received {
    metrics: Arc<Metrics>,
    method: Method,
    bytes: Arc<AtomicU64>,
}

impl Received {
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

    /// The half for the body of the request, which may be read elsewhere.
    #[must_use]
    pub fn receiving(&mut self) -> Received {
        let bytes = Arc::clone(self.received_elsewhere.get_or_insert_default());
        Received { metrics: Arc::clone(&self.observer.metrics), method: self.method, bytes }
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
    pub fn handled(mut self, code: Code) {
        self.end(code);
    }

    fn end(&mut self, code: Code) {
        self.handled = true;
        let took = self.begun.elapsed();
        self.observer.metrics.rpc(self.method).handled(code.into(), took);
        if took > self.observer.thresholds.unary_request && self.method.call_type() == CallType::Unary {
            self.tell_slow(code, took);
        }
    }

    /// As etcd does it, without counts and contents: these would have to be decoded once more.
    #[cold]
    fn tell_slow(&self, code: Code, took: Duration) {
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().saturating_sub(took);
        let received_elsewhere = self.received_elsewhere.as_ref().map_or(0, |bytes| bytes.load(Ordering::Relaxed));
        tracing::warn!(
            "start time" = unix.as_secs_f64(),
            "time spent" = ?took,
            remote = self.remote.map(tracing::field::display),
            "response type" = %format_args!("/{}/{}", self.method.service(), self.method.name()),
            "request size" = self.received_bytes + received_elsewhere,
            "response size" = self.sent_bytes,
            code = ?code,
            "request stats"
        );
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.handled {
            let late = self.deadline.is_some_and(Deadline::has_passed);
            self.end(if late { Code::DeadlineExceeded } else { Code::Cancelled });
        }
    }
}
