//! gRPC messages on an HTTP/2 stream: the prefix of five bytes with a flag and the length, reading one
//! message, and sending bytes as the peer's window allows.

use bytes::{Bytes, BytesMut};
use h2::{RecvStream, SendStream};
use http::HeaderMap;
use std::task::Poll;

/// Bytes of the prefix of a gRPC message: a flag for compression, and the length.
pub(crate) const PREFIX_BYTES: usize = 5;

/// Reads the one message of a unary call, prefix included, up to `bytes_max`; bytes behind it are
/// not read.
pub(crate) async fn read_message(stream: &mut RecvStream, bytes_max: usize) -> Result<Bytes, Unreadable> {
    let mut gathered = BytesMut::new();
    let mut first = None;
    loop {
        let part = std::future::poll_fn(|cx| stream.poll_data(cx)).await;
        let part = match part {
            Some(Ok(part)) => part,
            Some(Err(_)) => return Err(Unreadable::Gone),
            None => break,
        };
        drop(stream.flow_control().release_capacity(part.len()));
        // Mostly a message comes in one part, which need not be copied.
        match (&first, gathered.is_empty()) {
            (None, true) => first = Some(part),
            _ => {
                if let Some(first) = first.take() {
                    gathered.extend_from_slice(&first);
                }
                gathered.extend_from_slice(&part);
            }
        }
        let so_far = first.as_deref().unwrap_or(&gathered);
        if let Some(length) = announced(so_far)
            && length > bytes_max
        {
            return Err(Unreadable::TooLarge(length));
        }
    }
    let whole = first.unwrap_or_else(|| gathered.freeze());
    let Some(length) = announced(&whole) else { return Err(Unreadable::Absent) };
    if whole[0] != 0 {
        return Err(Unreadable::Compressed);
    }
    if whole.len() < PREFIX_BYTES + length {
        return Err(Unreadable::Cut);
    }
    Ok(whole.slice(PREFIX_BYTES..PREFIX_BYTES + length))
}

fn announced(bytes: &[u8]) -> Option<usize> {
    let length: [u8; 4] = bytes.get(1..PREFIX_BYTES)?.try_into().ok()?;
    usize::try_from(u32::from_be_bytes(length)).ok()
}

/// The reason why no message could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// The client has gone away.
    Gone,
    /// More than allowed; holds the length announced.
    TooLarge(usize),
    /// Compressed, though the headers announce nothing of the kind.
    Compressed,
    /// Not even the prefix.
    Absent,
    /// Less than announced.
    Cut,
}

/// Sends as the client's window and our buffer allow.
pub(crate) async fn send_data(stream: &mut SendStream<Bytes>, mut data: Bytes) -> Result<(), h2::Error> {
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let room = std::future::poll_fn(|cx| {
            if let Poll::Ready(reset) = stream.poll_reset(cx) {
                return Poll::Ready(Err(reset.map_or_else(|error| error, h2::Error::from)));
            }
            stream.poll_capacity(cx).map(|room| room.unwrap_or(Ok(0)))
        })
        .await?;
        if room == 0 {
            return Err(h2::Error::from(h2::Reason::CANCEL));
        }
        stream.send_data(data.split_to(room.min(data.len())), false)?;
    }
    Ok(())
}

/// A whole response that may be larger than the client's window: sent in the background of the
/// connection when it does not fit at once.
pub(crate) async fn send_message(
    stream: &mut SendStream<Bytes>,
    message: Bytes,
    trailers: HeaderMap,
) -> Result<(), h2::Error> {
    send_data(stream, message).await?;
    stream.send_trailers(trailers)
}
