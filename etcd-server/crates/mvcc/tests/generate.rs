//! Random requests over a small alphabet of hostile keys.

use bytes::Bytes;
use fastrand::Rng;
use proto::etcdserverpb::compare::TargetUnion;
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::*;

/// The requests that a seed may draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Those that admission accepts: within a transaction no key is put twice, nor after a deletion
    /// of it.
    Admitted,
    /// Anything.
    Wild,
}

pub(crate) struct Generator {
    pub(crate) random: Rng,
    pub(crate) mood: Mood,
    pub(crate) current: i64,
    pub(crate) compacted: i64,
    /// Keys that may not be put any more in this transaction.
    touched: Vec<(Bytes, Bytes)>,
}

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let mood = if random.u8(..4) == 0 { Mood::Wild } else { Mood::Admitted };
        Self { random, mood, current: 1, compacted: -1, touched: Vec::new() }
    }

    pub(crate) fn one_in(&mut self, n: u32) -> bool {
        self.random.u32(..n) == 0
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.random.usize(..choices.len())]
    }

    pub(crate) fn key(&mut self) -> Bytes {
        let length = self.pick(&[1, 1, 2, 2, 3]);
        (0..length).map(|_| self.pick(&[0, 1, b'a', 0xff])).collect::<Vec<u8>>().into()
    }

    fn range_end(&mut self) -> Bytes {
        match self.random.u8(..4) {
            0 => Bytes::new(),
            1 => Bytes::from_static(&[0]),
            _ => self.key(),
        }
    }

    pub(crate) fn revision(&mut self) -> i64 {
        match self.random.u8(..8) {
            0 | 1 => 0,
            2 => self.random.i64(-3..=self.current + 2),
            3 => self.compacted + self.random.i64(-1..=1),
            4 => self.current,
            _ => self.random.i64(self.compacted.max(0)..=self.current),
        }
    }

    fn value(&mut self) -> Bytes {
        self.pick(&[&b""[..], b"x", b"y", b"\0", b"longer"]).into()
    }

    pub(crate) fn put(&mut self) -> PutRequest {
        let ignore_value = self.one_in(5);
        let ignore_lease = self.one_in(5);
        PutRequest {
            key: self.key(),
            value: if ignore_value { Bytes::new() } else { self.value() },
            lease: if ignore_lease { 0 } else { self.pick(&[0, 0, 0, 1, 2, 1, 2, 0, 1, 3]) },
            prev_kv: self.one_in(2),
            ignore_value,
            ignore_lease,
        }
    }

    pub(crate) fn delete_range(&mut self) -> DeleteRangeRequest {
        DeleteRangeRequest { key: self.key(), range_end: self.range_end(), prev_kv: self.one_in(2) }
    }

    pub(crate) fn range(&mut self) -> RangeRequest {
        let bound = |this: &mut Self| if this.one_in(8) { this.random.i64(-1..=this.current) } else { 0 };
        RangeRequest {
            key: self.key(),
            range_end: self.range_end(),
            limit: self.pick(&[0, 0, -1, 1, 2, 3, 5, i64::MAX]),
            revision: self.revision(),
            sort_order: self.pick(&[0, 0, 0, 1, 2]),
            sort_target: self.pick(&[0, 0, 0, 1, 2, 3, 4]),
            serializable: false,
            keys_only: self.one_in(4),
            count_only: self.one_in(6),
            min_mod_revision: bound(self),
            max_mod_revision: bound(self),
            min_create_revision: bound(self),
            max_create_revision: bound(self),
        }
    }

    fn compare(&mut self) -> Compare {
        let number = self.random.i64(-1..=self.current + 1);
        let small = self.random.i64(0..3);
        let target_union = match self.random.u8(..6) {
            0 => None,
            1 => Some(TargetUnion::Version(small)),
            2 => Some(TargetUnion::CreateRevision(number)),
            3 => Some(TargetUnion::ModRevision(number)),
            4 => Some(TargetUnion::Value(self.value())),
            _ => Some(TargetUnion::Lease(small)),
        };
        let fitting = match &target_union {
            Some(TargetUnion::Version(_)) => 0,
            Some(TargetUnion::CreateRevision(_)) => 1,
            Some(TargetUnion::ModRevision(_)) => 2,
            Some(TargetUnion::Value(_)) => 3,
            Some(TargetUnion::Lease(_)) => 4,
            None => 7,
        };
        Compare {
            result: self.random.i32(0..5),
            target: if self.one_in(4) { self.random.i32(-1..6) } else { fitting },
            key: self.key(),
            range_end: if self.one_in(2) { Bytes::new() } else { self.range_end() },
            target_union,
        }
    }

    /// A transaction; `depth` more may be nested in it.
    pub(crate) fn txn(&mut self, depth: u32) -> TxnRequest {
        self.touched.clear();
        self.nested_txn(depth)
    }

    /// A transaction of ranges alone.
    pub(crate) fn read_txn(&mut self) -> TxnRequest {
        let mut ranges = || {
            let ranges: Vec<RangeRequest> = (0..self.random.u8(..3)).map(|_| self.range()).collect();
            ranges.into_iter().map(|range| RequestOp { request: Some(Request::RequestRange(range)) }).collect()
        };
        let (success, failure) = (ranges(), ranges());
        TxnRequest { compare: vec![self.compare()], success, failure }
    }

    fn nested_txn(&mut self, depth: u32) -> TxnRequest {
        let compares = self.random.usize(..3);
        TxnRequest {
            compare: (0..compares).map(|_| self.compare()).collect(),
            success: self.ops(depth),
            failure: self.ops(depth),
        }
    }

    fn ops(&mut self, depth: u32) -> Vec<RequestOp> {
        (0..self.random.u8(..4)).map(|_| RequestOp { request: Some(self.op(depth)) }).collect()
    }

    fn op(&mut self, depth: u32) -> Request {
        match self.random.u8(..10) {
            0..3 => Request::RequestRange(self.range()),
            3..5 => {
                let delete = self.delete_range();
                self.touched.push((delete.key.clone(), delete.range_end.clone()));
                Request::RequestDeleteRange(delete)
            }
            5..7 if depth > 0 => Request::RequestTxn(self.nested_txn(depth - 1)),
            _ => self.fresh_put().map_or_else(|| Request::RequestRange(self.range()), Request::RequestPut),
        }
    }

    fn fresh_put(&mut self) -> Option<PutRequest> {
        let put = self.put();
        let touched = self.touched.iter().any(|(start, end)| crate::twin::contains(&put.key, start, end));
        if touched && self.mood == Mood::Admitted {
            return None;
        }
        self.touched.push((put.key.clone(), Bytes::new()));
        Some(put)
    }
}
