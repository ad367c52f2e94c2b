//! The two stream forms in which raft messages travel in a response's body.
//!
//! `message`: each message is its length, eight bytes big-endian, and its bytes. `msgapp` (etcd:
//! msgappv2) leaves out of consecutive appends the parts that the receiver knows already; both ends
//! keep (term, index) of the last append, beginning at zero on each connection. A keep-alive is a
//! heartbeat without sender and receiver in the first form, and a single byte in the second.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use prost::Message as _;
use proto::raftpb::{Entry, Message};

/// Kinds of raft messages that this crate must distinguish, by etcd's numbers.
pub mod kind {
    /// An append of entries.
    pub const APPEND: i32 = 3;
    /// A raft snapshot.
    pub const SNAPSHOT: i32 = 7;
    /// A leader's sign of life.
    pub const HEARTBEAT: i32 = 8;
}

/// Largest single message or entry, in bytes: etcd's figure.
const FRAME_BYTES_MAX: u64 = 512 << 20;

const LINK_HEARTBEAT: u8 = 0;
const APPEND_ENTRIES: u8 = 1;
const WHOLE_MESSAGE: u8 = 2;

/// One of the two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamKind {
    /// Appends.
    Append,
    /// Everything else.
    Message,
}

impl StreamKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Append, Self::Message];

    /// Returns its name in paths and metrics.
    pub fn path(self) -> &'static str {
        match self {
            Self::Append => "msgapp",
            Self::Message => "message",
        }
    }
}

/// A stream that cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// A length beyond the limit.
    #[error("a frame of {0} bytes is larger than allowed")]
    TooLarge(u64),
    /// The first byte of a frame of appends.
    #[error("unhandled message type {0}")]
    UnknownFrame(u8),
    /// Not protobuf.
    #[error("error unmarshalling raft message: {0}")]
    Malformed(#[from] prost::DecodeError),
}

/// The last append, as both ends know it.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    term: u64,
    index: u64,
}

impl Known {
    fn follow(&mut self, message: &Message) {
        self.term = message.term;
        self.index = message.entries.last().map_or(message.index, |last| last.index);
    }
}

/// Writes messages into a stream.
#[derive(Debug)]
pub struct Encoder {
    kind: StreamKind,
    known: Known,
}

impl Encoder {
    /// For a fresh connection.
    pub fn new(kind: StreamKind) -> Self {
        Self { kind, known: Known::default() }
    }

    /// Appends one message.
    pub fn message(&mut self, message: &Message, out: &mut BytesMut) {
        if self.kind == StreamKind::Message {
            whole(message, out);
            return;
        }
        let is_next = message.r#type == kind::APPEND
            && message.index == self.known.index
            && message.log_term == self.known.term
            && message.log_term == message.term
            && message.context.is_empty();
        if is_next {
            out.put_u8(APPEND_ENTRIES);
            out.put_u64(message.entries.len() as u64);
            for entry in &message.entries {
                let length = entry.encoded_len();
                out.put_u64(length as u64);
                out.reserve(length);
                entry.encode_raw(out);
            }
            out.put_u64(message.commit);
            self.known.index += message.entries.len() as u64;
        } else {
            out.put_u8(WHOLE_MESSAGE);
            whole(message, out);
            self.known.follow(message);
        }
    }

