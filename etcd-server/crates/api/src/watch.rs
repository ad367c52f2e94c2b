//! The Watch service: it checks permissions; everything else is the hub's work.
//!
//! Responses leave as the bytes that the hub encoded once for all receivers, so the service is put
//! together by hand around a codec of its own instead of the generated one, which would want whole
//! messages.

use crate::Server;
use crate::spans::WatchSpans;
use crate::status::ToStatus as _;
use auth::AuthError;
use prost::Message as _;
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::etcdserverpb::{WatchCreateRequest, WatchRequest};
use replica::{RequestError, WatchRequests, WatchResponses};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use telemetry::metrics::{StreamApi, WatchMetrics};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tonic::body::Body;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EnabledCompressionEncodings, EncodeBuf, Encoder};
use tonic::codegen::{BoxFuture, Service, http};
use tonic::metadata::MetadataMap;
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::{Code, Request, Response, Status, Streaming};
use watch::{Header, Output};

/// Election timeouts without a leader after which a stream that wants one ends.
const LEADERLESS_TIMEOUTS_MAX: u32 = 3;

/// The service, called by path.
#[derive(Clone, Debug)]
pub(crate) struct WatchService(pub(crate) Server);

impl NamedService for WatchService {
    const NAME: &'static str = "etcdserverpb.Watch";
}

impl Service<http::Request<Body>> for WatchService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path() != "/etcdserverpb.Watch/Watch" {
            return Box::pin(async {
                Ok(Status::unimplemented("unknown method of service etcdserverpb.Watch").into_http())
            });
        }
        let service = self.clone();
        Box::pin(async move {
            let mut gzip = EnabledCompressionEncodings::default();
            gzip.enable(CompressionEncoding::Gzip);
            let mut grpc = Grpc::new(WatchCodec)
                .apply_max_message_size_config(Some(service.0.settings.message_bytes_max), None)
                .apply_compression_config(gzip, gzip);
            Ok(grpc.streaming(service, request).await)
        })
    }
}

impl StreamingService<WatchRequest> for WatchService {
    type Response = WatchOutput;
    type ResponseStream = WatchResponseStream;
    type Future = BoxFuture<Response<WatchResponseStream>, Status>;

    fn call(&mut self, request: Request<Streaming<WatchRequest>>) -> Self::Future {
        let server = self.0.clone();
        Box::pin(async move { server.open_watch_stream(request).map(Response::new) })
    }
}

impl Server {
    fn open_watch_stream(&self, request: Request<Streaming<WatchRequest>>) -> Result<WatchResponseStream, Status> {
        let (metadata, _, requests) = request.into_parts();
        let wants_leader = metadata.get("hasleader").is_some_and(|value| value == "true");
        if wants_leader && !self.has_leader() {
            return Err(no_leader());
        }
        let (asking, responses) = self.replica.watches().open(jittered(self.settings.progress_notify_interval));
        let (end_tx, end) = oneshot::channel();
        let server = self.clone();
        let spans = WatchSpans::current();
        let begun = spans.clone();
        let task = tokio::spawn(async move {
            let ended = server.until_end(requests, &asking, &metadata, wants_leader, begun.as_deref()).await;
            drop(end_tx.send(ended));
        });
        Ok(WatchResponseStream {
            server: self.clone(),
            responses,
            end: Some(end),
            task: task.abort_handle(),
            sending: None,
            spans,
        })
    }

    /// Handles a client's requests; the returned status ends the stream.
    async fn until_end(
        &self,
        requests: Streaming<WatchRequest>,
        asking: &WatchRequests,
        metadata: &MetadataMap,
        wants_leader: bool,
        spans: Option<&WatchSpans>,
    ) -> Status {
        tokio::select! {
            ended = self.take_requests(requests, asking, metadata, spans) => ended,
            () = self.leader_lost(), if wants_leader => no_leader(),
        }
    }

    async fn take_requests(
        &self,
        mut requests: Streaming<WatchRequest>,
        asking: &WatchRequests,
        metadata: &MetadataMap,
        spans: Option<&WatchSpans>,
    ) -> Status {
        loop {
            let request = match requests.message().await {
                Ok(Some(request)) => request,
                // A client that asks nothing more is still answered.
                Ok(None) => return std::future::pending().await,
                Err(status) if status.code() == Code::Cancelled => {
                    return Status::cancelled("etcdserver: watch canceled");
                }
                Err(status) => {
                    self.observer.receive_failed(StreamApi::Watch, &status);
                    return status;
                }
            };
            let asked = match request.request_union {
                Some(RequestUnion::CreateRequest(create)) => self.create_watcher(create, asking, metadata, spans).await,
                Some(RequestUnion::CancelRequest(cancel)) => asking.cancel(cancel.watch_id).await,
                Some(RequestUnion::ProgressRequest(_)) => asking.progress().await,
                None => {
                    tracing::debug!("ignored an empty watch request");
                    Ok(())
                }
            };
            if let Err(refused) = asked {
                return refused.to_status();
            }
        }
    }

