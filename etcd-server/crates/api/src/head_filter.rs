//! Request heads that the h2 crate would not accept, changed on their way to it.
//!
//! The crate parses `:authority` as part of a URI and resets a call whose authority is none; gRPC
//! servers take anything there, and clients send `#initially=[http://127.0.0.1:2379]`,
//! `%2Ftmp%2Fetcd.sock`, lists, blanks and nothing. It also resets a call with a `te` other than
//! `trailers`. So an authority that it would not take is replaced by one of the same length, an
//! empty one becomes an ordinary field, and such a `te` gets a meaningless name.
//!
//! This needs no table of header fields: names and values keep their decoded lengths, so an entry
//! that the client's encoder puts into its table has the same size on both sides, and later
//! requests that refer to it mean the changed field. Most clients send the field once in a
//! connection and refer to it from then on, so almost every head passes as it is; looking at one
//! takes some twenty nanoseconds.
//!
//! Left as they are: a name that refers to an entry of the client's table, which encoders do not
//! use where the fixed table has the name; an empty authority before other pseudo-fields, which
//! must come first; a field that only a CONTINUATION frame holds; a frame that would grow beyond
//! the frame size.

use bytes::{Buf as _, BytesMut};
use http::uri::Authority;
use http2::huffman;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Plain, and in Huffman's code.
const AUTHORITY_NAMES: [&[u8]; 2] = [b"\x0a:authority", &[0x88, 0xb8, 0x3b, 0x53, 0x39, 0xec, 0x32, 0x7d, 0x7f]];
/// As long as `:authority`.
const RENAMED_AUTHORITY: &[u8] = b"\x0ax-authorit";
/// The fixed table has pseudo-fields up to here.
const PSEUDO_INDEX_MAX: usize = 14;
/// Replaces each byte of an authority that cannot be parsed as one.
const STAND_IN: u8 = b'a';
/// The index of `:authority` in the fixed table.
const AUTHORITY_INDEX: usize = 1;
const TE_NAMES: [&[u8]; 2] = [b"\x02te", &[0x82, 0x49, 0x7f]];
const TRAILERS: [&[u8]; 2] = [b"\x08trailers", &[0x86, 0x4d, 0x83, 0x35, 0x05, 0xb1, 0x1f]];
const RENAMED_TE: &[u8] = b"\x02xt";

const PREFACE_BYTES: usize = 24;
const FRAME_HEAD_BYTES: usize = 9;
const HEADERS: u8 = 1;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
const PRIORITY_BYTES: usize = 5;
/// h2 accepts no larger frames from us unless configured.
const FRAME_BYTES_MAX: usize = 16 << 10;
/// Read at a time while a head is held back.
const CHUNK_BYTES: usize = 4 << 10;

/// A connection whose received heads are changed.
#[derive(Debug)]
pub(crate) struct HeadFilter<I> {
    io: I,
    scanner: Scanner,
    /// Received and not looked at: the beginning of a frame.
    held: BytesMut,
    /// Looked at, and not handed on yet.
    ready: BytesMut,
}

/// The position of the connection in its frames.
#[derive(Debug)]
struct Scanner {
    /// Bytes that pass without being looked at.
    pass: usize,
}

/// The next step over the received bytes.
enum Step {
    /// So many bytes pass as they are.
    Pass(usize),
    /// A frame of so many bytes is replaced.
    Replace(usize, Vec<u8>),
    /// More has to be received first.
    Incomplete,
}

impl Scanner {
    /// Looks at the beginning of `data`, which is not empty.
    fn step(&mut self, data: &[u8]) -> Step {
        if self.pass > 0 {
            let passed = self.pass.min(data.len());
            self.pass -= passed;
            return Step::Pass(passed);
        }
        let Some((head, payload)) = data.split_first_chunk::<FRAME_HEAD_BYTES>() else { return Step::Incomplete };
        let [high, middle, low, kind, flags, ..] = *head;
        let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        if kind != HEADERS || length > FRAME_BYTES_MAX {
            self.pass = length;
            return Step::Pass(FRAME_HEAD_BYTES);
        }
        let Some(payload) = payload.get(..length) else { return Step::Incomplete };
        match changed_frame(head, flags, payload) {
            Some(frame) => Step::Replace(FRAME_HEAD_BYTES + length, frame),
            None => Step::Pass(FRAME_HEAD_BYTES + length),
        }
    }
}

