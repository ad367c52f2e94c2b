//! Damage everywhere: all acknowledged entries are there, or the log is refused; never shorter,
//! never other data.

use crate::support::{Files, contents, entries, entry, fast_directory, last_segment, open, read_files, write_files};
use raftlog::{HardState, OpenError, Record};
use std::path::Path;

/// A recorded log: its files, its content, and the place of its last batch in the last segment.
struct Recording {
    files: Files,
    entries: Vec<Record>,
    hard_state: HardState,
    last_batch: std::ops::Range<usize>,
}

/// Some segments with overwrites and dropped ones, then two batches in the last segment; the very
/// last is synced or not.
fn record(last_synced: bool) -> Recording {
    let directory = fast_directory();
    let (mut log, _) = open(directory.path()).unwrap();
    for round in 0..10 {
        let from = round * 4 + 1;
        log.append(&entries(from, 6, round + 1, 120), Some(HardState { term: round + 1, vote: 1, commit: from }))
            .unwrap();
    }
    log.truncate_front(9).unwrap();
    log.append(&entries(41, 3, 11, 50), None).unwrap();
    let expected = log.reader().entries(10, 44, u64::MAX).unwrap();
    let hard_state = log.hard_state();
    let end = |log: &raftlog::Log| 8192 - log.space().unwrap().segment_remaining_bytes as usize;
    let start = end(&log);
    log.write(&[entry(44, 11, 1000), entry(45, 11, 5)], Some(HardState { term: 12, vote: 3, commit: 40 })).unwrap();
    let last_batch = start..end(&log);
    assert!(start > 4096 && last_batch.len() > 1000, "the last two batches share a segment");
    if !last_synced {
        drop(log);
        return Recording { files: read_files(directory.path()), entries: expected, hard_state, last_batch };
    }
    log.sync().unwrap();
    let (entries, hard_state) = (log.reader().entries(10, 46, u64::MAX).unwrap(), log.hard_state());
    drop(log);
    Recording { files: read_files(directory.path()), entries, hard_state, last_batch }
}

impl Recording {
    /// Opens `files`; true when everything acknowledged is there, false when refused, panics
    /// otherwise.
    fn judge(&self, directory: &Path, files: &Files, what: &str) -> bool {
        write_files(directory, files);
        let (_log, recovered) = match open(directory) {
            Ok(opened) => opened,
            Err(error) => {
                assert!(!matches!(error, OpenError::Io { .. }), "{what}: {error}");
                return false;
            }
        };
        // With its newest slot damaged the watermark may give an earlier begin; the entries must be
        // the same.
        assert!(recovered.first_index <= 10 && contents(&recovered).ends_with(&self.entries), "{what}: other entries");
        assert_eq!(recovered.hard_state, self.hard_state, "{what}");
        true
    }

