//! Batches of entries.

use crate::stage::{Unhooked, put, settings};
use apply::State;
use consensus::{Entry, EntryKind};
use pipeline::{ApplyAction, ApplyPipeline, ApplySettings};
use schema::{MemoryBatch, MemoryStore, meta};
use types::MemberId;

fn state(applied: u64) -> State {
    let mut store = MemoryStore::new();
    meta::write_u64(&mut store, meta::APPLIED_INDEX, applied);
    State::load(&store, settings(), &mut MemoryBatch::default()).unwrap()
}

fn pipeline(applied: (u64, u64)) -> ApplyPipeline<&'static str> {
    let state = state(applied.0);
    let settings = ApplySettings { member_id: MemberId(1), max_learners: 1, entries_per_batch: 3 };
    ApplyPipeline::new(state, applied, settings)
}

fn entry(index: u64) -> Entry {
    Entry { term: 1, index, kind: EntryKind::Normal, data: put(index, "k").into() }
}

fn indexes(batch: Option<Vec<Entry>>) -> Vec<u64> {
    batch.into_iter().flatten().map(|entry| entry.index).collect()
}

#[test]
fn batch_takes_as_many_entries_as_allowed() {
    let mut apply = pipeline((0, 0));
    apply.take(vec![entry(1), entry(2)]);
    assert!(!apply.is_full());
    apply.take(vec![entry(3), entry(4)]);
    assert!(apply.is_full());
    assert_eq!(indexes(apply.next_batch()), [1, 2, 3]);
    assert!(!apply.is_idle());
    assert_eq!(indexes(apply.next_batch()), [4]);
    assert!(apply.is_idle());
    assert_eq!(apply.next_batch(), None);
}

#[test]
fn entries_that_the_state_holds_are_dropped() {
    let mut apply = pipeline((2, 1));
    apply.take(vec![entry(1), entry(2), entry(3)]);
    apply.take(vec![entry(2), entry(3), entry(4)]);
    assert_eq!(indexes(apply.next_batch()), [3, 4]);
}

#[test]
#[should_panic(expected = "entries are applied without a gap")]
fn gap_between_entries_stops_the_member() {
    let mut apply = pipeline((2, 1));
    let executed = apply.execute(&MemoryStore::new(), &mut MemoryBatch::default(), &[entry(4)], &mut Unhooked);
    drop(executed);
}

#[test]
#[should_panic(expected = "the term of entry 3 goes back")]
fn falling_term_stops_the_member() {
    let mut apply = pipeline((2, 2));
    let executed = apply.execute(&MemoryStore::new(), &mut MemoryBatch::default(), &[entry(3)], &mut Unhooked);
    drop(executed);
}

#[test]
#[should_panic(expected = "entries before a snapshot are applied")]
fn snapshot_over_waiting_entries_stops_the_member() {
    let mut apply = pipeline((0, 0));
    apply.take(vec![entry(1)]);
    apply.replace(state(5), (5, 1));
}

#[test]
#[should_panic(expected = "the state ends at entry 4, not 5")]
fn snapshot_of_another_entry_stops_the_member() {
    pipeline((0, 0)).replace(state(4), (5, 1));
}

#[test]
#[should_panic(expected = "a state at entry 5 replaces one at 5")]
fn snapshot_of_an_applied_entry_stops_the_member() {
    pipeline((5, 1)).replace(state(5), (5, 1));
}

#[test]
fn reads_go_once_their_index_is_written() {
    let mut apply = pipeline((0, 0));
    let mut store = MemoryStore::new();
    apply.wait(0, vec!["now"]);
    apply.wait(2, vec!["second", "also second"]);
    apply.wait(3, vec!["third"]);
    assert_eq!(apply.due_reads().collect::<Vec<_>>(), ["now"]);
    apply.take(vec![entry(1), entry(2)]);
    let entries = apply.next_batch().unwrap();
    let mut batch = MemoryBatch::default();
    let results = apply.execute(&store, &mut batch, &entries, &mut Unhooked).unwrap();
    assert_eq!(results.events().len(), 2);
    assert_eq!(apply.due_reads().count(), 0, "the batch is not readable yet");
    batch.write(&mut store);
    let actions = apply.written(results);
    assert_eq!(apply.applied(), (2, 1));
    assert_eq!(apply.due_reads().collect::<Vec<_>>(), ["second", "also second"]);
    let [first, .., respond, last] = &actions[..] else { panic!("{actions:?}") };
    assert!(matches!(first, ApplyAction::Publish { index: 2, .. }), "{first:?}");
    assert!(matches!(respond, ApplyAction::Respond(responses) if responses.len() == 2), "{respond:?}");
    assert_eq!(*last, ApplyAction::Applied(2), "responses first: what has none may be proposed again");
}
