//! Recycled segments: frames of an earlier life at the same offsets are never taken for entries.

use crate::support::{contents, entry, fast_directory, last_segment, open, read_files, write_files};

#[test]
fn stale_frames_at_the_same_offsets_are_not_read() {
    let directory = fast_directory();
    let (mut log, _) = open(directory.path()).unwrap();
    let mut stale_seen = 0;
    for index in 1..=300 {
        log.append(&[entry(index, 1, 200)], None).unwrap();
        if index % 7 == 0 {
            log.truncate_front(index - 5).unwrap();
        }
        let files = read_files(directory.path());
        let rest = log.space().unwrap().segment_remaining_bytes as usize;
        let bytes = &files[&last_segment(&files)];
        stale_seen += u64::from(bytes[bytes.len() - rest..].starts_with(b"RLF1"));
        drop(log);
        let (again, recovered) = open(directory.path()).unwrap();
        assert_eq!((recovered.last_index, recovered.torn_tail.clone()), (index, None));
        assert_eq!(contents(&recovered).last(), Some(&entry(index, 1, 200)));
        log = again;
    }
    assert!(stale_seen > 50, "only {stale_seen} ends of the log were followed by a stale frame");
}

#[test]
fn frames_beyond_a_cut_do_not_come_back_when_the_gap_is_filled() {
    let directory = fast_directory();
    let (mut log, _) = open(directory.path()).unwrap();
    log.append(&[entry(1, 1, 100)], None).unwrap();
    let start = 8192 - log.space().unwrap().segment_remaining_bytes as usize;
    for index in 2..=4 {
        log.write(&[entry(index, 1, 100)], None).unwrap();
    }
    drop(log);
    let mut torn = read_files(directory.path());
    let last = last_segment(&torn);
    torn.get_mut(&last).unwrap()[start + 60] ^= 1;
    write_files(directory.path(), &torn);
    let (mut log, recovered) = open(directory.path()).unwrap();
    assert_eq!(recovered.last_index, 1);
    log.append(&[entry(2, 2, 100)], None).unwrap();
    drop(log);
    // The disk gives back the sectors of the earlier frames, which cutting had zeroed.
    let mut files = read_files(directory.path());
    let frame = 192;
    files.get_mut(&last).unwrap()[start + frame..].copy_from_slice(&torn[&last][start + frame..]);
    assert_eq!(&torn[&last][start + frame..start + frame + 4], b"RLF1");
    write_files(directory.path(), &files);
    assert_eq!(contents(&open(directory.path()).unwrap().1), [entry(1, 1, 100), entry(2, 2, 100)]);
}
