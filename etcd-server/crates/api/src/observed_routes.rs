//! The services behind a counter: a tower layer that finds the messages in the bodies of requests
//! and answers.
//!
//! Messages are found by their frames (a flag, four bytes of length), so unary calls and streams
//! are the same to it, and nothing is decoded. The code of a call is read from its trailers, or
//! from its headers when nothing but them is sent. A call ends at its deadline (`grpc-timeout`),
//! and all that is done for it ends with it.

use crate::call_head::{self, Deadline};
use crate::fields::{Field, Fields};
use crate::observe::{Call, Observer, Received};
use crate::request_checks::RequestChecks;
use crate::request_stats::{Described, ResponseCounts};
use bytes::{Buf as _, Bytes};
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use telemetry::metrics::Method;
use tokio::time::Sleep;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower_service::Service;

const STATUS_KEY: &str = "grpc-status";

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// All services, counted.
#[derive(Clone, Debug)]
pub struct ObservedRoutes {
    routes: RequestChecks,
    observer: Observer,
    remote: Option<SocketAddr>,
    local: Option<SocketAddr>,
}

impl ObservedRoutes {
    pub(crate) fn new(routes: RequestChecks, observer: Observer) -> Self {
        Self { routes, observer, remote: None, local: None }
    }

    /// A call of the client came in that is served elsewhere.
    pub(crate) fn started(&self, method: Method, headers: &dyn Fields) -> Call {
        self.observer
            .started(method, headers.text(Field::ClientApiVersion))
            .from(self.remote)
            .traced(headers, self.local)
    }

    /// The same for the calls of one connection, whose ends the log and traces name.
    #[must_use]
    pub fn for_connection(&self, remote: Option<SocketAddr>, local: Option<SocketAddr>) -> Self {
        Self { remote, local, ..self.clone() }
    }
}

impl<B> Service<Request<B>> for ObservedRoutes
where
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = ObservedFuture<Answering>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request<ReceivedBody<B>>>::poll_ready(&mut self.routes, cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // A path that is no RPC is answered "unimplemented" and counted nowhere, as with etcd.
        let deadline = call_head::deadline_of(request.headers());
        let mut call = Method::from_path(request.uri().path())
            .map(|method| self.started(method, request.headers()).until(deadline));
        let received = call.as_mut().map(Call::receiving);
        let request = request.map(|body| ReceivedBody { body, frames: Frames::default(), received });
        ObservedFuture { answering: Some(self.routes.call(request)), call, deadline: Timer::new(deadline) }
    }
}

/// An answer of the services, or of the checks in front of them.
type Answering = futures::future::Either<
    futures::future::Ready<Result<Response<tonic::body::Body>, Infallible>>,
    <Routes as Service<Request<tonic::body::Body>>>::Future,
>;

/// An answer on its way.
#[derive(Debug)]
pub struct ObservedFuture<F> {
    /// `None` once the call has ended; its work ends with it.
    answering: Option<F>,
    call: Option<Call>,
    deadline: Timer,
}

impl<F> Future for ObservedFuture<F>
where
    F: Future<Output = Result<Response<tonic::body::Body>, Infallible>> + Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let span = this.call.as_ref().and_then(Call::span).cloned();
        let polled = match (&mut this.answering, span) {
            (Some(answering), Some(span)) => span.sync_scope(|| Pin::new(answering).poll(cx)),
            (Some(answering), None) => Pin::new(answering).poll(cx),
            (None, _) => Poll::Pending,
        };
        let Poll::Ready(response) = polled else {
            ready!(this.deadline.poll(cx));
            this.answering = None;
            if let Some(call) = this.call.take() {
                call.handled_with(Code::DeadlineExceeded, call_head::DEADLINE_EXCEEDED, Described::Nothing);
            }
            return Poll::Ready(Ok(call_head::deadline_exceeded().into_http()));
        };
        let response = response?;
        let deadline = std::mem::take(&mut this.deadline);
        let Some(call) = self.call.take() else { return Poll::Ready(Ok(response)) };
        if let Some((code, message)) = status_in(response.headers()) {
            call.handled_with(code, &message, Described::Nothing);
            return Poll::Ready(Ok(response));
        }
        let counts = response.extensions().get::<ResponseCounts>().copied();
        let sent = |body| SentBody { body, frames: Frames::default(), call: Some(call), deadline, counts };
        Poll::Ready(Ok(response.map(|body| tonic::body::Body::new(sent(body)))))
    }
}

/// The code and the message, as they stand in headers or trailers.
fn status_in(headers: &HeaderMap) -> Option<(Code, String)> {
    let code = Code::from_bytes(headers.get(STATUS_KEY)?.as_bytes());
    let message = if code == Code::Ok { None } else { Status::from_header_map(headers) };
    Some((code, message.map(|status| status.message().to_owned()).unwrap_or_default()))
}

