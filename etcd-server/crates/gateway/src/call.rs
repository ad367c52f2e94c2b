//! One gRPC call, made in-process: frames a message, passes the request to the service, unframes
//! the response.
//!
//! Holds at most one response message at a time; the next is not requested before this one is
//! taken.

use std::future::poll_fn;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Version};
use http_body_util::BodyExt as _;
use prost::Message as _;
use prost_reflect::{DynamicMessage, MethodDescriptor};
use tonic::Code;
use tower_service::Service;

use crate::response::BoxError;
use crate::status::RpcError;

/// Compression flag and length.
const FRAME_HEADER_BYTES: usize = 5;

/// `message` as one uncompressed gRPC frame.
pub(crate) fn frame(message: &DynamicMessage) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(FRAME_HEADER_BYTES + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).expect("a message read from a bounded body is far smaller than 4 GiB"));
    message.encode(&mut frame).expect("a growing buffer has room");
    frame.freeze()
}

/// The POST of a gRPC call.
pub(crate) fn request(
    method: &MethodDescriptor,
    metadata: HeaderMap,
    body: tonic::body::Body,
) -> Request<tonic::body::Body> {
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = path.parse().expect("names of services and methods are valid in a path");
    *request.headers_mut() = metadata;
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
    request
}

/// Starts the call; fails if the service failed it before any message.
pub(crate) async fn start<S>(mut service: S, request: Request<tonic::body::Body>) -> Result<Replies, RpcError>
where
    S: Service<Request<tonic::body::Body>, Response = Response<tonic::body::Body>>,
    S::Error: Into<BoxError>,
{
    let broken = |error: S::Error| RpcError::new(Code::Unavailable, error.into().to_string());
    poll_fn(|cx| service.poll_ready(cx)).await.map_err(broken)?;
    let (parts, body) = service.call(request).await.map_err(broken)?.into_parts();
    match tonic::Status::from_header_map(&parts.headers) {
        Some(status) if status.code() != Code::Ok => Err(status.into()),
        // A body follows even after a status in the headers, but it is empty then.
        Some(_) => Ok(Replies { headers: parts.headers, body, buffer: BytesMut::new(), ended: true }),
        None => Ok(Replies { headers: parts.headers, body, buffer: BytesMut::new(), ended: false }),
    }
}

/// The messages that the service answers with.
#[derive(Debug)]
pub(crate) struct Replies {
    pub(crate) headers: HeaderMap,
    body: tonic::body::Body,
    buffer: BytesMut,
    ended: bool,
}

impl Replies {
    /// The next message, or `None` after the last of a call that went well.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, RpcError> {
        loop {
            if let Some(message) = take_message(&mut self.buffer)? {
                return Ok(Some(message));
            }
            if self.ended {
                return Ok(None);
            }
            let Some(frame) = self.body.frame().await else {
                return Err(RpcError::new(Code::Internal, "server closed the stream without sending trailers"));
            };
            match frame.map_err(RpcError::from)?.into_data() {
                Ok(data) => self.buffer.extend_from_slice(&data),
                Err(frame) => self.end(&frame.into_trailers().unwrap_or_default())?,
            }
        }
    }

    fn end(&mut self, trailers: &HeaderMap) -> Result<(), RpcError> {
        self.ended = true;
        match tonic::Status::from_header_map(trailers) {
            Some(status) if status.code() == Code::Ok => Ok(()),
            Some(status) => Err(status.into()),
            None => Err(RpcError::new(Code::Internal, "server sent trailers without a status")),
        }
    }
}

fn take_message(buffer: &mut BytesMut) -> Result<Option<Bytes>, RpcError> {
    let Some((header, rest)) = buffer.split_first_chunk::<FRAME_HEADER_BYTES>() else {
        return Ok(None);
    };
    let [compressed, length @ ..] = *header;
    let length = u32::from_be_bytes(length) as usize;
    if compressed != 0 {
        return Err(RpcError::new(Code::Internal, "server compressed a response that was requested uncompressed"));
    }
    if rest.len() < length {
        return Ok(None);
    }
    buffer.advance(FRAME_HEADER_BYTES);
    Ok(Some(buffer.split_to(length).freeze()))
}
