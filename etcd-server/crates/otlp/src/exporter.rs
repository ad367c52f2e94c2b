//! The thread that sends spans to the collector, in batches.

use crate::counts::Counts;
use crate::span::{Ended, Scope, key_value};
use crate::tracer::Settings;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

/// A batch leaves when it holds so many spans, or when the interval has passed (the figures of the
/// OpenTelemetry SDKs).
const BATCH_SPANS_MAX: usize = 512;
const BATCH_INTERVAL: Duration = Duration::from_secs(5);
/// For one attempt to send a batch.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// A batch that a collector could not take is tried again after so long, so many times.
const RETRY_PAUSE: Duration = Duration::from_secs(5);
const ATTEMPTS_MAX: usize = 3;
/// For the last batches when the server stops.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The version of etcd's gRPC instrumentation whose spans these are.
const RPC_SCOPE: &str = "go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc";
const RPC_SCOPE_VERSION: &str = "0.68.0";
const SERVER_SCOPE: &str = "go.etcd.io/etcd";

/// The sending thread. Dropping it sends the waiting spans, within a second, and ends the thread.
#[derive(Debug)]
pub struct Exporter {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Exporter {
    pub(crate) fn start(settings: &Settings, spans: mpsc::Receiver<Ended>, counts: Arc<Counts>) -> io::Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{}", settings.address)).map_err(io::Error::other)?;
        let endpoint = endpoint.connect_timeout(ATTEMPT_TIMEOUT).timeout(ATTEMPT_TIMEOUT);
        let mut attributes = vec![key_value("service.name", &*settings.service_name)];
        attributes.extend(settings.instance_id.as_deref().map(|id| key_value("service.instance.id", id)));
        let resource = Resource { attributes, ..Resource::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("traces".to_owned()).spawn(move || {
            runtime.block_on(async {
                let client = TraceServiceClient::new(endpoint.connect_lazy());
                let task = Task {
                    client,
                    resource,
                    spans,
                    batch: Vec::with_capacity(BATCH_SPANS_MAX),
                    counts,
                    is_failing: false,
                };
                task.run(stopped).await;
            });
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing left to send.
            drop(thread.join());
        }
    }
}

struct Task {
    client: TraceServiceClient<Channel>,
    resource: Resource,
    spans: mpsc::Receiver<Ended>,
    batch: Vec<Ended>,
    counts: Arc<Counts>,
    /// The last batch was not sent, which was logged.
    is_failing: bool,
}

impl Task {
    async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        let mut due = interval(BATCH_INTERVAL);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let room = BATCH_SPANS_MAX - self.batch.len();
            let is_due = tokio::select! {
                received = self.spans.recv_many(&mut self.batch, room) => {
                    if received == 0 {
                        break;
                    }
                    self.batch.len() >= BATCH_SPANS_MAX
                }
                _ = due.tick() => true,
                _ = &mut stopped => break,
            };
            if is_due && !self.batch.is_empty() {
                due.reset();
                let spans = self.batch.len() as u64;
                tokio::select! {
                    () = self.send() => {}
                    // The batch is lost with the future that was sending it.
                    _ = &mut stopped => {
                        self.counts.add_dropped(spans);
                        self.batch.clear();
                        break;
                    }
                }
            }
        }
        self.flush().await;
    }

    /// Sends the waiting spans when the server stops. Those that cannot be sent in time are
    /// dropped.
    async fn flush(&mut self) {
        self.spans.close();
        let sending = async {
            while !self.spans.is_empty() || !self.batch.is_empty() {
                let room = BATCH_SPANS_MAX - self.batch.len();
                if room > 0 && !self.spans.is_empty() {
                    self.spans.recv_many(&mut self.batch, room).await;
                }
                let request = request(&self.resource, std::mem::take(&mut self.batch));
                let (request, spans) = request;
                match self.client.export(request).await {
                    Ok(_) => self.counts.add_sent(spans),
                    Err(_) => self.counts.add_dropped(spans),
                }
            }
        };
        drop(tokio::time::timeout(FLUSH_TIMEOUT, sending).await);
        let left = self.counts.made().saturating_sub(self.counts.sent() + self.counts.dropped());
        self.counts.add_dropped(left);
    }

    async fn send(&mut self) {
        let (request, spans) = request(&self.resource, std::mem::take(&mut self.batch));
        for attempt in 1.. {
            match self.client.export(request.clone()).await {
                Ok(response) => {
                    let rejected = response.into_inner().partial_success.map_or(0, |partial| partial.rejected_spans);
                    let rejected = u64::try_from(rejected).unwrap_or(0).min(spans);
                    self.counts.add_sent(spans - rejected);
                    self.counts.add_dropped(rejected);
                    if std::mem::take(&mut self.is_failing) {
                        tracing::info!("traces are exported again");
                    }
                    return;
                }
                Err(status) if attempt < ATTEMPTS_MAX && may_pass(&status) => tokio::time::sleep(RETRY_PAUSE).await,
                Err(status) => {
                    self.counts.add_dropped(spans);
                    if !std::mem::replace(&mut self.is_failing, true) {
                        tracing::warn!(error = %status, spans, "failed to export traces; those that do not fit the queue are dropped");
                    }
                    return;
                }
            }
        }
    }
}

/// Returns `true` if OTLP says that a request that failed so is to be tried again.
fn may_pass(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Cancelled
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss
    )
}

/// One request of these spans, and their number.
fn request(resource: &Resource, batch: Vec<Ended>) -> (ExportTraceServiceRequest, u64) {
    let spans = batch.len() as u64;
    let (mut of_rpc, mut of_server) = (Vec::new(), Vec::new());
    for ended in batch {
        match ended.scope {
            Scope::Rpc => of_rpc.push(ended.span),
            Scope::Server => of_server.push(ended.span),
        }
    }
    let scoped = |name: &str, version: &str, spans| {
        let scope = InstrumentationScope {
            name: name.to_owned(),
            version: version.to_owned(),
            ..InstrumentationScope::default()
        };
        ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }
    };
    let scopes = [scoped(RPC_SCOPE, RPC_SCOPE_VERSION, of_rpc), scoped(SERVER_SCOPE, "", of_server)];
    let scope_spans = scopes.into_iter().filter(|scope| !scope.spans.is_empty()).collect();
    let resource_spans =
        vec![ResourceSpans { resource: Some(resource.clone()), scope_spans, ..ResourceSpans::default() }];
    (ExportTraceServiceRequest { resource_spans }, spans)
}