/// The whole frame with changed fields; `None` if nothing is to be changed.
fn changed_frame(head: &[u8; FRAME_HEAD_BYTES], flags: u8, payload: &[u8]) -> Option<Vec<u8>> {
    let padded = flags & PADDED != 0;
    let padding = if padded { usize::from(*payload.first()?) } else { 0 };
    let before = usize::from(padded) + if flags & PRIORITY != 0 { PRIORITY_BYTES } else { 0 };
    let block = payload.get(before..payload.len().checked_sub(padding)?)?;
    let block = changed_block(block)?;
    let length = before + block.len() + padding;
    let [_, high, middle, low] = u32::try_from(length).ok().filter(|_| length <= FRAME_BYTES_MAX)?.to_be_bytes();
    let mut frame = Vec::with_capacity(FRAME_HEAD_BYTES + length);
    frame.extend_from_slice(&[high, middle, low]);
    frame.extend_from_slice(&head[3..]);
    frame.extend_from_slice(&payload[..before]);
    frame.extend_from_slice(&block);
    frame.extend_from_slice(&payload[payload.len() - padding..]);
    Some(frame)
}

/// The header block with changed fields; `None` if nothing is to be changed. Stops where the block
/// is cut or malformed, which is for h2 to judge.
fn changed_block(block: &[u8]) -> Option<Vec<u8>> {
    let mut out: Option<Vec<u8>> = None;
    let (mut at, mut copied) = (0, 0);
    while at < block.len()
        && let Some(field) = Field::read(&block[at..])
    {
        let next = at + field.bytes;
        if let Some(change) = field.change(&block[at..next], &block[next..]) {
            let out = out.get_or_insert_with(|| Vec::with_capacity(block.len() * 2));
            out.extend_from_slice(&block[copied..at]);
            match change {
                // The kind of literal, with a name of its own.
                Change::Name(name) => {
                    out.push(field.kind);
                    out.extend_from_slice(name);
                    copied = at + field.value_at;
                }
                Change::Value(bytes) => {
                    out.extend_from_slice(&block[at..at + field.value_at]);
                    push_stand_in(out, bytes);
                    copied = next;
                }
            }
        }
        at = next;
    }
    let mut out = out?;
    out.extend_from_slice(&block[copied..]);
    Some(out)
}

/// A plain string that is an authority.
fn push_stand_in(out: &mut Vec<u8>, bytes: usize) {
    const PREFIX_MAX: usize = 0x7f;
    let byte = |number: usize| u8::try_from(number).unwrap_or(u8::MAX);
    if bytes < PREFIX_MAX {
        out.push(byte(bytes));
    } else {
        out.push(byte(PREFIX_MAX));
        let mut rest = bytes - PREFIX_MAX;
        while rest >= 0x80 {
            out.push(byte(rest % 0x80) | 0x80);
            rest /= 0x80;
        }
        out.push(byte(rest));
    }
    out.resize(out.len() + bytes, STAND_IN);
}

/// A change of a field.
enum Change {
    /// It gets another name, as long as its own.
    Name(&'static [u8]),
    /// It gets another value of so many bytes, as long as its own.
    Value(usize),
}

/// A field of a header block (RFC 7541, section 6).
struct Field {
    bytes: usize,
    /// The first byte without its index.
    kind: u8,
    /// Zero: the name is spelled out.
    index: usize,
    name_at: usize,
    /// Zero: there is none, because it is an entry of a table.
    value_at: usize,
}

impl Field {
    /// `None` if it is cut or malformed.
    fn read(block: &[u8]) -> Option<Self> {
        let first = *block.first()?;
        // An entry of a table, or a new size for the client's.
        if first & 0x80 != 0 || first & 0xe0 == 0x20 {
            let prefix_bits = if first & 0x80 != 0 { 7 } else { 5 };
            let (index, bytes) = integer(block, prefix_bits)?;
            return Some(Self { bytes, kind: first, index, name_at: 0, value_at: 0 });
        }
        let prefix_bits = if first & 0xc0 == 0x40 { 6 } else { 4 };
        let (index, name_at) = integer(block, prefix_bits)?;
        let kind = first & !((1 << prefix_bits) - 1);
        let name_bytes = if index == 0 { string_bytes(block.get(name_at..)?)? } else { 0 };
        let value_at = name_at + name_bytes;
        let bytes = value_at + string_bytes(block.get(value_at..)?)?;
        Some(Self { bytes, kind, index, name_at, value_at })
    }

