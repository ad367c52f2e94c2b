//! Messages between members: etcd's `raftpb.Message` outside, raft-rs' own type inside this crate.
//!
//! Kinds are mapped by name. Fields of raft-rs alone (priorities, requested snapshots, commit
//! terms) are neither sent nor accepted.

use crate::entry::{self, EntryKind};
use bytes::Bytes;
use proto::raftpb::{self, EntryType};
use raft::eraftpb::{self, MessageType};

/// The meaning of a number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Sent between members.
    Network(MessageType),
    /// Sent by a member to itself; invalid from the network.
    Local,
    /// No known meaning.
    Unknown,
}

/// Numbers as etcd gives them.
pub(crate) fn kind(number: i32) -> Kind {
    use MessageType::{
        MsgAppend, MsgAppendResponse, MsgHeartbeat, MsgHeartbeatResponse, MsgPropose, MsgReadIndex, MsgReadIndexResp,
        MsgRequestPreVote, MsgRequestPreVoteResponse, MsgRequestVote, MsgRequestVoteResponse, MsgSnapshot,
        MsgTimeoutNow, MsgTransferLeader,
    };
    Kind::Network(match number {
        2 => MsgPropose,
        3 => MsgAppend,
        4 => MsgAppendResponse,
        5 => MsgRequestVote,
        6 => MsgRequestVoteResponse,
        7 => MsgSnapshot,
        8 => MsgHeartbeat,
        9 => MsgHeartbeatResponse,
        13 => MsgTransferLeader,
        14 => MsgTimeoutNow,
        15 => MsgReadIndex,
        16 => MsgReadIndexResp,
        17 => MsgRequestPreVote,
        18 => MsgRequestPreVoteResponse,
        // Hup, Beat, Unreachable, SnapStatus, CheckQuorum, and since 3.6 the four of its own
        // storage and ForgetLeader.
        0 | 1 | 10..=12 | 19..=23 => return Kind::Local,
        _ => return Kind::Unknown,
    })
}

fn number(kind: MessageType) -> i32 {
    match kind {
        MessageType::MsgHup => 0,
        MessageType::MsgBeat => 1,
        MessageType::MsgPropose => 2,
        MessageType::MsgAppend => 3,
        MessageType::MsgAppendResponse => 4,
        MessageType::MsgRequestVote => 5,
        MessageType::MsgRequestVoteResponse => 6,
        MessageType::MsgSnapshot => 7,
        MessageType::MsgHeartbeat => 8,
        MessageType::MsgHeartbeatResponse => 9,
        MessageType::MsgUnreachable => 10,
        MessageType::MsgSnapStatus => 11,
        MessageType::MsgCheckQuorum => 12,
        MessageType::MsgTransferLeader => 13,
        MessageType::MsgTimeoutNow => 14,
        MessageType::MsgReadIndex => 15,
        MessageType::MsgReadIndexResp => 16,
        MessageType::MsgRequestPreVote => 17,
        MessageType::MsgRequestPreVoteResponse => 18,
    }
}

