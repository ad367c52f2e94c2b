//! When the faults are over: every member must take writes, leases must run out, and all must hold
//! the same.

use crate::check::Violation;
use crate::cluster::{Cluster, PATIENCE};
use crate::history::{Operation, Outcome, Request, Response};
use crate::requests::{KEYS, LEASED_KEYS, key, leased_key};
use crate::shared_state::Phase;
use crate::traffic::ask;
use crate::watching;
use proto::etcdserverpb::{
    DeleteRangeRequest, HashKvRequest, PutRequest, RangeRequest, RequestOp, TxnRequest, request_op,
};
use rpc::etcdserverpb::maintenance_client::MaintenanceClient;
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// The number of the client that ends a run.
const LAST_CLIENT: usize = 1000;
const CALL_PATIENCE: Duration = Duration::from_secs(5);

/// Ends a run; its operations belong to the history.
#[derive(Debug, Default)]
pub(crate) struct Quiesce {
    pub(crate) operations: Vec<Operation>,
    written: u64,
}

impl Quiesce {
    /// Every member takes a write.
    pub(crate) async fn settle(&mut self, cluster: &Cluster) -> Result<(), Violation> {
        for member in cluster.up() {
            let answer = self.insist(cluster, member, |number| Request::Put(put(key(0), number))).await;
            answer.ok_or_else(|| {
                Violation::new("available", format!("member {member} takes no write {PATIENCE:?} after the last fault"))
            })?;
        }
        Ok(())
    }

    /// Waits until no key has a lease any more: no client renews them, so all of them must end.
    pub(crate) async fn outlive_leases(&mut self, cluster: &Cluster) -> Result<(), Violation> {
        let Some(member) = cluster.up().first().copied() else { return Ok(()) };
        let begun = Instant::now();
        let list =
            |_| Request::Range(RangeRequest { key: "l/".into(), range_end: "l0".into(), ..RangeRequest::default() });
        loop {
            let left = match self.insist(cluster, member, list).await {
                Some(Response::Range(range)) => range.kvs.into_iter().find(|record| record.lease != 0),
                _ => return Err(Violation::new("available", format!("member {member} answers no read"))),
            };
            match left {
                None => return Ok(()),
                Some(record) if begun.elapsed() > PATIENCE => {
                    return Err(Violation::new(
                        "lease",
                        format!("{record:?} is still there, though nobody renews its lease"),
                    ));
                }
                Some(_) => sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Puts every key, then deletes all of them, each in one revision. The second one is the last
    /// of the history.
    pub(crate) async fn last_words(&mut self, cluster: &Cluster) -> Result<i64, Violation> {
        let silent = || Violation::new("available", "no member takes the last write");
        let member = cluster.up().first().copied().ok_or_else(silent)?;
        let begun = Instant::now();
        loop {
            let put = self.insist(cluster, member, put_all).await.ok_or_else(silent)?.revision();
            let everything = DeleteRangeRequest { key: "\0".into(), range_end: "\0".into(), prev_kv: false };
            let deleted = self
                .insist(cluster, member, |_| Request::Delete(everything.clone()))
                .await
                .ok_or_else(silent)?
                .revision();
            self.agree(cluster, deleted).await?;
            let current = self
                .insist(cluster, member, |_| {
                    Request::Range(RangeRequest { key: "x".into(), ..RangeRequest::default() })
                })
                .await;
            // A late effect of a request of unknown outcome comes before the final writes.
            if deleted == put + 1 && current.ok_or_else(silent)?.revision() == deleted {
                return Ok(deleted);
            }
            if begun.elapsed() > PATIENCE {
                return Err(Violation::new("available", "writes of nobody go on"));
            }
        }
    }

    /// Every member has the same history at a revision.
    async fn agree(&mut self, cluster: &Cluster, revision: i64) -> Result<(), Violation> {
        let begun = Instant::now();
        loop {
            let mut hashes = Vec::new();
            for member in cluster.up() {
                // A linearizable read first, so that the member has everything acknowledged.
                self.insist(cluster, member, |_| {
                    Request::Range(RangeRequest { key: "x".into(), ..RangeRequest::default() })
                })
                .await;
                hashes.push((member, hash(cluster, member, revision).await));
            }
            let equal =
                hashes.windows(2).all(|pair| pair[0].1 == pair[1].1) && hashes.iter().all(|(_, hash)| hash.is_some());
            if equal {
                return Ok(());
            }
            if begun.elapsed() > Duration::from_secs(20) {
                return Err(Violation::new(
                    "hash",
                    format!("members, hashes and compacted revisions at {revision}: {hashes:?}"),
                ));
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Repeats a request until a member responds. Each attempt has a number of its own, for values
    /// that must not be written twice.
    async fn insist(&mut self, cluster: &Cluster, member: usize, request: impl Fn(u64) -> Request) -> Option<Response> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let seat = cluster.shared_state.seat(member)?;
            self.written += 1;
            let operation = ask(&cluster.shared_state, LAST_CLIENT, &seat, request(self.written), CALL_PATIENCE).await;
            let answer = operation.answer().cloned();
            let refused = matches!(operation.outcome, Outcome::Refused(_));
            self.operations.push(operation);
            if answer.is_some() {
                return answer;
            }
            sleep(Duration::from_millis(if refused { 200 } else { 50 })).await;
        }
        None
    }
}

/// Watchers stay until they have everything up to a revision.
pub(crate) fn until(last: i64) -> Phase {
    Phase::Until { last, deadline: tokio::time::Instant::now() + watching::PATIENCE }
}

fn put(key: String, number: u64) -> PutRequest {
    PutRequest { key: key.into(), value: format!("last-{number}").into(), ..PutRequest::default() }
}

fn put_all(number: u64) -> Request {
    let keys = (0..KEYS).map(key).chain((0..LEASED_KEYS).map(leased_key));
    let puts = keys.map(|key| RequestOp { request: Some(request_op::Request::RequestPut(put(key, number))) });
    Request::Txn(TxnRequest { success: puts.collect(), ..TxnRequest::default() })
}

async fn hash(cluster: &Cluster, member: usize, revision: i64) -> Option<(u32, i64)> {
    let mut maintenance = MaintenanceClient::new(cluster.shared_state.seat(member)?.channel);
    let hash = timeout(CALL_PATIENCE, maintenance.hash_kv(HashKvRequest { revision })).await.ok()?.ok()?.into_inner();
    Some((hash.hash, hash.compact_revision))
}
