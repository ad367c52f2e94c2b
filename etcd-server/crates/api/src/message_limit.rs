//! The largest message a client may send, refused with the words of etcd's gRPC library, which
//! tonic's differ from.
//!
//! A gRPC body is a row of messages, each behind a flag and its length (5 bytes). Only these are
//! looked at; the bytes go on untouched.

use crate::grpc_frame::PREFIX_BYTES;
use crate::status::too_large;
use crate::stream_headers::StreamHeaders;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tonic::Status;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A request body that fails at the prefix of a message above the limit, before the message itself
/// has come.
#[derive(Debug)]
pub(crate) struct LimitedBody<B> {
    inner: B,
    scanner: Scanner,
    /// The one message of a call that takes one; `None` where the client sends a stream.
    only: Option<OnlyMessage>,
}

/// The received part of the first message of a body. As in grpc-go, nothing behind it is read.
#[derive(Debug, Default)]
struct OnlyMessage {
    prefix: [u8; PREFIX_BYTES],
    prefix_bytes: usize,
    /// Of the message behind the prefix, once that is whole.
    missing: Option<usize>,
}

impl OnlyMessage {
    /// Returns the number of these bytes that belong to the message.
    fn take(&mut self, data: &[u8]) -> usize {
        let in_prefix = data.len().min(PREFIX_BYTES - self.prefix_bytes);
        self.prefix[self.prefix_bytes..][..in_prefix].copy_from_slice(&data[..in_prefix]);
        self.prefix_bytes += in_prefix;
        if self.prefix_bytes < PREFIX_BYTES {
            return in_prefix;
        }
        let [_, length @ ..] = self.prefix;
        let missing = self.missing.get_or_insert(u32::from_be_bytes(length) as usize);
        let in_message = (data.len() - in_prefix).min(*missing);
        *missing -= in_message;
        in_prefix + in_message
    }

    fn is_whole(&self) -> bool {
        self.missing == Some(0)
    }

    /// The status of a call whose message ends too early, as grpc-go gives it.
    fn cut(&self) -> Status {
        Status::unknown(if self.prefix_bytes < PREFIX_BYTES { "EOF" } else { "unexpected EOF" })
    }
}

impl<B> LimitedBody<B> {
    /// A body of any number of messages, or of one: then nothing is read behind it.
    pub(crate) fn new(inner: B, message_bytes_max: usize, messages: Messages) -> Self {
        let only = (messages == Messages::One).then(OnlyMessage::default);
        Self { inner, scanner: Scanner { message_bytes_max, prefixes: StreamHeaders::behind(0) }, only }
    }
}

/// The number of messages in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Messages {
    One,
    Any,
}

/// The position of the body in the row of messages.
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
        if self.only.as_ref().is_some_and(OnlyMessage::is_whole) {
            return Poll::Ready(None);
        }
        let Some(frame) = ready!(Pin::new(&mut self.inner).poll_frame(cx)) else {
            let cut = self.only.take().map(|only| Err(only.cut().into()));
            return Poll::Ready(cut);
        };
        let mut frame = frame.map_err(Into::into)?;
        if let (Some(only), Some(data)) = (&mut self.only, frame.data_mut()) {
            data.truncate(only.take(data));
        }
        if let Some(data) = frame.data_ref()
            && let Err(length) = self.scanner.pass(data)
        {
            let limit = self.scanner.message_bytes_max;
            return Poll::Ready(Some(Err(too_large(length, limit).into())));
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        // The end of the inner body is to be seen, where a message is missing.
        self.only.as_ref().map_or_else(|| self.inner.is_end_stream(), OnlyMessage::is_whole)
    }

    fn size_hint(&self) -> SizeHint {
        if self.only.is_some() { SizeHint::default() } else { self.inner.size_hint() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanner() -> Scanner {
        LimitedBody::new((), 10, Messages::Any).scanner
    }

    fn message(length: u8) -> Vec<u8> {
        [vec![0, 0, 0, 0, length], vec![9; length.into()]].concat()
    }

    #[test]
    fn takes_one_message_of_a_body_however_it_is_cut() {
        let body = [message(7), message(3), vec![1, 2]].concat();
        for size in 1..=body.len() {
            let mut only = OnlyMessage::default();
            let taken: usize = body.chunks(size).map(|part| only.take(part)).sum();
            assert!(taken == 12 && only.is_whole(), "in parts of {size}: {taken}");
        }
        let mut cut = OnlyMessage::default();
        assert_eq!(cut.cut().message(), "EOF");
        cut.take(&[0, 0, 0, 0, 5, 1]);
        assert_eq!((cut.cut().message(), cut.is_whole()), ("unexpected EOF", false));
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
