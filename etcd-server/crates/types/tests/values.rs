//! Small values: what they print, how they compare, where they saturate.
#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

use bytes::Bytes;
use std::time::Duration;
use types::{ClusterId, Event, Fault, KeyRange, LeaseId, MemberId, MonotonicTime, Revision};

#[test]
fn ids_print_as_etcd_logs_them() {
    assert_eq!(MemberId(0xabc).to_string(), "abc");
    assert_eq!(ClusterId(u64::MAX).to_string(), "ffffffffffffffff");
    assert_eq!(LeaseId(0x2a).to_string(), "000000000000002a");
    assert_eq!(LeaseId(-1).to_string(), "ffffffffffffffff");
}

#[test]
fn lease_zero_is_no_lease() {
    assert!(!LeaseId::NONE.is_some() && !LeaseId(0).is_some());
    assert!(LeaseId(1).is_some() && LeaseId(-1).is_some());
}

#[test]
fn moments_saturate_at_both_ends() {
    assert_eq!(MonotonicTime(5).after(Duration::from_millis(7)), MonotonicTime(12));
    assert_eq!(MonotonicTime(5).after(Duration::from_micros(999)), MonotonicTime(5), "whole milliseconds");
    assert_eq!(MonotonicTime(5).after(Duration::MAX), MonotonicTime(u64::MAX));
    assert_eq!(MonotonicTime(12).since(MonotonicTime(5)), Duration::from_millis(7));
    assert_eq!(MonotonicTime(5).since(MonotonicTime(12)), Duration::ZERO);
}

#[test]
fn revision_has_etcds_bytes() {
    assert_eq!(Revision::new(258, 3).to_etcd_bytes(), *b"\0\0\0\0\0\0\x01\x02_\0\0\0\0\0\0\0\x03");
    assert!(Revision::new(2, 9) < Revision::new(3, 0) && Revision::new(3, 0) < Revision::new(3, 1));
}

#[test]
fn event_without_record_is_a_deletion() {
    let event = |record: &'static [u8]| Event {
        revision: Revision::new(2, 0),
        key: "k".into(),
        record: Bytes::from_static(record),
    };
    assert!(event(b"").is_delete() && !event(b"r").is_delete());
}

#[test]
fn ranges_tell_keys_inside_and_above() {
    let range = |key: &'static str, end: &'static str| KeyRange::from_wire(key.into(), end.into());
    // Kind of range, whether it is empty, and for the keys a, b, b\0, c: inside (+), above (>),
    // neither (-).
    for (range, empty, keys) in [
        (range("b", ""), false, "-+>>"),
        (KeyRange::single("b".into()), false, "-+>>"),
        (range("b", "c"), false, "-++>"),
        (range("b", "\0"), false, "-+++"),
        (KeyRange::all(), false, "++++"),
        (range("b", "b"), true, "->>>"),
        (range("c", "b"), true, "->>>"),
    ] {
        let told: String = [&b"a"[..], b"b", b"b\0", b"c"]
            .iter()
            .map(|key| match (range.contains(key), range.is_below(key)) {
                (true, false) => '+',
                (false, true) => '>',
                (false, false) => '-',
                (true, true) => panic!("{key:?} is inside and above {range:?}"),
            })
            .collect();
        assert_eq!((range.is_empty(), told.as_str()), (empty, keys), "{range:?}");
    }
    assert_eq!(range("b", "").as_single(), Some(&Bytes::from_static(b"b")));
    assert_eq!((range("b", "c").as_single(), range("b", "\0").as_single()), (None, None));
    assert_eq!(range("b", "c").start(), "b");
}

#[test]
fn lost_file_is_found_below_other_faults() {
    let lost = || Fault::FileLost { path: "/log".into(), loss: "removed" };
    assert!(lost().is_file_lost() && lost().during("sync").during("append").is_file_lost());
    let others = [
        Fault::corrupt("log", "short"),
        Fault::store("write", "full"),
        Fault::io("sync", std::io::Error::other("gone")),
    ];
    assert!(others.into_iter().all(|fault| !fault.during("sync").is_file_lost()));
}
