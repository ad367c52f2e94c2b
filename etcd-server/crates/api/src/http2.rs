//! gRPC straight on HTTP/2: one task serves a connection and all its small requests.
//!
//! The RPC layer is the largest cost of a small request, so the hot unary calls (`fast_path.rs`)
//! bypass tonic: their futures are polled by the connection's own task, which first takes all
//! requests that have arrived, then lets all of them run, then writes all their responses in one
//! go. Every other call is passed to the tonic routes in a task of its own, over a body that
//! follows flow control.
//!
//! The h2 crate would refuse two things from honest clients: heads with an `:authority` that is no
//! URI's ([`crate::head_filter`]); many small messages on one stream, for which its budget is set
//! here. Its bound for empty DATA frames before the end of a stream (100 in the life of a
//! connection) cannot be set; gRPC clients send none.

use crate::call_head::{self, Deadline, Listener};
use crate::fast_path::{self, FastCall};
use crate::grpc_frame::send_data;
use crate::head_filter::HeadFilter;
use crate::ping_guard::{OpenStream, OpenStreams, PingGuard};
use crate::response_slots::ConnectionShare;
use crate::{ObservedRoutes, Server};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use h2::server::{Connection, SendResponse};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body as _, Frame};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tonic::body::Body;
use tower_service::Service as _;

/// From accepting a connection to the end of its HTTP/2 handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes a stream, and a connection, may send before it has to wait for us.
const STREAM_WINDOW_BYTES: u32 = 512 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
/// The smallest gRPC message is an empty one: a flag and a length.
const MESSAGE_BYTES_MIN: usize = 5;
/// The charge of h2 for a DATA frame that was received and not read yet, less the bytes of the
/// frame.
const FRAME_CHARGE_BYTES: usize = 256;
/// Charges beyond which h2 ends the connection (GOAWAY ENHANCE_YOUR_CALM, too_many_data_frames). A
/// client that has used up the window with the smallest messages, each in a frame of its own, is
/// just within it; h2's own value, half the window, cuts off clients with 10,000 leases. It bounds
/// the memory that frames smaller than any message can take.
const DATA_FRAME_BUDGET: usize =
    CONNECTION_WINDOW_BYTES as usize / MESSAGE_BYTES_MIN * (FRAME_CHARGE_BYTES - MESSAGE_BYTES_MIN);
/// Bytes that are read of a request that was refused early.
const DRAINED_BYTES_MAX: usize = 16 << 20;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of answers that wait in a connection because its client does not read.
const SEND_BUFFER_BYTES: usize = 1 << 20;
/// Streams that a client may reset before we have looked at them, and that we may reset for its
/// errors (rapid reset floods).
const PENDING_RESET_STREAMS_MAX: usize = 2000;
const LOCAL_RESET_STREAMS_MAX: usize = 1024;

/// The handler of requests that are no gRPC, where a port serves both over HTTP/2.
pub type Web = Arc<dyn Fn(Request<Body>) -> BoxFuture<'static, Response<Body>> + Send + Sync>;

/// The settings of HTTP/2 connections.
#[derive(Clone, Copy, Debug)]
pub struct Http2Settings {
    /// Streams open at a time.
    pub streams_max: u32,
    /// Headers of one request, in bytes.
    pub header_bytes_max: u32,
    /// After so long without a sign of life the client is asked for one.
    pub ping_interval: Option<Duration>,
    /// Time limit of the response to a ping.
    pub ping_timeout: Duration,
    /// A client that pings more often is sent away.
    pub client_ping_interval_min: Duration,
}

/// Serves one connection until the client leaves, or until `stop` completes and the calls in
/// progress have responses. Calls that are still in progress when `end` completes are ended, with a
/// last GOAWAY even for a client that acknowledges nothing. Without `web` everything is gRPC.
///
/// # Errors
/// The reason why the connection ended other than by agreement.
pub async fn serve_http2<I>(
    io: I,
    server: Server,
    routes: ObservedRoutes,
    web: Option<Web>,
    settings: Http2Settings,
    stop: impl Future<Output = ()> + Send,
    end: impl Future<Output = ()> + Send,
) -> Result<(), h2::Error>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let mut builder = h2::server::Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(settings.streams_max)
        .max_header_list_size(settings.header_bytes_max)
        .max_send_buffer_size(SEND_BUFFER_BYTES)
        .data_frame_budget(DATA_FRAME_BUDGET)
        .max_pending_accept_reset_streams(PENDING_RESET_STREAMS_MAX)
        .max_local_error_reset_streams(Some(LOCAL_RESET_STREAMS_MAX));
    let streams = OpenStreams::default();
    let io = PingGuard::new(HeadFilter::new(io), settings.client_ping_interval_min, streams.clone());
    let Ok(handshake) = tokio::time::timeout(HANDSHAKE_TIMEOUT, builder.handshake::<_, Bytes>(io)).await else {
        return Ok(());
    };
    let share = ConnectionShare::default();
    let server = server.on_connection(share.clone());
    let mut served =
        Served { connection: handshake?, running: FuturesUnordered::new(), server, routes, web, streams, share };
    let pings = served.connection.ping_pong();
    let alive = std::pin::pin!(stays_alive(pings, settings));
    let (mut stop, mut end) = (std::pin::pin!(stop), std::pin::pin!(end));
    let mut alive = alive;
    let (mut stopping, mut ending) = (false, false);
    std::future::poll_fn(|cx| {
        if !stopping && stop.as_mut().poll(cx).is_ready() {
            stopping = true;
            served.connection.graceful_shutdown();
        }
        if !ending && end.as_mut().poll(cx).is_ready() {
            ending = true;
            served.connection.abrupt_shutdown(h2::Reason::NO_ERROR);
        }
        // A client that gave no sign of life is gone: dropping the connection ends all that it
        // asked for.
        if alive.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        served.poll(cx)
    })
    .await
}

