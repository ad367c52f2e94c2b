//! Calls and web requests that a task of their own serves, over a stream of any kind of connection.

use crate::ObservedRoutes;
use crate::call_head::Deadline;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body as _, Frame};
use http2::{End, Reason};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::oneshot;
use tonic::body::Body;
use tower_service::Service as _;

/// Bytes that are read of a request that was refused early.
const DRAINED_BYTES_MAX: usize = 16 << 20;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// The handler of requests that are no gRPC, where a port serves both over HTTP/2.
pub type Web = Arc<dyn Fn(Request<Body>) -> BoxFuture<'static, Response<Body>> + Send + Sync>;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The error of a stream whose client does not want its response any more.
#[derive(Debug)]
pub(crate) struct Gone;

/// The half of a stream that responds.
pub(crate) trait Responder: Send + 'static {
    /// Sends the head of the response; with [`End::Stream`] it is the whole response.
    fn send_head(&mut self, head: Response<()>, end: End) -> Result<(), Gone>;

    /// Sends data as fast as the client takes it.
    fn send_data(&mut self, data: Bytes) -> impl Future<Output = Result<(), Gone>> + Send;

    /// Returns once the connection holds no data of this stream that waits for the client.
    fn flush(&mut self) -> impl Future<Output = Result<(), Gone>> + Send;

    /// Ends the response with trailers.
    fn send_trailers(&mut self, trailers: HeaderMap) -> Result<(), Gone>;

    /// Ends the response without trailers.
    fn send_end(&mut self);

    /// Resets the stream.
    fn reset(&mut self, reason: Reason);

    /// Completes once the client has reset the stream, or its connection has ended.
    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

/// The half of a stream that receives. What is not read when it is dropped is read by nothing.
pub(crate) trait Incoming: Send + Unpin + 'static {
    type Error: Into<BoxError> + Send;

    /// Returns the next part of the body; `None` behind its end.
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>>;

    /// Returns `true` if no part follows.
    fn is_ended(&self) -> bool;
}

async fn until_reset(respond: &mut impl Responder) {
    std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
}

/// Hands a call to the services, and their response back.
pub(crate) async fn forward<S: Incoming>(
    mut routes: ObservedRoutes,
    request: Request<S>,
    mut respond: impl Responder,
    deadline: Option<Deadline>,
) {
    // A client that resets its stream while nothing is answered ends the call.
    let response = tokio::select! {
        response = call(&mut routes, request) => response,
        () = until_reset(&mut respond) => return,
    };
    let Ok(response) = response;
    send_response(response, &mut respond, deadline).await;
}

/// Calls the services.
pub(crate) fn call<S: Incoming>(
    routes: &mut ObservedRoutes,
    request: Request<S>,
) -> impl Future<Output = Result<Response<Body>, Infallible>> + Send + use<S> {
    let mut request = request.map(|stream| RequestBody { stream: Some(stream), drain: None });
    answer_as_asked(request.headers_mut());
    routes.call(request)
}

/// Serves a request that is no call. The rest of the request behind an early response is read and
/// dropped, within bounds: a stream that is reset meanwhile loses the response in many clients.
pub(crate) async fn serve_web<S: Incoming>(web: Web, request: Request<S>, mut respond: impl Responder) {
    let (unread_tx, unread) = oneshot::channel();
    let request = request.map(|stream| Body::new(RequestBody { stream: Some(stream), drain: Some(unread_tx) }));
    let response = tokio::select! {
        response = web(request) => response,
        () = until_reset(&mut respond) => return,
    };
    send_response(response, &mut respond, None).await;
    // Sent when the body is dropped, unless it was read to its end.
    if let Ok(stream) = unread.await {
        drain(stream).await;
    }
}

/// Sends a refusal and reads the rest of the request, within bounds.
pub(crate) async fn refuse(response: Response<Body>, stream: impl Incoming, mut respond: impl Responder) {
    send_response(response, &mut respond, None).await;
    drain(stream).await;
}

/// Reads and drops the rest of a body, as Go's HTTP server does: at most so much, and not for long.
async fn drain(mut stream: impl Incoming) {
    let mut left = DRAINED_BYTES_MAX;
    let draining = async {
        while let Some(Ok(data)) = std::future::poll_fn(|cx| stream.poll_data(cx)).await {
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
async fn send_response(response: Response<Body>, respond: &mut impl Responder, deadline: Option<Deadline>) {
    let (parts, mut body) = response.into_parts();
    let end = if body.is_end_stream() { End::Stream } else { End::Later };
    if respond.send_head(Response::from_parts(parts, ()), end).is_err() || end == End::Stream {
        return;
    }
    while let Some(frame) = next_frame(&mut body, respond).await {
        let Ok(frame) = frame else { return respond.reset(Reason::INTERNAL_ERROR) };
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    // A client that went away meanwhile needs none.
                    drop(respond.send_trailers(trailers));
                    return;
                }
                continue;
            }
        };
        let sent = tokio::select! {
            biased;
            sent = respond.send_data(data) => sent,
            () = Deadline::wait(deadline) => {
                // A part of a message is out, so no status can follow.
                respond.reset(Reason::CANCEL);
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
    respond.send_end();
}

/// The next part of an answer; nothing when it is complete or the client does not want it any more.
async fn next_frame(body: &mut Body, respond: &mut impl Responder) -> Option<Result<Frame<Bytes>, tonic::Status>> {
    std::future::poll_fn(|cx| {
        if respond.poll_reset(cx).is_ready() {
            return Poll::Ready(None);
        }
        Pin::new(&mut *body).poll_frame(cx)
    })
    .await
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

/// A request body, as tonic reads it. Trailers mean nothing to gRPC services.
struct RequestBody<S> {
    /// `None` once it is read to its end.
    stream: Option<S>,
    /// Takes the unread rest when the body is dropped.
    drain: Option<oneshot::Sender<S>>,
}

impl<S> Drop for RequestBody<S> {
    fn drop(&mut self) {
        if let Some((drain, stream)) = self.drain.take().zip(self.stream.take()) {
            drop(drain.send(stream));
        }
    }
}

impl<S: Incoming> http_body::Body for RequestBody<S> {
    type Data = Bytes;
    type Error = S::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, S::Error>>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
        let data = ready!(stream.poll_data(cx));
        if data.is_none() {
            self.stream = None;
        }
        Poll::Ready(data.map(|data| data.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.stream.as_ref().is_none_or(Incoming::is_ended)
    }
}
