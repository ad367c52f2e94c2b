//! Frames by hand: written as bytes, shown as text.

use http2::Reason;
use std::fmt::Write as _;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(crate) const KINDS: [&str; 10] = [
    "DATA",
    "HEADERS",
    "PRIORITY",
    "RST_STREAM",
    "SETTINGS",
    "PUSH_PROMISE",
    "PING",
    "GOAWAY",
    "WINDOW_UPDATE",
    "CONTINUATION",
];
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
/// Also the ACK of SETTINGS and PING.
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Fields that are in no table.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            let mut length = text.len();
            if length < 0x7f {
                block.push(u8::try_from(length).unwrap());
            } else {
                block.push(0x7f);
                length -= 0x7f;
                while length >= 0x80 {
                    block.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
                    length >>= 7;
                }
                block.push(u8::try_from(length).unwrap());
            }
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

pub(crate) fn request_fields() -> Vec<(&'static str, &'static str)> {
    vec![(":method", "POST"), (":scheme", "http"), (":path", "/p"), ("content-type", "application/grpc")]
}

/// A received frame: kind, flags, stream, payload.
pub(crate) type Frame = (u8, u8, u32, Vec<u8>);

pub(crate) fn split(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let length = usize::from(bytes[0]) << 16 | usize::from(bytes[1]) << 8 | usize::from(bytes[2]);
        let stream = u32::from_be_bytes(bytes[5..9].try_into().unwrap());
        frames.push((bytes[3], bytes[4], stream, bytes[9..9 + length].to_vec()));
        bytes = &bytes[9 + length..];
    }
    frames
}

fn number(payload: &[u8]) -> u32 {
    u32::from_be_bytes(payload[..4].try_into().unwrap())
}

pub(crate) fn text(bytes: &[u8]) -> String {
    if bytes.len() > 40 { format!("<{} bytes>", bytes.len()) } else { format!("\"{}\"", bytes.escape_ascii()) }
}

/// A line for a frame of the server.
pub(crate) fn shown((kind, flags, stream, payload): &Frame) -> String {
    let mut line = format!("> {}", KINDS[usize::from(*kind)]);
    if *stream != 0 {
        write!(line, " {stream}").unwrap();
    }
    let is_ack = *kind == SETTINGS || *kind == PING;
    if flags & 1 != 0 {
        line += if is_ack { " ACK" } else { " END_STREAM" };
    }
    match *kind {
        RST_STREAM => write!(line, " {}", Reason(number(payload))).unwrap(),
        GOAWAY => write!(
            line,
            " last={} {} {}",
            number(payload),
            Reason(number(&payload[4..])),
            String::from_utf8_lossy(&payload[8..])
        )
        .unwrap(),
        WINDOW_UPDATE => write!(line, " +{}", number(payload)).unwrap(),
        SETTINGS => {
            for setting in payload.chunks(6) {
                write!(line, " {}={}", u16::from_be_bytes([setting[0], setting[1]]), number(&setting[2..])).unwrap();
            }
        }
        _ => write!(line, " {}", text(payload)).unwrap(),
    }
    line
}
