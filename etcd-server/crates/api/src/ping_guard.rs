//! Disconnects clients that ping too often, as etcd's gRPC library does.
//!
//! The h2 crate answers pings without a notification, so the frames are looked at where they pass:
//! on their way from and to the socket. Rule (grpc-go internal/transport/http2_server.go,
//! handlePing): a ping sooner than the shortest interval after the one before is a strike, and so
//! is one within two hours while no stream is open; the third strike ends the connection; any frame
//! that we send resets them.

use crate::frame_scanner::{Frame, FrameScanner};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Strikes that are forgiven.
const STRIKES_MAX: u32 = 2;
/// The shortest interval while no stream is open.
const IDLE_INTERVAL: Duration = Duration::from_secs(2 * 60 * 60);
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

/// The ping strikes of a client.
#[derive(Debug)]
struct Strikes {
    interval: Duration,
    last_ping: Option<Instant>,
    strikes: u32,
    forgiven: bool,
}

impl Strikes {
    /// Counts a ping; returns `true` if it is one too many.
    fn ping(&mut self, now: Instant, streams_are_open: bool) -> bool {
        let last = self.last_ping.replace(now);
        if std::mem::take(&mut self.forgiven) {
            self.strikes = 0;
            return false;
        }
        let interval = if streams_are_open { self.interval } else { IDLE_INTERVAL };
        self.strikes += u32::from(last.is_some_and(|last| now.duration_since(last) < interval));
        self.strikes > STRIKES_MAX
    }
}

/// A connection whose client's pings are counted. It ends in an error after one too many, and says
/// goodbye before.
#[derive(Debug)]
pub(crate) struct PingGuard<I> {
    io: I,
    received: FrameScanner,
    sent: FrameScanner,
    strikes: Strikes,
    streams: OpenStreams,
    last_stream: u32,
}

impl<I> PingGuard<I> {
    /// Guards a connection of which nothing was read yet.
    pub(crate) fn new(io: I, interval: Duration, streams: OpenStreams) -> Self {
        let strikes = Strikes { interval, last_ping: None, strikes: 0, forgiven: false };
        Self {
            io,
            received: FrameScanner::of_client(),
            sent: FrameScanner::of_server(),
            strikes,
            streams,
            last_stream: 0,
        }
    }

    /// Returns `true` if there was a ping too many.
    fn look_at_received(&mut self, data: &[u8]) -> bool {
        let (strikes, streams, last_stream) = (&mut self.strikes, &self.streams, &mut self.last_stream);
        let mut too_many = false;
        self.received.pass(data, |frame| match frame {
            Frame::Ping { ack: false } => too_many |= strikes.ping(Instant::now(), streams.any()),
            Frame::Headers { stream } => *last_stream = (*last_stream).max(stream),
            Frame::Ping { ack: true } | Frame::Data | Frame::Other => {}
        });
        too_many
    }

    fn look_at_sent(&mut self, data: &[u8]) {
        let forgiven = &mut self.strikes.forgiven;
        self.sent.pass(data, |frame| *forgiven |= matches!(frame, Frame::Data | Frame::Headers { .. }));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn strikes() -> Strikes {
        Strikes { interval: Duration::from_secs(5), last_ping: None, strikes: 0, forgiven: false }
    }

    #[test]
    fn the_third_ping_too_soon_is_one_too_many() {
        let (mut strikes, begin) = (strikes(), Instant::now());
        let told: Vec<bool> = (0..4).map(|second| strikes.ping(begin + Duration::from_secs(second), true)).collect();
        assert_eq!(told, [false, false, false, true]);
    }

    #[test]
    fn what_is_sent_forgives_and_slow_pings_are_welcome_while_something_is_asked() {
        let (mut strikes, begin) = (strikes(), Instant::now());
        for second in 0..20 {
            strikes.forgiven = second % 3 == 0;
            assert!(!strikes.ping(begin + Duration::from_secs(second), true));
        }
        for ping in 1..20 {
            assert!(!strikes.ping(begin + Duration::from_secs(20 + 5 * ping), true));
        }
    }

    #[test]
    fn idle_clients_may_ping_every_other_hour() {
        let (mut strikes, begin) = (strikes(), Instant::now());
        let told: Vec<bool> = (0..4).map(|ping| strikes.ping(begin + Duration::from_secs(600 * ping), false)).collect();
        assert_eq!(told, [false, false, false, true]);
    }
}
