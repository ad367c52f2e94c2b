//! Connections of gRPC clients: frames in any order, header blocks with and without tables, cut into
//! pieces at will, while an application responds.

use crate::{Dice, Target};
use bytes::Bytes;
use http2::{Connection, End, Event, Intake, Reason, Settings, StreamKey};
use std::time::{Duration, Instant};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A request with fields that enter the table, in Huffman's code; one that refers to them; a
/// spelled-out one; one that makes the table smaller.
const BLOCKS: [&[u8]; 4] = [
    b"\x83\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff\x5f\x02ab",
    &[0x83, 0x86, 0x84, 0xbf, 0xbe],
    b"\x83\x86\x84\x00\x0cgrpc-timeout\x025S\x0f\x0d\x013",
    &[0x3f, 0x61, 0x83, 0x86, 0x84, 0x40, 0x01, b'x', 0x01, b'y'],
];
/// Beyond the bound of the crate's output: one response that a call adds to it.
const OUTPUT_BYTES_MAX: usize = 1 << 20;

pub(super) struct Connections;

fn settings(dice: &mut Dice) -> Settings {
    Settings {
        streams_max: u32::try_from(dice.below(20)).unwrap_or(0),
        header_bytes_max: 2000,
        stream_window_bytes: 70_000,
        connection_window_bytes: 100_000,
        client_ping_interval_min: Duration::from_secs(u64::from(dice.once_in(2))),
        field_names: &["content-type", "grpc-timeout"],
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    [&length[..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn byte(dice: &mut Dice) -> u8 {
    u8::try_from(dice.below(256)).unwrap_or(0)
}

/// A window, a setting or an id at an edge.
fn word(dice: &mut Dice) -> [u8; 4] {
    u32::try_from(dice.number() & 0xffff_ffff).unwrap_or(0).to_be_bytes()
}

/// Frames that a client could send, one after the other.
fn conversation(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = [PREFACE, &frame(4, 0, 0, &[])].concat();
    let mut next = 1;
    for _ in 0..dice.below(30) {
        let known = u32::try_from(dice.below(next as usize + 2)).unwrap_or(0) | 1;
        let one = match dice.below(12) {
            0..=3 => {
                let stream = if dice.once_in(8) { known } else { next };
                next += 2;
                let flags = 4 | u8::from(dice.once_in(2)) | if dice.once_in(10) { byte(dice) } else { 0 };
                // The first block fills the table.
                frame(1, flags, stream, if next == 3 { BLOCKS[0] } else { BLOCKS[dice.below(BLOCKS.len())] })
            }
            4 | 5 => {
                let data = vec![0; if dice.once_in(3) { dice.below(17_000) } else { dice.below(20) }];
                frame(0, u8::from(dice.once_in(2)) | if dice.once_in(5) { 8 } else { 0 }, known, &data)
            }
            6 if dice.once_in(3) => frame(8, 0, if dice.once_in(2) { 0 } else { known }, &word(dice)),
            6 => frame(8, 0, known, &[0, 0, byte(dice), 1]),
            7 if dice.once_in(3) => frame(4, 0, 0, &[&[0, byte(dice) % 8][..], &word(dice)].concat()),
            7 => frame(4, 0, 0, &[0, 4, 0, 0, byte(dice), 0]),
            8 => frame(3, 0, known, &word(dice)),
            9 => frame(6, byte(dice) & 1, 0, if dice.once_in(2) { b"shutdown" } else { b"12345678" }),
            10 if dice.once_in(4) => frame(9, byte(dice) & 4, known, &dice.bytes()),
            11 if dice.once_in(4) => frame(byte(dice) % 12, byte(dice), known, &dice.bytes()),
            _ => frame(2, 0, known, &[0, 0, 0, 0, 16]),
        };
        bytes.extend(one);
    }
    bytes
}

/// Does something to a stream.
fn act(connection: &mut Connection, key: StreamKey, dice: &mut Dice) {
    let data = Bytes::from(vec![0; dice.below(70_000)]);
    let fields = [(&b"grpc-status"[..], &b"5"[..])];
    match dice.below(10) {
        0 => connection.reset(key, Reason::CANCEL),
        1 => connection.set_intake(key, Intake::Dropped),
        2 => connection.set_intake(key, Intake::Gathered { bytes_max: dice.below(20_000) }),
        3 => drop(connection.take_body(key)),
        4 => connection.send_head(key, 415, fields, if dice.once_in(2) { End::Stream } else { End::Later }),
        5 => connection.reset_after_end(key, Reason::NO_ERROR),
        6 => connection.send_trailers(key, fields),
        7 => {
            connection.send_grpc_head(key);
            connection.send_data(key, data);
        }
        8 => connection.send_end(key),
        _ => connection.respond(key, data),
    }
}

impl Target for Connections {
    fn try_one(&mut self, dice: &mut Dice) -> bool {
        let (mut connection, mut bytes) = (Connection::new(settings(dice)), conversation(dice));
        if dice.once_in(2) {
            dice.spoil(&mut bytes);
        }
        let (mut rest, mut taken) = (&bytes[..], false);
        let now = Instant::now();
        while !rest.is_empty() {
            let (part, behind) = rest.split_at(dice.below(rest.len()) + 1);
            rest = behind;
            connection.receive(part, now);
            while let Some(event) = connection.next_event() {
                match event {
                    Event::Request { stream, head } => {
                        taken |= head.fields().count() > 0 || head.path() == b"/";
                        act(&mut connection, stream, dice);
                    }
                    Event::Body { stream } | Event::Sent { stream } => act(&mut connection, stream, dice),
                    Event::Reset { .. } | Event::Pong => {}
                }
            }
            match dice.below(20) {
                0 => connection.shut_down(),
                1 => connection.ping(),
                2 => connection.end(Reason::NO_ERROR),
                _ => {}
            }
            connection.fill_output();
            assert!(connection.output_bytes() < OUTPUT_BYTES_MAX, "{} bytes wait", connection.output_bytes());
            let written = connection.output_bytes();
            connection.advance(dice.below(written + 1));
        }
        taken
    }
}