    /// Appends a sign of life.
    pub fn keep_alive(&self, out: &mut BytesMut) {
        match self.kind {
            StreamKind::Append => out.put_u8(LINK_HEARTBEAT),
            StreamKind::Message => whole(&Message { r#type: kind::HEARTBEAT, ..Message::default() }, out),
        }
    }
}

fn whole(message: &Message, out: &mut BytesMut) {
    let length = message.encoded_len();
    out.put_u64(length as u64);
    out.reserve(length);
    message.encode_raw(out);
}

/// Reads messages out of a stream, however it is cut into pieces.
#[derive(Debug)]
pub struct Decoder {
    kind: StreamKind,
    /// The other end of the stream: compact appends name neither sender nor receiver.
    remote: u64,
    local: u64,
    known: Known,
    read: BytesMut,
    /// An append that has not come in whole.
    partial: Option<Partial>,
}

#[derive(Debug)]
struct Partial {
    missing: u64,
    entries: Vec<Entry>,
}

impl Decoder {
    /// For a fresh connection from `remote` to `local`.
    pub fn new(kind: StreamKind, remote: u64, local: u64) -> Self {
        Self { kind, remote, local, known: Known::default(), read: BytesMut::new(), partial: None }
    }

    /// Adds received bytes.
    pub fn extend(&mut self, received: &[u8]) {
        self.read.extend_from_slice(received);
    }

    /// The next whole message, signs of life left out; nothing when more has to be received first.
    pub fn message(&mut self) -> Result<Option<Message>, FrameError> {
        loop {
            let message = match self.kind {
                StreamKind::Message => self.sized(0)?.map(Message::decode).transpose()?,
                StreamKind::Append => match self.append_frame()? {
                    Step::Message(message) => Some(*message),
                    Step::Skipped => continue,
                    Step::Incomplete => None,
                },
            };
            match message {
                Some(message) if message.from == 0 && message.to == 0 => {}
                other => return Ok(other),
            }
        }
    }

    fn append_frame(&mut self) -> Result<Step, FrameError> {
        if self.partial.is_some() {
            return self.compact_append();
        }
        match self.read.first().copied() {
            None => Ok(Step::Incomplete),
            Some(LINK_HEARTBEAT) => {
                self.read.advance(1);
                Ok(Step::Skipped)
            }
            Some(APPEND_ENTRIES) if self.read.len() < 9 => Ok(Step::Incomplete),
            Some(APPEND_ENTRIES) => {
                self.read.advance(1);
                self.partial = Some(Partial { missing: self.read.get_u64(), entries: Vec::new() });
                self.compact_append()
            }
            Some(WHOLE_MESSAGE) => {
                let Some(bytes) = self.sized(1)? else { return Ok(Step::Incomplete) };
                let message = Message::decode(bytes)?;
                self.known.follow(&message);
                Ok(Step::Message(Box::new(message)))
            }
            Some(other) => Err(FrameError::UnknownFrame(other)),
        }
    }

    fn compact_append(&mut self) -> Result<Step, FrameError> {
        while self.partial.as_ref().is_some_and(|partial| partial.missing > 0) {
            let Some(bytes) = self.sized(0)? else { return Ok(Step::Incomplete) };
            let entry = Entry::decode(bytes)?;
            if let Some(partial) = &mut self.partial {
                partial.entries.push(entry);
                partial.missing -= 1;
            }
        }
        if self.read.len() < 8 {
            return Ok(Step::Incomplete);
        }
        let Some(partial) = self.partial.take() else { return Ok(Step::Incomplete) };
        let Known { term, index } = self.known;
        self.known.index += partial.entries.len() as u64;
        Ok(Step::Message(Box::new(Message {
            r#type: kind::APPEND,
            from: self.remote,
            to: self.local,
            term,
            log_term: term,
            index,
            entries: partial.entries,
            commit: self.read.get_u64(),
            ..Message::default()
        })))
    }

    /// A length and that many bytes, after `before` bytes to be dropped; nothing is taken before
    /// all of it is there.
    fn sized(&mut self, before: usize) -> Result<Option<Bytes>, FrameError> {
        let Some(head) = self.read.get(before..before + 8).and_then(|head| <[u8; 8]>::try_from(head).ok()) else {
            return Ok(None);
        };
        let length = u64::from_be_bytes(head);
        if length > FRAME_BYTES_MAX {
            return Err(FrameError::TooLarge(length));
        }
        let length = usize::try_from(length).map_err(|_| FrameError::TooLarge(length))?;
        if self.read.len() < before + 8 + length {
            return Ok(None);
        }
        self.read.advance(before + 8);
        Ok(Some(self.read.split_to(length).freeze()))
    }
}

enum Step {
    Message(Box<Message>),
    Skipped,
    Incomplete,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(term: u64, log_term: u64, index: u64, entries: u64) -> Message {
        let entry = |i| Entry {
            term,
            index: index + 1 + i,
            data: vec![b'x'; usize::try_from(i).unwrap() * 100].into(),
            ..Entry::default()
        };
        let entries = (0..entries).map(entry).collect();
        Message {
            r#type: kind::APPEND,
            to: 2,
            from: 1,
            term,
            log_term,
            index,
            entries,
            commit: index,
            ..Message::default()
        }
    }

    fn heartbeat() -> Message {
        Message { r#type: kind::HEARTBEAT, to: 2, from: 1, term: 3, ..Message::default() }
    }

    fn through(kind: StreamKind, messages: &[Message], piece: usize) -> Vec<Message> {
        let mut encoder = Encoder::new(kind);
        let mut wire = BytesMut::new();
        for message in messages {
            encoder.keep_alive(&mut wire);
            encoder.message(message, &mut wire);
        }
        let mut decoder = Decoder::new(kind, 1, 2);
        let mut read = Vec::new();
        for piece in wire.chunks(piece) {
            decoder.extend(piece);
            while let Some(message) = decoder.message().unwrap() {
                read.push(message);
            }
        }
        read
    }

    #[test]
    fn every_message_comes_through_however_the_stream_is_cut() {
        let appends = [
            append(3, 2, 5, 2),
            append(3, 3, 7, 1),
            append(3, 3, 8, 0),
            append(3, 3, 8, 9),
            append(4, 3, 17, 1),
            append(4, 4, 1, 1),
        ];
        for piece in [1, 2, 7, 64, 1 << 20] {
            assert_eq!(through(StreamKind::Append, &appends, piece), appends, "{piece}");
            assert_eq!(
                through(StreamKind::Message, &[heartbeat(), append(1, 1, 1, 3)], piece),
                [heartbeat(), append(1, 1, 1, 3)]
            );
        }
    }

    #[test]
    fn consecutive_appends_are_compact() {
        let mut encoder = Encoder::new(StreamKind::Append);
        let mut wire = BytesMut::new();
        encoder.message(&append(3, 3, 5, 1), &mut wire);
        assert_eq!(wire.split()[0], WHOLE_MESSAGE);
        encoder.message(&append(3, 3, 6, 1), &mut wire);
        // One entry of term 3 at index 7 without data, and the commit index.
        assert_eq!(
            wire.split()[..],
            [&[1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 4, 16, 3, 24, 7][..], &6u64.to_be_bytes()].concat()
        );
        let reject = Message { context: Bytes::from_static(b"c"), ..append(3, 3, 7, 1) };
        encoder.message(&reject, &mut wire);
        assert_eq!(wire[0], WHOLE_MESSAGE, "a context would be lost in the compact form");
    }

    #[test]
    fn etcds_keep_alives_are_passed_over() {
        // 3.5 writes every zero and an empty snapshot; 3.7 writes the type alone.
        let long =
            b"\x08\x08\x10\0\x18\0\x20\0\x28\0\x30\0\x40\0\x4a\x0a\x12\x08\x0a\x02\x28\0\x10\0\x18\0\x50\0\x58\0";
        for keep_alive in [&long[..], b"\x08\x08"] {
            let mut decoder = Decoder::new(StreamKind::Message, 1, 2);
            decoder.extend(&(keep_alive.len() as u64).to_be_bytes());
            decoder.extend(keep_alive);
            assert!(decoder.message().unwrap().is_none());
            assert!(decoder.read.is_empty());
        }
    }

    #[test]
    fn hostile_lengths_end_the_stream_without_memory() {
        let mut decoder = Decoder::new(StreamKind::Message, 1, 2);
        decoder.extend(&u64::MAX.to_be_bytes());
        assert!(matches!(decoder.message(), Err(FrameError::TooLarge(u64::MAX))));
        let mut decoder = Decoder::new(StreamKind::Append, 1, 2);
        decoder.extend(&[APPEND_ENTRIES]);
        decoder.extend(&u64::MAX.to_be_bytes());
        assert!(decoder.message().unwrap().is_none(), "a count alone reserves nothing");
        let mut decoder = Decoder::new(StreamKind::Append, 1, 2);
        decoder.extend(b"\x07");
        assert!(matches!(decoder.message(), Err(FrameError::UnknownFrame(7))));
    }

    #[test]
    fn random_bytes_never_panic() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            for kind in StreamKind::ALL {
                let mut decoder = Decoder::new(kind, 1, 2);
                let bytes: Vec<u8> = (0..random.usize(0..60))
                    .map(|_| if random.bool() { random.u8(0..4) } else { random.u8(..) })
                    .collect();
                decoder.extend(&bytes);
                while let Ok(Some(_)) = decoder.message() {}
            }
        }
    }
}
