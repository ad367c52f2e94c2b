//! Messages between members: both stream forms, cut into pieces at will, and posted messages.

use crate::messages::{DESCRIPTORS, random};
use crate::{Dice, Target};
use bytes::BytesMut;
use membership::ConfChange;
use peer::frame::{Decoder, Encoder, StreamKind};
use prost::Message as _;
use proto::raftpb;

pub(super) struct Frames;

fn message(dice: &mut Dice) -> raftpb::Message {
    let descriptor = DESCRIPTORS.get_message_by_name("raftpb.Message").expect("raft's messages are described");
    raftpb::Message::decode(&random(&descriptor, dice).encode_to_vec()[..]).unwrap_or_default()
}

impl Target for Frames {
    fn try_one(&mut self, dice: &mut Dice) -> bool {
        let kind = *dice.pick(&StreamKind::ALL);
        let (mut encoder, mut stream) = (Encoder::new(kind), BytesMut::new());
        for _ in 0..=dice.below(4) {
            if dice.once_in(4) {
                encoder.keep_alive(&mut stream);
            } else {
                encoder.message(&message(dice), &mut stream);
            }
        }
        let mut bytes = stream.to_vec();
        dice.spoil(&mut bytes);
        // As a post, too.
        if let Ok(posted) = raftpb::Message::decode(&bytes[..]) {
            conf_changes(&posted);
        }
        read(kind, &bytes, dice)
    }
}

fn read(kind: StreamKind, bytes: &[u8], dice: &mut Dice) -> bool {
    let mut decoder = Decoder::new(kind, 2, 1);
    let (mut rest, mut taken) = (bytes, false);
    while !rest.is_empty() {
        let piece = dice.below(rest.len()) + 1;
        decoder.extend(&rest[..piece]);
        rest = &rest[piece..];
        loop {
            match decoder.message() {
                Ok(Some(message)) => {
                    taken = true;
                    conf_changes(&message);
                }
                Ok(None) => break,
                Err(_) => return taken,
            }
        }
    }
    taken
}

/// Changes of members travel inside of entries.
fn conf_changes(message: &raftpb::Message) {
    for entry in &message.entries {
        if let Ok(change) = raftpb::ConfChange::decode(entry.data.clone()) {
            drop(ConfChange::from_raft(&change));
        }
    }
}