/// Completes when the client has failed to answer a ping in time.
async fn stays_alive(pings: Option<h2::PingPong>, settings: Http2Settings) {
    let (Some(mut pings), Some(interval)) = (pings, settings.ping_interval) else {
        return std::future::pending().await;
    };
    loop {
        tokio::time::sleep(interval).await;
        let pong = tokio::time::timeout(settings.ping_timeout, pings.ping(h2::Ping::opaque()));
        if !matches!(pong.await, Ok(Ok(_))) {
            return;
        }
    }
}

/// A connection and the small requests that run on it. Their number is bounded by the streams that
/// may be open.
struct Served<I> {
    connection: Connection<PingGuard<HeadFilter<I>>, Bytes>,
    running: FuturesUnordered<fast_path::Running>,
    server: Server,
    routes: ObservedRoutes,
    web: Option<Web>,
    streams: OpenStreams,
    share: ConnectionShare,
}

impl<I: AsyncRead + AsyncWrite + Unpin> Served<I> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        loop {
            // Accepting also writes finished responses; so first everything is taken in, and
            // responses are written together.
            loop {
                match self.connection.poll_accept(cx) {
                    Poll::Ready(Some(Ok((request, respond)))) => self.dispatch(request, respond),
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                    Poll::Ready(None) => return Poll::Ready(Ok(())),
                    Poll::Pending => break,
                }
            }
            let mut answered = false;
            while let Poll::Ready(Some(())) = self.running.poll_next_unpin(cx) {
                answered = true;
            }
            if !answered {
                return Poll::Pending;
            }
        }
    }

    fn dispatch(&mut self, mut request: Request<RecvStream>, respond: SendResponse<Bytes>) {
        let open = self.streams.open();
        if let Some(web) = self.web.as_ref().filter(|_| !is_call(request.headers())) {
            return drop(tokio::spawn(serve_web(Arc::clone(web), request, respond, open)));
        }
        let listener = if self.web.is_some() { Listener::Shared } else { Listener::Grpc };
        let deadline = match call_head::check(listener, request.method(), request.headers()) {
            Ok(deadline) => deadline,
            Err(refusal) => return drop(tokio::spawn(refuse(refusal.into_response(listener), request, respond, open))),
        };
        match FastCall::of(&request) {
            Some(call) => {
                let observed = self.routes.started(call.method(), request.headers()).until(deadline);
                let call = fast_path::run(self.server.clone(), call, observed, request, respond, open, deadline);
                self.running.push(call);
            }
            None => {
                let routes = self.routes.clone();
                request.extensions_mut().insert(self.share.clone());
                drop(tokio::spawn(async move {
                    forward(routes, request, respond, deadline).await;
                    drop(open);
                }));
            }
        }
    }
}

/// Returns `true` for a call, by etcd's rule where web requests are served too
/// (server/embed/serve.go, grpcHandlerFunc).
fn is_call(headers: &HeaderMap) -> bool {
    let content_type = headers.get(http::header::CONTENT_TYPE);
    content_type.and_then(|kind| kind.to_str().ok()).is_some_and(|kind| kind.contains("application/grpc"))
}

/// Hands a call to the services, and their response back.
async fn forward(
    mut routes: ObservedRoutes,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    deadline: Option<Deadline>,
) {
    let mut request =
        request.map(|stream| Body::new(RequestBody { stream: Some(stream), data_done: false, drain: None }));
    answer_as_asked(request.headers_mut());
    // A client that resets its stream while nothing is answered ends the call.
    let response = tokio::select! {
        response = routes.call(request) => response,
        _ = std::future::poll_fn(|cx| respond.poll_reset(cx)) => return,
    };
    let Ok(response) = response;
    send_response(response, respond, deadline).await;
}

