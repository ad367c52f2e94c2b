//! Entries and the hard state as types of this crate: raft-rs' types stay inside.
//!
//! Inside raft-rs a configuration change is wrapped as the context of an otherwise empty one:
//! raft-rs' leader decodes proposals by its own numbering, and drops a change whose kind it does
//! not know, such as etcd's learner.

use bytes::Bytes;
use prost::Message as _;
use proto::raftpb;
use raft::eraftpb;

/// The kind of an entry's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// An encoded `InternalRaftRequest`; empty when a new leader only marks its term.
    Normal,
    /// An encoded `raftpb.ConfChange`, kinds numbered as etcd does.
    ConfChange,
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Term of the leader that appended it.
    pub term: u64,
    /// Position in the log, from 1.
    pub index: u64,
    /// The kind of `data`.
    pub kind: EntryKind,
    /// The payload.
    pub data: Bytes,
}

/// The part of raft's state that must survive every restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HardState {
    /// The newest term seen.
    pub term: u64,
    /// The member voted for in that term; 0 for none.
    pub vote: u64,
    /// Entries up to here are known to be committed; may lag behind.
    pub commit: u64,
}

impl Entry {
    pub(crate) fn to_raft(&self) -> eraftpb::Entry {
        to_raft(self.kind, self.term, self.index, self.data.clone())
    }

    pub(crate) fn from_raft(entry: eraftpb::Entry) -> Self {
        let (term, index) = (entry.term, entry.index);
        let (kind, data) = content(entry);
        Self { term, index, kind, data }
    }
}

pub(crate) fn to_raft(kind: EntryKind, term: u64, index: u64, data: Bytes) -> eraftpb::Entry {
    let mut entry = eraftpb::Entry { term, index, ..eraftpb::Entry::default() };
    (entry.entry_type, entry.data) = match kind {
        EntryKind::Normal => (eraftpb::EntryType::EntryNormal, data),
        EntryKind::ConfChange => (eraftpb::EntryType::EntryConfChange, wrap(data)),
    };
    entry
}

/// Returns `true` if the data of a normal entry is a request to etcd's v2 store, as members of etcd
/// 3.5 write. etcd 3.7 stops when it reads one.
///
/// Its fields 1 (id) and 2 (method, or the wrapped request) come first, and `InternalRaftRequest`
/// has no field 2 any more.
pub(crate) fn is_v2_request(data: &[u8]) -> bool {
    const ID: u8 = 0x08;
    const METHOD: u8 = 0x12;
    match data {
        [METHOD, ..] => true,
        [ID, rest @ ..] => {
            let id_bytes = rest.iter().position(|byte| *byte < 0x80).map_or(rest.len(), |last| last + 1);
            rest.get(id_bytes) == Some(&METHOD)
        }
        _ => false,
    }
}

/// We and etcd propose single changes only, so the joint form never gets into a log.
pub(crate) fn content(entry: eraftpb::Entry) -> (EntryKind, Bytes) {
    match entry.entry_type {
        eraftpb::EntryType::EntryNormal => (EntryKind::Normal, entry.data),
        eraftpb::EntryType::EntryConfChange | eraftpb::EntryType::EntryConfChangeV2 => {
            (EntryKind::ConfChange, unwrap(entry.data))
        }
    }
}

fn wrap(change: Bytes) -> Bytes {
    raftpb::ConfChange { context: change, ..raftpb::ConfChange::default() }.encode_to_vec().into()
}

fn unwrap(wrapped: Bytes) -> Bytes {
    raftpb::ConfChange::decode(wrapped).expect("changes inside raft were wrapped on the way in").context
}

impl HardState {
    pub(crate) fn to_raft(self) -> eraftpb::HardState {
        eraftpb::HardState { term: self.term, vote: self.vote, commit: self.commit, ..eraftpb::HardState::default() }
    }

    pub(crate) fn from_raft(hard_state: &eraftpb::HardState) -> Self {
        Self { term: hard_state.term, vote: hard_state.vote, commit: hard_state.commit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::etcdserverpb::{InternalRaftRequest, PutRequest, Request, RequestHeader};

    #[test]
    fn v2_requests_are_recognised() {
        let v2 =
            |id| Request { id, method: "PUT".into(), path: "/0/version".into(), val: "3.5.0".into() }.encode_to_vec();
        for id in [1, 127, 128, u64::MAX] {
            assert!(is_v2_request(&v2(id)), "{id}");
        }
        // The form of etcd 2.3 and 3.0: wrapped in field 2.
        let mut wrapped = vec![0x12, u8::try_from(v2(1).len()).unwrap()];
        wrapped.extend(v2(1));
        assert!(is_v2_request(&wrapped));
        let put = Some(PutRequest { key: "k".into(), value: "\u{8}\u{12}".into(), ..PutRequest::default() });
        let header = Some(RequestHeader { id: 7, ..RequestHeader::default() });
        let request =
            InternalRaftRequest { header, put: put.clone(), ..InternalRaftRequest::default() }.encode_to_vec();
        let with_id = InternalRaftRequest { id: u64::MAX, put, ..InternalRaftRequest::default() }.encode_to_vec();
        for data in [&request[..], &with_id, b"", b"\x08", b"\x08\xff", b"\x08\x01"] {
            assert!(!is_v2_request(data), "{data:?}");
        }
    }
}
