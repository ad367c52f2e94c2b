//! Heads of frames (RFC 9113, section 4.1).

use bytes::BufMut;

/// The connection preface of a client.
pub(crate) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(crate) const HEAD_BYTES: usize = 9;
/// The largest payload that either side sends unless the other permits more; this server does not.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 16 << 10;
/// Stream ids have 31 bits.
pub(crate) const STREAM_ID_MAX: u32 = u32::MAX >> 1;

pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const PRIORITY: u8 = 2;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PUSH_PROMISE: u8 = 5;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const WINDOW_UPDATE: u8 = 8;
    pub(crate) const CONTINUATION: u8 = 9;
}

pub(crate) mod flag {
    pub(crate) const ACK: u8 = 0x1;
    pub(crate) const END_STREAM: u8 = 0x1;
    pub(crate) const END_HEADERS: u8 = 0x4;
    pub(crate) const PADDED: u8 = 0x8;
    pub(crate) const PRIORITY: u8 = 0x20;
}

/// The head of a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameHead {
    pub(crate) length: usize,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
}

impl FrameHead {
    /// Reads the head at the beginning of `bytes`; `None` if it is not complete.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let [high, middle, low, kind, flags, stream @ ..] = *bytes.first_chunk::<HEAD_BYTES>()?;
        Some(Self {
            length: usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low),
            kind,
            flags,
            stream: u32::from_be_bytes(stream) & STREAM_ID_MAX,
        })
    }

    pub(crate) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Appends the head of a frame whose payload follows.
///
/// # Panics
/// If the payload is longer than a frame may be: the caller cuts it.
pub(crate) fn push_head(out: &mut impl BufMut, length: usize, kind: u8, flags: u8, stream: u32) {
    assert!(length <= PAYLOAD_BYTES_MAX, "a frame of {length} bytes");
    let [.., high, middle, low] = length.to_be_bytes();
    let [a, b, c, d] = stream.to_be_bytes();
    out.put_slice(&[high, middle, low, kind, flags, a, b, c, d]);
}
