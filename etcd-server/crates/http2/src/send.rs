//! Frames that go out: heads, data as the client's windows permit, trailers, resets.

use crate::connection::{Connection, Event, OUTPUT_BYTES_MAX};
use crate::encoder::{push_field, push_status};
use crate::frame::{PAYLOAD_BYTES_MAX, flag, kind, push_head};
use crate::reason::Reason;
use crate::streams::{Queued, StreamKey, Tail};
use bytes::Bytes;

/// Lists of streams are cleaned of ended ones above this length.
const LISTED_MIN: usize = 32;
/// The status of a request whose head is too large.
const TOO_LARGE: u16 = 431;

impl Connection {
    /// Responds to a call that succeeded with one message, its prefix included: head, data and
    /// trailers.
    pub fn respond(&mut self, key: StreamKey, message: Bytes) {
        self.send_grpc_head(key);
        self.send_data(key, message);
        self.send_ok_trailers(key);
    }

    /// Sends the head of a gRPC response.
    pub fn send_grpc_head(&mut self, key: StreamKey) {
        if !self.begin_head(key) {
            return;
        }
        let encoder = &mut self.encoder;
        let mut block = [0; 64];
        let mut rest = &mut block[..];
        encoder.begin(&mut rest);
        encoder.grpc_head(&mut rest);
        let length = 64 - rest.len();
        self.push_block(key.id, &block[..length], 0);
    }

