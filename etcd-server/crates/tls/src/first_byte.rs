//! The first byte of a connection, looked at and given back: it distinguishes TLS from everything
//! else before any response.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};

/// The record type that a TLS connection begins with.
const HANDSHAKE: u8 = 0x16;
/// The response of Go's server to plain HTTP.
const PLAIN_HTTP: &[u8] = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
/// Time for reading the rest of the request: closing a socket with unread data would lose the
/// response.
const FAREWELL: Duration = Duration::from_secs(1);
const FAREWELL_BYTES_MAX: usize = 64 << 10;

/// A connection of which one byte has been read.
#[derive(Debug)]
pub struct Begun<I> {
    first: Option<u8>,
    io: I,
}

impl<I: AsyncRead + AsyncWrite + Unpin> Begun<I> {
    /// Reads the first byte. A client without TLS gets a response in plain text.
    pub(crate) async fn read(mut io: I) -> io::Result<Self> {
        let first = io.read_u8().await?;
        if first == HANDSHAKE {
            return Ok(Self { first: Some(first), io });
        }
        // Only the client cares whether the response arrives.
        drop(tokio::time::timeout(FAREWELL, farewell(&mut io)).await);
        Err(io::Error::new(io::ErrorKind::InvalidData, "tls: first record does not look like a TLS handshake"))
    }
}

impl<I> Begun<I> {
    /// The connection itself.
    pub fn get_ref(&self) -> &I {
        &self.io
    }
}

async fn farewell<I: AsyncRead + AsyncWrite + Unpin>(io: &mut I) -> io::Result<()> {
    io.write_all(PLAIN_HTTP).await?;
    io.shutdown().await?;
    let (mut taken, mut part) = (0, [0; 1024]);
    while taken < FAREWELL_BYTES_MAX {
        match io.read(&mut part).await? {
            0 => break,
            bytes => taken += bytes,
        }
    }
    Ok(())
}

impl<I: AsyncRead + Unpin> AsyncRead for Begun<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if into.remaining() > 0
            && let Some(first) = self.first.take()
        {
            into.put_slice(&[first]);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_read(cx, into)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Begun<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
