//! Encoding of response heads and trailers (RFC 7541).
//!
//! Almost all responses have the same two fields, `content-type: application/grpc` and
//! `grpc-status: 0`. They are the only entries that this side adds to the client's table; all other
//! fields are spelled out. So a block of other fields does not depend on the table, and can be
//! encoded long before it is sent.

use crate::static_table;
use bytes::BufMut;

/// The size of the client's table as long as it sets none, and the largest that is used.
const TABLE_BYTES_DEFAULT: usize = 4096;
/// The size of both entries: names, values, and 32 bytes for each.
const ENTRIES_BYTES: usize = (12 + 16 + 32) + (11 + 1 + 32);
const STATUS_200: u8 = 0x88;
/// `content-type: application/grpc` behind the first byte, whose index names `content-type`.
const GRPC: &[u8] = b"\x10application/grpc";
/// `grpc-status: 0` behind the first byte.
const STATUS_OK: &[u8] = b"\x0bgrpc-status\x010";
const CONTENT_TYPE_INDEX: u8 = 31;
/// The index of the newest entry of the client's table, as a whole field.
const NEWEST_ENTRY: u8 = 0x80 | 62;

/// Two fields that are sent with almost every response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Common {
    ContentType,
    StatusOk,
}

/// The encoder of a connection.
#[derive(Debug)]
pub(crate) struct Encoder {
    table_bytes_max: usize,
    /// The size that the next block has to announce.
    announce: Option<usize>,
    /// The entries of the client's table, the newest first.
    entries: [Option<Common>; 2],
}

impl Encoder {
    pub(crate) fn new() -> Self {
        Self { table_bytes_max: TABLE_BYTES_DEFAULT, announce: None, entries: [None; 2] }
    }

    /// The client permits a table of so many bytes. A larger one than before is not used.
    pub(crate) fn permit(&mut self, table_bytes_max: usize) {
        if table_bytes_max >= self.table_bytes_max {
            return;
        }
        // A table that does not hold both is not used at all.
        self.table_bytes_max = if table_bytes_max < ENTRIES_BYTES { 0 } else { table_bytes_max };
        if self.table_bytes_max == 0 {
            self.entries = [None; 2];
        }
        self.announce = Some(self.table_bytes_max);
    }

    /// Appends what has to stand in front of every block.
    pub(crate) fn begin(&mut self, out: &mut impl BufMut) {
        if let Some(bytes) = self.announce.take() {
            push_integer(out, 0x20, 5, bytes);
        }
    }

    /// Appends the fields of the head of a gRPC response.
    pub(crate) fn grpc_head(&mut self, out: &mut impl BufMut) {
        out.put_u8(STATUS_200);
        self.common(out, Common::ContentType);
    }

    /// Appends the trailers of a call that succeeded.
    pub(crate) fn ok_trailers(&mut self, out: &mut impl BufMut) {
        self.common(out, Common::StatusOk);
    }

    fn common(&mut self, out: &mut impl BufMut, field: Common) {
        if let Some(age) = self.entries.iter().position(|entry| *entry == Some(field)) {
            return out.put_u8(NEWEST_ENTRY + u8::from(age > 0));
        }
        // Added to the table if there is one.
        let kind = if self.table_bytes_max == 0 { 0x00 } else { 0x40 };
        match (field, kind) {
            (Common::ContentType, 0) => {
                push_integer(out, kind, 4, usize::from(CONTENT_TYPE_INDEX));
                out.put_slice(GRPC);
            }
            (Common::ContentType, _) => {
                out.put_u8(kind | CONTENT_TYPE_INDEX);
                out.put_slice(GRPC);
            }
            (Common::StatusOk, _) => {
                out.put_u8(kind);
                out.put_slice(STATUS_OK);
            }
        }
        if kind != 0 {
            self.entries = [Some(field), self.entries[0]];
        }
    }
}