    /// Sends the head of any response. With `End::Stream` it is the whole response.
    pub fn send_head<'a>(
        &mut self,
        key: StreamKey,
        status: u16,
        fields: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
        end: End,
    ) {
        if !self.begin_head(key) {
            return;
        }
        let mut block = Vec::with_capacity(256);
        self.encoder.begin(&mut block);
        push_status(&mut block, status);
        for (name, value) in fields {
            push_field(&mut block, name, value);
        }
        match end {
            End::Stream => {
                self.push_block(key.id, &block, flag::END_STREAM);
                self.finish(key);
            }
            End::Later => self.push_block(key.id, &block, 0),
        }
    }

    /// Sends data, or keeps it until the client's windows and the output have room for it.
    pub fn send_data(&mut self, key: StreamKey, data: Bytes) {
        let initial = self.initial_send_window;
        let Some(stream) = self.streams.get_mut(key).filter(|stream| stream.accepts_more()) else { return };
        if data.is_empty() {
            return;
        }
        let window = self.send_window.min(initial + stream.send_credit);
        let fits = data.len() <= PAYLOAD_BYTES_MAX && i64::try_from(data.len()).is_ok_and(|bytes| bytes <= window);
        if fits && stream.queued == Queued::No && self.output.len() < OUTPUT_BYTES_MAX {
            return self.push_data(key, data, 0);
        }
        stream.pending_bytes += data.len();
        stream.pending.push_back(data);
        if stream.queued == Queued::No {
            self.pump(key, usize::MAX);
        }
    }

    /// Ends a response without trailers.
    pub fn send_end(&mut self, key: StreamKey) {
        self.set_tail(key, Tail::EndOfData);
    }

    /// Ends the response of a call that succeeded.
    pub fn send_ok_trailers(&mut self, key: StreamKey) {
        self.set_tail(key, Tail::StatusOk);
    }

    /// Ends a response with trailers.
    pub fn send_trailers<'a>(&mut self, key: StreamKey, fields: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) {
        let mut block = Vec::with_capacity(128);
        for (name, value) in fields {
            push_field(&mut block, name, value);
        }
        self.set_tail(key, Tail::Trailers(block));
    }

    /// Resets a stream. Whatever waits in it is dropped.
    pub fn reset(&mut self, key: StreamKey, reason: Reason) {
        if self.close(key).is_some() {
            self.reset_locally(key.id, reason);
        }
    }

    /// Resets the stream behind the end of its response, unless the client ends its side before.
    pub fn reset_after_end(&mut self, key: StreamKey, reason: Reason) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        if stream.local_ended {
            return self.reset(key, reason);
        }
        stream.reset_after_end = Some(reason);
    }

    /// Leaves a stream: the application has no more to do with it. A response that is not ended is
    /// cancelled, and a client that still sends is reset behind its end.
    pub fn leave(&mut self, key: StreamKey) {
        match self.streams.get(key) {
            Some(stream) if stream.accepts_more() => self.reset(key, Reason::CANCEL),
            Some(_) => self.reset_after_end(key, Reason::NO_ERROR),
            None => {}
        }
    }

    /// Bytes of a response that wait for a window or for room in the output; `None` if the stream
    /// has ended.
    #[must_use]
    pub fn pending_bytes(&self, key: StreamKey) -> Option<usize> {
        self.streams.get(key).map(|stream| stream.pending_bytes)
    }

    /// Moves data that waits to the output, as far as windows and the bound of the output permit,
    /// from all streams in turn.
    pub fn fill_output(&mut self) {
        while self.output.len() < OUTPUT_BYTES_MAX
            && self.send_window > 0
            && let Some(key) = self.ready.pop_front()
        {
            self.pump(key, 1);
        }
    }

    /// Marks the head as sent. Returns `false` if there is nothing to send it on.
    fn begin_head(&mut self, key: StreamKey) -> bool {
        let Some(stream) = self.streams.get_mut(key) else { return false };
        !std::mem::replace(&mut stream.head_sent, true)
    }

    fn set_tail(&mut self, key: StreamKey, tail: Tail) {
        let Some(stream) = self.streams.get_mut(key).filter(|stream| stream.accepts_more()) else { return };
        stream.tail = tail;
        if stream.queued == Queued::No {
            self.pump(key, usize::MAX);
        }
    }

    /// Sends what waits in a stream, at most so many frames of data, and puts it into the queue that
    /// it has to wait in.
    fn pump(&mut self, key: StreamKey, frames_max: usize) {
        let mut frames = 0;
        let queued = loop {
            let initial = self.initial_send_window;
            let Some(stream) = self.streams.get_mut(key) else { return };
            let Some(front) = stream.pending.front_mut() else {
                stream.queued = Queued::No;
                return self.push_tail(key);
            };
            let window = initial + stream.send_credit;
            if window <= 0 {
                break Queued::Blocked;
            }
            if frames == frames_max || self.send_window <= 0 || self.output.len() >= OUTPUT_BYTES_MAX {
                break Queued::Ready;
            }
            let room = usize::try_from(window.min(self.send_window)).unwrap_or(usize::MAX).min(PAYLOAD_BYTES_MAX);
            let data =
                if room < front.len() { front.split_to(room) } else { stream.pending.pop_front().unwrap_or_default() };
            stream.pending_bytes -= data.len();
            let ends = stream.pending.is_empty() && matches!(stream.tail, Tail::EndOfData);
            if !std::mem::replace(&mut stream.sent_signalled, true) {
                self.events.push_back(Event::Sent { stream: key });
            }
            self.push_data(key, data, if ends { flag::END_STREAM } else { 0 });
            if ends {
                return self.finish(key);
            }
            frames += 1;
        };
        let Some(stream) = self.streams.get_mut(key) else { return };
        stream.queued = queued;
        if queued == Queued::Ready {
            self.list_as_ready(key);
        } else if !std::mem::replace(&mut stream.listed_as_blocked, true) {
            self.list_as_blocked(key);
        }
    }

    pub(crate) fn list_as_ready(&mut self, key: StreamKey) {
        if self.ready.len() >= LISTED_MIN + 2 * self.streams.len() {
            self.ready.retain(|key| self.streams.get(*key).is_some());
        }
        self.ready.push_back(key);
    }

    fn list_as_blocked(&mut self, key: StreamKey) {
        if self.blocked.len() >= LISTED_MIN + 2 * self.streams.len() {
            self.blocked.retain(|key| self.streams.get(*key).is_some());
        }
        self.blocked.push(key);
    }

    /// Sends the end of a response whose data is sent.
    fn push_tail(&mut self, key: StreamKey) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        match std::mem::take(&mut stream.tail) {
            Tail::None => return,
            Tail::EndOfData => self.push_data(key, Bytes::new(), flag::END_STREAM),
            Tail::StatusOk => {
                let mut block = [0; 64];
                let mut rest = &mut block[..];
                self.encoder.begin(&mut rest);
                self.encoder.ok_trailers(&mut rest);
                let length = 64 - rest.len();
                self.push_block(key.id, &block[..length], flag::END_STREAM);
            }
            Tail::Trailers(fields) => {
                let mut block = Vec::with_capacity(fields.len() + 8);
                self.encoder.begin(&mut block);
                block.extend_from_slice(&fields);
                self.push_block(key.id, &block, flag::END_STREAM);
            }
        }
        self.finish(key);
    }

    /// Our side of a stream has ended.
    fn finish(&mut self, key: StreamKey) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        stream.local_ended = true;
        if stream.remote_ended {
            return self.complete(key);
        }
        if let Some(reason) = stream.reset_after_end {
            self.reset(key, reason);
        }
    }

    /// Sends a frame of data that the windows permit.
    fn push_data(&mut self, key: StreamKey, data: Bytes, flags: u8) {
        let bytes = i64::try_from(data.len()).unwrap_or(i64::MAX);
        self.send_window -= bytes;
        if let Some(stream) = self.streams.get_mut(key) {
            stream.send_credit -= bytes;
        }
        self.output.gather(|out| push_head(out, data.len(), kind::DATA, flags, key.id));
        self.output.push(data);
        self.pings.forgive();
    }

    /// Sends a header block, in as many frames as it takes.
    fn push_block(&mut self, id: u32, block: &[u8], flags: u8) {
        let mut parts = block.chunks(PAYLOAD_BYTES_MAX).peekable();
        let (mut kind, mut flags) = (kind::HEADERS, flags);
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                flags |= flag::END_HEADERS;
            }
            self.output.gather(|out| {
                push_head(out, part.len(), kind, flags, id);
                out.extend_from_slice(part);
            });
            (kind, flags) = (kind::CONTINUATION, 0);
        }
        self.pings.forgive();
    }

    /// Responds to a head that is too large, on a stream that was not opened.
    pub(crate) fn push_too_large_response(&mut self, id: u32) {
        let mut block = Vec::with_capacity(8);
        self.encoder.begin(&mut block);
        push_status(&mut block, TOO_LARGE);
        self.push_block(id, &block, flag::END_STREAM);
    }
}

/// The point at which a response ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With its head.
    Stream,
    /// Later.
    Later,
}

impl crate::streams::Stream {
    /// Returns `true` if the response has not been ended.
    fn accepts_more(&self) -> bool {
        !self.local_ended && matches!(self.tail, Tail::None)
    }
}
