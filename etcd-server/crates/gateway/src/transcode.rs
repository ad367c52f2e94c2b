//! JSON requests as gRPC calls, and their responses as JSON, for every RPC that a path names.
//!
//! Unary: the first JSON value of the body is the request, the rest is ignored (as Go's decoder
//! does). Server streams: the same, with one line per message in response. Bidirectional streams:
//! body and response flow at once, message by message; the end of the body, or a message that
//! cannot be read, closes the sending half only. Nothing is queued: each side pulls.

use bytes::Bytes;
use futures::stream;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use prost_reflect::{DynamicMessage, MessageDescriptor, MethodDescriptor};
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::Code;
use tower_service::Service;

use crate::bindings::Routes;
use crate::call::{self, Replies};
use crate::json_encode::{Spacing, encode};
use crate::limits::Limits;
use crate::metadata;
use crate::request_reader::{Pace, ReadError, RequestReader};
use crate::response::{Body, BoxError, JSON, empty, respond};
use crate::router::Peer;
use crate::status::RpcError;

/// The limits of a request, and the signal that ends its call.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    pub(crate) limits: Limits,
    /// Ends all calls; the member stops.
    pub(crate) end: Option<watch::Receiver<bool>>,
}

/// The conditions that end a call.
#[derive(Debug, Clone)]
struct End {
    deadline: Option<Instant>,
    signal: Option<watch::Receiver<bool>>,
}

/// Responses a request below `/v3/`.
pub(crate) async fn transcode<S>(
    service: S,
    routes: &Routes,
    bounds: Bounds,
    peer: &Peer,
    path: &str,
    request: Request<Body>,
) -> Response<Body>
where
    S: Service<Request<tonic::body::Body>, Response = Response<tonic::body::Body>> + Send,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    let Some(method) = routes.get(path) else {
        return RpcError::new(Code::NotFound, "Not Found").into_response();
    };
    if request.method() != Method::POST {
        return RpcError::new(Code::Unimplemented, "Method Not Allowed").into_response();
    }
    let (parts, body) = request.into_parts();
    let called = Call::prepare(&parts, peer, method, bounds);
    match called {
        Ok(call) if method.is_client_streaming() => call.bidirectional(service, body).await,
        Ok(call) => call.one_request(service, body).await,
        Err(error) => error.into_response(),
    }
}

/// A call about to be made.
struct Call<'a> {
    method: &'a MethodDescriptor,
    metadata: HeaderMap,
    end: End,
    limits: Limits,
}

impl<'a> Call<'a> {
    fn prepare(parts: &Parts, peer: &Peer, method: &'a MethodDescriptor, bounds: Bounds) -> Result<Call<'a>, RpcError> {
        let timeout = metadata::timeout(&parts.headers)?;
        let mut metadata = metadata::forward(&parts.headers, peer.remote)?;
        if let Some(timeout) = timeout {
            metadata.insert(metadata::GRPC_TIMEOUT, metadata::encode_timeout(timeout));
        }
        // A timeout beyond the range of the clock is none.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        Ok(Call { method, metadata, end: End { deadline, signal: bounds.end }, limits: bounds.limits })
    }

    async fn one_request<S>(self, service: S, body: Body) -> Response<Body>
    where
        S: Service<Request<tonic::body::Body>, Response = Response<tonic::body::Body>> + Send,
        S::Error: Into<BoxError>,
        S::Future: Send,
    {
        let mut reader = RequestReader::new(body, self.method.input(), self.limits, Pace::Once);
        let message = match reader.next().await {
            Ok(message) => message.unwrap_or_else(|| DynamicMessage::new(self.method.input())),
            Err(error) => return refusal(&error),
        };
        drop(reader);
        let request_body = tonic::body::Body::new(Full::new(call::frame(&message)));
        let is_stream = self.method.is_server_streaming();
        let answers = self.start(service, request_body).await;
        if is_stream { stream_response(answers).await } else { unary_response(answers).await }
    }

    async fn bidirectional<S>(self, service: S, body: Body) -> Response<Body>
    where
        S: Service<Request<tonic::body::Body>, Response = Response<tonic::body::Body>> + Send,
        S::Error: Into<BoxError>,
        S::Future: Send,
    {
        let reader = RequestReader::new(body, self.method.input(), self.limits, Pace::Stream);
        stream_response(self.start(service, request_stream(reader)).await).await
    }

    async fn start<S>(mut self, service: S, body: tonic::body::Body) -> Result<Responses, RpcError>
    where
        S: Service<Request<tonic::body::Body>, Response = Response<tonic::body::Body>> + Send,
        S::Error: Into<BoxError>,
        S::Future: Send,
    {
        let request = call::request(self.method, self.metadata, body);
        let replies = self.end.before(call::start(service, request)).await?;
        Ok(Responses { replies, end: self.end, descriptor: self.method.output() })
    }
}

/// The client's half of a bidirectional call, as gRPC frames that are made when the service asks
/// for them.
fn request_stream(reader: RequestReader) -> tonic::body::Body {
    let frames = stream::unfold(reader, |mut reader| async {
        match reader.next().await {
            Ok(Some(message)) => Some((Ok(Frame::data(call::frame(&message))), reader)),
            // The client is gone, so the call is to end, not only its sending half.
            Err(ReadError::Broken(error)) => Some((Err(error), reader)),
            // etcd does not notify the client either: it closes the sending half and continues.
            Err(ReadError::Malformed(_) | ReadError::TooLarge { .. } | ReadError::TooSlow) | Ok(None) => None,
        }
    });
    tonic::body::Body::new(StreamBody::new(frames))
}

/// Responses of the service, read within the call's deadline.
struct Responses {
    replies: Replies,
    end: End,
    descriptor: MessageDescriptor,
}

impl Responses {
    async fn next(&mut self) -> Result<Option<DynamicMessage>, RpcError> {
        let Some(bytes) = self.end.before(self.replies.next()).await? else {
            return Ok(None);
        };
        let message = DynamicMessage::decode(self.descriptor.clone(), bytes);
        message.map(Some).map_err(|error| RpcError::new(Code::Internal, format!("decode response: {error}")))
    }

