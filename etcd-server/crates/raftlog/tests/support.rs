//! Helpers of the tests: small logs, directories as values, and entries whose data follows from
//! term and index.

use bytes::Bytes;
use raftlog::{Identity, Log, OpenError, Options, Record, Recovered};
use std::collections::BTreeMap;
use std::path::Path;
use tempfile::TempDir;
use types::{ClusterId, MemberId};

pub(crate) const IDENTITY: Identity = Identity { member_id: MemberId(0xa1), cluster_id: ClusterId(0xc1) };

/// A directory in memory where the machine has one, for tests that open thousands of logs.
pub(crate) fn fast_directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

pub(crate) fn small(segment_bytes: u64) -> Options {
    Options { segment_bytes, ..Options::default() }
}

pub(crate) fn open(directory: &Path) -> Result<(Log, Recovered), OpenError> {
    Log::open(directory, IDENTITY, small(8192))
}

/// Returns an entry with unmistakable data.
pub(crate) fn entry(index: u64, term: u64, length: usize) -> Record {
    let mut random = fastrand::Rng::with_seed(index ^ (term << 40));
    let data: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
    Record { term, index, kind: (index % 3) as u8, data: Bytes::from(data) }
}

pub(crate) fn entries(from: u64, count: u64, term: u64, length: usize) -> Vec<Record> {
    (from..from + count).map(|index| entry(index, term, length)).collect()
}

/// All entries of a recovered log.
pub(crate) fn contents(recovered: &Recovered) -> Vec<Record> {
    recovered.entries_from(recovered.first_index).map(Result::unwrap).collect()
}

pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// The log's files as values; spares are left out.
pub(crate) fn read_files(directory: &Path) -> Files {
    std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .filter(|(name, _)| !name.starts_with("spare"))
        .map(|(name, path)| (name, std::fs::read(path).unwrap()))
        .collect()
}

/// Makes `directory` hold exactly `files`.
pub(crate) fn write_files(directory: &Path, files: &Files) {
    for entry in std::fs::read_dir(directory).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    for (name, bytes) in files {
        std::fs::write(directory.join(name), bytes).unwrap();
    }
}

pub(crate) fn last_segment(files: &Files) -> String {
    files.keys().rfind(|name| name.starts_with("segment")).unwrap().clone()
}