/// Returns a message by which member `from` forwards an encoded request to the leader `to`, outside
/// of its own node.
pub fn forwarded_request(from: u64, to: u64, request: Bytes) -> raftpb::Message {
    let entries = vec![raftpb::Entry { data: request, ..raftpb::Entry::default() }];
    raftpb::Message { r#type: number(MessageType::MsgPropose), from, to, entries, ..raftpb::Message::default() }
}

/// Of a message that passed validation.
pub(crate) fn to_raft(kind: MessageType, message: raftpb::Message) -> eraftpb::Message {
    let mut raft = eraftpb::Message {
        to: message.to,
        from: message.from,
        term: message.term,
        log_term: message.log_term,
        index: message.index,
        commit: message.commit,
        reject: message.reject,
        reject_hint: message.reject_hint,
        context: message.context,
        ..eraftpb::Message::default()
    };
    if is_answer_to_candidate(kind) {
        raft.commit_term = std::mem::take(&mut raft.log_term);
    }
    raft.set_msg_type(kind);
    raft.set_entries(message.entries.into_iter().map(entry_to_raft).collect::<Vec<_>>().into());
    if kind == MessageType::MsgSnapshot
        && let Some(snapshot) = message.snapshot
    {
        raft.set_snapshot(snapshot_to_raft(snapshot));
    }
    raft
}

/// Returns `true` if a message refuses or grants a vote. With the committed index raft-rs sends the
/// term of its entry, for which etcd's messages have no field; the term of the log, which such a
/// response does not use, carries it. A candidate that does not know that a member was removed
/// learns it from that member alone when there is no other. etcd sends zero, and ignores it.
fn is_answer_to_candidate(kind: MessageType) -> bool {
    matches!(kind, MessageType::MsgRequestVoteResponse | MessageType::MsgRequestPreVoteResponse)
}

/// Of a message that raft wants sent.
pub(crate) fn from_raft(mut raft: eraftpb::Message) -> raftpb::Message {
    let kind = raft.get_msg_type();
    raftpb::Message {
        r#type: number(kind),
        to: raft.to,
        from: raft.from,
        term: raft.term,
        log_term: if is_answer_to_candidate(kind) { raft.commit_term } else { raft.log_term },
        index: raft.index,
        entries: raft.take_entries().into_iter().map(entry_from_raft).collect(),
        commit: raft.commit,
        snapshot: (kind == MessageType::MsgSnapshot).then(|| snapshot_from_raft(&raft.take_snapshot())),
        reject: raft.reject,
        reject_hint: raft.reject_hint,
        context: raft.context,
    }
}

fn entry_to_raft(message: raftpb::Entry) -> eraftpb::Entry {
    let kind =
        if message.r#type == i32::from(EntryType::EntryNormal) { EntryKind::Normal } else { EntryKind::ConfChange };
    entry::to_raft(kind, message.term, message.index, message.data)
}

fn entry_from_raft(raft: eraftpb::Entry) -> raftpb::Entry {
    let (term, index) = (raft.term, raft.index);
    let (kind, data) = entry::content(raft);
    let kind = match kind {
        EntryKind::Normal => EntryType::EntryNormal,
        EntryKind::ConfChange => EntryType::EntryConfChange,
    };
    raftpb::Entry { r#type: kind.into(), term, index, data }
}

fn snapshot_to_raft(snapshot: raftpb::Snapshot) -> eraftpb::Snapshot {
    let metadata = snapshot.metadata.unwrap_or_default();
    let conf_state = metadata.conf_state.unwrap_or_default();
    let mut raft_metadata = eraftpb::SnapshotMetadata {
        index: metadata.index,
        term: metadata.term,
        ..eraftpb::SnapshotMetadata::default()
    };
    raft_metadata.set_conf_state(eraftpb::ConfState::from((conf_state.voters, conf_state.learners)));
    let mut raft = eraftpb::Snapshot::default();
    raft.set_metadata(raft_metadata);
    raft
}

fn snapshot_from_raft(raft: &eraftpb::Snapshot) -> raftpb::Snapshot {
    let metadata = raft.get_metadata();
    let conf_state = metadata.get_conf_state();
    let conf_state = raftpb::ConfState {
        voters: conf_state.voters.clone(),
        learners: conf_state.learners.clone(),
        ..Default::default()
    };
    let metadata =
        raftpb::SnapshotMetadata { conf_state: Some(conf_state), index: metadata.index, term: metadata.term };
    raftpb::Snapshot { data: Bytes::new(), metadata: Some(metadata) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_that_travels_maps_back_to_itself() {
        let travelling: Vec<i32> = (-1..40)
            .filter(|&candidate| match kind(candidate) {
                Kind::Network(name) => {
                    assert_eq!(number(name), candidate);
                    true
                }
                Kind::Local | Kind::Unknown => false,
            })
            .collect();
        assert_eq!(travelling, [2, 3, 4, 5, 6, 7, 8, 9, 13, 14, 15, 16, 17, 18]);
    }

    #[test]
    fn a_message_keeps_all_that_etcd_knows_and_shares_its_payloads() {
        let data = Bytes::from(vec![7; 100]);
        let message = raftpb::Message {
            r#type: 3,
            to: 1,
            from: 2,
            term: 9,
            log_term: 8,
            index: 70,
            entries: vec![
                raftpb::Entry { r#type: 0, term: 9, index: 71, data: data.clone() },
                raftpb::Entry { r#type: 1, term: 9, index: 72, data: data.clone() },
            ],
            commit: 69,
            snapshot: None,
            reject: true,
            reject_hint: 5,
            context: Bytes::from_static(b"context"),
        };
        let back = from_raft(to_raft(MessageType::MsgAppend, message.clone()));
        assert_eq!(back, message);
        assert_eq!(back.entries[0].data.as_ptr(), data.as_ptr());
    }

    #[test]
    fn an_answer_to_a_candidate_tells_what_is_committed() {
        for kind in [MessageType::MsgRequestVoteResponse, MessageType::MsgRequestPreVoteResponse] {
            let mut answer = eraftpb::Message { commit: 70, commit_term: 8, ..eraftpb::Message::default() };
            answer.set_msg_type(kind);
            let told = to_raft(kind, from_raft(answer));
            assert_eq!((told.commit, told.commit_term, told.log_term), (70, 8, 0));
        }
    }

    #[test]
    fn a_snapshot_travels_as_a_mark() {
        let conf_state = raftpb::ConfState { voters: vec![1, 2], learners: vec![3], ..Default::default() };
        let metadata = raftpb::SnapshotMetadata { conf_state: Some(conf_state), index: 10, term: 2 };
        let snapshot = raftpb::Snapshot { data: Bytes::new(), metadata: Some(metadata) };
        let message = raftpb::Message { r#type: 7, snapshot: Some(snapshot), ..Default::default() };
        assert_eq!(from_raft(to_raft(MessageType::MsgSnapshot, message.clone())), message);
    }
}
