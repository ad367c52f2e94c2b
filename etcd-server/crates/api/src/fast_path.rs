//! The calls that make up most of the traffic, without tonic: Range, Put, DeleteRange and Txn.
//!
//! Their behaviour is the KV service's; only reading and writing messages is their own. A range is
//! copied from the store's records into the response without being decoded.

use crate::Server;
use crate::call_head::{self, Deadline};
use crate::grpc_frame::{Unreadable, read_message, send_data, send_message};
use crate::identity::Caller;
use crate::kv::RangeRead;
use crate::observe::Call;
use crate::ping_guard::OpenStream;
use crate::request_stats::Described;
use crate::response_body::{self, ResponseBody, encode, encode_range};
use crate::response_slots::ResponseSlot;
use crate::status::too_large;
use crate::streamed_range::{PartReader, Reading};
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Request, Response};
use prost::Message;
use proto::etcdserverpb::{DeleteRangeRequest, PutRequest, RangeRequest, TxnRequest};
use std::pin::Pin;
use std::sync::Arc;
use tonic::{Code, Status};

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const STATUS_OK: HeaderValue = HeaderValue::from_static("0");

/// The part of a large response in memory that is given to the connection at a time.
const WHOLE_PART_BYTES: usize = 64 << 10;

/// A call that is answered here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FastCall {
    Range,
    Put,
    DeleteRange,
    Txn,
}

impl FastCall {
    /// As the metrics know it.
    pub(crate) fn method(self) -> telemetry::metrics::Method {
        match self {
            Self::Range => telemetry::metrics::Method::Range,
            Self::Put => telemetry::metrics::Method::Put,
            Self::DeleteRange => telemetry::metrics::Method::DeleteRange,
            Self::Txn => telemetry::metrics::Method::Txn,
        }
    }

    /// The hot call that a request is, whose head was checked. Anything unusual about it, such as
    /// compression, is for tonic to deal with.
    pub(crate) fn of(request: &Request<RecvStream>) -> Option<Self> {
        let call = match request.uri().path() {
            "/etcdserverpb.KV/Range" => Self::Range,
            "/etcdserverpb.KV/Put" => Self::Put,
            "/etcdserverpb.KV/DeleteRange" => Self::DeleteRange,
            "/etcdserverpb.KV/Txn" => Self::Txn,
            _ => return None,
        };
        let headers = request.headers();
        let plain = headers.get("grpc-encoding").is_none_or(|encoding| encoding == "identity");
        plain.then_some(call)
    }
}

/// A hot call in progress. Boxed, so that the data of its rarer branches does not cost every
/// request.
pub(crate) type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Reads, answers and writes one call.
pub(crate) fn run(
    server: Server,
    call: FastCall,
    mut observed: Call,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    open: OpenStream,
    deadline: Option<Deadline>,
) -> Running {
    Box::pin(async move {
        let _open = open;
        let (parts, mut stream) = request.into_parts();
        let answered = async {
            let message = read_message(&mut stream, server.settings.message_bytes_max).await;
            match message {
                Ok(message) => {
                    observed.received(message.len());
                    observed.requested(&message);
                    match observed.span().cloned() {
                        None => server.response(call, &parts, message).await,
                        Some(span) => Box::pin(span.scope(server.response(call, &parts, message))).await,
                    }
                }
                Err(Unreadable::Gone) => Err(Status::cancelled("context canceled")),
                Err(Unreadable::TooLarge(length)) => Err(too_large(length, server.settings.message_bytes_max)),
                Err(Unreadable::Compressed) => {
                    Err(Status::internal("grpc: compressed flag set with identity or empty encoding"))
                }
                Err(Unreadable::Absent) => Err(Status::unknown("EOF")),
                Err(Unreadable::Cut) => Err(Status::unknown("unexpected EOF")),
            }
        };
        // A client that resets its stream has given up; a proposed request is applied all the same.
        let answered = tokio::select! {
            biased;
            answered = answered => answered,
            _ = std::future::poll_fn(|cx| respond.poll_reset(cx)) => return,
            () = Deadline::wait(deadline) => Err(call_head::deadline_exceeded()),
        };
        match answered {
            Ok(message) => {
                observed.sent(message.bytes());
                observed.handled_with(Code::Ok, "", Described::Encoded(message.described()));
                send_ok(respond, message, deadline).await;
            }
            Err(status) => {
                observed.handled_with(status.code(), status.message(), Described::Nothing);
                send_error(respond, &status);
            }
        }
    })
}

