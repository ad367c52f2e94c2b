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

#[test]
fn first_segment_may_be_a_used_spare() {
    let directory = fast_directory();
    // A spare of an earlier run holds whatever was written to it.
    std::fs::write(directory.path().join("spare-0000000000000007"), [0xff; 8192]).unwrap();
    let (mut log, _) = open(directory.path()).unwrap();
    log.append(&[entry(1, 1, 100)], None).unwrap();
    let rest = log.space().unwrap().segment_remaining_bytes as usize;
    drop(log);
    let files = read_files(directory.path());
    let bytes = &files[&last_segment(&files)];
    assert!(bytes.len() == 8192 && bytes.ends_with(&vec![0xff; rest]), "the spare became the segment");
    let (_, recovered) = open(directory.path()).unwrap();
    assert_eq!((recovered.last_index, recovered.torn_tail.clone()), (1, None), "what follows is no batch of this log");
}

#[test]
fn only_a_few_segments_of_the_usual_size_are_kept() {
    let directory = fast_directory();
    let (mut log, _) = open(directory.path()).unwrap();
    // Ten segments of the usual size, and two that are as large as their entry.
    for index in 1..=12 {
        log.append(&[entry(index, 1, if index % 6 == 0 { 20_000 } else { 3000 })], None).unwrap();
    }
    log.truncate_front(11).unwrap();
    drop(log);
    let spares: Vec<u64> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|file| file.unwrap())
        .filter(|file| file.file_name().to_string_lossy().starts_with("spare-"))
        .map(|file| file.metadata().unwrap().len())
        .collect();
    // One more may have been in preparation.
    assert!((1..=3).contains(&spares.len()), "{spares:?}");
    assert!(spares.iter().all(|bytes| *bytes == 8192), "{spares:?}");
    assert_eq!(open(directory.path()).unwrap().1.first_index, 12);
}

#[test]
fn torn_batch_in_a_used_file_ends_with_its_frame() {
    let directory = fast_directory();
    std::fs::write(directory.path().join("spare-0000000000000007"), [0xff; 8192]).unwrap();
    let (mut log, _) = open(directory.path()).unwrap();
    log.append(&[entry(1, 1, 100)], None).unwrap();
    let end = |log: &raftlog::Log| 8192 - log.space().unwrap().segment_remaining_bytes;
    let start = end(&log);
    log.write(&[entry(2, 1, 300)], None).unwrap();
    let frame_bytes = end(&log) - start;
    drop(log);
    let mut files = read_files(directory.path());
    let last = last_segment(&files);
    files.get_mut(&last).unwrap()[start as usize + 100] ^= 1;
    write_files(directory.path(), &files);
    let (_, recovered) = open(directory.path()).unwrap();
    let torn = recovered.torn_tail.unwrap();
    assert_eq!((recovered.last_index, torn.offset, torn.bytes), (1, start, frame_bytes));
}
