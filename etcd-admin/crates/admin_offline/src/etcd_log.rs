//! The write-ahead log of a real etcd, read for one question: does it hold writes that the backend
//! file beside it does not? An etcd that was killed has acknowledged them, and a restore from the
//! file alone would lose them.
//!
//! The format: files `SEQUENCE-INDEX.wal`; in each, records of a length field of 8 bytes
//! (little-endian; bits 56 to 58 count the padding where the highest bit is set) and a protobuf
//! message of kind, checksum and data. A length of zero ends a file.

use prost::Message as _;
use proto::etcdserverpb::InternalRaftRequest;
use proto::raftpb::Entry;
use std::io;
use std::path::{Path, PathBuf};

/// The kind of a record that holds an entry.
const ENTRY: i64 = 2;
/// The kind of an entry that is no change of members.
const NORMAL: i32 = 0;

#[derive(Clone, PartialEq, prost::Message)]
struct Record {
    #[prost(int64, tag = "1")]
    kind: i64,
    #[prost(bytes = "vec", optional, tag = "3")]
    data: Option<Vec<u8>>,
}

/// Writes of a log behind an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Behind {
    pub(super) first_index: u64,
    pub(super) last_index: u64,
    pub(super) writes: u64,
}

/// Returns the writes in the log below `directory` whose entries come after `index`; `None` if
/// there are none.
///
/// # Errors
/// When a file cannot be read. A record that was torn by a crash ends the log.
pub(super) fn writes_behind(directory: &Path, index: u64) -> io::Result<Option<Behind>> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|ending| ending == "wal"));
    files.sort();
    // An entry that is written again takes the place of the earlier one and of all after it.
    let mut entries: std::collections::BTreeMap<u64, bool> = std::collections::BTreeMap::new();
    for file in files {
        let bytes = std::fs::read(file)?;
        for entry in Records(&bytes)
            .filter(|record| record.kind == ENTRY)
            .filter_map(|record| Entry::decode(record.data?.as_slice()).ok())
        {
            entries.split_off(&entry.index);
            entries.insert(entry.index, is_write(&entry));
        }
    }
    let behind = entries.into_iter().filter(|(at, is_write)| *at > index && *is_write).map(|(at, _)| at);
    Ok(behind.fold(None, |found: Option<Behind>, at| {
        let found = found.unwrap_or(Behind { first_index: at, last_index: at, writes: 0 });
        Some(Behind { last_index: at, writes: found.writes + 1, ..found })
    }))
}

/// Returns `true` for an entry that changes the data that clients read.
fn is_write(entry: &Entry) -> bool {
    if entry.data.is_empty() || entry.r#type != NORMAL {
        return false;
    }
    let Ok(request) = InternalRaftRequest::decode(entry.data.clone()) else { return true };
    request.put.is_some()
        || request.delete_range.is_some()
        || request.txn.is_some()
        || request.compaction.is_some()
        || request.lease_grant.is_some()
        || request.lease_revoke.is_some()
        || request.auth_enable.is_some()
        || request.auth_disable.is_some()
        || request.auth_user_add.is_some()
        || request.auth_user_delete.is_some()
        || request.auth_user_change_password.is_some()
        || request.auth_user_grant_role.is_some()
        || request.auth_user_revoke_role.is_some()
        || request.auth_role_add.is_some()
        || request.auth_role_delete.is_some()
        || request.auth_role_grant_permission.is_some()
        || request.auth_role_revoke_permission.is_some()
}

/// The records of one file, up to its end or to the first one that is not whole.
struct Records<'a>(&'a [u8]);

impl Iterator for Records<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        let (head, rest) = self.0.split_first_chunk::<8>()?;
        let field = i64::from_le_bytes(*head);
        let bytes = usize::try_from(field & 0x00ff_ffff_ffff_ffff).ok().filter(|bytes| *bytes > 0)?;
        let padding = if field < 0 { usize::try_from((field >> 56) & 0x7).ok()? } else { 0 };
        let data = rest.get(..bytes)?;
        self.0 = rest.get(bytes + padding..)?;
        Record::decode(data).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::etcdserverpb::PutRequest;

    fn put(index: u64) -> Entry {
        let request = InternalRaftRequest {
            put: Some(PutRequest { key: "a".into(), ..PutRequest::default() }),
            ..Default::default()
        };
        Entry { index, term: 2, data: request.encode_to_vec().into(), ..Entry::default() }
    }

    fn file(entries: &[Entry]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for entry in entries {
            let record = Record { kind: ENTRY, data: Some(entry.encode_to_vec()) }.encode_to_vec();
            let padding = (8 - record.len() % 8) % 8;
            let field =
                if padding == 0 { record.len() as u64 } else { record.len() as u64 | (0x80 | padding as u64) << 56 };
            bytes.extend_from_slice(&field.to_le_bytes());
            bytes.extend_from_slice(&record);
            bytes.extend(std::iter::repeat_n(0, padding));
        }
        bytes
    }

    #[test]
    fn only_writes_behind_the_index_count() {
        let empty = |index| Entry { index, term: 2, ..Entry::default() };
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, entries: &[Entry], torn: usize| {
            let mut bytes = file(entries);
            bytes.truncate(bytes.len() - torn);
            // The unwritten part of a file is zero.
            bytes.extend(std::iter::repeat_n(0, if torn == 0 { 64 } else { 0 }));
            std::fs::write(directory.path().join(name), bytes).unwrap();
        };
        write("0000000000000000-0000000000000000.wal", &[put(1), put(2), empty(3)], 0);
        write("0000000000000001-0000000000000004.wal", &[put(4), put(5), put(4), empty(5)], 0);
        let behind = |index| writes_behind(directory.path(), index).unwrap();
        assert_eq!(behind(4), None, "the fifth was written again and is empty");
        assert_eq!(behind(3), Some(Behind { first_index: 4, last_index: 4, writes: 1 }));
        assert_eq!(behind(0).map(|behind| behind.writes), Some(3));
        write("0000000000000002-0000000000000006.wal", &[put(6), put(7)], 9);
        assert_eq!(behind(4), Some(Behind { first_index: 6, last_index: 6, writes: 1 }), "the seventh is torn");
    }
}
