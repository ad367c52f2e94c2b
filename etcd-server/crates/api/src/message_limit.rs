//! The largest message a client may send, refused with the words of etcd's gRPC library, which tonic's differ from.
//!
//! A gRPC body is a row of messages, each behind a flag and its length (5 bytes). Only these are looked at; the bytes go on untouched.

use crate::http2::PREFIX_BYTES;
use crate::status::too_large;
use crate::stream_headers::StreamHeaders;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A request body that fails at the prefix of a message above the limit, before the message itself has come.
#[derive(Debug)]
pub(crate) struct LimitedBody<B> {
    inner: B,
    scanner: Scanner,
}

impl<B> LimitedBody<B> {
    pub(crate) fn new(inner: B, message_bytes_max: usize) -> Self {
        Self { inner, scanner: Scanner { message_bytes_max, prefixes: StreamHeaders::behind(0) } }
    }
}

/// Where in the row of messages the body is.
#[derive(Debug)]
struct Scanner {
    message_bytes_max: usize,
    prefixes: StreamHeaders<PREFIX_BYTES>,
}

impl Scanner {
    /// Goes on over `data`; the length of the first message that is too large is the error.
    fn pass(&mut self, data: &[u8]) -> Result<(), usize> {
        let limit = self.message_bytes_max;
        self.prefixes.pass(data, |[_, length @ ..]| {
            let length = u32::from_be_bytes(length) as usize;
            if length > limit { Err(length) } else { Ok(length) }
        })
    }
}

impl<B> Body for LimitedBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(frame) = ready!(Pin::new(&mut self.inner).poll_frame(cx)) else { return Poll::Ready(None) };
        let frame = frame.map_err(Into::into)?;
        if let Some(data) = frame.data_ref()
            && let Err(length) = self.scanner.pass(data)
        {
            let limit = self.scanner.message_bytes_max;
            return Poll::Ready(Some(Err(too_large(length, limit).into())));
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanner() -> Scanner {
        LimitedBody::new((), 10).scanner
    }

    fn message(length: u8) -> Vec<u8> {
        [vec![0, 0, 0, 0, length], vec![9; length.into()]].concat()
    }

    #[test]
    fn messages_up_to_the_limit_pass_however_they_are_cut() {
        let body = [message(10), message(0), message(3)].concat();
        for size in 1..=body.len() {
            let mut scanner = scanner();
            assert!(body.chunks(size).all(|part| scanner.pass(part) == Ok(())), "in parts of {size}");
            assert!(scanner.prefixes.is_between());
        }
    }

    #[test]
    fn a_message_above_the_limit_is_refused_at_its_prefix() {
        let body = [message(4), vec![0, 0, 0, 0, 11]].concat();
        for size in 1..=body.len() {
            let mut scanner = scanner();
            let refused = body.chunks(size).find_map(|part| scanner.pass(part).err());
            assert_eq!(refused, Some(11), "in parts of {size}");
        }
    }
}
