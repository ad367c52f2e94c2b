//! Bytes that are known from etcd's own tools.

use crate::support::{bucket, read, unhex, write};
use backend_file::bolt::{BoltFile, Digest, MemoryBucket, Trailer, has_trailer, verify_trailer};
use backend_file::{StatusStyle, status};
use bytes::Bytes;

fn smallest() -> Vec<MemoryBucket> {
    let meta: [(&[u8], &[u8]); 2] = [(b"consistent_index", &77_u64.to_be_bytes()), (b"term", &3_u64.to_be_bytes())];
    vec![bucket("key", []), bucket("meta", meta)]
}

#[test]
fn smallest_file_has_its_known_bytes() {
    let file = write(&smallest(), Trailer::Absent).unwrap();
    assert_eq!(file.len(), 12288);
    let meta =
        "edda0ced 02000000 00100000 00000000 0200000000000000 0000000000000000 ffffffffffffffff 0300000000000000";
    let first = format!("0000000000000000 0400 0000 00000000 {meta} 0300000000000000 61b19e0fa9786302");
    let second = format!("0100000000000000 0400 0000 00000000 {meta} 0200000000000000 4067af04a0b168e3");
    assert_eq!(file[..80], unhex(&first));
    assert_eq!(file[4096..4176], unhex(&second));
    let root =
        "0200000000000000 0200 0200 00000000 01000000 20000000 03000000 20000000 01000000 33000000 04000000 64000000
        6b6579 0000000000000000 0000000000000000 0000000000000000 0200 0000 00000000
        6d657461 0000000000000000 0000000000000000 0000000000000000 0200 0200 00000000
        00000000 20000000 10000000 08000000 00000000 28000000 04000000 08000000
        636f6e73697374656e745f696e646578 000000000000004d 7465726d 0000000000000003";
    let root = unhex(root);
    assert_eq!(file[8192..8192 + root.len()], root);
    assert!(file[8192 + root.len()..].iter().all(|byte| *byte == 0));
}

#[test]
fn trailer_is_there_when_wanted_and_guards_every_byte() {
    let plain = write(&smallest(), Trailer::Absent).unwrap();
    assert_eq!(verify_trailer(&plain).unwrap(), Digest::Absent);
    let file = write(&smallest(), Trailer::Sha256).unwrap();
    assert!(has_trailer(file.len() as u64) && file[..12288] == plain[..]);
    assert_eq!(verify_trailer(&file).unwrap(), Digest::Right);
    assert_eq!(read(file.clone()).unwrap(), read(plain).unwrap());
    for at in [0, 5000, 12287, 12288, 12319] {
        let mut bad = file.to_vec();
        bad[at] ^= 1;
        assert!(matches!(verify_trailer(&Bytes::from(bad)).unwrap(), Digest::Wrong { .. }), "byte {at}");
    }
}

#[test]
fn live_meta_is_the_right_one_with_the_higher_transaction() {
    let file = write(&smallest(), Trailer::Absent).unwrap();
    assert_eq!(BoltFile::open(file.clone()).unwrap().meta().txid, 3);
    let mut first_bad = file.to_vec();
    first_bad[20] ^= 1;
    assert_eq!(BoltFile::open(Bytes::from(first_bad)).unwrap().meta().txid, 2);
    let mut second_bad = file.to_vec();
    second_bad[4096 + 20] ^= 1;
    assert_eq!(BoltFile::open(Bytes::from(second_bad)).unwrap().meta().txid, 3);
}

#[test]
fn status_of_the_smallest_file() {
    let file = BoltFile::open(write(&smallest(), Trailer::Sha256).unwrap()).unwrap();
    let old = status(&file, StatusStyle::V3_5).unwrap();
    assert_eq!((old.revision, old.total_keys, old.size_bytes, old.version), (0, 2, 12288, None));
    let new = status(&file, StatusStyle::V3_6).unwrap();
    assert_eq!((new.total_keys, new.version.as_deref()), (0, Some("")));
}