    /// `None` if `field`, which this is, may stay as it is in front of `next`.
    fn change(&self, field: &[u8], next: &[u8]) -> Option<Change> {
        if self.value_at == 0 {
            return None;
        }
        let (name, value) = (&field[self.name_at..self.value_at], &field[self.value_at..]);
        if self.index != AUTHORITY_INDEX && !AUTHORITY_NAMES.contains(&name) {
            return (TE_NAMES.contains(&name) && !TRAILERS.contains(&value)).then_some(Change::Name(RENAMED_TE));
        }
        let (length, length_bytes) = integer(value, 7)?;
        let text = &value[length_bytes..length_bytes + length];
        let decoded = if value[0] & 0x80 == 0 { text.to_vec() } else { decoded(text)? };
        if decoded.is_empty() {
            return (!begins_with_pseudo_field(next)).then_some(Change::Name(RENAMED_AUTHORITY));
        }
        Authority::try_from(&decoded[..]).is_err().then_some(Change::Value(decoded.len()))
    }
}

/// Decodes a string in Huffman's code; `None` if it is malformed.
fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::new();
    huffman::decode_into(text, &mut decoded).then_some(decoded)
}

/// Returns `true` if a pseudo-field follows, as far as that shows without the client's table.
fn begins_with_pseudo_field(block: &[u8]) -> bool {
    let Some(field) = Field::read(block) else { return false };
    let spelled_out = field.value_at > 0 && field.index == 0;
    if spelled_out {
        block.get(field.name_at + 1) == Some(&b':')
    } else {
        (1..=PSEUDO_INDEX_MAX).contains(&field.index)
    }
}

/// Returns an integer behind the bits of its first byte, and the number of its bytes.
fn integer(bytes: &[u8], prefix_bits: u32) -> Option<(usize, usize)> {
    let mask = (1_usize << prefix_bits) - 1;
    let mut value = usize::from(*bytes.first()?) & mask;
    if value < mask {
        return Some((value, 1));
    }
    // Three more bytes hold more than a frame does.
    for (position, byte) in bytes.get(1..)?.iter().take(3).enumerate() {
        value += usize::from(byte & 0x7f) << (7 * position);
        if byte & 0x80 == 0 {
            return Some((value, position + 2));
        }
    }
    None
}

/// The number of bytes that a string takes, with the length in front of it.
fn string_bytes(bytes: &[u8]) -> Option<usize> {
    let (length, length_bytes) = integer(bytes, 7)?;
    Some(length_bytes + length).filter(|whole| *whole <= bytes.len())
}

impl<I> HeadFilter<I> {
    /// Filters a connection of which nothing was read yet.
    pub(crate) fn new(io: I) -> Self {
        Self { io, scanner: Scanner { pass: PREFACE_BYTES }, held: BytesMut::new(), ready: BytesMut::new() }
    }