    async fn create_watcher(
        &self,
        create: WatchCreateRequest,
        asking: &WatchRequests,
        metadata: &MetadataMap,
        spans: Option<&WatchSpans>,
    ) -> Result<(), RequestError> {
        // etcd returns this error for a negative revision to every caller, whether permitted to
        // watch or not.
        if create.start_revision < 0 {
            if let Some(spans) = spans {
                spans.begin(None);
            }
            return asking.create(create).await;
        }
        let permitted = self
            .identity_of(metadata.as_ref())
            .and_then(|identity| self.published().auth().check_watch(&identity, &create));
        if let Some(spans) = spans {
            spans.begin(permitted.is_ok().then_some(&create));
        }
        match permitted {
            Ok(()) => asking.create(create).await,
            Err(refusal) => asking.refuse(reason(&refusal)).await,
        }
    }

    fn has_leader(&self) -> bool {
        self.published().raft_status().leader != 0
    }

    /// Returns once there has been no leader for a while.
    async fn leader_lost(&self) {
        let mut timeouts = tokio::time::interval(self.settings.election_timeout);
        timeouts.tick().await;
        let mut leaderless = 0;
        while leaderless < LEADERLESS_TIMEOUTS_MAX {
            timeouts.tick().await;
            leaderless = if self.has_leader() { 0 } else { leaderless + 1 };
        }
    }

    pub(crate) fn watch_header(&self) -> Header {
        let raft_term = self.published().raft_status().term;
        Header { cluster_id: self.replica.cluster_id(), member_id: self.replica.member_id(), raft_term }
    }
}

/// Returns the status that another call would end with, as Go prints it. All other defects of an
/// identity are reported as a lack of permission.
#[expect(clippy::wildcard_enum_match_arm, reason = "etcd names three refusals and has one text for all others")]
fn reason(refusal: &AuthError) -> &'static str {
    match refusal {
        AuthError::InvalidAuthToken => "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token",
        AuthError::AuthOldRevision => {
            "rpc error: code = InvalidArgument desc = etcdserver: revision of auth store is old"
        }
        AuthError::UserEmpty => "rpc error: code = InvalidArgument desc = etcdserver: user name is empty",
        _ => "rpc error: code = PermissionDenied desc = etcdserver: permission denied",
    }
}

fn no_leader() -> Status {
    Status::unavailable("etcdserver: no leader")
}

/// An interval up to a tenth longer, so that streams opened together are not notified together.
fn jittered(interval: Duration) -> Duration {
    // Without randomness they are, which is harmless.
    let drawn = getrandom::u32().unwrap_or_default();
    interval + interval / 10 * (drawn % 1000) / 1000
}

/// An answer on its way out.
#[derive(Debug)]
pub(crate) struct WatchOutput {
    header: Header,
    output: Output,
}

/// The answers of a stream, until the client goes or the stream is ended.
#[derive(Debug)]
pub(crate) struct WatchResponseStream {
    server: Server,
    responses: WatchResponses,
    /// `None` once the stream has ended.
    end: Option<oneshot::Receiver<Status>>,
    task: AbortHandle,
    /// The response that is being sent, for the metrics.
    sending: Option<Sending>,
    /// `None` unless the stream is traced.
    spans: Option<Arc<WatchSpans>>,
}

/// A response on its way to the connection.
#[derive(Debug)]
struct Sending {
    begun: Instant,
    events: usize,
    is_progress: bool,
}

impl Sending {
    fn begin(output: &Output, metrics: &WatchMetrics) -> Self {
        let events = output.event_count();
        metrics.events.inc_by(events as u64);
        Self { begun: Instant::now(), events, is_progress: output.is_progress() }
    }

    fn end(&self, metrics: &WatchMetrics) {
        let took = self.begun.elapsed();
        if self.is_progress {
            metrics.send_progress.record(took);
        } else if let Some(events) = u32::try_from(self.events).ok().filter(|events| *events > 0) {
            metrics.send_events.record(took);
            metrics.send_per_event.record(took / events);
        } else {
            metrics.send_control.record(took);
        }
    }
}

impl futures::Stream for WatchResponseStream {
    type Item = Result<WatchOutput, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(end) = &mut self.end else { return Poll::Ready(None) };
        if let Poll::Ready(ended) = Pin::new(end).poll(context) {
            self.end = None;
            return Poll::Ready(Some(Err(ended.unwrap_or_else(|_| RequestError::Stopped.to_status()))));
        }
        // The response before is encoded, and the connection has room for more.
        if let Some(sending) = self.sending.take() {
            sending.end(&self.server.observer.metrics().watch);
        }
        match self.responses.poll_next(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(output)) => {
                if let Some(spans) = &self.spans {
                    spans.follow(&output);
                }
                self.sending = Some(Sending::begin(&output, &self.server.observer.metrics().watch));
                Poll::Ready(Some(Ok(WatchOutput { header: self.server.watch_header(), output })))
            }
            Poll::Ready(None) => {
                self.end = None;
                Poll::Ready(Some(Err(RequestError::Stopped.to_status())))
            }
        }
    }
}

impl Drop for WatchResponseStream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Requests as messages, answers as the bytes they are.
#[derive(Clone, Copy, Debug)]
struct WatchCodec;

impl Codec for WatchCodec {
    type Encode = WatchOutput;
    type Decode = WatchRequest;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for WatchCodec {
    type Item = WatchOutput;
    type Error = Status;

    fn encode(&mut self, response: WatchOutput, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        // A message may be far longer than the buffer grows by itself in one step.
        out.reserve(response.output.encoded_len(response.header));
        response.output.encode_into(response.header, out);
        Ok(())
    }
}

impl Decoder for WatchCodec {
    type Item = WatchRequest;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<WatchRequest>, Status> {
        WatchRequest::decode(from).map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}
