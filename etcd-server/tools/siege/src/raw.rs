//! HTTP/2 by hand: any frames, in any order.

use bytes::{Buf as _, BytesMut};
use std::io;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GO_AWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const ACK: u8 = 1;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEAD_BYTES: usize = 9;

/// A header's name and value; anything goes.
pub type Field = (Vec<u8>, Vec<u8>);

/// A frame as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The code of a reset or a goodbye.
    #[must_use]
    pub fn code(&self) -> Option<u32> {
        let at = if self.kind == GO_AWAY { 4 } else { 0 };
        self.payload.get(at..at + 4).and_then(|code| code.try_into().ok()).map(u32::from_be_bytes)
    }
}

/// The bytes of a frame. Its payload must fit into three bytes of length.
#[must_use]
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Fields, each spelled out: no table, no compression.
#[must_use]
pub fn field_block(fields: &[Field]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            number(&mut block, text.len());
            block.extend_from_slice(text);
        }
    }
    block
}

/// A number behind one bit, as header blocks hold lengths.
fn number(block: &mut Vec<u8>, number: usize) {
    let byte = |value: usize| u8::try_from(value).unwrap_or(u8::MAX);
    if number < 0x7f {
        block.push(byte(number));
        return;
    }
    block.push(0x7f);
    let mut rest = number - 0x7f;
    while rest >= 0x80 {
        block.push(byte(rest % 0x80) | 0x80);
        rest /= 0x80;
    }
    block.push(byte(rest));
}

/// The fields of a gRPC call.
#[must_use]
pub fn headers(path: &str) -> Vec<Field> {
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "etcd"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    fields.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
}

/// A gRPC message behind its prefix.
#[must_use]
pub fn message(bytes: &[u8]) -> Vec<u8> {
    [&[0][..], &u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes(), bytes].concat()
}

/// The outcome of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawResponse {
    /// The data of its stream.
    pub data: Vec<u8>,
    /// `true` if the stream or the connection ended, by any means.
    pub ended: bool,
    /// The code of the reset or goodbye that ended it.
    pub code: Option<u32>,
}

/// The sending half of a connection.
#[derive(Debug)]
pub struct Sender {
    socket: OwnedWriteHalf,
    next_stream: u32,
}

/// The receiving half.
#[derive(Debug)]
pub struct Receiver {
    socket: OwnedReadHalf,
    read: BytesMut,
}

/// Both halves.
#[derive(Debug)]
pub struct Connection {
    pub sender: Sender,
    pub receiver: Receiver,
}

impl Connection {
    /// Connects on loopback and says hello.
    pub async fn open(port: u16) -> io::Result<Self> {
        let socket = TcpStream::connect(("127.0.0.1", port)).await?;
        socket.set_nodelay(true)?;
        let (read, write) = socket.into_split();
        let mut sender = Sender { socket: write, next_stream: 1 };
        sender.send(PREFACE).await?;
        sender.send(&frame(SETTINGS, 0, 0, &[])).await?;
        Ok(Self { sender, receiver: Receiver { socket: read, read: BytesMut::new() } })
    }

    /// Asks on a stream of its own; returns its number.
    pub async fn request(&mut self, fields: &[Field], body: &[u8]) -> io::Result<u32> {
        let stream = self.sender.begin(fields).await?;
        self.sender.send(&frame(DATA, END_STREAM, stream, body)).await?;
        Ok(stream)
    }

    /// All that is answered on a stream, as far as the first window goes.
    pub async fn answer(&mut self, stream: u32) -> io::Result<RawResponse> {
        let mut answered = RawResponse::default();
        while let Some(received) = self.receiver.next().await? {
            let own = received.stream == stream;
            match received.kind {
                SETTINGS if received.flags & ACK == 0 => self.sender.send(&frame(SETTINGS, ACK, 0, &[])).await?,
                DATA if own => answered.data.extend_from_slice(&received.payload),
                RST_STREAM if own => answered.code = received.code(),
                GO_AWAY => answered.code = received.code(),
                _ => {}
            }
            let ends = own
                && (received.kind == RST_STREAM
                    || matches!(received.kind, DATA | HEADERS) && received.flags & END_STREAM != 0);
            if ends || received.kind == GO_AWAY {
                break;
            }
        }
        answered.ended = true;
        Ok(answered)
    }
}

impl Sender {
    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes).await
    }

    /// The number of the next stream, which is then taken.
    pub fn take_stream(&mut self) -> u32 {
        let stream = self.next_stream;
        self.next_stream += 2;
        stream
    }

    /// Begins a request whose body is to follow.
    pub async fn begin(&mut self, fields: &[Field]) -> io::Result<u32> {
        let stream = self.take_stream();
        self.send(&frame(HEADERS, END_HEADERS, stream, &field_block(fields))).await?;
        Ok(stream)
    }
}

impl Receiver {
    /// The next frame; nothing at the end of the connection.
    pub async fn next(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.take() {
                return Ok(Some(frame));
            }
            match self.socket.read_buf(&mut self.read).await {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                // A client that is disconnected while still sending sees its socket reset.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    fn take(&mut self) -> Option<Frame> {
        let head = self.read.get(..HEAD_BYTES)?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let (kind, flags) = (head[3], head[4]);
        let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        if self.read.len() < HEAD_BYTES + length {
            return None;
        }
        self.read.advance(HEAD_BYTES);
        Some(Frame { kind, flags, stream, payload: self.read.split_to(length).to_vec() })
    }
}
