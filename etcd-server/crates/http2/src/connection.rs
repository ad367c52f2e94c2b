//! A connection: its state, its events, and its end. `receive` has the frames that come in, `send`
//! those that go out.

use crate::encoder::Encoder;
use crate::frame::{self, STREAM_ID_MAX, flag, kind};
use crate::head::{FieldNames, Head};
use crate::hpack::Decoder;
use crate::output::Output;
use crate::ping_policy::PingPolicy;
use crate::reason::Reason;
use crate::streams::{StreamKey, Streams};
use bytes::BufMut as _;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

/// The window that either side begins with.
pub(crate) const DEFAULT_WINDOW_BYTES: u32 = 65_535;
/// No frame of data is added to more output than this.
pub(crate) const OUTPUT_BYTES_MAX: usize = 256 << 10;
/// Other frames may exceed it by so much before the connection stops reading.
const CONTROL_BYTES_MAX: usize = 64 << 10;
/// The ping behind the first GOAWAY of a shutdown: once it is acknowledged, the client has seen
/// that GOAWAY, and all streams that it opened before have arrived.
const SHUTDOWN_PING: [u8; 8] = *b"shutdown";
const KEEP_ALIVE_PING: [u8; 8] = *b"is-alive";

/// The settings of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Streams open at a time.
    pub streams_max: u32,
    /// Fields of one request, in bytes: names, values, and 32 for each.
    pub header_bytes_max: u32,
    /// Bytes that a client may send on a stream before the application takes them.
    pub stream_window_bytes: u32,
    /// The same for all streams together.
    pub connection_window_bytes: u32,
    /// See [`PingPolicy`].
    pub client_ping_interval_min: Duration,
    /// The names of the fields that the application looks up by tag.
    pub field_names: FieldNames,
}

/// A change that the application has to know of.
#[derive(Clone, Debug)]
pub enum Event {
    /// A request begins. A part of its body, or all of it, may have come already.
    Request { stream: StreamKey, head: Arc<Head> },
    /// Bytes of the body have come, or its end.
    Body { stream: StreamKey },
    /// Data that had to wait has gone to the output, some of it or all.
    Sent { stream: StreamKey },
    /// The stream has ended before its response was complete, by the client or by its error.
    Reset { stream: StreamKey, reason: Reason },
    /// The client has acknowledged a ping.
    Pong,
}

/// An error that ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fatal {
    pub(crate) reason: Reason,
    pub(crate) text: &'static str,
}

impl Fatal {
    pub(crate) const fn new(reason: Reason, text: &'static str) -> Self {
        Self { reason, text }
    }
}

/// The position in the life of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The client's preface has not come.
    Preface,
    /// Its first frame has to be SETTINGS.
    FirstSettings,
    Open,
    /// A GOAWAY was sent that ends all streams.
    Ended(Fatal),
}

/// A header block of which frames are missing.
#[derive(Debug)]
pub(crate) struct PartialBlock {
    pub(crate) stream: u32,
    pub(crate) ends_stream: bool,
    pub(crate) depends_on_itself: bool,
    pub(crate) continuations: u32,
    pub(crate) block: Vec<u8>,
}

/// The server side of one HTTP/2 connection.
#[derive(Debug)]
pub struct Connection {
    pub(crate) settings: Settings,
    pub(crate) phase: Phase,
    pub(crate) streams: Streams,
    pub(crate) events: VecDeque<Event>,
    pub(crate) output: Output,

    /// The beginning of a frame whose rest has not come.
    pub(crate) input: Vec<u8>,
    pub(crate) decoder: Decoder,
    pub(crate) partial_block: Option<PartialBlock>,
    /// The newest stream of the client.
    pub(crate) last_stream: u32,
    /// Streams that this side has reset lately: frames that were under way are no error.
    pub(crate) reset_lately: VecDeque<u32>,
    /// Streams beyond this one came behind the last GOAWAY.
    pub(crate) last_stream_taken: Option<u32>,
    pub(crate) receive_window: i64,
    pub(crate) unannounced: usize,
    pub(crate) pings: PingPolicy,
    pub(crate) unseen_resets: u32,
    pub(crate) error_resets: u32,
    pub(crate) empty_frames: u32,
    pub(crate) window_scans: usize,

