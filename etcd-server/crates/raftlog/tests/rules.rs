//! What the log accepts, refuses and reports about itself.

use crate::support::{IDENTITY, entries, entry, fast_directory, last_segment, open, read_files, small, write_files};
use raftlog::{HardState, Log, Loss, OpenError, Record};
use std::path::Path;

/// A log that begins behind entry 3 and ends at entry 8, of term 2 from entry 6 on.
fn opened(directory: &Path) -> Log {
    let (mut log, recovered) = open(directory).unwrap();
    if recovered.last_index == 0 {
        log.append(&entries(1, 5, 1, 50), None).unwrap();
        log.append(&entries(6, 3, 2, 50), Some(HardState { term: 2, vote: 1, commit: 3 })).unwrap();
        log.truncate_front(3).unwrap();
    }
    log
}

#[test]
fn entries_continue_the_log_or_replace_its_end() {
    let directory = fast_directory();
    for good in [entries(9, 2, 2, 10), entries(8, 1, 3, 10), entries(4, 5, 3, 10)] {
        opened(directory.path()).append(&good, None).unwrap();
    }
    let gap = vec![entry(9, 3, 10), entry(11, 3, 10)];
    let repeated = vec![entry(9, 3, 10), entry(9, 3, 10)];
    let falling = vec![entry(9, 4, 10), entry(10, 3, 10)];
    for bad in [entries(10, 1, 3, 10), entries(3, 6, 3, 10), gap, repeated, falling] {
        let mut log = opened(directory.path());
        let fault = log.append(&bad, None).unwrap_err().to_string();
        assert!(fault.contains("do not continue 4..=8"), "{fault}");
        assert!(log.reader().term(5).is_err(), "after a fault every call fails");
        assert_eq!(open(directory.path()).unwrap().1.last_index, 8, "nothing of it was written");
    }
}

#[test]
fn log_is_never_dropped_beyond_its_end() {
    let directory = fast_directory();
    assert!(opened(directory.path()).truncate_front(9).is_err());
    let mut log = opened(directory.path());
    log.truncate_front(2).unwrap();
    assert_eq!(log.reader().first_index(), 4, "what is dropped already may be dropped again");
    log.truncate_front(8).unwrap();
    assert_eq!((log.reader().first_index(), log.reader().last_index()), (9, 8));
    log.append(&entries(9, 1, 2, 10), None).unwrap();
}

#[test]
fn log_restarts_at_its_begin_or_later() {
    let directory = fast_directory();
    assert!(opened(directory.path()).install(2, 1, None).is_err());
    let mut log = opened(directory.path());
    log.install(3, 1, None).unwrap();
    assert_eq!((log.reader().first_index(), log.reader().last_index(), log.reader().term(3).unwrap()), (4, 3, 1));
    log.install(20, 5, Some(HardState { term: 5, vote: 0, commit: 20 })).unwrap();
    drop(log);
    let (log, recovered) = open(directory.path()).unwrap();
    assert_eq!((recovered.base_index, recovered.base_term, recovered.last_index), (20, 5, 20));
    assert_eq!(log.hard_state(), HardState { term: 5, vote: 0, commit: 20 });
}

#[test]
fn log_restarts_in_a_segment_that_is_almost_full() {
    let mut remaining = Vec::new();
    for length in (3800..4000).step_by(8) {
        let directory = fast_directory();
        let (mut log, _) = open(directory.path()).unwrap();
        log.append(&[entry(1, 1, length)], None).unwrap();
        remaining.push(log.space().unwrap().segment_remaining_bytes);
        let hard_state = HardState { term: 5, vote: 2, commit: 20 };
        log.install(20, 5, Some(hard_state)).unwrap();
        drop(log);
        let (_, recovered) = open(directory.path()).unwrap();
        assert_eq!((recovered.base_index, recovered.hard_state), (20, hard_state), "{remaining:?}");
    }
    assert!(remaining.iter().any(|bytes| *bytes < 60) && remaining.iter().any(|bytes| *bytes > 100), "{remaining:?}");
}

