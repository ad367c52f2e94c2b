//! The calls that make up most of the traffic, without tonic: Range, Put, DeleteRange and Txn.
//!
//! What they do is what the KV service does; only reading and writing messages is their own. A range is copied from the store's records
//! into the answer without being decoded.

use crate::Server;
use crate::http2::{PREFIX_BYTES, Unreadable, read_message, send_message};
use crate::identity::Caller;
use crate::observe::Call;
use crate::status::too_large;
use bytes::{BufMut as _, Bytes, BytesMut};
use h2::RecvStream;
use h2::server::SendResponse;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, Request, Response};
use mvcc::RangeResult;
use prost::Message;
use prost::encoding::{encode_key, encode_varint, encoded_len_varint, key_len};
use proto::etcdserverpb::{DeleteRangeRequest, PutRequest, RangeRequest, ResponseHeader, TxnRequest};
use std::pin::Pin;
use tonic::{Code, Status};

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const STATUS_OK: HeaderValue = HeaderValue::from_static("0");

/// A call that is answered here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hot {
    Range,
    Put,
    DeleteRange,
    Txn,
}

impl Hot {
    /// As the metrics know it.
    pub(crate) fn method(self) -> telemetry::metrics::Method {
        match self {
            Self::Range => telemetry::metrics::Method::Range,
            Self::Put => telemetry::metrics::Method::Put,
            Self::DeleteRange => telemetry::metrics::Method::DeleteRange,
            Self::Txn => telemetry::metrics::Method::Txn,
        }
    }

    /// Which hot call a request is. Anything unusual about it (compression, another content type) is for tonic to deal with.
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
        let grpc = headers.get(CONTENT_TYPE).is_some_and(|kind| kind == "application/grpc" || kind == "application/grpc+proto");
        (plain && grpc && request.method() == Method::POST).then_some(call)
    }
}

/// A hot call under way. Boxed, so that what its rarer branches hold does not cost every request.
pub(crate) type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Reads, answers and writes one call.
pub(crate) fn run(
    server: Server,
    call: Hot,
    mut observed: Call,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) -> Running {
    Box::pin(async move {
        let (parts, mut stream) = request.into_parts();
        let answered = async {
            let message = read_message(&mut stream, server.settings.message_bytes_max).await;
            match message {
                Ok(message) => {
                    observed.received(message.len());
                    server.answer(call, &parts, message).await
                }
                Err(Unreadable::Gone) => Err(Status::cancelled("context canceled")),
                Err(Unreadable::TooLarge(length)) => Err(too_large(length, server.settings.message_bytes_max)),
                Err(Unreadable::Cut) => Err(Status::internal("grpc: error unmarshalling request: unexpected EOF")),
            }
        };
        // A client that resets its stream has given up; what was proposed is applied all the same.
        let answered = tokio::select! {
            biased;
            answered = answered => answered,
            _ = std::future::poll_fn(|cx| respond.poll_reset(cx)) => return,
        };
        match answered {
            Ok(message) => {
                observed.sent(message.len() - PREFIX_BYTES);
                observed.handled(Code::Ok);
                send_ok(respond, message).await;
            }
            Err(status) => {
                observed.handled(status.code());
                send_error(respond, &status);
            }
        }
    })
}

async fn send_ok(mut respond: SendResponse<Bytes>, message: Bytes) {
    let mut response = Response::new(());
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    let Ok(mut stream) = respond.send_response(response, false) else { return };
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(GRPC_STATUS, STATUS_OK);
    // A client that went away meanwhile needs no answer.
    drop(send_message(&mut stream, message, trailers).await);
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
    async fn answer(&self, call: Hot, parts: &Parts, message: Bytes) -> Result<Bytes, Status> {
        self.check_call(parts.uri.path(), &parts.headers)?;
        let caller = Caller::Claimed(&parts.headers);
        match call {
            Hot::Range => self.hot_range(decode(message)?, caller).await,
            Hot::Put => Ok(encode(&self.put(decode::<PutRequest>(message)?, caller).await?)),
            Hot::DeleteRange => Ok(encode(&self.delete_range(decode::<DeleteRangeRequest>(message)?, caller).await?)),
            Hot::Txn => Ok(encode(&self.txn(decode::<TxnRequest>(message)?, caller).await?)),
        }
    }

    async fn hot_range(&self, request: RangeRequest, caller: Caller<'_>) -> Result<Bytes, Status> {
        let (revision, found) = self.found_range(&request, caller).await?;
        Ok(encode_range(self.header(revision), &found))
    }
}

fn decode<M: Message + Default>(message: Bytes) -> Result<M, Status> {
    M::decode(message).map_err(|error| Status::internal(format!("grpc: error unmarshalling request: {error}")))
}

fn encode(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut out = BytesMut::with_capacity(PREFIX_BYTES + length);
    push_prefix(&mut out, length);
    message.encode_raw(&mut out);
    out.freeze()
}

fn push_prefix(out: &mut BytesMut, length: usize) {
    out.put_u8(0);
    // An answer of more than four GiB cannot be sent by gRPC at all; the client will find it cut.
    out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
}

/// A `RangeResponse`: header 1, kvs 2, more 3, count 4.
fn encode_range(header: ResponseHeader, found: &RangeResult) -> Bytes {
    let header_length = header.encoded_len();
    let mut length = key_len(1) + encoded_len_varint(header_length as u64) + header_length + found.encoded_kvs.len();
    if found.more {
        length += key_len(3) + 1;
    }
    if found.count > 0 {
        length += key_len(4) + encoded_len_varint(found.count);
    }
    let mut out = BytesMut::with_capacity(PREFIX_BYTES + length);
    push_prefix(&mut out, length);
    encode_key(1, prost::encoding::WireType::LengthDelimited, &mut out);
    encode_varint(header_length as u64, &mut out);
    header.encode_raw(&mut out);
    out.put_slice(&found.encoded_kvs);
    if found.more {
        prost::encoding::bool::encode(3, &true, &mut out);
    }
    if found.count > 0 {
        prost::encoding::uint64::encode(4, &found.count, &mut out);
    }
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::etcdserverpb::RangeResponse;
    use proto::mvccpb::KeyValue;

    #[test]
    fn a_range_is_encoded_as_prost_would() {
        let header = ResponseHeader { cluster_id: 7, member_id: 8, revision: 300, raft_term: 2 };
        let kvs: Vec<_> = (0..3).map(|n| KeyValue { key: vec![n; 3].into(), version: 1, ..KeyValue::default() }).collect();
        let bare = RangeResponse { kvs: kvs.clone(), ..RangeResponse::default() };
        for (more, count) in [(false, 0), (true, 500), (false, 3)] {
            let found = RangeResult { encoded_kvs: bare.encode_to_vec().into(), keys: 3, more, count };
            let whole = RangeResponse { header: Some(header), kvs: kvs.clone(), more, count: i64::try_from(count).unwrap() };
            assert_eq!(encode_range(header, &found), encode(&whole));
        }
    }
}
