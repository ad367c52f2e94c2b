//! Frames that come in.

use crate::connection::{Connection, Event, Fatal, PartialBlock, Phase};
use crate::frame::{FrameHead, HEAD_BYTES, PAYLOAD_BYTES_MAX, PREFACE, flag, kind};
use crate::head::Head;
use crate::hpack::{Block, BlockError};
use crate::reason::Reason;
use crate::streams::{Intake, Queued, Stream, StreamKey};
use std::sync::Arc;
use std::time::Instant;

/// The text of the GOAWAY for a client that pings too often; gRPC clients know it.
pub const TOO_MANY_PINGS: &str = "too_many_pings";

/// CONTINUATION frames of one header block.
const CONTINUATIONS_MAX: u32 = 64;
/// Streams that end in an error of the client, beyond those that end well.
const ERROR_RESETS_MAX: u32 = 1024;
/// Streams that are reset before the application has seen them, beyond those that end well.
const UNSEEN_RESETS_MAX: u32 = 2000;
/// Empty DATA frames in a row, without the end of a stream.
const EMPTY_FRAMES_MAX: u32 = 1000;
/// Streams of this side's resets that are remembered.
const RESET_LATELY_MAX: usize = 1024;
/// Blocked streams that are looked at because the client changes its initial window again and
/// again.
const WINDOW_SCANS_MAX: usize = 16 << 20;
const WINDOW_BYTES_MAX: i64 = (1 << 31) - 1;
/// A buffer for incomplete frames that grew beyond this is not kept.
const KEPT_INPUT_BYTES_MAX: usize = HEAD_BYTES + PAYLOAD_BYTES_MAX;

const PROTOCOL_ERROR: Fatal = Fatal::new(Reason::PROTOCOL_ERROR, "");
const FRAME_SIZE_ERROR: Fatal = Fatal::new(Reason::FRAME_SIZE_ERROR, "");
const FLOW_CONTROL_ERROR: Fatal = Fatal::new(Reason::FLOW_CONTROL_ERROR, "");

const fn calm(text: &'static str) -> Fatal {
    Fatal::new(Reason::ENHANCE_YOUR_CALM, text)
}

impl Connection {
    /// Takes bytes that were read from the socket at `now`. Incomplete frames are kept, at most one.
    pub fn receive(&mut self, mut data: &[u8], now: Instant) {
        while !data.is_empty() && !matches!(self.phase, Phase::Ended(_)) {
            let step = if self.input.is_empty() {
                self.take_unit(data, now).map(|taken| {
                    if taken == 0 {
                        self.input.extend_from_slice(data);
                        data = &[];
                    }
                    data = &data[taken..];
                })
            } else {
                self.complete_unit(&mut data, now)
            };
            if let Err(fatal) = step {
                self.fail(fatal);
            }
        }
    }

    /// Adds what is missing to the incomplete unit, and takes it once it is whole.
    fn complete_unit(&mut self, data: &mut &[u8], now: Instant) -> Result<(), Fatal> {
        let missing = self.unit_bytes(&self.input)?.saturating_sub(self.input.len());
        let (added, rest) = data.split_at(missing.min(data.len()));
        self.input.extend_from_slice(added);
        *data = rest;
        let mut input = std::mem::take(&mut self.input);
        if self.take_unit(&input, now)? > 0 {
            input.clear();
        }
        if !input.is_empty() || input.capacity() <= KEPT_INPUT_BYTES_MAX {
            self.input = input;
        }
        Ok(())
    }

    /// The length of the unit that `bytes` begin, as far as it is known: the preface, or a frame.
    fn unit_bytes(&self, bytes: &[u8]) -> Result<usize, Fatal> {
        if self.phase == Phase::Preface {
            let known = bytes.len().min(PREFACE.len());
            return if bytes[..known] == PREFACE[..known] { Ok(PREFACE.len()) } else { Err(PROTOCOL_ERROR) };
        }
        match FrameHead::read(bytes) {
            None => Ok(HEAD_BYTES),
            Some(head) if head.length > PAYLOAD_BYTES_MAX => Err(FRAME_SIZE_ERROR),
            Some(head) => Ok(HEAD_BYTES + head.length),
        }
    }