    fn with(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> Files {
        let mut files = self.files.clone();
        change(files.get_mut(name).unwrap());
        files
    }
}

/// The bytes of a file that mean something: headers and slots, and all frames.
fn meaningful(name: &str, bytes: &[u8]) -> Vec<usize> {
    if name == "watermark" {
        return (0..3).flat_map(|slot| slot * 4096..slot * 4096 + 160).collect();
    }
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 9;
    (0..160).chain(4096..end.min(bytes.len())).collect()
}

#[test]
fn flipped_bits_are_refused_or_harmless() {
    let recording = record(true);
    let directory = fast_directory();
    let last = last_segment(&recording.files);
    let (mut whole, mut refused) = (0, 0);
    for (name, bytes) in &recording.files {
        let every_bit = *name == last || name == "watermark";
        for at in meaningful(name, bytes) {
            let bits = if every_bit || at < 4096 { 0..8 } else { at % 8..at % 8 + 1 };
            for bit in bits {
                let files = recording.with(name, |bytes| bytes[at] ^= 1 << bit);
                let opened = recording.judge(directory.path(), &files, &format!("{name} byte {at} bit {bit}"));
                let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
                let in_frames = name != "watermark" && (4096..=end).contains(&at);
                assert!(!(opened && in_frames), "{name} byte {at} bit {bit}: damage in a frame went unnoticed");
                *if opened { &mut whole } else { &mut refused } += 1;
            }
        }
    }
    println!("flips: {whole} harmless, {refused} refused");
}

#[test]
fn without_the_unsynced_slot_damage_before_the_last_batch_is_still_refused() {
    let mut recording = record(true);
    let directory = fast_directory();
    recording.files.get_mut("watermark").unwrap()[8192..].fill(0);
    let last = last_segment(&recording.files);
    for at in 4096..recording.last_batch.start {
        let files = recording.with(&last, |bytes| bytes[at] ^= 0x10);
        assert!(!recording.judge(directory.path(), &files, &format!("byte {at}")), "byte {at}: damage went unnoticed");
    }
}

#[test]
fn file_cut_short_is_refused() {
    let recording = record(true);
    let directory = fast_directory();
    for name in [last_segment(&recording.files), "watermark".to_owned()] {
        for length in (0..recording.files[&name].len()).step_by(7).chain(4090..4200) {
            let files = recording.with(&name, |bytes| bytes.truncate(length));
            assert!(
                !recording.judge(directory.path(), &files, &format!("{name} cut at {length}")),
                "{name} cut at {length}"
            );
        }
    }
}

#[test]
fn acknowledged_tail_replaced_by_zeros_is_refused() {
    let recording = record(true);
    let directory = fast_directory();
    let last = last_segment(&recording.files);
    for from in 4096..recording.last_batch.end {
        let lost = recording.files[&last][from..recording.last_batch.end].iter().any(|byte| *byte != 0);
        let files = recording.with(&last, |bytes| bytes[from..].fill(0));
        assert_eq!(
            recording.judge(directory.path(), &files, &format!("zeros from {from}")),
            !lost,
            "zeros from {from}"
        );
    }
}

#[test]
fn torn_unacknowledged_batch_is_cut_and_reported() {
    let recording = record(false);
    let directory = fast_directory();
    let last = last_segment(&recording.files);
    for from in recording.last_batch.clone() {
        let files = recording.with(&last, |bytes| bytes[from..].fill(0));
        write_files(directory.path(), &files);
        let (log, recovered) = open(directory.path()).unwrap();
        let whole = files[&last] == recording.files[&last];
        let left = files[&last][recording.last_batch.start..].iter().any(|byte| *byte != 0);
        assert_eq!(recovered.torn_tail.is_some(), left && !whole, "zeros from {from}");
        if whole {
            assert_eq!(recovered.last_index, 45);
            continue;
        }
        assert_eq!(contents(&recovered), recording.entries, "zeros from {from}");
        assert_eq!(recovered.hard_state, recording.hard_state);
        drop(log);
        assert_eq!(open(directory.path()).unwrap().1.torn_tail, None, "what was cut is gone at the next open");
    }
}

#[test]
fn torn_batch_before_acknowledged_ones_is_refused() {
    let recording = record(false);
    let directory = fast_directory();
    let last = last_segment(&recording.files);
    for from in 4096..recording.last_batch.start {
        let lost = recording.files[&last][from..recording.last_batch.start].iter().any(|byte| *byte != 0);
        let files = recording.with(&last, |bytes| bytes[from..].fill(0));
        write_files(directory.path(), &files);
        assert_eq!(open(directory.path()).is_err(), lost, "zeros from {from}");
    }
}

#[test]
fn log_grows_on_after_a_cut_tail() {
    let recording = record(false);
    let directory = fast_directory();
    let last = last_segment(&recording.files);
    write_files(directory.path(), &recording.with(&last, |bytes| bytes[recording.last_batch.start + 300] ^= 1));
    let (mut log, recovered) = open(directory.path()).unwrap();
    assert!(recovered.torn_tail.is_some());
    log.append(&[entry(44, 12, 1000), entry(45, 12, 5)], Some(HardState { term: 12, vote: 1, commit: 40 })).unwrap();
    drop(log);
    let (_, recovered) = open(directory.path()).unwrap();
    assert_eq!(contents(&recovered)[34..], [entry(44, 12, 1000), entry(45, 12, 5)]);
}

#[test]
fn commit_index_never_comes_before_its_entries() {
    let directory = fast_directory();
    let (mut log, _) = open(directory.path()).unwrap();
    log.append(&[entry(1, 1, 100)], Some(HardState { term: 1, vote: 1, commit: 1 })).unwrap();
    // The batch is too large for what is left of the segment: its first part is durable before the
    // last one is written.
    log.write(&entries(2, 10, 2, 700), Some(HardState { term: 2, vote: 3, commit: 11 })).unwrap();
    drop(log);
    let mut files = read_files(directory.path());
    let last = last_segment(&files);
    assert_eq!(last, "segment-0000000000000002");
    files.get_mut(&last).unwrap()[4096..].fill(0);
    write_files(directory.path(), &files);
    let (_, recovered) = open(directory.path()).unwrap();
    assert!((2..11).contains(&recovered.last_index), "{}", recovered.last_index);
    assert_eq!(recovered.hard_state, HardState { term: 2, vote: 3, commit: 1 });
}
