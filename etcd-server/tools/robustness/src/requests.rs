//! The requests of a client: every kind, on few keys, so that clients get in each other's way.
//! Values are never written twice.

use crate::history::{Request, Response};
use fastrand::Rng;
use proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use proto::etcdserverpb::{
    Compare, DeleteRangeRequest, LeaseGrantRequest, PutRequest, RangeRequest, RequestOp, TxnRequest, request_op,
};
use proto::mvccpb::KeyValue;
use std::collections::BTreeMap;

/// Keys without leases: `k/00`…
pub(crate) const KEYS: u64 = 16;
/// Keys with leases: `l/00`…
pub(crate) const LEASED_KEYS: u64 = 8;
/// Time to live of leases, in seconds.
const TTL: std::ops::RangeInclusive<i64> = 1..=3;
/// Leases that a client keeps at most.
const LEASES_MAX: usize = 4;

/// A client's mind.
#[derive(Debug)]
pub(crate) struct Chooser {
    random: Rng,
    client: usize,
    sequence: u64,
    /// The records that it has read last.
    known: BTreeMap<String, KeyValue>,
    leases: Vec<i64>,
    /// The newest revision that it has seen.
    revision: i64,
}

pub(crate) fn key(number: u64) -> String {
    format!("k/{number:02}")
}

pub(crate) fn leased_key(number: u64) -> String {
    format!("l/{number:02}")
}

