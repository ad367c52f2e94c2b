//! The halves of a stream of the h2 crate.

use crate::calls::{Gone, Incoming, Responder};
use crate::grpc_frame::{Unreadable, announced, message_in};
use crate::ping_guard::OpenStream;
use bytes::{Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Response};
use http2::{End, Reason};
use std::task::{Context, Poll, ready};

/// The responding half.
pub(crate) struct H2Responder {
    respond: SendResponse<Bytes>,
    /// `None` before the head.
    stream: Option<SendStream<Bytes>>,
    /// Dropped when the request is served.
    _open: OpenStream,
}

impl H2Responder {
    pub(crate) fn new(respond: SendResponse<Bytes>, open: OpenStream) -> Self {
        Self { respond, stream: None, _open: open }
    }
}

impl Responder for H2Responder {
    fn send_head(&mut self, head: Response<()>, end: End) -> Result<(), Gone> {
        self.stream = Some(self.respond.send_response(head, end == End::Stream).map_err(|_| Gone)?);
        Ok(())
    }

    /// Sends as the client's window and our buffer allow.
    async fn send_data(&mut self, mut data: Bytes) -> Result<(), Gone> {
        let stream = self.stream.as_mut().ok_or(Gone)?;
        while !data.is_empty() {
            stream.reserve_capacity(data.len());
            let room = std::future::poll_fn(|cx| {
                if stream.poll_reset(cx).is_ready() {
                    return Poll::Ready(Err(Gone));
                }
                stream.poll_capacity(cx).map(|room| room.and_then(Result::ok).filter(|room| *room > 0).ok_or(Gone))
            })
            .await?;
            stream.send_data(data.split_to(room.min(data.len())), false).map_err(|_| Gone)?;
        }
        Ok(())
    }

    /// The crate does not report it.
    async fn flush(&mut self) -> Result<(), Gone> {
        Ok(())
    }

    fn send_trailers(&mut self, trailers: HeaderMap) -> Result<(), Gone> {
        self.stream.as_mut().ok_or(Gone)?.send_trailers(trailers).map_err(|_| Gone)
    }

    fn send_end(&mut self) {
        if let Some(stream) = &mut self.stream {
            drop(stream.send_data(Bytes::new(), true));
        }
    }

    fn reset(&mut self, reason: Reason) {
        match &mut self.stream {
            Some(stream) => stream.send_reset(reason.0.into()),
            None => self.respond.send_reset(reason.0.into()),
        }
    }

    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.stream {
            Some(stream) => stream.poll_reset(cx).map(drop),
            None => self.respond.poll_reset(cx).map(drop),
        }
    }
}

impl Incoming for RecvStream {
    type Error = h2::Error;

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, h2::Error>>> {
        let data = ready!(Self::poll_data(self, cx));
        if let Some(Ok(data)) = &data {
            // Parts are bounded by the reader, which takes one at a time.
            drop(self.flow_control().release_capacity(data.len()));
        }
        Poll::Ready(data)
    }

    fn is_ended(&self) -> bool {
        self.is_end_stream()
    }
}

/// Reads the one message of a unary call up to `bytes_max`; bytes behind it are dropped.
pub(crate) async fn read_message(stream: &mut RecvStream, bytes_max: usize) -> Result<Bytes, Unreadable> {
    let mut gathered = BytesMut::new();
    let mut first = None;
    loop {
        let part = match std::future::poll_fn(|cx| Incoming::poll_data(stream, cx)).await {
            Some(Ok(part)) => part,
            Some(Err(_)) => return Err(Unreadable::Gone),
            None => break,
        };
        // Mostly a message comes in one part, which need not be copied.
        match (&first, gathered.is_empty()) {
            (None, true) => first = Some(part),
            _ => {
                if let Some(first) = first.take() {
                    gathered.extend_from_slice(&first);
                }
                let so_far = announced(&gathered).is_none_or(|message| gathered.len() < message.end);
                if so_far {
                    gathered.extend_from_slice(&part);
                }
            }
        }
        if let Some(message) = announced(first.as_deref().unwrap_or(&gathered))
            && message.len() > bytes_max
        {
            return Err(Unreadable::TooLarge(message.len()));
        }
    }
    message_in(&first.unwrap_or_else(|| gathered.freeze()))
}
