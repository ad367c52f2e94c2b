//! Any written buckets are read back; buckets that change between the passes give no file.

use crate::support::{Contents, bucket, numbered, read, write};
use backend_file::bolt::{Bucket, CHUNK_BYTES, Items, MemoryBucket, Plan, Trailer};
use bytes::Bytes;
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::BTreeMap;
use types::Fault;

type Sample = BTreeMap<Vec<u8>, BTreeMap<Vec<u8>, Vec<u8>>>;

fn sample() -> impl Strategy<Value = Sample> {
    let key = prop_oneof![4 => prop::collection::vec(any::<u8>(), 1..24), 1 => prop::collection::vec(any::<u8>(), 1500..5000)];
    let value = prop_oneof![
        6 => prop::collection::vec(any::<u8>(), 0..200),
        1 => (0_usize..20_000).prop_map(|bytes| vec![7; bytes]),
    ];
    let items = prop_oneof![
        prop::collection::btree_map(key.clone(), value.clone(), 0..8),
        prop::collection::btree_map(key, value, 0..200),
    ];
    prop::collection::btree_map(prop::collection::vec(any::<u8>(), 1..12), items, 0..12)
}

fn buckets(sample: &Sample) -> Vec<MemoryBucket> {
    let bucket = |(name, items): (&Vec<u8>, &BTreeMap<Vec<u8>, Vec<u8>>)| {
        let mut bucket = MemoryBucket::new(name.clone());
        items.iter().for_each(|(key, value)| bucket.put(key.clone(), value.clone()));
        bucket
    };
    sample.iter().map(bucket).collect()
}

fn contents(buckets: &[MemoryBucket]) -> Contents {
    let items = |bucket: &MemoryBucket| bucket.items().unwrap().collect::<Result<Vec<_>, Fault>>().unwrap();
    buckets.iter().map(|bucket| (Bytes::copy_from_slice(bucket.name()), items(bucket))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn any_buckets_are_read_back(sample in sample()) {
        let buckets = buckets(&sample);
        let file = write(&buckets, Trailer::Absent).unwrap();
        assert_branches_have_two_children(&file);
        prop_assert_eq!(read(file).unwrap(), contents(&buckets));
    }
}

/// Looks at every page header at a page's place: those inside overflow cannot be distinguished by
/// position, so pages are stepped over with their overflow.
fn assert_branches_have_two_children(file: &[u8]) {
    let mut page = 2;
    while page * 4096 < file.len() {
        let header = &file[page * 4096..][..16];
        assert_eq!(header[..8], (page as u64).to_le_bytes());
        assert!(header[8] != 1 || u16::from_le_bytes([header[10], header[11]]) >= 2, "page {page}");
        page += 1 + u32::from_le_bytes(header[12..16].try_into().unwrap()) as usize;
    }
}

// One leaf holds 3 of these, one branch 204: around each limit a single child could be left over.
#[test]
fn trees_of_every_small_size_are_read_back() {
    let edges = [1, 2, 3, 4, 6, 7, 8, 9];
    let branch_edges = (600..=630).chain(1220..=1240);
    for count in edges.into_iter().chain(branch_edges) {
        let buckets = [numbered("key", count, 1100)];
        let file = write(&buckets, Trailer::Absent).unwrap();
        assert_branches_have_two_children(&file);
        assert_eq!(read(file).unwrap(), contents(&buckets), "{count} items");
    }
}

#[test]
fn long_keys_make_branches_with_overflow() {
    for count in 1..14_u8 {
        let mut keys = MemoryBucket::new("key");
        (0..count).for_each(|number| keys.put(vec![number; 32_768], vec![number]));
        let buckets = [keys];
        let file = write(&buckets, Trailer::Absent).unwrap();
        assert_branches_have_two_children(&file);
        assert_eq!(read(file).unwrap(), contents(&buckets), "{count} items");
    }
}

#[test]
fn many_inline_buckets_make_a_tree_of_names() {
    let buckets: Vec<_> = (0..900_u32)
        .map(|number| {
            let mut bucket = MemoryBucket::new(format!("bucket {number:04}"));
            bucket.put("key", vec![1; 900]);
            bucket
        })
        .collect();
    let file = write(&buckets, Trailer::Absent).unwrap();
    assert_branches_have_two_children(&file);
    assert_eq!(read(file).unwrap(), contents(&buckets));
}

#[test]
fn chunks_are_full_but_the_last_and_the_trailer_stands_alone() {
    let buckets = [numbered("key", 5000, 100)];
    let plan = Plan::measure(&buckets).unwrap();
    let sizes: Vec<usize> = plan.write(Trailer::Sha256).map(|chunk| chunk.unwrap().len()).collect();
    let (trailer, data) = sizes.split_last().unwrap();
    let (last, full) = data.split_last().unwrap();
    assert!(*trailer == 32 && *last <= CHUNK_BYTES && full.iter().all(|size| *size == CHUNK_BYTES));
    assert_eq!(data.iter().sum::<usize>() as u64, plan.size_bytes());
}

#[test]
fn what_bbolt_cannot_hold_is_refused() {
    let refused =
        |key: Vec<u8>, name: &'static str| write(&[bucket(name, [(&key[..], &b""[..])])], Trailer::Absent).is_err();
    assert!(refused(vec![], "key") && refused(vec![1; 32_769], "key") && refused(vec![1], ""));
    assert!(!refused(vec![1; 32_768], "key"));
    assert!(write(&[bucket("b", []), bucket("a", [])], Trailer::Absent).is_err());
    assert!(write(&[bucket("a", []), bucket("a", [])], Trailer::Absent).is_err());
}

/// Gives its first items when measured and its second when written.
struct Fickle {
    items: [Vec<(Bytes, Bytes)>; 2],
    walks: Cell<usize>,
}

impl Bucket for Fickle {
    fn name(&self) -> &[u8] {
        b"key"
    }

    fn items(&self) -> Result<Items<'_>, Fault> {
        let items = &self.items[self.walks.replace(1)];
        Ok(Box::new(items.iter().cloned().map(Ok)))
    }
}

