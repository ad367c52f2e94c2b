//! The store in memory, on which simulation and models rest, and the one on disk give the same
//! answers.
//!
//! Random batches go to both; after each, and after flushes and restarts, both are asked the same.
//! `CONFORMANCE_SEEDS` makes it longer.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a failure is a failed test, figures are printed")]

use fastrand::Rng;
use schema::{Batch, Cursor, MemoryStore, Table, View, history_key, meta};
use storage::{Store, StoreOptions};
use types::Revision;

const TABLES: [Table; 12] = [
    Table::Current,
    Table::History,
    Table::Revisions,
    Table::Counts,
    Table::Leases,
    Table::LeaseKeys,
    Table::Users,
    Table::Roles,
    Table::Members,
    Table::RemovedMembers,
    Table::Alarms,
    Table::Meta,
];
/// Few letters, those among them that sort first and last, so that keys are prefixes and neighbours
/// of each other.
const LETTERS: [u8; 5] = [0, 1, b'a', b'b', 0xff];

/// A change of a table.
type Change = (Table, Vec<u8>, Option<Vec<u8>>);

fn user_key(random: &mut Rng) -> Vec<u8> {
    (0..random.usize(0..4)).map(|_| *random.choice(&LETTERS).unwrap()).collect()
}

/// A key as the table holds them.
fn key(random: &mut Rng, table: Table) -> Vec<u8> {
    if table == Table::History {
        return history_key::encode(&user_key(random), Revision::new(random.i64(1..6), random.i64(0..2)));
    }
    // Beside the store's own.
    let before: &[u8] = if table == Table::Meta { b"zz" } else { b"" };
    [before.to_vec(), user_key(random)].concat()
}

fn changes(random: &mut Rng) -> Vec<Change> {
    let change = |random: &mut Rng| {
        let table = *random.choice(&TABLES).unwrap();
        let value = (random.u8(..3) > 0).then(|| (0..random.usize(0..20)).map(|_| random.u8(..)).collect());
        (table, key(random, table), value)
    };
    (0..random.usize(1..30)).map(|_| change(random)).collect()
}

fn write(changes: &[Change], batch: &mut dyn Batch) {
    for (table, key, value) in changes {
        match value {
            Some(value) => batch.put(*table, key, value),
            None => batch.delete(*table, key),
        }
    }
}

type Item = Option<(Vec<u8>, Vec<u8>)>;

/// A step of a cursor.
#[derive(Clone, Debug)]
enum Step {
    Seek(Vec<u8>),
    SeekBack(Vec<u8>),
    Next,
    Prev,
}

/// A walk below `end`. Where a cursor does not stand it is not moved on, and it is not sent past
/// its end.
fn walk(view: &impl View, table: Table, end: Option<&[u8]>, steps: &[Step]) -> Vec<Item> {
    let mut cursor = view.cursor(table, end).unwrap();
    let mut seen = Vec::new();
    for step in steps {
        let stands = cursor.item().is_some();
        match step {
            Step::Seek(key) => cursor.seek(key).unwrap(),
            Step::SeekBack(key) if end.is_none_or(|end| &key[..] < end) => cursor.seek_back(key).unwrap(),
            Step::Next if stands => cursor.next().unwrap(),
            Step::Prev if stands => cursor.prev().unwrap(),
            Step::SeekBack(_) | Step::Next | Step::Prev => continue,
        }
        seen.push(cursor.item().map(|(key, value)| (key.to_vec(), value.to_vec())));
    }
    seen
}

fn steps(random: &mut Rng, table: Table) -> Vec<Step> {
    let step = |random: &mut Rng| match random.u8(..6) {
        0 => Step::Seek(key(random, table)),
        1 => Step::SeekBack(key(random, table)),
        2 | 3 => Step::Next,
        _ => Step::Prev,
    };
    (0..random.usize(1..25)).map(|_| step(random)).collect()
}

fn all(view: &impl View, table: Table) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut cursor = view.scan(table).unwrap();
    let mut items = Vec::new();
    while let Some((key, value)) = cursor.item() {
        items.push((key.to_vec(), value.to_vec()));
        cursor.next().unwrap();
    }
    items
}

