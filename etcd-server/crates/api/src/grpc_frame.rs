//! gRPC messages in the body of a request: the prefix of five bytes with a flag and the length.

use crate::status::too_large;
use bytes::Bytes;
use std::ops::Range;
use tonic::Status;

/// Bytes of the prefix of a gRPC message: a flag for compression, and the length.
pub(crate) const PREFIX_BYTES: usize = 5;

/// Returns the place of the first message, as its prefix announces it; `None` without a whole
/// prefix.
pub(crate) fn announced(body: &[u8]) -> Option<Range<usize>> {
    let length: [u8; 4] = body.get(1..PREFIX_BYTES)?.try_into().ok()?;
    let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
    Some(PREFIX_BYTES..PREFIX_BYTES + length)
}

/// Returns the one message of a unary call; bytes behind it are ignored.
pub(crate) fn message_in(body: &Bytes) -> Result<Bytes, Unreadable> {
    let Some(message) = announced(body) else { return Err(Unreadable::Absent) };
    if body[0] != 0 {
        return Err(Unreadable::Compressed);
    }
    if body.len() < message.end {
        return Err(Unreadable::Cut);
    }
    Ok(body.slice(message))
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

impl Unreadable {
    /// The status of the call, as grpc-go gives it.
    pub(crate) fn to_status(self, bytes_max: usize) -> Status {
        match self {
            Self::Gone => Status::cancelled("context canceled"),
            Self::TooLarge(length) => too_large(length, bytes_max),
            Self::Compressed => Status::internal("grpc: compressed flag set with identity or empty encoding"),
            Self::Absent => Status::unknown("EOF"),
            Self::Cut => Status::unknown("unexpected EOF"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_first_message() {
        for (body, message) in [
            (&b""[..], Err(Unreadable::Absent)),
            (b"\0\0\0\0", Err(Unreadable::Absent)),
            (b"\0\0\0\0\0", Ok(&b""[..])),
            (b"\0\0\0\0\x02a", Err(Unreadable::Cut)),
            (b"\x01\0\0\0\x01a", Err(Unreadable::Compressed)),
            (b"\0\0\0\0\x01ab", Ok(b"a")),
        ] {
            let read = message_in(&Bytes::copy_from_slice(body));
            assert_eq!(read.as_deref(), message.as_ref().copied());
        }
    }
}
