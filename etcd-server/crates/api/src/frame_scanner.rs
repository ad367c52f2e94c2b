//! Looks at HTTP/2 frames as they pass: nothing but their headers, nine bytes each.

use crate::stream_headers::StreamHeaders;
use std::convert::Infallible;

/// Length of the connection preface of a client.
const PREFACE_BYTES: usize = 24;
const HEADER_BYTES: usize = 9;

/// A frame that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Data,
    Headers { stream: u32 },
    Ping { ack: bool },
    Other,
}

/// The position in one direction of a connection.
#[derive(Debug)]
pub(crate) struct FrameScanner(StreamHeaders<HEADER_BYTES>);

impl FrameScanner {
    pub(crate) fn of_client() -> Self {
        Self(StreamHeaders::behind(PREFACE_BYTES))
    }

    pub(crate) fn of_server() -> Self {
        Self(StreamHeaders::behind(0))
    }

    /// Returns `true` if no frame is under way.
    pub(crate) fn is_between_frames(&self) -> bool {
        self.0.is_between()
    }

    /// Goes on over `data`.
    pub(crate) fn pass(&mut self, data: &[u8], mut begun: impl FnMut(Frame)) {
        let Ok(()) = self.0.pass::<Infallible>(data, |[high, middle, low, kind, flags, stream @ ..]| {
            begun(match kind {
                0 => Frame::Data,
                1 => Frame::Headers { stream: u32::from_be_bytes(stream) & (u32::MAX >> 1) },
                6 => Frame::Ping { ack: flags & 1 == 1 },
                _ => Frame::Other,
            });
            Ok(u32::from_be_bytes([0, high, middle, low]) as usize)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_however_they_are_cut() {
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
        bytes.extend([0, 0, 3, 1, 4, 0, 0, 0, 5, 6, 6, 6]);
        bytes.extend([0, 0, 8, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend([0, 0, 1, 0, 1, 0, 0, 0, 5, 9]);
        bytes.extend([0, 0, 8, 6, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let expected = [
            Frame::Other,
            Frame::Headers { stream: 5 },
            Frame::Ping { ack: false },
            Frame::Data,
            Frame::Ping { ack: true },
        ];
        for piece in [1, 2, 7, 10, bytes.len()] {
            let (mut scanner, mut found) = (FrameScanner::of_client(), Vec::new());
            bytes.chunks(piece).for_each(|data| scanner.pass(data, |frame| found.push(frame)));
            assert_eq!(found, expected, "in pieces of {piece}");
            assert!(scanner.is_between_frames());
        }
    }
}