impl Chooser {
    pub(crate) fn new(seed: u64, client: usize) -> Self {
        let random = Rng::with_seed(seed ^ (client as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Self { random, client, sequence: 0, known: BTreeMap::new(), leases: Vec::new(), revision: 1 }
    }

    pub(crate) fn random(&mut self) -> &mut Rng {
        &mut self.random
    }

    pub(crate) fn next(&mut self) -> Request {
        match self.random.u8(..100) {
            0..25 => Request::Put(self.put()),
            25..40 => Request::Range(RangeRequest { serializable: self.random.bool(), ..self.get() }),
            40..50 => Request::Range(self.list()),
            50..54 => Request::Range(self.old()),
            54..60 => Request::Delete(self.delete()),
            60..62 => Request::Delete(self.delete_some()),
            62..74 => Request::Txn(self.compare_and_swap()),
            74..80 => Request::Txn(self.several()),
            80..84 => Request::Txn(self.reads()),
            84..88 if self.leases.len() < LEASES_MAX => Request::Grant(self.grant()),
            84..94 => self.with_lease(),
            94..99 => self.random_lease().map_or_else(|| Request::Range(self.get()), Request::KeepAlive),
            _ => self.give_up_lease(),
        }
    }

    /// Takes note of an answer.
    pub(crate) fn learn(&mut self, request: &Request, response: &Response) {
        self.revision = self.revision.max(response.revision());
        match (request, response) {
            (_, Response::Range(range)) => {
                for record in &range.kvs {
                    if !record.value.is_empty() {
                        self.known.insert(String::from_utf8_lossy(&record.key).into_owned(), record.clone());
                    }
                }
            }
            (_, Response::Grant(grant)) => self.leases.push(grant.id),
            (Request::KeepAlive(id), Response::KeepAlive(renewed)) if renewed.ttl <= 0 => self.forget(*id),
            _ => {}
        }
    }

    /// A lease that is not there any more.
    pub(crate) fn forget(&mut self, lease: i64) {
        self.leases.retain(|known| *known != lease);
    }

    fn value(&mut self) -> String {
        self.sequence += 1;
        let padding = if self.random.u8(..20) == 0 { self.random.usize(..2000) } else { 0 };
        format!("{}-{}{}", self.client, self.sequence, ".".repeat(padding))
    }

    fn key(&mut self) -> String {
        key(self.random.u64(..KEYS))
    }

    fn put(&mut self) -> PutRequest {
        let value = self.value().into();
        PutRequest { key: self.key().into(), value, prev_kv: self.random.u8(..4) == 0, ..PutRequest::default() }
    }

    fn get(&mut self) -> RangeRequest {
        RangeRequest { key: self.key().into(), ..RangeRequest::default() }
    }

    fn list(&mut self) -> RangeRequest {
        let (first, second) = (self.key(), self.key());
        let (key, range_end) = match self.random.u8(..4) {
            0 => ("\0".to_owned(), "\0".to_owned()),
            1 => ("k/".to_owned(), "k0".to_owned()),
            2 => ("l/".to_owned(), "\0".to_owned()),
            _ => (first.clone().min(second.clone()), format!("{}\0", first.max(second))),
        };
        let limit = if self.random.bool() { self.random.i64(1..6) } else { 0 };
        let count_only = limit == 0 && self.random.u8(..5) == 0;
        RangeRequest {
            key: key.into(),
            range_end: range_end.into(),
            limit,
            count_only,
            keys_only: !count_only && self.random.u8(..5) == 0,
            serializable: self.random.bool(),
            ..RangeRequest::default()
        }
    }

    /// The past, which may have been compacted, or the near future, which is refused.
    fn old(&mut self) -> RangeRequest {
        let revision = (self.revision - self.random.i64(-2..60)).max(1);
        RangeRequest { revision, ..self.list() }
    }

    fn delete(&mut self) -> DeleteRangeRequest {
        DeleteRangeRequest { key: self.key().into(), prev_kv: self.random.bool(), ..DeleteRangeRequest::default() }
    }

    fn delete_some(&mut self) -> DeleteRangeRequest {
        let first = self.random.u64(..KEYS);
        let range_end = key(first + self.random.u64(1..4)).into();
        DeleteRangeRequest { key: key(first).into(), range_end, prev_kv: self.random.bool() }
    }

    /// Changes the value that it read last, if it is still there; reads otherwise.
    fn compare_and_swap(&mut self) -> TxnRequest {
        let mut put = self.put();
        let key = String::from_utf8_lossy(&put.key).into_owned();
        let known = self.known.get(&key);
        let (target, union) = match self.random.u8(..4) {
            0 => (CompareTarget::Version, TargetUnion::Version(known.map_or(0, |known| known.version))),
            1 => (CompareTarget::Create, TargetUnion::CreateRevision(known.map_or(0, |known| known.create_revision))),
            2 if known.is_some() => {
                (CompareTarget::Value, TargetUnion::Value(known.map(|known| known.value.clone()).unwrap_or_default()))
            }
            _ => (CompareTarget::Mod, TargetUnion::ModRevision(known.map_or(0, |known| known.mod_revision))),
        };
        let result = if self.random.u8(..4) == 0 { CompareResult::NotEqual } else { CompareResult::Equal };
        let compare = Compare {
            key: put.key.clone(),
            result: result.into(),
            target: target.into(),
            target_union: Some(union),
            ..Compare::default()
        };
        put.prev_kv = true;
        let read = RangeRequest { key: put.key.clone(), ..RangeRequest::default() };
        let delete = DeleteRangeRequest { key: put.key.clone(), prev_kv: true, ..DeleteRangeRequest::default() };
        let change = if self.random.u8(..4) == 0 {
            request_op::Request::RequestDeleteRange(delete)
        } else {
            request_op::Request::RequestPut(put)
        };
        TxnRequest {
            compare: vec![compare],
            success: operations([change, request_op::Request::RequestRange(read.clone())]),
            failure: operations([request_op::Request::RequestRange(read)]),
        }
    }

    /// Several writes in one revision; at times none of them does anything.
    fn several(&mut self) -> TxnRequest {
        let first = self.random.u64(..KEYS);
        let count = self.random.u64(1..4);
        let mut requests = Vec::new();
        for number in first..first + count {
            if self.random.u8(..3) == 0 {
                let delete =
                    DeleteRangeRequest { key: key(number).into(), prev_kv: true, ..DeleteRangeRequest::default() };
                requests.push(request_op::Request::RequestDeleteRange(delete));
            } else {
                let value = self.value().into();
                requests.push(request_op::Request::RequestPut(PutRequest {
                    key: key(number).into(),
                    value,
                    ..PutRequest::default()
                }));
            }
        }
        requests.push(request_op::Request::RequestRange(RangeRequest {
            key: "k/".into(),
            range_end: "k0".into(),
            ..RangeRequest::default()
        }));
        TxnRequest { success: operations(requests), ..TxnRequest::default() }
    }

    fn reads(&mut self) -> TxnRequest {
        let (first, second) = (self.get(), self.get());
        TxnRequest {
            success: operations([first, second].map(request_op::Request::RequestRange)),
            ..TxnRequest::default()
        }
    }

    /// The member chooses the id.
    fn grant(&mut self) -> LeaseGrantRequest {
        LeaseGrantRequest { id: 0, ttl: self.random.i64(TTL) }
    }

    fn random_lease(&mut self) -> Option<i64> {
        self.random.choice(&self.leases).copied()
    }

    fn with_lease(&mut self) -> Request {
        let Some(lease) = self.random_lease() else { return Request::Put(self.put()) };
        let key = leased_key(self.random.u64(..LEASED_KEYS)).into();
        let value = self.value().into();
        Request::Put(PutRequest { key, value, lease, ..PutRequest::default() })
    }

    /// Revokes one, or lets it run out.
    fn give_up_lease(&mut self) -> Request {
        let Some(lease) = self.random_lease() else { return Request::Put(self.put()) };
        self.forget(lease);
        if self.random.bool() { Request::Revoke(lease) } else { Request::Put(self.put()) }
    }
}

fn operations(requests: impl IntoIterator<Item = request_op::Request>) -> Vec<RequestOp> {
    requests.into_iter().map(|request| RequestOp { request: Some(request) }).collect()
}