    /// The next answer as a line of a stream.
    async fn next_line(&mut self) -> Result<Option<Bytes>, RpcError> {
        let Some(message) = self.next().await? else {
            return Ok(None);
        };
        let mut line = b"{\"result\":".to_vec();
        write_json(&message, Spacing::None, &mut line)?;
        line.extend_from_slice(b"}\n");
        Ok(Some(line.into()))
    }
}

impl End {
    async fn before<T>(&mut self, work: impl Future<Output = Result<T, RpcError>>) -> Result<T, RpcError> {
        let deadline = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let signal = async {
            // A sender that is gone gives no signal any more.
            let given = match &mut self.signal {
                Some(signal) => signal.wait_for(|given| *given).await.is_ok(),
                None => false,
            };
            if !given {
                std::future::pending().await
            }
        };
        tokio::select! {
            biased;
            done = work => done,
            () = deadline => Err(RpcError::deadline_exceeded()),
            // As etcd's gateway reports the end of the server behind it.
            () = signal => Err(RpcError::new(Code::Unavailable, "error reading from server: EOF")),
        }
    }
}

fn write_json(message: &DynamicMessage, spacing: Spacing, out: &mut Vec<u8>) -> Result<(), RpcError> {
    encode(message, spacing, out).map_err(|error| RpcError::new(Code::Internal, format!("encode response: {error}")))
}

async fn unary_response(answers: Result<Responses, RpcError>) -> Response<Body> {
    match unary_json(answers).await {
        Ok((headers, json)) => {
            let mut response = respond(StatusCode::OK, JSON, json);
            forward_headers(&headers, response.headers_mut());
            response
        }
        Err(error) => error.into_response(),
    }
}

async fn unary_json(answers: Result<Responses, RpcError>) -> Result<(HeaderMap, Vec<u8>), RpcError> {
    let mut answers = answers?;
    let Some(message) = answers.next().await? else {
        return Err(RpcError::new(Code::Internal, "server ended the call without a response"));
    };
    // The status comes after the message.
    answers.next().await?;
    let mut json = Vec::new();
    write_json(&message, Spacing::AfterComma, &mut json)?;
    Ok((answers.replies.headers, json))
}

/// Waits for the first message, because a call that fails before it still has its own HTTP status.
async fn stream_response(answers: Result<Responses, RpcError>) -> Response<Body> {
    let mut answers = match answers {
        Ok(answers) => answers,
        Err(error) => return stream_refusal(&error),
    };
    match answers.next_line().await {
        Ok(Some(line)) => {
            let mut response = empty(StatusCode::OK);
            response.headers_mut().insert(CONTENT_TYPE, JSON);
            forward_headers(&answers.replies.headers, response.headers_mut());
            *response.body_mut() = lines(line, answers);
            response
        }
        Ok(None) => empty(StatusCode::OK),
        Err(error) => stream_refusal(&error),
    }
}

fn stream_refusal(error: &RpcError) -> Response<Body> {
    respond(crate::status::http_status(error.code), JSON, error.stream_line())
}

/// The lines of a stream; a line is made when the one before it has been taken.
fn lines(first: Bytes, answers: Responses) -> Body {
    let rest = stream::unfold(Some(answers), |answers| async {
        let mut answers = answers?;
        match answers.next_line().await {
            Ok(Some(line)) => Some((line, Some(answers))),
            Ok(None) => None,
            Err(error) => Some((error.stream_line().into(), None)),
        }
    });
    let all = futures::StreamExt::chain(stream::once(async { first }), rest);
    let frames = futures::StreamExt::map(all, |line| Ok::<_, BoxError>(Frame::data(line)));
    StreamBody::new(frames).boxed_unsync()
}

/// Metadata of the answer, as `Grpc-Metadata-…` headers.
fn forward_headers(metadata: &HeaderMap, headers: &mut HeaderMap) {
    for (name, value) in metadata {
        if let Ok(name) = HeaderName::try_from(format!("grpc-metadata-{name}")) {
            headers.append(name, value.clone());
        }
    }
}

/// The answer to a request body that is no request.
fn refusal(error: &ReadError) -> Response<Body> {
    let (code, status) = match error {
        ReadError::Malformed(_) | ReadError::Broken(_) => (Code::InvalidArgument, StatusCode::BAD_REQUEST),
        ReadError::TooLarge { .. } => (Code::ResourceExhausted, StatusCode::TOO_MANY_REQUESTS),
        ReadError::TooSlow => (Code::DeadlineExceeded, StatusCode::REQUEST_TIMEOUT),
    };
    RpcError::new(code, error.to_string()).into_response_with(status)
}