    pub(crate) encoder: Encoder,
    pub(crate) send_window: i64,
    pub(crate) initial_send_window: i64,
    /// Streams that have something to send.
    pub(crate) ready: VecDeque<StreamKey>,
    /// Streams that wait for the client to widen their windows; some of them have ended.
    pub(crate) blocked: Vec<StreamKey>,
    is_shutting_down: bool,
}

impl Connection {
    /// A new connection, of which nothing has come yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let mut output = Output::default();
        output.gather(|out| {
            let values = [(3, settings.streams_max), (4, settings.stream_window_bytes), (6, settings.header_bytes_max)];
            frame::push_head(out, 6 * values.len(), kind::SETTINGS, 0, 0);
            for (id, value) in values {
                out.put_u16(id);
                out.put_u32(value);
            }
            if let Some(wider) = settings.connection_window_bytes.checked_sub(DEFAULT_WINDOW_BYTES).filter(|by| *by > 0)
            {
                frame::push_head(out, 4, kind::WINDOW_UPDATE, 0, 0);
                out.put_u32(wider);
            }
        });
        Self {
            settings,
            phase: Phase::Preface,
            streams: Streams::default(),
            events: VecDeque::new(),
            output,
            input: Vec::new(),
            decoder: Decoder::new(settings.field_names, settings.header_bytes_max as usize),
            partial_block: None,
            last_stream: 0,
            reset_lately: VecDeque::new(),
            last_stream_taken: None,
            receive_window: i64::from(settings.connection_window_bytes.max(DEFAULT_WINDOW_BYTES)),
            unannounced: 0,
            pings: PingPolicy::new(settings.client_ping_interval_min),
            unseen_resets: 0,
            error_resets: 0,
            empty_frames: 0,
            window_scans: 0,
            encoder: Encoder::new(),
            send_window: i64::from(DEFAULT_WINDOW_BYTES),
            initial_send_window: i64::from(DEFAULT_WINDOW_BYTES),
            ready: VecDeque::new(),
            blocked: Vec::new(),
            is_shutting_down: false,
        }
    }

    /// The next event, in the order of the frames; `None` if the application knows everything.
    ///
    /// Take events only when all that has arrived was received: streams that are opened and reset
    /// meanwhile never appear.
    pub fn next_event(&mut self) -> Option<Event> {
        while let Some(event) = self.events.pop_front() {
            match event {
                Event::Request { stream, .. } => {
                    let Some(opened) = self.streams.get_mut(stream) else { continue };
                    opened.seen = true;
                }
                Event::Body { stream } => {
                    let Some(open) = self.streams.get_mut(stream) else { continue };
                    open.body_signalled = false;
                }
                Event::Sent { stream } => {
                    let Some(open) = self.streams.get_mut(stream) else { continue };
                    open.sent_signalled = false;
                }
                Event::Reset { .. } | Event::Pong => {}
            }
            return Some(event);
        }
        None
    }

    /// Returns `true` once the client has shown that it speaks HTTP/2.
    #[must_use]
    pub fn is_established(&self) -> bool {
        self.phase != Phase::Preface
    }

    /// Returns `true` if more bytes may be received. Otherwise output has to be written first, or
    /// the connection has ended.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        !matches!(self.phase, Phase::Ended(_)) && self.output.len() < OUTPUT_BYTES_MAX + CONTROL_BYTES_MAX
    }

    /// Returns `true` if the connection is to be closed once all output is written.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self.phase, Phase::Ended(_)) || (self.last_stream_taken.is_some() && self.streams.len() == 0)
    }

    /// The reason of the GOAWAY that ended all streams; `None` before.
    #[must_use]
    pub fn ended(&self) -> Option<Reason> {
        match self.phase {
            Phase::Ended(fatal) => Some(fatal.reason),
            Phase::Preface | Phase::FirstSettings | Phase::Open => None,
        }
    }

    /// The text of the GOAWAY that ended all streams; empty if there is none.
    #[must_use]
    pub fn ended_because(&self) -> &'static str {
        match self.phase {
            Phase::Ended(fatal) => fatal.text,
            Phase::Preface | Phase::FirstSettings | Phase::Open => "",
        }
    }

    /// The number of open streams.
    #[must_use]
    pub fn open_streams(&self) -> usize {
        self.streams.len()
    }

    /// The bytes that wait to be written, without data that waits for a window.
    #[must_use]
    pub fn output_bytes(&self) -> usize {
        self.output.len()
    }

    /// Fills `slices` with the first bytes to be written, in order, and returns their number. Call
    /// [`Connection::fill_output`] before.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.output.slices(slices)
    }

    /// Removes the first `written` bytes from the output.
    pub fn advance(&mut self, written: usize) {
        self.output.advance(written);
    }

    /// Sends a ping; its acknowledgement is [`Event::Pong`].
    pub fn ping(&mut self) {
        self.push_ping(KEEP_ALIVE_PING, 0);
    }

    /// Asks the client to open no more streams. Those that are open, or under way, are served;
    /// then [`Connection::is_finished`].
    pub fn shut_down(&mut self) {
        if self.is_shutting_down || matches!(self.phase, Phase::Ended(_)) {
            return;
        }
        self.is_shutting_down = true;
        self.push_go_away(STREAM_ID_MAX, Reason::NO_ERROR, "");
        self.push_ping(SHUTDOWN_PING, 0);
    }

    /// Ends the connection and all its streams, with a last GOAWAY.
    pub fn end(&mut self, reason: Reason) {
        if !matches!(self.phase, Phase::Ended(_)) {
            self.fail(Fatal::new(reason, ""));
        }
    }

    pub(crate) fn fail(&mut self, fatal: Fatal) {
        self.push_go_away(self.last_stream_taken.unwrap_or(self.last_stream), fatal.reason, fatal.text);
        self.phase = Phase::Ended(fatal);
        self.streams = Streams::default();
        self.events.clear();
        self.ready.clear();
        self.blocked.clear();
        self.input = Vec::new();
        self.partial_block = None;
    }

    pub(crate) fn ping_acknowledged(&mut self, payload: [u8; 8]) {
        if payload == SHUTDOWN_PING && self.is_shutting_down && self.last_stream_taken.is_none() {
            self.last_stream_taken = Some(self.last_stream);
            self.push_go_away(self.last_stream, Reason::NO_ERROR, "");
        } else if payload == KEEP_ALIVE_PING {
            self.events.push_back(Event::Pong);
        }
    }

    pub(crate) fn push_ping(&mut self, payload: [u8; 8], flags: u8) {
        self.output.gather(|out| {
            frame::push_head(out, payload.len(), kind::PING, flags, 0);
            out.put_slice(&payload);
        });
    }

    fn push_go_away(&mut self, last_stream: u32, reason: Reason, text: &str) {
        self.output.gather(|out| {
            frame::push_head(out, 8 + text.len(), kind::GOAWAY, 0, 0);
            out.put_u32(last_stream);
            out.put_u32(reason.0);
            out.put_slice(text.as_bytes());
        });
    }

    pub(crate) fn push_window_update(&mut self, stream: u32, bytes: usize) {
        // A window has less than 2^31 bytes.
        let bytes = u32::try_from(bytes).unwrap_or(STREAM_ID_MAX);
        self.output.gather(|out| {
            frame::push_head(out, 4, kind::WINDOW_UPDATE, 0, stream);
            out.put_u32(bytes);
        });
    }

    pub(crate) fn push_settings_ack(&mut self) {
        self.output.gather(|out| frame::push_head(out, 0, kind::SETTINGS, flag::ACK, 0));
    }

    pub(crate) fn push_reset(&mut self, stream: u32, reason: Reason) {
        self.output.gather(|out| {
            frame::push_head(out, 4, kind::RST_STREAM, 0, stream);
            out.put_u32(reason.0);
        });
    }
}