    /// Takes the first unit, and returns its length; 0 if it is not whole.
    fn take_unit(&mut self, bytes: &[u8], now: Instant) -> Result<usize, Fatal> {
        let length = self.unit_bytes(bytes)?;
        let Some(unit) = bytes.get(..length) else { return Ok(0) };
        if self.phase == Phase::Preface {
            self.phase = Phase::FirstSettings;
            return Ok(length);
        }
        let Some(head) = FrameHead::read(unit) else { return Ok(0) };
        self.frame(head, &unit[HEAD_BYTES..], now)?;
        Ok(length)
    }

    fn frame(&mut self, head: FrameHead, payload: &[u8], now: Instant) -> Result<(), Fatal> {
        if self.phase == Phase::FirstSettings {
            if head.kind != kind::SETTINGS || head.has(flag::ACK) {
                return Err(PROTOCOL_ERROR);
            }
            self.phase = Phase::Open;
        }
        if let Some(partial) = &self.partial_block
            && (head.kind != kind::CONTINUATION || head.stream != partial.stream)
        {
            return Err(PROTOCOL_ERROR);
        }
        match head.kind {
            kind::DATA => self.data(head, payload),
            kind::HEADERS => self.headers(head, payload),
            kind::PRIORITY => self.priority(head, payload),
            kind::RST_STREAM => self.rst_stream(head, payload),
            kind::SETTINGS => self.settings(head, payload),
            kind::PUSH_PROMISE => Err(PROTOCOL_ERROR),
            kind::PING => self.ping_received(head, payload, now),
            kind::GOAWAY => match payload.len() {
                _ if head.stream != 0 => Err(PROTOCOL_ERROR),
                0..8 => Err(FRAME_SIZE_ERROR),
                // The client opens no more streams; those that are open are served.
                _ => Ok(()),
            },
            kind::WINDOW_UPDATE => self.window_update(head, payload),
            kind::CONTINUATION => self.continuation(head, payload),
            _ => Ok(()),
        }
    }

    fn data(&mut self, head: FrameHead, payload: &[u8]) -> Result<(), Fatal> {
        let charged = payload.len();
        let charge = i64::try_from(charged).unwrap_or(i64::MAX);
        if head.stream == 0 || self.is_idle(head.stream) {
            return Err(PROTOCOL_ERROR);
        }
        let data = unpadded(head, payload)?;
        if charge > self.receive_window {
            return Err(FLOW_CONTROL_ERROR);
        }
        self.receive_window -= charge;
        if data.is_empty() && !head.has(flag::END_STREAM) {
            self.empty_frames += 1;
            if self.empty_frames > EMPTY_FRAMES_MAX {
                return Err(calm("too_many_empty_frames"));
            }
        } else {
            self.empty_frames = 0;
        }
        let Some(key) = self.streams.find(head.stream) else {
            self.release(None, charged);
            return if self.is_ignored(head.stream) {
                Ok(())
            } else {
                self.stream_error(head.stream, Reason::STREAM_CLOSED)
            };
        };
        let Some(stream) = self.streams.get_mut(key) else { return Ok(()) };
        let error = if stream.remote_ended {
            Some(Reason::STREAM_CLOSED)
        } else if charge > stream.receive_window {
            Some(Reason::FLOW_CONTROL_ERROR)
        } else if stream.content_left.is_some_and(|left| left < data.len() as u64) {
            Some(Reason::PROTOCOL_ERROR)
        } else {
            None
        };
        if let Some(reason) = error {
            self.release(None, charged);
            return self.stream_error(head.stream, reason);
        }
        stream.receive_window -= charge;
        stream.content_left = stream.content_left.map(|left| left - data.len() as u64);
        if charged > data.len() {
            self.release(Some(key), charged - data.len());
        }
        if !data.is_empty() {
            self.keep(key, data);
        }
        if head.has(flag::END_STREAM) { self.end_body(key) } else { Ok(()) }
    }

