//! Anything that a client may send: no panic, bounded output, and the same outcome however the bytes
//! are cut.

use crate::frames::{END_HEADERS, HEADERS, PREFACE, SETTINGS, block, frame, request_fields};
use crate::script::{settings, written};
use bytes::Bytes;
use fastrand::Rng;
use http2::{Connection, End, Event, Intake, Reason, StreamKey};
use std::time::Instant;

/// Frames of a client that makes mistakes, some of them damaged.
fn conversation(random: &mut Rng) -> Vec<u8> {
    let mut bytes = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    let (mut next, head) = (1, block(&request_fields()));
    for _ in 0..random.usize(0..60) {
        let stream = random.u32(0..=next);
        let payload: Vec<u8> = (0..random.usize(0..20)).map(|_| random.u8(..)).collect();
        let one = match random.u8(0..10) {
            0..=3 => {
                next += 2;
                frame(HEADERS, END_HEADERS | random.u8(0..2), next, &head)
            }
            4 | 5 => frame(0, random.u8(0..2), stream | 1, &vec![0; random.usize(0..16_000)]),
            6 => frame(8, 0, stream, &random.u32(1..1 << 20).to_be_bytes()),
            7 => frame(4, 0, 0, &[&[0, 4][..], &random.u32(0..1 << 20).to_be_bytes()].concat()),
            8 => frame(3, 0, stream, &random.u32(..20).to_be_bytes()),
            _ => frame(random.u8(0..12), random.u8(..), stream, &payload),
        };
        bytes.extend(one);
    }
    if random.bool() {
        for _ in 0..random.usize(0..4) {
            let at = random.usize(0..bytes.len());
            bytes[at] ^= 1 << random.u8(0..8);
        }
    }
    bytes
}

/// An application that does something to every stream that it sees.
fn act(connection: &mut Connection, key: StreamKey, random: &mut Rng) {
    let data = Bytes::from(vec![0; random.usize(0..100_000)]);
    match random.u8(0..10) {
        0 => connection.reset(key, Reason::CANCEL),
        1 => connection.set_intake(key, Intake::Dropped),
        2 => connection.set_intake(key, Intake::Gathered { bytes_max: random.usize(0..10_000) }),
        3 => drop(connection.take_body(key)),
        4 => connection.send_head(
            key,
            random.u16(100..600),
            [(&b"a"[..], &b"b"[..])],
            if random.bool() { End::Stream } else { End::Later },
        ),
        5 => connection.reset_after_end(key, Reason::NO_ERROR),
        6 => connection.send_end(key),
        7 => {
            connection.send_grpc_head(key);
            connection.send_data(key, data);
        }
        8 => connection.send_trailers(key, [(&b"a"[..], &b"b"[..])]),
        _ => connection.respond(key, data),
    }
}

#[test]
fn survives_any_frames_and_any_application() {
    for seed in 0..20_000 {
        let mut random = Rng::with_seed(seed);
        let (mut connection, bytes) = (Connection::new(settings()), conversation(&mut random));
        let (mut keys, mut rest) = (Vec::new(), &bytes[..]);
        while !rest.is_empty() {
            let (part, behind) = rest.split_at(random.usize(1..=rest.len()));
            rest = behind;
            connection.receive(part, Instant::now());
            while let Some(event) = connection.next_event() {
                match event {
                    Event::Request { stream, .. } => keys.push(stream),
                    Event::Body { stream } | Event::Sent { stream } => act(&mut connection, stream, &mut random),
                    Event::Reset { .. } | Event::Pong => {}
                }
            }
            for _ in 0..random.usize(0..4) {
                if let Some(key) = random.choice(&keys) {
                    act(&mut connection, *key, &mut random);
                }
            }
            match random.u8(0..50) {
                0 => connection.shut_down(),
                1 => connection.end(Reason::NO_ERROR),
                2 => connection.ping(),
                3..25 => connection.fill_output(),
                _ => drop(written(&mut connection)),
            }
            assert!(connection.output_bytes() < 2 << 20, "seed {seed}: {} bytes", connection.output_bytes());
        }
    }
}

#[test]
fn outcome_does_not_depend_on_how_bytes_are_cut() {
    for seed in 0..3_000 {
        let mut random = Rng::with_seed(seed);
        let bytes = conversation(&mut random);
        let outcome = |sizes: &mut dyn FnMut() -> usize| {
            let (mut connection, mut rest) = (Connection::new(settings()), &bytes[..]);
            while !rest.is_empty() {
                let (part, behind) = rest.split_at(sizes().min(rest.len()));
                connection.receive(part, Instant::now());
                rest = behind;
            }
            let events: Vec<String> =
                std::iter::from_fn(|| connection.next_event()).map(|event| format!("{event:?}")).collect();
            (events, written(&mut connection), connection.open_streams())
        };
        let whole = outcome(&mut || usize::MAX);
        assert!(outcome(&mut || 1) == whole, "seed {seed}, byte by byte");
        assert!(outcome(&mut || random.usize(1..5000)) == whole, "seed {seed}, in random parts");
    }
}