async fn send_ok(mut respond: SendResponse<Bytes>, message: ResponseBody, deadline: Option<Deadline>) {
    let mut response = Response::new(());
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    let Ok(mut stream) = respond.send_response(response, false) else { return };
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(GRPC_STATUS, STATUS_OK);
    // A client that went away meanwhile needs no answer.
    match message {
        ResponseBody::Whole { message, held: None } => {
            let late = tokio::select! {
                biased;
                _ = send_message(&mut stream, message, trailers) => false,
                () = Deadline::wait(deadline) => true,
            };
            if late {
                stream.send_reset(Reason::CANCEL);
            }
        }
        ResponseBody::Whole { message, held: Some(held) } => {
            let sending = send_whole(&mut stream, message, &held.place);
            let sent = within(sending, &held.place, deadline).await;
            end(stream, sent, trailers);
        }
        ResponseBody::Streamed { head, parts, tail, .. } => {
            let place = Arc::clone(parts.place());
            let sending = send_parts(&mut stream, head, parts, tail, &place);
            let sent = within(sending, &place, deadline).await;
            end(stream, sent, trailers);
        }
    }
}

/// Ends a large response that is late, or whose client is too slow to keep its place.
async fn within(
    sending: impl Future<Output = Result<(), Reason>>,
    place: &ResponseSlot,
    deadline: Option<Deadline>,
) -> Result<(), Reason> {
    tokio::select! {
        biased;
        sent = sending => sent,
        () = Deadline::wait(deadline) => Err(Reason::CANCEL),
        // gRPC clients report this one as ResourceExhausted.
        () = place.too_slow() => Err(Reason::ENHANCE_YOUR_CALM),
    }
}

fn end(mut stream: SendStream<Bytes>, sent: Result<(), Reason>, trailers: HeaderMap) {
    match sent {
        Ok(()) => drop(stream.send_trailers(trailers)),
        Err(reason) => stream.send_reset(reason),
    }
}

/// A message that is in memory, in parts, so that its place sees how fast it is taken.
async fn send_whole(stream: &mut SendStream<Bytes>, mut message: Bytes, place: &ResponseSlot) -> Result<(), Reason> {
    while !message.is_empty() {
        send_part(stream, message.split_to(message.len().min(WHOLE_PART_BYTES)), place).await?;
    }
    Ok(())
}

async fn send_part(stream: &mut SendStream<Bytes>, part: Bytes, place: &ResponseSlot) -> Result<(), Reason> {
    let bytes = part.len();
    send_data(stream, part).await.map_err(|_| Reason::CANCEL)?;
    place.sent(bytes);
    Ok(())
}

/// Sends a response part by part. The next part is read while one is sent, unless the client is
/// slow: then that would only cost memory.
async fn send_parts(
    stream: &mut SendStream<Bytes>,
    head: Bytes,
    parts: Box<PartReader>,
    tail: Bytes,
    place: &ResponseSlot,
) -> Result<(), Reason> {
    let mut next = Next::Reading(parts.begin());
    send_part(stream, head, place).await?;
    loop {
        let reading = match next {
            Next::Reading(reading) => reading,
            Next::Waiting(parts) => parts.begin(),
        };
        let (parts, part) = reading.await.map_err(|_| Reason::INTERNAL_ERROR)?.map_err(|_| Reason::INTERNAL_ERROR)?;
        if part.is_empty() {
            return send_part(stream, tail, place).await;
        }
        next = if place.is_fast() { Next::Reading(parts.begin()) } else { Next::Waiting(parts) };
        send_part(stream, part, place).await?;
    }
}

/// The rest of a response.
enum Next {
    Reading(Reading),
    Waiting(Box<PartReader>),
}

fn send_error(mut respond: SendResponse<Bytes>, status: &Status) {
    let mut response = Response::new(());
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    if status.add_header(response.headers_mut()).is_err() {
        response.headers_mut().insert(GRPC_STATUS, HeaderValue::from(Code::Internal as i32));
    }
    drop(respond.send_response(response, true));
}

impl Server {
    /// The encoded answer, prefix included.
    async fn response(&self, call: FastCall, parts: &Parts, message: Bytes) -> Result<ResponseBody, Status> {
        self.check_call(parts.uri.path(), &parts.headers)?;
        let caller = Caller::Claimed(&parts.headers);
        let encoded = match call {
            FastCall::Range => return self.fast_range(decode(message)?, caller).await,
            FastCall::Put => encode(&self.put(decode::<PutRequest>(message)?, caller).await?),
            FastCall::DeleteRange => encode(&self.delete_range(decode::<DeleteRangeRequest>(message)?, caller).await?),
            FastCall::Txn => encode(&self.txn(decode::<TxnRequest>(message)?, caller).await?),
        };
        Ok(ResponseBody::Whole { message: encoded, held: None })
    }

    async fn fast_range(&self, request: RangeRequest, caller: Caller<'_>) -> Result<ResponseBody, Status> {
        match self.found_range(&request, caller).await? {
            RangeRead::Whole(revision, found, held) => {
                Ok(ResponseBody::Whole { message: encode_range(self.header(revision), &found), held })
            }
            RangeRead::Large(measured) => response_body::streamed(self.header(measured.revision), measured),
        }
    }
}

fn decode<M: Message + Default>(message: Bytes) -> Result<M, Status> {
    M::decode(message).map_err(|error| Status::internal(format!("grpc: error unmarshalling request: {error}")))
}
