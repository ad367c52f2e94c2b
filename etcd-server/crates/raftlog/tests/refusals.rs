//! Refusals at opening, and their texts.

use crate::support::{Files, IDENTITY, entry, fast_directory, last_segment, open, read_files, small, write_files};
use proptest::prelude::*;
use raftlog::{HardState, Identity, Log, OpenError, Options, Presence};
use std::os::unix::fs::PermissionsExt;
use types::MemberId;

/// A log of several segments.
fn files() -> Files {
    let directory = fast_directory();
    let (mut log, _) = open(directory.path()).unwrap();
    for index in 1..=40 {
        log.append(&[entry(index, 1, 300)], Some(HardState { term: 1, vote: 2, commit: 0 })).unwrap();
    }
    drop(log);
    read_files(directory.path())
}

/// Opens `files` and returns the refusal, checking that it changed nothing.
fn refusal(files: &Files) -> OpenError {
    let directory = fast_directory();
    write_files(directory.path(), files);
    let error = open(directory.path()).unwrap_err();
    assert_eq!(read_files(directory.path()), *files, "a refusal changes nothing");
    assert!(!error.to_string().contains('\n'));
    error
}

#[test]
fn missing_segments_are_named() {
    let files = files();
    for name in files.keys().filter(|name| name.starts_with("segment")) {
        let mut without = files.clone();
        without.remove(name);
        let error = refusal(&without);
        assert!(matches!(&error, OpenError::Missing { file, .. } if file.ends_with(name)), "{error}");
    }
    let deleted: Files = files.into_iter().filter(|(name, _)| name == "watermark").collect();
    assert!(matches!(refusal(&deleted), OpenError::Missing { .. }));
}

#[test]
fn missing_watermark_is_named() {
    let mut files = files();
    files.remove("watermark");
    assert!(refusal(&files).to_string().contains("watermark: missing"));
}

#[test]
fn older_copy_of_the_log_is_refused_with_both_ends() {
    let directory = fast_directory();
    let (mut log, _) = open(directory.path()).unwrap();
    log.append(&[entry(1, 1, 10)], None).unwrap();
    let older = read_files(directory.path());
    log.append(&[entry(2, 1, 10), entry(3, 2, 10)], None).unwrap();
    let mut files = read_files(directory.path());
    drop(log);
    files.insert(last_segment(&older), older[&last_segment(&older)].clone());
    let text = refusal(&files).to_string();
    assert!(
        text.contains("ends at batch 1 (index 1), but this member acknowledged batch 2 (index 3, term 2)"),
        "{text}"
    );
    assert!(text.contains("etcd-admin member rebuild"), "{text}");
}

#[test]
fn empty_directory_is_refused_where_a_log_must_be() {
    let directory = fast_directory();
    let options = Options { presence: Presence::Existing, ..small(8192) };
    assert!(matches!(Log::open(directory.path(), IDENTITY, options).unwrap_err(), OpenError::Missing { .. }));
}

#[test]
fn log_with_promises_is_refused_where_a_new_one_must_be() {
    let directory = fast_directory();
    let options = Options { presence: Presence::New, ..small(8192) };
    drop(Log::open(directory.path(), IDENTITY, options).unwrap());
    let (mut log, _) = Log::open(directory.path(), IDENTITY, options).unwrap();
    log.append(&[entry(1, 1, 1)], None).unwrap();
    drop(log);
    assert!(matches!(Log::open(directory.path(), IDENTITY, options).unwrap_err(), OpenError::Exists { .. }));
}

#[test]
fn log_that_does_not_meet_the_state_is_refused_and_left_as_it_is() {
    let directory = fast_directory();
    let (mut log, _) = Log::open(directory.path(), IDENTITY, small(8192)).unwrap();
    let entries: Vec<_> = (1..=20).map(|index| entry(index, 1, 700)).collect();
    log.append(&entries, None).unwrap();
    log.truncate_front(15).unwrap();
    drop(log);
    let open = |applied_index| {
        Log::open(directory.path(), IDENTITY, Options { applied_index: Some(applied_index), ..small(8192) })
    };
    for applied_index in [0, 14, 21] {
        let error = open(applied_index).unwrap_err();
        assert!(matches!(error, OpenError::Apart { first_index: 16, last_index: 20, .. }), "{applied_index}: {error}");
    }
    for applied_index in [15, 20] {
        drop(open(applied_index).unwrap());
    }
}

#[test]
fn directory_of_another_member_is_refused() {
    let directory = fast_directory();
    write_files(directory.path(), &files());
    let other = Identity { member_id: MemberId(0xb2), ..IDENTITY };
    let text = Log::open(directory.path(), other, small(8192)).unwrap_err().to_string();
    assert!(text.contains("belongs to member a1 of cluster c1, but this is member b2 of cluster c1"), "{text}");
}

#[test]
fn segment_of_another_member_is_refused() {
    let (files, directory) = (files(), fast_directory());
    let other = Identity { member_id: MemberId(0xb2), ..IDENTITY };
    drop(Log::open(directory.path(), other, small(8192)).unwrap());
    let mut mixed = files.clone();
    let foreign = read_files(directory.path());
    mixed.insert("segment-0000000000000001".into(), foreign["segment-0000000000000001"].clone());
    assert!(matches!(refusal(&mixed), OpenError::Foreign { .. }));
}

#[test]
fn newer_format_is_refused() {
    for (name, slots) in [("watermark", vec![0, 4096, 8192]), ("segment-0000000000000001", vec![0])] {
        let mut files = files();
        let length = if name == "watermark" { 144 } else { 136 };
        let bytes = files.get_mut(name).unwrap();
        for at in slots {
            bytes[at + 8] = 2;
            let crc = crc32c(&[&bytes[at..at + 12], &bytes[at + 16..at + length]].concat());
            bytes[at + 12..at + 16].copy_from_slice(&crc.to_le_bytes());
        }
        assert!(matches!(refusal(&files), OpenError::NewerFormat { found: 2, .. }));
    }
}

/// CRC-32C, bit by bit, so that the test does not share the code it checks.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[test]
fn files_are_readable_by_the_owner_alone() {
    let parent = fast_directory();
    let directory = parent.path().join("raft");
    drop(open(&directory).unwrap());
    assert_eq!(std::fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
    for file in std::fs::read_dir(&directory).unwrap() {
        assert_eq!(file.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn random_bytes_are_refused_without_a_panic(
        watermark in proptest::collection::vec(any::<u8>(), 0..300),
        segment in proptest::collection::vec(any::<u8>(), 0..9000),
        real_watermark: bool,
    ) {
        let directory = fast_directory();
        drop(open(directory.path()).unwrap());
        let mut files = read_files(directory.path());
        if !real_watermark {
            files.insert("watermark".into(), watermark);
        }
        files.insert("segment-0000000000000001".into(), segment);
        refusal(&files);
    }
}