/// Serves a request that is no call. The rest of the request behind an early response is read and
/// dropped, within bounds: a stream that is reset meanwhile loses the response in many clients.
async fn serve_web(web: Web, request: Request<RecvStream>, mut respond: SendResponse<Bytes>, open: OpenStream) {
    let (unread_tx, unread) = oneshot::channel();
    let request =
        request.map(|stream| Body::new(RequestBody { stream: Some(stream), data_done: false, drain: Some(unread_tx) }));
    let response = tokio::select! {
        response = web(request) => response,
        _ = std::future::poll_fn(|cx| respond.poll_reset(cx)) => return,
    };
    send_response(response, respond, None).await;
    // Sent when the body is dropped, unless it was read to its end.
    if let Ok(stream) = unread.await {
        drain(stream).await;
    }
    drop(open);
}

/// Sends a refusal and reads the rest of the request, within bounds.
async fn refuse(
    response: Response<Body>,
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    open: OpenStream,
) {
    send_response(response, respond, None).await;
    drain(request.into_body()).await;
    drop(open);
}

/// Reads and drops the rest of a body, as Go's HTTP server does: at most so much, and not for long.
async fn drain(mut stream: RecvStream) {
    let mut left = DRAINED_BYTES_MAX;
    let draining = async {
        while let Some(Ok(data)) = std::future::poll_fn(|cx| stream.poll_data(cx)).await {
            drop(stream.flow_control().release_capacity(data.len()));
            left = left.saturating_sub(data.len());
            if left == 0 {
                return;
            }
        }
    };
    // Beyond the bounds the stream is reset without an error, which is all that HTTP/2 offers.
    drop(tokio::time::timeout(DRAIN_TIMEOUT, draining).await);
}

/// Sends a response whose body comes in parts, as fast as the client takes it, until the deadline
/// of its call.
async fn send_response(response: Response<Body>, mut respond: SendResponse<Bytes>, deadline: Option<Deadline>) {
    let (parts, mut body) = response.into_parts();
    let response = Response::from_parts(parts, ());
    let Ok(mut stream) = respond.send_response(response, body.is_end_stream()) else { return };
    if body.is_end_stream() {
        return;
    }
    while let Some(frame) = next_frame(&mut body, &mut stream).await {
        let sent = match frame {
            Ok(frame) => tokio::select! {
                biased;
                sent = send_frame(&mut stream, frame) => sent,
                // A part of a message is out, so no status can follow.
                () = Deadline::wait(deadline) => {
                    stream.send_reset(h2::Reason::CANCEL);
                    return;
                }
            },
            Err(_) => {
                stream.send_reset(h2::Reason::INTERNAL_ERROR);
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
    // A body that ended without trailers ends the stream here; one with trailers has ended it
    // already.
    drop(stream.send_data(Bytes::new(), true));
}

/// An answer is compressed when its request was, as etcd's gRPC library does it, and not because
/// the client could read that.
fn answer_as_asked(headers: &mut HeaderMap) {
    const ACCEPTED: &str = "grpc-accept-encoding";
    if headers.get("grpc-encoding").is_some_and(|encoding| encoding == "gzip") {
        headers.insert(ACCEPTED, HeaderValue::from_static("gzip"));
    } else {
        headers.remove(ACCEPTED);
    }
}

/// The next part of an answer; nothing when it is complete or the client does not want it any more.
async fn next_frame(body: &mut Body, stream: &mut SendStream<Bytes>) -> Option<Result<Frame<Bytes>, tonic::Status>> {
    std::future::poll_fn(|cx| {
        if stream.poll_reset(cx).is_ready() {
            return Poll::Ready(None);
        }
        Pin::new(&mut *body).poll_frame(cx)
    })
    .await
}

async fn send_frame(stream: &mut SendStream<Bytes>, frame: Frame<Bytes>) -> Result<(), h2::Error> {
    match frame.into_data() {
        Ok(data) => send_data(stream, data).await,
        Err(frame) => match frame.into_trailers() {
            Ok(trailers) => stream.send_trailers(trailers),
            Err(_) => Ok(()),
        },
    }
}

/// A request body, as tonic reads it.
struct RequestBody {
    /// `None` once it is read to its end.
    stream: Option<RecvStream>,
    data_done: bool,
    /// Takes the unread rest when the body is dropped.
    drain: Option<oneshot::Sender<RecvStream>>,
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some((drain, stream)) = self.drain.take().zip(self.stream.take()) {
            drop(drain.send(stream));
        }
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let this = &mut *self;
        let Some(stream) = &mut this.stream else { return Poll::Ready(None) };
        if !this.data_done {
            match ready!(stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    // Parts are bounded by the reader, which takes one at a time.
                    drop(stream.flow_control().release_capacity(data.len()));
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => this.data_done = true,
            }
        }
        let trailers = ready!(stream.poll_trailers(cx));
        this.stream = None;
        Poll::Ready(trailers.map(|trailers| trailers.map(Frame::trailers)).transpose())
    }

    fn is_end_stream(&self) -> bool {
        self.stream.as_ref().is_none_or(RecvStream::is_end_stream)
    }
}
