//! The calls that make up most of the traffic, without tonic: Range, Put, DeleteRange and Txn.
//!
//! Their behaviour is the KV service's; only reading and writing messages is their own. A range is
//! copied from the store's records into the response without being decoded.

use crate::Server;
use crate::call_head::{self, Deadline};
use crate::calls::{Gone, Responder};
use crate::fields::{Field, Fields};
use crate::grpc_frame::Unreadable;
use crate::h2_stream::{H2Responder, read_message};
use crate::identity::Caller;
use crate::kv::RangeRead;
use crate::observe::Call;
use crate::request_stats::Described;
use crate::response_body::{self, ResponseBody, encode, encode_range};
use crate::response_slots::ResponseSlot;
use crate::streamed_range::{PartReader, Reading};
use bytes::Bytes;
use h2::RecvStream;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, HeaderName, Request, Response};
use http2::{End, Reason};
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

    fn path(self) -> &'static str {
        match self {
            Self::Range => "/etcdserverpb.KV/Range",
            Self::Put => "/etcdserverpb.KV/Put",
            Self::DeleteRange => "/etcdserverpb.KV/DeleteRange",
            Self::Txn => "/etcdserverpb.KV/Txn",
        }
    }

    /// The hot call that a request is, whose head was checked. Anything unusual about it, such as
    /// compression, is for tonic to deal with.
    pub(crate) fn of(path: &[u8], fields: &dyn Fields) -> Option<Self> {
        let call = [Self::Range, Self::Put, Self::DeleteRange, Self::Txn]
            .into_iter()
            .find(|call| call.path().as_bytes() == path)?;
        let plain = fields.get(Field::GrpcEncoding).is_none_or(|encoding| encoding == b"identity");
        plain.then_some(call)
    }
}

/// A hot call on the h2 crate, in progress. Boxed, so that the data of its rarer branches does not
/// cost every request.
pub(crate) type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Reads, answers and writes one call on the h2 crate.
pub(crate) fn run(
    server: Server,
    call: FastCall,
    mut observed: Call,
    request: Request<RecvStream>,
    mut respond: H2Responder,
    deadline: Option<Deadline>,
) -> Running {
    Box::pin(async move {
        let (parts, mut stream) = request.into_parts();
        let answered = async {
            let message = read_message(&mut stream, server.settings.message_bytes_max).await;
            server.answer(call, &mut observed, &parts.headers, message).await
        };
        // A client that resets its stream has given up; a proposed request is applied all the same.
        let answered = tokio::select! {
            biased;
            answered = answered => answered,
            () = std::future::poll_fn(|cx| respond.poll_reset(cx)) => return,
            () = Deadline::wait(deadline) => Err(call_head::deadline_exceeded()),
        };
        end_call(observed, &answered);
        match answered {
            Ok(message) => send_ok(respond, message, deadline).await,
            Err(status) => drop(respond.send_head(refusal(&status), End::Stream)),
        }
    })
}

/// Counts the end of a call.
pub(crate) fn end_call(mut observed: Call, answered: &Result<ResponseBody, Status>) {
    match answered {
        Ok(message) => {
            observed.sent(message.bytes());
            observed.handled_with(Code::Ok, "", Described::Encoded(message.described()));
        }
        Err(status) => observed.handled_with(status.code(), status.message(), Described::Nothing),
    }
}

/// Sends the response of a call that succeeded.
pub(crate) async fn send_ok(mut respond: impl Responder, message: ResponseBody, deadline: Option<Deadline>) {
    let mut head = Response::new(());
    head.headers_mut().insert(CONTENT_TYPE, GRPC);
    // A client that went away meanwhile needs no answer.
    let Ok(()) = respond.send_head(head, End::Later) else { return };
    let sent = match message {
        ResponseBody::Whole { message, held: None } => tokio::select! {
            biased;
            sent = respond.send_data(message) => sent.map_err(|Gone| Reason::CANCEL),
            () = Deadline::wait(deadline) => Err(Reason::CANCEL),
        },
        ResponseBody::Whole { message, held: Some(held) } => {
            let sending = send_whole(&mut respond, message, &held.place);
            within(sending, &held.place, deadline).await
        }
        ResponseBody::Streamed { head, parts, tail, .. } => {
            let place = Arc::clone(parts.place());
            let sending = send_parts(&mut respond, head, parts, tail, &place);
            within(sending, &place, deadline).await
        }
    };
    match sent {
        Ok(()) => {
            let mut trailers = HeaderMap::with_capacity(1);
            trailers.insert(GRPC_STATUS, STATUS_OK);
            drop(respond.send_trailers(trailers));
        }
        Err(reason) => respond.reset(reason),
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

/// A message that is in memory, in parts, so that its place sees how fast it is taken.
async fn send_whole(respond: &mut impl Responder, mut message: Bytes, place: &ResponseSlot) -> Result<(), Reason> {
    while !message.is_empty() {
        send_part(respond, message.split_to(message.len().min(WHOLE_PART_BYTES)), place).await?;
    }
    // A part that waits holds all of the message.
    respond.flush().await.map_err(|Gone| Reason::CANCEL)
}

async fn send_part(respond: &mut impl Responder, part: Bytes, place: &ResponseSlot) -> Result<(), Reason> {
    let bytes = part.len();
    respond.send_data(part).await.map_err(|Gone| Reason::CANCEL)?;
    place.sent(bytes);
    Ok(())
}

/// Sends a response part by part. The next part is read while one is sent, unless the client is
/// slow: then that would only cost memory.
async fn send_parts(
    respond: &mut impl Responder,
    head: Bytes,
    parts: Box<PartReader>,
    tail: Bytes,
    place: &ResponseSlot,
) -> Result<(), Reason> {
    let mut next = Next::Reading(parts.begin());
    send_part(respond, head, place).await?;
    loop {
        let reading = match next {
            Next::Reading(reading) => reading,
            Next::Waiting(parts) => parts.begin(),
        };
        let (parts, part) = reading.await.map_err(|_| Reason::INTERNAL_ERROR)?.map_err(|_| Reason::INTERNAL_ERROR)?;
        if part.is_empty() {
            return send_part(respond, tail, place).await;
        }
        next = if place.is_fast() { Next::Reading(parts.begin()) } else { Next::Waiting(parts) };
        send_part(respond, part, place).await?;
    }
}

/// The rest of a response.
enum Next {
    Reading(Reading),
    Waiting(Box<PartReader>),
}

/// The whole response of a call that failed.
pub(crate) fn refusal(status: &Status) -> Response<()> {
    let mut response = Response::new(());
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    if status.add_header(response.headers_mut()).is_err() {
        response.headers_mut().insert(GRPC_STATUS, HeaderValue::from(Code::Internal as i32));
    }
    response
}

impl Server {
    /// Runs a call whose message was read, or could not be.
    pub(crate) async fn answer(
        &self,
        call: FastCall,
        observed: &mut Call,
        fields: &dyn Fields,
        message: Result<Bytes, Unreadable>,
    ) -> Result<ResponseBody, Status> {
        let message = message.map_err(|unreadable| unreadable.to_status(self.settings.message_bytes_max))?;
        observed.received(message.len());
        observed.requested(&message);
        match observed.span().cloned() {
            None => self.response(call, fields, message).await,
            Some(span) => Box::pin(span.scope(self.response(call, fields, message))).await,
        }
    }

    /// The encoded answer, prefix included.
    async fn response(&self, call: FastCall, fields: &dyn Fields, message: Bytes) -> Result<ResponseBody, Status> {
        self.check_call(call.path().as_bytes(), fields)?;
        let caller = Caller::Claimed(fields);
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