#[test]
fn segment_sizes_have_bounds() {
    let directory = fast_directory();
    for bytes in [0, 4096, 8191, 8193, 10_000, (2 << 30) + 4096] {
        let refused = Log::open(directory.path(), IDENTITY, small(bytes));
        assert!(matches!(refused, Err(OpenError::Io { .. })), "{bytes}");
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    for bytes in [8192, 12_288] {
        drop(Log::open(directory.path(), IDENTITY, small(bytes)).unwrap());
    }
}

#[test]
fn files_that_are_lost_are_noticed() {
    let directory = fast_directory();
    let (mut log, _) = open(directory.path()).unwrap();
    for index in 1..=4 {
        log.append(&[entry(index, 1, 3000)], None).unwrap();
    }
    let reader = log.reader();
    assert_eq!(reader.lost_file(), None);
    // A segment that was dropped is not missed.
    log.truncate_front(1).unwrap();
    assert_eq!(reader.lost_file(), None);
    for name in ["watermark", "segment-0000000000000003", "segment-0000000000000004"] {
        let (path, aside) = (directory.path().join(name), directory.path().join("aside"));
        std::fs::rename(&path, &aside).unwrap();
        assert_eq!(reader.lost_file(), Some((path.clone(), Loss::Removed)), "{name}");
        std::fs::copy(&aside, &path).unwrap();
        assert_eq!(reader.lost_file(), Some((path.clone(), Loss::Replaced)), "{name}");
        std::fs::rename(&aside, &path).unwrap();
        assert_eq!(reader.lost_file(), None, "{name}");
    }
}

#[test]
fn mark_makes_the_promises_of_an_idle_log_durable() {
    let directory = fast_directory();
    let (mut log, _) = open(directory.path()).unwrap();
    log.append(&entries(1, 3, 1, 100), Some(HardState { term: 1, vote: 2, commit: 2 })).unwrap();
    log.mark().unwrap();
    drop(log);
    let mut files = read_files(directory.path());
    let last = last_segment(&files);
    // A power cut takes the slot that is not synced, and damage the entries.
    files.get_mut("watermark").unwrap()[8192..].fill(0);
    for (byte, reason) in [(0, "only zeros follow"), (0xff, "no frame of this segment follows")] {
        files.get_mut(&last).unwrap()[4096..].fill(byte);
        write_files(directory.path(), &files);
        let refused = open(directory.path()).unwrap_err();
        assert!(matches!(refused, OpenError::Shorter { promised_index: 3, found_index: 0, .. }), "{refused}");
        assert!(refused.to_string().contains(reason), "{refused}");
    }
}

#[test]
fn remaining_space_is_that_of_the_segment() {
    let directory = fast_directory();
    let (mut log, _) = open(directory.path()).unwrap();
    let before = log.space().unwrap();
    assert_eq!(before.segment_remaining_bytes, 4096, "all but the header");
    assert!(before.filesystem_available_bytes > 1 << 20);
    let record = entry(1, 1, 100);
    assert_eq!(record.stored_bytes(), 132);
    log.append(&[record], None).unwrap();
    let used = 4096 - log.space().unwrap().segment_remaining_bytes;
    assert!((132..300).contains(&used), "{used}");
}

#[test]
fn entries_are_fetched_up_to_the_end() {
    let directory = fast_directory();
    let log = opened(directory.path());
    let expected: Vec<Record> = log.reader().entries(4, 9, u64::MAX).unwrap();
    assert_eq!(log.reader().entries_from(4).map(Result::unwrap).collect::<Vec<_>>(), expected);
    assert_eq!(log.reader().entries_from(7).count(), 2);
    assert_eq!(log.reader().entries_from(9).count(), 0);
    let mut refused = log.reader().entries_from(3);
    assert!(refused.next().unwrap().is_err());
    assert!(refused.next().is_none(), "nothing follows an error");
}