    /// Keeps bytes of a body as the application wants it.
    fn keep(&mut self, key: StreamKey, data: &[u8]) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        let releases = match stream.intake {
            Intake::Dropped => return self.release(Some(key), data.len()),
            Intake::Taken => false,
            Intake::Gathered { bytes_max } => stream.body.len() + data.len() <= bytes_max,
        };
        if stream.body.is_empty() {
            // Mostly all of it has come: no more memory than that.
            stream.body.reserve_exact(data.len());
        }
        stream.body.extend_from_slice(data);
        if releases {
            self.release(Some(key), data.len());
        } else {
            stream.unreleased += data.len();
        }
        self.signal_body(key);
    }

    fn signal_body(&mut self, key: StreamKey) {
        if let Some(stream) = self.streams.get_mut(key)
            && stream.seen
            && !std::mem::replace(&mut stream.body_signalled, true)
        {
            self.events.push_back(Event::Body { stream: key });
        }
    }

    fn end_body(&mut self, key: StreamKey) -> Result<(), Fatal> {
        let Some(stream) = self.streams.get_mut(key) else { return Ok(()) };
        if stream.content_left.is_some_and(|left| left > 0) {
            return self.stream_error(key.id, Reason::PROTOCOL_ERROR);
        }
        stream.remote_ended = true;
        if stream.local_ended {
            self.complete(key);
        } else {
            self.signal_body(key);
        }
        Ok(())
    }

    fn headers(&mut self, head: FrameHead, payload: &[u8]) -> Result<(), Fatal> {
        if head.stream.is_multiple_of(2) {
            return Err(PROTOCOL_ERROR);
        }
        let mut block = unpadded(head, payload)?;
        let mut depends_on_itself = false;
        if head.has(flag::PRIORITY) {
            let (priority, rest) = block.split_first_chunk::<5>().ok_or(PROTOCOL_ERROR)?;
            depends_on_itself = dependency(priority) == head.stream;
            block = rest;
        }
        let ends_stream = head.has(flag::END_STREAM);
        if head.has(flag::END_HEADERS) {
            return self.block(head.stream, ends_stream, depends_on_itself, block);
        }
        let block = block.to_vec();
        self.partial_block =
            Some(PartialBlock { stream: head.stream, ends_stream, depends_on_itself, continuations: 0, block });
        Ok(())
    }

    fn continuation(&mut self, head: FrameHead, payload: &[u8]) -> Result<(), Fatal> {
        let Some(mut partial) = self.partial_block.take() else { return Err(PROTOCOL_ERROR) };
        partial.continuations += 1;
        let bytes_max = self.settings.header_bytes_max as usize + PAYLOAD_BYTES_MAX;
        if partial.continuations > CONTINUATIONS_MAX || partial.block.len() + payload.len() > bytes_max {
            return Err(calm("too_many_continuations"));
        }
        partial.block.extend_from_slice(payload);
        if head.has(flag::END_HEADERS) {
            return self.block(partial.stream, partial.ends_stream, partial.depends_on_itself, &partial.block);
        }
        self.partial_block = Some(partial);
        Ok(())
    }

    /// A whole header block: the head of a request, or its trailers.
    fn block(&mut self, id: u32, ends_stream: bool, depends_on_itself: bool, block: &[u8]) -> Result<(), Fatal> {
        // Before all else: later blocks depend on it.
        let decoded = self.decoder.decode(block).map_err(|error| match error {
            BlockError::Undecodable => Fatal::new(Reason::COMPRESSION_ERROR, ""),
            BlockError::Abusive => calm("header_list_too_large"),
        })?;
        self.empty_frames = 0;
        if let Some(key) = self.streams.find(id) {
            return self.trailers(key, ends_stream, &decoded);
        }
        if !self.is_idle(id) {
            if self.is_ignored(id) {
                return Ok(());
            }
            let reason = if id == self.last_stream { Reason::STREAM_CLOSED } else { Reason::PROTOCOL_ERROR };
            return Err(Fatal::new(reason, ""));
        }
        self.last_stream = id;
        if self.is_ignored(id) {
            return Ok(());
        }
        if self.streams.len() >= self.settings.streams_max as usize {
            return self.stream_error(id, Reason::REFUSED_STREAM);
        }
        match decoded {
            Block::Head(head) if head.is_request() && !depends_on_itself => self.open(id, ends_stream, head),
            Block::Head(_) | Block::Malformed => self.stream_error(id, Reason::PROTOCOL_ERROR),
            Block::TooLarge => self.refuse_large_head(id, ends_stream),
        }
    }

    fn open(&mut self, id: u32, ends_stream: bool, head: Arc<Head>) -> Result<(), Fatal> {
        let key = self.streams.insert(id, i64::from(self.settings.stream_window_bytes));
        if let Some(stream) = self.streams.get_mut(key) {
            stream.content_left = head.content_length();
        }
        self.events.push_back(Event::Request { stream: key, head });
        if ends_stream { self.end_body(key) } else { Ok(()) }
    }

    /// Trailers mean nothing to a gRPC server but the end of the body.
    fn trailers(&mut self, key: StreamKey, ends_stream: bool, decoded: &Block) -> Result<(), Fatal> {
        if self.streams.get(key).is_some_and(|stream| stream.remote_ended) {
            return self.stream_error(key.id, Reason::STREAM_CLOSED);
        }
        let is_trailers = matches!(decoded, Block::Head(head) if head.is_trailers());
        if !ends_stream || !is_trailers {
            return self.stream_error(key.id, Reason::PROTOCOL_ERROR);
        }
        self.end_body(key)
    }

    /// Responds with 431, which any client understands, and counts it as the client's error.
    fn refuse_large_head(&mut self, id: u32, ends_stream: bool) -> Result<(), Fatal> {
        self.push_too_large_response(id);
        if ends_stream { self.count_error() } else { self.stream_error(id, Reason::NO_ERROR) }
    }

    fn priority(&mut self, head: FrameHead, payload: &[u8]) -> Result<(), Fatal> {
        if head.stream == 0 {
            return Err(PROTOCOL_ERROR);
        }
        let Ok(priority) = payload.try_into() else { return Err(FRAME_SIZE_ERROR) };
        match self.streams.find(head.stream) {
            _ if dependency(priority) != head.stream => Ok(()),
            Some(_) => self.stream_error(head.stream, Reason::PROTOCOL_ERROR),
            // There is no stream to reset.
            None => Err(PROTOCOL_ERROR),
        }
    }

    fn rst_stream(&mut self, head: FrameHead, payload: &[u8]) -> Result<(), Fatal> {
        let code: [u8; 4] = payload.try_into().map_err(|_| FRAME_SIZE_ERROR)?;
        if head.stream == 0 || self.is_idle(head.stream) {
            return Err(PROTOCOL_ERROR);
        }
        let Some(key) = self.streams.find(head.stream) else { return Ok(()) };
        let Some(stream) = self.close(key) else { return Ok(()) };
        if stream.seen {
            self.events.push_back(Event::Reset { stream: key, reason: Reason(u32::from_be_bytes(code)) });
            return Ok(());
        }
        self.unseen_resets += 1;
        if self.unseen_resets > UNSEEN_RESETS_MAX { Err(calm("too_many_resets")) } else { Ok(()) }
    }

    fn settings(&mut self, head: FrameHead, payload: &[u8]) -> Result<(), Fatal> {
        if head.stream != 0 {
            return Err(PROTOCOL_ERROR);
        }
        if head.has(flag::ACK) {
            return if payload.is_empty() { Ok(()) } else { Err(FRAME_SIZE_ERROR) };
        }
        let (settings, rest) = payload.as_chunks::<6>();
        if !rest.is_empty() {
            return Err(FRAME_SIZE_ERROR);
        }
        for [high, low, value @ ..] in settings {
            let value = u32::from_be_bytes(*value);
            match u16::from_be_bytes([*high, *low]) {
                1 => self.encoder.permit(value as usize),
                2 if value > 1 => return Err(PROTOCOL_ERROR),
                4 => self.set_initial_window(i64::from(value))?,
                5 if !(16 << 10..1 << 24).contains(&value) => return Err(PROTOCOL_ERROR),
                // Frames that are sent have the size that every client takes.
                _ => {}
            }
        }
        self.push_settings_ack();
        Ok(())
    }

    fn set_initial_window(&mut self, bytes: i64) -> Result<(), Fatal> {
        if bytes > WINDOW_BYTES_MAX {
            return Err(FLOW_CONTROL_ERROR);
        }
        let is_wider = bytes > self.initial_send_window;
        self.initial_send_window = bytes;
        if !is_wider {
            return Ok(());
        }
        self.window_scans += self.blocked.len();
        if self.window_scans > WINDOW_SCANS_MAX {
            return Err(calm("too_many_settings"));
        }
        for key in std::mem::take(&mut self.blocked) {
            let Some(stream) = self.streams.get_mut(key) else { continue };
            stream.listed_as_blocked = false;
            if stream.queued != Queued::Blocked {
                continue;
            }
            if bytes + stream.send_credit > 0 {
                stream.queued = Queued::Ready;
                self.list_as_ready(key);
            } else {
                stream.listed_as_blocked = true;
                self.blocked.push(key);
            }
        }
        Ok(())
    }

    fn ping_received(&mut self, head: FrameHead, payload: &[u8], now: Instant) -> Result<(), Fatal> {
        if head.stream != 0 {
            return Err(PROTOCOL_ERROR);
        }
        let payload: [u8; 8] = payload.try_into().map_err(|_| FRAME_SIZE_ERROR)?;
        if head.has(flag::ACK) {
            self.ping_acknowledged(payload);
        } else if self.pings.ping(now, self.streams.len() > 0) {
            return Err(calm(TOO_MANY_PINGS));
        } else {
            self.push_ping(payload, flag::ACK);
        }
        Ok(())
    }

    fn window_update(&mut self, head: FrameHead, payload: &[u8]) -> Result<(), Fatal> {
        let increment: [u8; 4] = payload.try_into().map_err(|_| FRAME_SIZE_ERROR)?;
        let increment = i64::from(u32::from_be_bytes(increment) & (u32::MAX >> 1));
        if head.stream == 0 {
            self.send_window += increment;
            return match increment {
                0 => Err(PROTOCOL_ERROR),
                _ if self.send_window > WINDOW_BYTES_MAX => Err(FLOW_CONTROL_ERROR),
                _ => Ok(()),
            };
        }
        if self.is_idle(head.stream) {
            return Err(PROTOCOL_ERROR);
        }
        let Some(key) = self.streams.find(head.stream) else { return Ok(()) };
        let initial = self.initial_send_window;
        let Some(stream) = self.streams.get_mut(key) else { return Ok(()) };
        stream.send_credit += increment;
        let window = initial + stream.send_credit;
        if increment == 0 || window > WINDOW_BYTES_MAX {
            let reason = if increment == 0 { Reason::PROTOCOL_ERROR } else { Reason::FLOW_CONTROL_ERROR };
            return self.stream_error(key.id, reason);
        }
        if stream.queued == Queued::Blocked && window > 0 {
            stream.queued = Queued::Ready;
            self.list_as_ready(key);
        }
        Ok(())
    }

    /// Returns `true` if the client has not opened this stream yet.
    fn is_idle(&self, id: u32) -> bool {
        id > self.last_stream || id.is_multiple_of(2)
    }

    /// Returns `true` if frames of this stream are no error: it was reset, or refused by a GOAWAY,
    /// and the client did not know of it.
    fn is_ignored(&self, id: u32) -> bool {
        self.last_stream_taken.is_some_and(|last| id > last) || self.reset_lately.contains(&id)
    }

    /// Resets a stream for an error of the client.
    fn stream_error(&mut self, id: u32, reason: Reason) -> Result<(), Fatal> {
        if let Some(key) = self.streams.find(id)
            && let Some(stream) = self.close(key)
            && stream.seen
        {
            self.events.push_back(Event::Reset { stream: key, reason });
        }
        self.reset_locally(id, reason);
        self.count_error()
    }

    fn count_error(&mut self) -> Result<(), Fatal> {
        self.error_resets += 1;
        if self.error_resets > ERROR_RESETS_MAX { Err(calm("too_many_internal_resets")) } else { Ok(()) }
    }

    /// Sends RST_STREAM, and remembers it for frames that are under way.
    pub(crate) fn reset_locally(&mut self, id: u32, reason: Reason) {
        self.push_reset(id, reason);
        if self.reset_lately.len() >= RESET_LATELY_MAX {
            self.reset_lately.pop_front();
        }
        self.reset_lately.push_back(id);
    }

    /// Removes a stream whose both sides have ended.
    pub(crate) fn complete(&mut self, key: StreamKey) {
        self.close(key);
        self.error_resets = self.error_resets.saturating_sub(1);
        self.unseen_resets = self.unseen_resets.saturating_sub(1);
    }

    /// Removes a stream. The bytes that it kept make room in the window of the connection.
    pub(crate) fn close(&mut self, key: StreamKey) -> Option<Stream> {
        let stream = self.streams.remove(key)?;
        self.release(None, stream.unreleased);
        Some(stream)
    }

    /// Permits the client to send so many bytes again, once it is worth a frame.
    pub(crate) fn release(&mut self, stream: Option<StreamKey>, bytes: usize) {
        self.unannounced += bytes;
        if self.unannounced >= self.settings.connection_window_bytes as usize / 2 {
            let bytes = std::mem::take(&mut self.unannounced);
            self.receive_window += i64::try_from(bytes).unwrap_or(0);
            self.push_window_update(0, bytes);
        }
        let worth_a_frame = self.settings.stream_window_bytes as usize / 2;
        let Some(stream) = stream.and_then(|key| self.streams.get_mut(key)) else { return };
        if stream.remote_ended {
            return;
        }
        stream.unannounced += bytes;
        if stream.unannounced >= worth_a_frame {
            let bytes = std::mem::take(&mut stream.unannounced);
            stream.receive_window += i64::try_from(bytes).unwrap_or(0);
            let id = stream.id;
            self.push_window_update(id, bytes);
        }
    }

    /// The part of a request's body that is kept, and `true` if the client has ended it.
    #[must_use]
    pub fn body(&self, key: StreamKey) -> (&[u8], bool) {
        self.streams.get(key).map_or((&[], true), |stream| (&stream.body, stream.remote_ended))
    }

    /// Takes the part of a request's body that is kept; the client may send as much again.
    pub fn take_body(&mut self, key: StreamKey) -> Vec<u8> {
        let Some(stream) = self.streams.get_mut(key) else { return Vec::new() };
        let (body, released) = (std::mem::take(&mut stream.body), std::mem::take(&mut stream.unreleased));
        self.release(Some(key), released);
        body
    }

    /// Sets how the rest of a request's body is kept.
    pub fn set_intake(&mut self, key: StreamKey, intake: Intake) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        stream.intake = intake;
        let releases = match intake {
            Intake::Taken => false,
            Intake::Gathered { bytes_max } => stream.body.len() <= bytes_max,
            Intake::Dropped => {
                stream.body = Vec::new();
                true
            }
        };
        if releases {
            let released = std::mem::take(&mut stream.unreleased);
            self.release(Some(key), released);
        }
    }
}

/// The payload without its padding (RFC 9113, section 6.1).
fn unpadded(head: FrameHead, payload: &[u8]) -> Result<&[u8], Fatal> {
    if !head.has(flag::PADDED) {
        return Ok(payload);
    }
    let (padding, rest) = payload.split_first().ok_or(PROTOCOL_ERROR)?;
    let length = rest.len().checked_sub(usize::from(*padding)).ok_or(PROTOCOL_ERROR)?;
    Ok(&rest[..length])
}

/// The stream that a priority names.
fn dependency(priority: &[u8; 5]) -> u32 {
    let [a, b, c, d, _] = *priority;
    u32::from_be_bytes([a, b, c, d]) & (u32::MAX >> 1)
}
