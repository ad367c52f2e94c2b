//! Answers in etcd's shapes.

use crate::local::HttpError;
use crate::peer_sender::StreamBody;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::Full;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

const NO_SNIFF: HeaderName = HeaderName::from_static("x-content-type-options");

/// An answer of the peer listener.
pub(crate) type Reply = Response<ReplyBody>;

/// Its body.
pub(crate) enum ReplyBody {
    Full(Full<Bytes>),
    Stream(StreamBody),
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Full(body) => Pin::new(body).poll_frame(context),
            Self::Stream(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(body) => body.is_end_stream(),
            Self::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> http_body::SizeHint {
        match self {
            Self::Full(body) => body.size_hint(),
            Self::Stream(_) => http_body::SizeHint::default(),
        }
    }
}

fn with(status: StatusCode, content: &'static str, body: Bytes) -> Reply {
    let mut reply = Response::new(ReplyBody::Full(Full::new(body)));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content));
    reply
}

/// A line of text.
pub(crate) fn text(status: StatusCode, line: &str) -> Reply {
    let mut reply = with(
        status,
        "text/plain; charset=utf-8",
        if status == StatusCode::OK { line.to_owned() } else { format!("{line}\n") }.into(),
    );
    if status != StatusCode::OK {
        reply.headers_mut().insert(NO_SNIFF, HeaderValue::from_static("nosniff"));
    }
    reply
}

/// A refusal as it came from this member.
pub(crate) fn refusal(refusal: &HttpError) -> Reply {
    text(StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &refusal.text)
}

/// JSON.
pub(crate) fn json(body: String) -> Reply {
    with(StatusCode::OK, "application/json", body.into())
}

/// Bytes of our own making.
pub(crate) fn bytes(body: Bytes) -> Reply {
    with(StatusCode::OK, "application/octet-stream", body)
}

/// Returns a response with only a status.
pub(crate) fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(ReplyBody::Full(Full::default()));
    *reply.status_mut() = status;
    reply
}

/// A message, or why there is none.
pub(crate) fn protobuf<M: prost::Message>(response: Result<M, HttpError>) -> Reply {
    match response {
        Ok(message) => with(StatusCode::OK, "application/protobuf", message.encode_to_vec().into()),
        Err(why) => refusal(&why),
    }
}
