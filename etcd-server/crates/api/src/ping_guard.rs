//! Disconnects clients that ping too often, as etcd's gRPC library does.
//!
//! The h2 crate answers pings without a notification, so the frames are looked at where they pass:
//! on their way from and to the socket. The rule is [`PingPolicy`]'s.

use crate::frame_scanner::{Frame, FrameScanner};
use http2::PingPolicy;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// HTTP/2's ENHANCE_YOUR_CALM, and the reason that gRPC clients know.
const ENHANCE_YOUR_CALM: u32 = 0xb;
const REASON: &[u8] = b"too_many_pings";

/// The open streams of a connection; each stream holds a guard.
#[derive(Clone, Debug, Default)]
pub(crate) struct OpenStreams(Arc<AtomicUsize>);

/// Counts a stream for as long as it lives.
#[derive(Debug)]
pub(crate) struct OpenStream(Arc<AtomicUsize>);

impl OpenStreams {
    pub(crate) fn open(&self) -> OpenStream {
        self.0.fetch_add(1, Ordering::Relaxed);
        OpenStream(Arc::clone(&self.0))
    }

    fn any(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection whose client's pings are counted. It ends in an error after one too many, and says
/// goodbye before.
#[derive(Debug)]
pub(crate) struct PingGuard<I> {
    io: I,
    received: FrameScanner,
    sent: FrameScanner,
    policy: PingPolicy,
    streams: OpenStreams,
    last_stream: u32,
}

impl<I> PingGuard<I> {
    /// Guards a connection of which nothing was read yet.
    pub(crate) fn new(io: I, interval: Duration, streams: OpenStreams) -> Self {
        Self {
            io,
            received: FrameScanner::of_client(),
            sent: FrameScanner::of_server(),
            policy: PingPolicy::new(interval),
            streams,
            last_stream: 0,
        }
    }

    /// Returns `true` if there was a ping too many.
    fn look_at_received(&mut self, data: &[u8]) -> bool {
        let (policy, streams, last_stream) = (&mut self.policy, &self.streams, &mut self.last_stream);
        let mut too_many = false;
        self.received.pass(data, |frame| match frame {
            Frame::Ping { ack: false } => too_many |= policy.ping(Instant::now(), streams.any()),
            Frame::Headers { stream } => *last_stream = (*last_stream).max(stream),
            Frame::Ping { ack: true } | Frame::Data | Frame::Other => {}
        });
        too_many
    }

    fn look_at_sent(&mut self, data: &[u8]) {
        let policy = &mut self.policy;
        self.sent.pass(data, |frame| {
            if matches!(frame, Frame::Data | Frame::Headers { .. }) {
                policy.forgive();
            }
        });
    }

    fn goodbye(&self) -> Vec<u8> {
        let length = u8::try_from(8 + REASON.len()).unwrap_or(8);
        let go_away = [
            &[0, 0, length, 7, 0, 0, 0, 0, 0][..],
            &self.last_stream.to_be_bytes(),
            &ENHANCE_YOUR_CALM.to_be_bytes(),
            REASON,
        ];
        go_away.concat()
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncRead for PingGuard<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buffer))?;
        if !self.look_at_received(&buffer.filled()[before..]) {
            return Poll::Ready(Ok(()));
        }
        // Said only between two frames, and once: a socket that has no room for it belongs to a
        // client that does not listen.
        if self.sent.is_between_frames() {
            let goodbye = self.goodbye();
            let said = Pin::new(&mut self.io).poll_write(cx, &goodbye)?;
            if said.is_ready() && Pin::new(&mut self.io).poll_flush(cx)?.is_pending() {
                tracing::debug!("the GOAWAY frame is still being sent");
            }
        }
        tracing::warn!("a client sent too many pings; its connection is closed");
        Poll::Ready(Err(io::Error::other("too many pings")))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for PingGuard<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, data))?;
        self.look_at_sent(&data[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, parts))?;
        let mut left = written;
        for part in parts {
            let taken = left.min(part.len());
            self.look_at_sent(&part[..taken]);
            left -= taken;
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
