//! Damaged files are refused with a reason: no panic, no endless walk.

use crate::support::{bucket, numbered, read, write};
use backend_file::bolt::{BoltError, BoltFile, Flaw, Trailer};
use backend_file::{StatusStyle, status};
use bytes::Bytes;
use proptest::prelude::*;

/// Trees of two heights, overflow, inline buckets: some 180 pages.
fn file() -> Bytes {
    let buckets =
        [bucket("alarm", []), numbered("key", 3000, 80), numbered("lease", 20, 20_000), numbered("meta", 3, 8)];
    write(&buckets, Trailer::Absent).unwrap()
}

fn refusal(bytes: Vec<u8>) -> Option<BoltError> {
    let bytes = Bytes::from(bytes);
    let refused = read(bytes.clone()).err();
    // Nor does the other way in.
    let told = BoltFile::open(bytes).and_then(|file| status(&file, StatusStyle::V3_5).map(drop)).err();
    assert!(refused.is_none() || told.is_some());
    refused
}

#[test]
fn every_cut_is_refused() {
    let whole = file();
    for length in (0..whole.len()).step_by(4096) {
        for length in [length, length + 1, length + 100] {
            assert!(refusal(whole[..length].to_vec()).is_some(), "{length} bytes");
        }
    }
    assert!(refusal(whole.to_vec()).is_none());
}

#[test]
fn flipped_bits_of_page_headers_are_refused() {
    let whole = file();
    let mut page = 2;
    while page * 4096 < whole.len() {
        let at = page * 4096;
        for bit in 0..16 * 8 {
            let mut bad = whole.to_vec();
            bad[at + bit / 8] ^= 1 << (bit % 8);
            let refused = refusal(bad);
            // A smaller count in a leaf drops its last items, which only the trailer shows.
            let may_pass = (80..96).contains(&bit);
            assert!(refused.is_some() || may_pass, "page {page}, bit {bit}");
        }
        let overflow = u32::from_le_bytes(whole[at + 12..at + 16].try_into().unwrap());
        // Few leaves are as good as all.
        page += if page > 20 && page + 40 < whole.len() / 4096 { 29 } else { 1 };
        page += usize::try_from(overflow).unwrap();
        page = next_header(&whole, page);
    }
}

/// The next page that carries its own number.
fn next_header(file: &[u8], mut page: usize) -> usize {
    while page * 4096 < file.len() && file[page * 4096..][..8] != (page as u64).to_le_bytes() {
        page += 1;
    }
    page
}

/// The root of bucket `key`: the branch with the highest number of children.
fn a_branch(file: &[u8]) -> usize {
    (2..file.len() / 4096)
        .find(|page| file[page * 4096 + 8] == 1 && file[page * 4096..][..8] == (*page as u64).to_le_bytes())
        .unwrap()
}

#[test]
fn loops_and_shared_pages_are_refused() {
    let whole = file();
    let branch = a_branch(&whole);
    let child = branch * 4096 + 16 + 8;
    let mut to_itself = whole.to_vec();
    to_itself[child..child + 8].copy_from_slice(&(branch as u64).to_le_bytes());
    assert!(matches!(refusal(to_itself), Some(BoltError::Page { flaw: Flaw::Shared, .. })));
    let mut twice = whole.to_vec();
    twice.copy_within(child + 16..child + 24, child);
    assert!(refusal(twice).is_some());
    let mut outside = whole.to_vec();
    outside[child + 7] = 0xff;
    assert!(matches!(refusal(outside), Some(BoltError::Page { flaw: Flaw::OutOfFile(_), .. })));
}

/// A small file whose first meta is replaced, with the right checksum.
fn with_meta(change: impl Fn(&mut [u8])) -> Vec<u8> {
    let mut bytes = write(&[bucket("key", []), bucket("meta", [])], Trailer::Absent).unwrap().to_vec();
    change(&mut bytes[16..72]);
    let sum = bytes[16..72]
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
    bytes[72..80].copy_from_slice(&sum.to_le_bytes());
    bytes
}

#[test]
fn metas_with_right_checksums_are_not_believed() {
    for value in [0, 1, 2, 4, 1 << 32, u64::MAX] {
        for field in [16, 40] {
            let bad = with_meta(|meta| meta[field..field + 8].copy_from_slice(&value.to_le_bytes()));
            if (field, value) != (16, 2) {
                assert!(refusal(bad).is_some(), "field {field} is {value}");
            }
        }
    }
    for page_bytes in [0, 1, 1000, 8192, 1 << 31, u32::MAX] {
        // The second meta is right, and stands where it should.
        let bad = with_meta(|meta| meta[8..12].copy_from_slice(&page_bytes.to_le_bytes()));
        let outcome = read(Bytes::from(bad));
        assert_eq!(outcome.is_err(), page_bytes == 8192, "page size {page_bytes}");
    }
}

#[test]
fn list_of_free_pages_is_checked() {
    let listed = |ids: &[u64]| {
        let mut bytes = with_meta(|meta| {
            meta[32..40].copy_from_slice(&3_u64.to_le_bytes());
            meta[40..48].copy_from_slice(&6_u64.to_le_bytes());
        });
        bytes.resize(6 * 4096, 0);
        let page = &mut bytes[3 * 4096..];
        page[0] = 3;
        page[8] = 0x10;
        page[10] = u8::try_from(ids.len()).unwrap();
        ids.iter().enumerate().for_each(|(number, id)| page[16 + number * 8..][..8].copy_from_slice(&id.to_le_bytes()));
        refusal(bytes)
    };
    assert!(listed(&[4, 5]).is_none());
    assert!(matches!(listed(&[4]), Some(BoltError::Page { page: 5, flaw: Flaw::Lost })));
    assert!(matches!(listed(&[2, 4, 5]), Some(BoltError::Page { page: 2, flaw: Flaw::Shared })));
    for bad in [&[5, 4][..], &[4, 4, 5], &[4, 5, 6], &[1, 4, 5], &[4, 5, u64::MAX]] {
        assert!(listed(bad).is_some(), "{bad:?}");
    }
}

#[test]
fn data_among_buckets_and_buckets_among_data_are_refused() {
    let whole = write(&[bucket("key", [(&b"a"[..], &b"b"[..])])], Trailer::Absent).unwrap();
    let (root_flags, inner_flags) = (2 * 4096 + 16, 2 * 4096 + 16 + 16 + 3 + 16 + 16);
    for at in [root_flags, inner_flags] {
        let mut bad = whole.to_vec();
        bad[at] ^= 1;
        assert!(matches!(refusal(bad), Some(BoltError::Page { page: 2, flaw: Flaw::ElementFlags(0, _) })), "byte {at}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn any_damage_ends_without_a_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        near_headers in any::<bool>(),
    ) {
        let mut bytes = small_file().to_vec();
        for (at, byte) in changes {
            let at = if near_headers { at.index(bytes.len() / 4096) * 4096 + usize::from(byte) } else { at.index(bytes.len()) };
            bytes[at] ^= byte | 1;
        }
        refusal(bytes);
    }

    #[test]
    fn any_bytes_end_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..9000)) {
        prop_assert!(refusal(bytes).is_some());
    }
}

fn small_file() -> Bytes {
    write(&[numbered("key", 700, 60), numbered("lease", 2, 9000), numbered("meta", 3, 8)], Trailer::Absent).unwrap()
}