/// Returns a start for the search of the first item with a prefix: in the history a whole key,
/// elsewhere anything.
fn prefix_and_from(random: &mut Rng, table: Table) -> (Vec<u8>, Vec<u8>) {
    let (mut prefix, key) = (Vec::new(), user_key(random));
    if table != Table::History {
        return (key.clone(), [key, user_key(random)].concat());
    }
    history_key::push_prefix(&mut prefix, &key);
    let mut from = prefix.clone();
    history_key::push_revision(&mut from, Revision::new(random.i64(1..7), 0));
    (prefix, from)
}

/// Makes the same requests to both; returns their number.
fn compare(random: &mut Rng, ours: &impl View, model: &impl View, told: &str) -> usize {
    for table in TABLES {
        assert_eq!(all(ours, table), all(model, table), "{told}: {table:?}");
        let asked = key(random, table);
        assert_eq!(ours.get(table, &asked).unwrap(), model.get(table, &asked).unwrap(), "{told}: {table:?} {asked:?}");
        let (steps, end) = (steps(random, table), random.bool().then(|| key(random, table)));
        let told_steps = format!("{told}: {table:?} below {end:?}: {steps:?}");
        assert_eq!(
            walk(ours, table, end.as_deref(), &steps),
            walk(model, table, end.as_deref(), &steps),
            "{told_steps}"
        );
        let (prefix, from) = prefix_and_from(random, table);
        let found = (
            ours.first_with_prefix(table, &prefix, &from).unwrap(),
            model.first_with_prefix(table, &prefix, &from).unwrap(),
        );
        assert_eq!(found.0, found.1, "{told}: {table:?} from {from:?} with {prefix:?}");
    }
    4 * TABLES.len()
}

#[test]
fn the_store_in_memory_and_the_one_on_disk_answer_alike() {
    let seeds =
        std::env::var("CONFORMANCE_SEEDS").map_or(30, |seeds| seeds.parse().expect("CONFORMANCE_SEEDS is a number"));
    let (mut compared, mut batches) = (0, 0);
    for seed in 0..seeds {
        let mut random = Rng::with_seed(seed);
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path(), &StoreOptions::default()).unwrap();
        let mut model = MemoryStore::new();
        meta::write_u64(&mut model, meta::FORMAT_VERSION, meta::FORMAT);
        store.flush().unwrap();
        let mut flushed = model.clone();
        for number in 0..random.usize(5..40) {
            let told = format!("seed {seed}, batch {number}");
            let (changes, before) = (changes(&mut random), model.clone());
            {
                let snapshot = store.snapshot();
                let mut batch = store.batch();
                write(&changes, &mut batch);
                // Unwritten changes are not visible.
                compared += compare(&mut random, &store, &before, &told);
                store.write(batch).unwrap();
                write(&changes, &mut model);
                compared += compare(&mut random, &snapshot, &before, &format!("{told}, snapshot"));
            }
            compared += compare(&mut random, &store, &model, &told);
            batches += 1;
            match random.u8(..8) {
                0 => {
                    store.flush().unwrap();
                    flushed = model.clone();
                }
                1 => store.reclaim(),
                // Unflushed changes are lost, whole batches of them, as in the simulator.
                2 => {
                    drop(store);
                    store = Store::open(dir.path(), &StoreOptions::default()).unwrap();
                    model = closest(&store, &flushed, &model, &told);
                    flushed = model.clone();
                }
                _ => {}
            }
        }
    }
    println!("{batches} batches, {compared} comparisons");
}

/// Returns the state that an orderly end leaves: that of the last flush or of the last write,
/// because RocksDB may flush while it closes.
fn closest(store: &Store, flushed: &MemoryStore, written: &MemoryStore, told: &str) -> MemoryStore {
    let holds = |model: &MemoryStore| TABLES.iter().all(|table| all(store, *table) == all(model, *table));
    let found = [flushed, written].into_iter().find(|model| holds(model));
    found
        .unwrap_or_else(|| panic!("{told}: after a restart the state is neither what was flushed nor what was written"))
        .clone()
}