fn after_change(change: impl FnOnce(&mut Vec<(Bytes, Bytes)>)) -> Result<Bytes, Fault> {
    let items: Vec<_> = (0..2000_u32)
        .map(|number| (Bytes::copy_from_slice(&number.to_be_bytes()), Bytes::from_static(b"value")))
        .collect();
    let mut changed = items.clone();
    change(&mut changed);
    write(&[Fickle { items: [items, changed], walks: Cell::new(0) }], Trailer::Sha256)
}

#[test]
fn a_source_that_changes_between_the_passes_is_a_fault() {
    assert!(after_change(|_| ()).is_ok());
    assert!(after_change(|items| drop(items.pop())).is_err(), "an item less, on as many pages");
    assert!(after_change(|items| items.push((Bytes::from_static(&[9; 4]), Bytes::new()))).is_err(), "an item more");
    assert!(after_change(|items| items[7].1 = Bytes::from_static(b"longer")).is_err(), "a longer value");
    assert!(after_change(|items| items.swap(5, 6)).is_err(), "another order");
    assert!(after_change(|items| items[0].0 = Bytes::new()).is_err(), "an empty key");
    assert!(after_change(|items| items.clear()).is_err(), "nothing");
    assert!(after_change(|items| items[3].1 = vec![0; 1 << 20].into()).is_err(), "more pages than the file has");
}

#[test]
fn nothing_follows_a_fault() {
    let items = vec![(Bytes::from_static(b"a"), Bytes::new())];
    let buckets = [Fickle { items: [items, Vec::new()], walks: Cell::new(0) }];
    let plan = Plan::measure(&buckets).unwrap();
    let mut chunks = plan.write(Trailer::Sha256);
    assert!(chunks.find(Result::is_err).is_some());
    assert!(chunks.next().is_none());
}