/// Appends `:status`.
pub(crate) fn push_status(out: &mut impl BufMut, status: u16) {
    if status == 200 {
        return out.put_u8(STATUS_200);
    }
    let digits =
        [status / 100 % 10, status / 10 % 10, status % 10].map(|digit| b'0' + u8::try_from(digit).unwrap_or(0));
    // The name of the entry of status 200.
    out.put_slice(&[STATUS_200 & 0x0f, 3]);
    out.put_slice(&digits);
}

/// Appends a field that is in no table afterwards.
pub(crate) fn push_field(out: &mut impl BufMut, name: &[u8], value: &[u8]) {
    let known = static_table::FIELDS.iter().position(|(known, _)| known.as_bytes() == name);
    match known {
        Some(position) => push_integer(out, 0, 4, position + 1),
        None => {
            out.put_u8(0);
            push_integer(out, 0, 7, name.len());
            out.put_slice(name);
        }
    }
    push_integer(out, 0, 7, value.len());
    out.put_slice(value);
}

/// Appends an integer behind the bits of `first` (RFC 7541, section 5.1).
fn push_integer(out: &mut impl BufMut, first: u8, prefix_bits: u32, value: usize) {
    let byte = |value: usize| u8::try_from(value & 0xff).unwrap_or(u8::MAX);
    let mask = (1 << prefix_bits) - 1;
    if value < mask {
        return out.put_u8(first | byte(value));
    }
    out.put_u8(first | byte(mask));
    let mut rest = value - mask;
    while rest >= 0x80 {
        out.put_u8(byte(rest) | 0x80);
        rest >>= 7;
    }
    out.put_u8(byte(rest));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(encoder: &mut Encoder) -> Vec<u8> {
        let mut block = Vec::new();
        encoder.begin(&mut block);
        encoder.grpc_head(&mut block);
        encoder.begin(&mut block);
        encoder.ok_trailers(&mut block);
        block
    }

    #[test]
    fn second_response_refers_to_the_first() {
        let mut encoder = Encoder::new();
        let first = response(&mut encoder);
        assert_eq!(first, [&[0x88, 0x5f][..], GRPC, &[0x40], STATUS_OK].concat());
        assert_eq!(response(&mut encoder), [0x88, 0xbf, 0xbe]);
        encoder.permit(1 << 20);
        assert_eq!(response(&mut encoder), [0x88, 0xbf, 0xbe]);
    }

    #[test]
    fn order_of_entries_follows_the_first_uses() {
        let (mut encoder, mut block) = (Encoder::new(), Vec::new());
        encoder.ok_trailers(&mut block);
        encoder.ok_trailers(&mut block);
        encoder.grpc_head(&mut block);
        encoder.grpc_head(&mut block);
        encoder.ok_trailers(&mut block);
        assert_eq!(block, [&[0x40][..], STATUS_OK, &[0xbe, 0x88, 0x5f], GRPC, &[0x88, 0xbe, 0xbf]].concat());
    }

    #[test]
    fn smaller_table_is_announced_and_small_one_unused() {
        let mut encoder = Encoder::new();
        response(&mut encoder);
        encoder.permit(200);
        assert_eq!(response(&mut encoder), [0x3f, 0xa9, 0x01, 0x88, 0xbf, 0xbe]);
        encoder.permit(103);
        encoder.permit(4096);
        let spelled_out = [&[0x88, 0x0f, 0x10][..], GRPC, &[0x00], STATUS_OK].concat();
        assert_eq!(response(&mut encoder), [&[0x20][..], &spelled_out].concat());
        assert_eq!(response(&mut encoder), spelled_out);
    }

    #[test]
    fn fields_are_spelled_out() {
        let mut block = Vec::new();
        push_status(&mut block, 415);
        push_field(&mut block, b"content-type", b"text/plain");
        push_field(&mut block, b"x", &[b'v'; 300]);
        let expected = [&b"\x08\x03415\x0f\x10\x0atext/plain\x00\x01x\x7f\xad\x01"[..], &[b'v'; 300]].concat();
        assert_eq!(block, expected);
    }
}