/// The body of a request, whose messages are counted as they are read.
#[derive(Debug)]
pub(crate) struct ReceivedBody<B> {
    body: B,
    frames: Frames,
    received: Option<Received>,
}

impl<B: Body<Data = Bytes> + Unpin> Body for ReceivedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        if let (Poll::Ready(Some(Ok(frame))), Some(received)) = (&polled, &this.received)
            && let Some(data) = frame.data_ref()
        {
            received.keep(data);
            this.frames.feed(data, |message_bytes| received.received(message_bytes));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer. Dropped before its end, the client did not want the rest.
#[derive(Debug)]
struct SentBody {
    body: tonic::body::Body,
    frames: Frames,
    call: Option<Call>,
    deadline: Timer,
    counts: Option<ResponseCounts>,
}

impl Body for SentBody {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        let this = &mut *self;
        let Poll::Ready(polled) = Pin::new(&mut this.body).poll_frame(cx) else {
            ready!(this.deadline.poll(cx));
            // All work on the response ends now.
            this.body = tonic::body::Body::empty();
            this.end(Code::DeadlineExceeded, call_head::DEADLINE_EXCEEDED);
            let mut trailers = HeaderMap::new();
            // The text is plain ASCII, so this does not fail.
            drop(call_head::deadline_exceeded().add_header(&mut trailers));
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        };
        match &polled {
            Some(Ok(frame)) => {
                if let (Some(data), Some(call)) = (frame.data_ref(), &mut this.call) {
                    this.frames.feed(data, |message_bytes| call.sent(message_bytes));
                } else if let Some((code, message)) = frame.trailers_ref().and_then(status_in) {
                    this.end(code, &message);
                }
            }
            Some(Err(status)) => {
                let (code, message) = (status.code(), status.message().to_owned());
                this.end(code, &message);
            }
            None => this.end(Code::Unknown, ""),
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl SentBody {
    /// Only the first end counts.
    fn end(&mut self, code: Code, message: &str) {
        if let Some(call) = self.call.take() {
            call.handled_with(code, message, self.counts.map_or(Described::Nothing, Described::Counts));
        }
    }
}

/// A deadline that can be polled; never ready if there is none, and ready once.
#[derive(Debug, Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    fn new(deadline: Option<Deadline>) -> Self {
        Self(deadline.map(|Deadline(at)| Box::pin(tokio::time::sleep_until(at))))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(sleep) = &mut self.0 else { return Poll::Pending };
        ready!(sleep.as_mut().poll(cx));
        self.0 = None;
        Poll::Ready(())
    }
}

/// Finds where messages end in a sequence of chunks that are cut anywhere.
#[derive(Debug, Default)]
struct Frames {
    header: [u8; 5],
    header_bytes: usize,
    /// Of the message being passed.
    missing_bytes: usize,
}

impl Frames {
    /// Calls `whole` with the length of each message that ends in `chunk`.
    fn feed(&mut self, mut chunk: &[u8], mut whole: impl FnMut(usize)) {
        while !chunk.is_empty() {
            if self.header_bytes < self.header.len() {
                let taken = chunk.len().min(self.header.len() - self.header_bytes);
                self.header[self.header_bytes..][..taken].copy_from_slice(&chunk[..taken]);
                self.header_bytes += taken;
                chunk.advance(taken);
                if self.header_bytes < self.header.len() {
                    return;
                }
                self.missing_bytes = self.message_bytes();
            }
            let passed = chunk.len().min(self.missing_bytes);
            self.missing_bytes -= passed;
            chunk.advance(passed);
            if self.missing_bytes == 0 {
                self.header_bytes = 0;
                whole(self.message_bytes());
            }
        }
    }

    fn message_bytes(&self) -> usize {
        let [_, length @ ..] = self.header;
        u32::from_be_bytes(length) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(messages: &[usize]) -> Vec<u8> {
        let frame = |length: &usize| {
            let mut frame = vec![0];
            frame.extend(u32::try_from(*length).unwrap().to_be_bytes());
            frame.resize(frame.len() + length, 0xff);
            frame
        };
        messages.iter().flat_map(frame).collect()
    }

    #[test]
    fn messages_are_found_however_they_are_cut() {
        let lengths = [0, 1, 300, 0, 7];
        let bytes = framed(&lengths);
        for chunk_bytes in 1..=bytes.len() {
            let (mut frames, mut found) = (Frames::default(), Vec::new());
            for chunk in bytes.chunks(chunk_bytes) {
                frames.feed(chunk, |length| found.push(length));
            }
            assert_eq!(found, lengths, "in chunks of {chunk_bytes}");
        }
    }

    #[test]
    fn a_message_without_its_end_is_not_counted() {
        let bytes = framed(&[4]);
        let (mut frames, mut found) = (Frames::default(), Vec::new());
        frames.feed(&bytes[..bytes.len() - 1], |length| found.push(length));
        assert!(found.is_empty(), "{found:?}");
    }
}
