//! Random operations against a foolish twin: a vector of entries, compared after each one.

use crate::support::{IDENTITY, contents, entry, fast_directory, small};
use raftlog::{HardState, Log, Presence, ReadError, Record};
use std::path::Path;

struct Model {
    base: (u64, u64),
    entries: Vec<Record>,
    hard_state: HardState,
}

impl Model {
    fn last(&self) -> u64 {
        self.base.0 + self.entries.len() as u64
    }

    fn term(&self, index: u64) -> u64 {
        if index == self.base.0 { self.base.1 } else { self.entries[(index - self.base.0 - 1) as usize].term }
    }

    fn append(&mut self, batch: &[Record], hard_state: Option<HardState>) {
        if let Some(first) = batch.first() {
            self.entries.truncate((first.index - self.base.0 - 1) as usize);
            self.entries.extend_from_slice(batch);
        }
        self.hard_state = hard_state.unwrap_or(self.hard_state);
    }
}

fn random_batch(random: &mut fastrand::Rng, model: &Model) -> (Vec<Record>, Option<HardState>) {
    // As in raft: committed entries are never replaced, and the commit index never moves back.
    let uncommitted = model.base.0.max(model.hard_state.commit) + 1;
    let overwrite = random.u8(..) < 40 && uncommitted <= model.last();
    let from = if overwrite { random.u64(uncommitted..=model.last()) } else { model.last() + 1 };
    let term = model.hard_state.term + u64::from(overwrite || random.u8(..) < 10);
    let longest = if random.u8(..) < 5 { 20_000 } else { 300 };
    let most = if random.u8(..) < 10 { 60 } else { 6 };
    let count = random.u64(0..most);
    let batch: Vec<Record> = (from..from + count).map(|index| entry(index, term, random.usize(0..longest))).collect();
    let hard_state = HardState { term, vote: term % 3, commit: random.u64(model.hard_state.commit..from) };
    let with_state = term > model.hard_state.term || random.bool();
    (batch, with_state.then_some(hard_state))
}

fn assert_unavailable<T: std::fmt::Debug>(found: &Result<T, ReadError>, entry: u64, last: u64) {
    let is_told =
        matches!(found, Err(ReadError::Unavailable { asked, last_index }) if (*asked, *last_index) == (entry, last));
    assert!(is_told, "{found:?} for entry {entry} behind {last}");
}

fn assert_compacted<T: std::fmt::Debug>(found: &Result<T, ReadError>, entry: u64, first: u64) {
    let is_told =
        matches!(found, Err(ReadError::Compacted { asked, first_index }) if (*asked, *first_index) == (entry, first));
    assert!(is_told, "{found:?} for entry {entry} before {first}");
}

fn compare(log: &Log, model: &Model, random: &mut fastrand::Rng) {
    let reader = log.reader();
    assert_eq!((reader.first_index(), reader.last_index()), (model.base.0 + 1, model.last()));
    assert_eq!(log.hard_state(), model.hard_state);
    let index = random.u64(model.base.0..=model.last());
    assert_eq!(reader.term(index).unwrap(), model.term(index));
    let (base, last) = (model.base.0, model.last());
    assert_unavailable(&reader.term(last + 1), last + 1, last);
    assert_unavailable(&reader.entries(last + 1, last + 3, 1), last + 2, last);
    if base > 0 {
        assert_compacted(&reader.entries(base, base + 1, 1), base, base + 1);
        assert_compacted(&reader.term(base - 1), base - 1, base + 1);
    }
    let lo = random.u64(model.base.0 + 1..=model.last() + 1);
    let hi = random.u64(lo..=model.last() + 1);
    let limit = random.u64(0..4000);
    let mut expected: Vec<Record> = Vec::new();
    let mut total = 0;
    for record in &model.entries[(lo - model.base.0 - 1) as usize..(hi - model.base.0 - 1) as usize] {
        total += record.data.len() as u64;
        if total > limit && !expected.is_empty() {
            break;
        }
        expected.push(record.clone());
    }
    assert_eq!(reader.entries(lo, hi, limit).unwrap(), expected);
}

fn reopen(directory: &Path, model: &Model, incarnation: &mut u64) -> Log {
    let (log, recovered) = Log::open(directory, IDENTITY, small(8192)).unwrap();
    assert_eq!(
        (recovered.base_index, recovered.base_term, recovered.last_index),
        (model.base.0, model.base.1, model.last())
    );
    assert_eq!(recovered.hard_state, model.hard_state);
    assert_eq!(recovered.torn_tail, None);
    assert_eq!(contents(&recovered), model.entries);
    assert!(recovered.incarnation > *incarnation);
    *incarnation = recovered.incarnation;
    log
}

fn run(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let directory = fast_directory();
    let mut model = Model { base: (0, 0), entries: Vec::new(), hard_state: HardState::default() };
    let mut incarnation = 0;
    let mut log = reopen(directory.path(), &model, &mut incarnation);
    for _ in 0..400 {
        match random.u8(0..100) {
            0..75 => {
                let (batch, hard_state) = random_batch(&mut random, &model);
                log.write(&batch, hard_state).unwrap();
                model.append(&batch, hard_state);
                if random.bool() {
                    log.sync().unwrap();
                }
            }
            75..88 => {
                let upto = random.u64(model.base.0..=model.last());
                log.truncate_front(upto).unwrap();
                let term = model.term(upto);
                model.entries.drain(..(upto - model.base.0) as usize);
                model.base = (upto, term);
            }
            88..90 => {
                let commit = random.u64(model.hard_state.commit..=model.last());
                log.sync().unwrap();
                log.note_commit(commit).unwrap();
                model.hard_state.commit = commit;
            }
            90..92 => {
                let base = (model.last() + random.u64(0..50), model.hard_state.term);
                log.install(base.0, base.1, None).unwrap();
                model.base = base;
                model.entries.clear();
            }
            92..93 => log.mark().unwrap(),
            _ => {
                drop(log);
                log = reopen(directory.path(), &model, &mut incarnation);
            }
        }
        compare(&log, &model, &mut random);
    }
}

#[test]
fn log_behaves_as_a_vector_of_entries() {
    for seed in 0..40 {
        run(seed);
    }
}

#[test]
fn record_larger_than_a_segment_gets_one_of_its_own_size() {
    let directory = fast_directory();
    let large = entry(2, 1, 100_000);
    let (mut log, _) = Log::open(directory.path(), IDENTITY, small(8192)).unwrap();
    log.append(&[entry(1, 1, 10), large.clone(), entry(3, 1, 10)], Some(HardState { term: 1, vote: 0, commit: 0 }))
        .unwrap();
    drop(log);
    let (log, recovered) = Log::open(directory.path(), IDENTITY, small(8192)).unwrap();
    assert_eq!(recovered.last_index, 3);
    assert_eq!(log.reader().entries(2, 3, 1).unwrap(), [large]);
}

#[test]
fn segment_size_may_change_between_opens() {
    let directory = fast_directory();
    for (round, size) in [8192, 65536, 12288].into_iter().enumerate() {
        let (mut log, recovered) = Log::open(directory.path(), IDENTITY, small(size)).unwrap();
        assert_eq!(recovered.last_index, 100 * round as u64);
        for index in recovered.last_index + 1..=recovered.last_index + 100 {
            log.append(&[entry(index, 1, 300)], None).unwrap();
        }
    }
    let existing = raftlog::Options { presence: Presence::Existing, ..small(8192) };
    assert_eq!(Log::open(directory.path(), IDENTITY, existing).unwrap().1.last_index, 300);
}