    /// Examines the held bytes as far as possible.
    fn release(&mut self) {
        while !self.held.is_empty() {
            match self.scanner.step(&self.held) {
                Step::Pass(bytes) => self.ready.unsplit(self.held.split_to(bytes)),
                Step::Replace(bytes, frame) => {
                    self.held.advance(bytes);
                    self.ready.extend_from_slice(&frame);
                }
                Step::Incomplete => return,
            }
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for HeadFilter<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.held.is_empty() && this.ready.is_empty() {
            // Mostly whole frames that pass as they are: nothing is copied.
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.io).poll_read(cx, buffer))?;
            let mut at = before;
            while at < buffer.filled().len() {
                match this.scanner.step(&buffer.filled()[at..]) {
                    Step::Pass(bytes) => at += bytes,
                    Step::Replace(bytes, frame) => {
                        this.ready.extend_from_slice(&frame);
                        this.held.extend_from_slice(&buffer.filled()[at + bytes..]);
                        break;
                    }
                    Step::Incomplete => {
                        this.held.extend_from_slice(&buffer.filled()[at..]);
                        break;
                    }
                }
            }
            buffer.set_filled(at);
            // The end of the connection is nothing at all.
            if at > before || (this.held.is_empty() && this.ready.is_empty()) {
                return Poll::Ready(Ok(()));
            }
        }
        this.release();
        while this.ready.is_empty() {
            let mut chunk = [0; CHUNK_BYTES];
            let mut chunk = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut this.io).poll_read(cx, &mut chunk))?;
            if chunk.filled().is_empty() {
                // A frame without its end: h2 finds out.
                this.ready = std::mem::take(&mut this.held);
                break;
            }
            this.held.extend_from_slice(chunk.filled());
            this.release();
        }
        let bytes = this.ready.len().min(buffer.remaining());
        buffer.put_slice(&this.ready.split_to(bytes));
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for HeadFilter<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt as _;

    const PREFACE: &[u8; PREFACE_BYTES] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let [_, length @ ..] = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    /// `:method: POST`, then the fields.
    fn block(fields: &[&[u8]]) -> Vec<u8> {
        [&[0x83][..], &fields.concat()].concat()
    }

    #[test]
    fn replaces_authorities_that_are_none_however_they_are_written() {
        // Plain, and `a b` in Huffman's code.
        for (value, stand_in) in [(&b"\x03#=["[..], &b"\x03aaa"[..]), (&[0x83, 0x1a, 0x91, 0xff], b"\x03aaa")] {
            for kind in [0x40, 0x00, 0x10] {
                let names = [
                    vec![kind | 1],
                    [&[kind][..], AUTHORITY_NAMES[0]].concat(),
                    [&[kind][..], AUTHORITY_NAMES[1]].concat(),
                ];
                for name in names {
                    let (sent, expected) = ([&name[..], value].concat(), [&name[..], stand_in].concat());
                    assert_eq!(
                        changed_block(&block(&[&sent, b"\x84"])),
                        Some(block(&[&expected, b"\x84"])),
                        "{sent:x?}"
                    );
                }
            }
        }
        let long = [&b"\x41\x7f\x81\x01"[..], &[b' '; 256]].concat();
        let expected = [&b"\x41\x7f\x81\x01"[..], &[b'a'; 256]].concat();
        assert_eq!(changed_block(&block(&[&long])), Some(block(&[&expected])));
    }

    #[test]
    fn renames_an_empty_authority_behind_other_pseudo_fields() {
        let renamed = block(&[b"\x40\x0ax-authorit\x00", b"\x40\x01x\x01y"]);
        assert_eq!(changed_block(&block(&[b"\x41\x00", b"\x40\x01x\x01y"])), Some(renamed));
        for pseudo in [&b"\x84"[..], b"\x04\x01/", b"\x00\x05:path\x01/"] {
            assert_eq!(
                changed_block(&block(&[b"\x41\x00", pseudo])),
                None,
                "a regular field may not come before a pseudo-field"
            );
        }
    }

    #[test]
    fn leaves_other_fields_as_they_are() {
        let te = [&[0x40][..], TE_NAMES[1], TRAILERS[1]].concat();
        let authority =
            [&[0x41, 0x8c][..], &[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff]].concat();
        let unchanged: [&[u8]; 6] =
            [b"\xbe", b"\x40\x01a\x01b", &te, b"\x00\x02te\x08trailers", b"\x3f\xe1\x1f\x41\x09localhost", &authority];
        for field in unchanged {
            assert_eq!(changed_block(&block(&[field])), None, "{field:x?}");
        }
        let gzip = block(&[b"\x00\x02te\x04gzip"]);
        assert_eq!(changed_block(&gzip), Some(block(&[b"\x00\x02xt\x04gzip"])));
    }

    #[tokio::test]
    async fn changes_heads_however_they_are_cut() {
        let head = block(&[b"\x41\x05#a=[]", b"\x40\x01x\x01y"]);
        let changed = block(&[b"\x41\x05aaaaa", b"\x40\x01x\x01y"]);
        let around = |head: &[u8], padded: bool| {
            let payload = if padded { [&[2, 0, 0, 0, 3, 4][..], head, &[0, 0]].concat() } else { head.to_vec() };
            let headers = frame(HEADERS, 4 | if padded { PADDED | PRIORITY } else { 0 }, &payload);
            [&PREFACE[..], &frame(4, 0, &[]), &headers, &frame(0, 0, &[7; 100]), &headers, &frame(0, 1, &[])].concat()
        };
        for padded in [false, true] {
            let (sent, expected) = (around(&head, padded), around(&changed, padded));
            for piece in [1, 2, 9, 10, 33, 60, sent.len()] {
                let mut io = tokio_test_io(&sent, piece);
                let mut received = Vec::new();
                io.read_to_end(&mut received).await.unwrap();
                assert_eq!(received, expected, "in pieces of {piece}");
            }
        }
    }

    /// A connection that delivers pieces.
    fn tokio_test_io(sent: &[u8], piece: usize) -> HeadFilter<Pieces> {
        HeadFilter::new(Pieces(sent.chunks(piece).map(<[u8]>::to_vec).collect()))
    }

    struct Pieces(std::collections::VecDeque<Vec<u8>>);

    impl AsyncRead for Pieces {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            if let Some(mut piece) = self.0.pop_front() {
                let rest = piece.split_off(piece.len().min(buffer.remaining()));
                buffer.put_slice(&piece);
                if !rest.is_empty() {
                    self.0.push_front(rest);
                }
            }
            Poll::Ready(Ok(()))
        }
    }
}
