//! Clients that write until they are cut off, and return their observations.
//!
//! Each works on keys of its own, one request at a time, so that it knows the changes of each
//! request; values are never repeated.

use crate::daemon::Client;
use crate::history::{Change, Operation, Seen};
use proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{Compare, DeleteRangeRequest, PutRequest, RequestOp, TxnRequest};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::{Code, Status};

/// Keys of one client.
const KEYS: u64 = 40;

/// Running clients.
#[derive(Debug)]
pub(crate) struct Load {
    clients: JoinSet<Seen>,
    acknowledged: watch::Receiver<u64>,
    stop: Arc<AtomicU64>,
}

/// A counter of acknowledged operations, to wait for a number of them.
#[derive(Debug)]
struct Counter(watch::Sender<u64>);

impl Load {
    /// Starts `clients` writers. `round` distinguishes this run's values from those of every other
    /// run.
    pub(crate) async fn start(endpoint: &str, clients: u64, round: u64, lease: i64, value_bytes: usize) -> Self {
        let (counted, acknowledged) = watch::channel(0);
        let counter = Arc::new(Counter(counted));
        let stop = Arc::new(AtomicU64::new(0));
        let mut running = JoinSet::new();
        for number in 0..clients {
            let client = Client::connect(endpoint).await;
            let writer = Writer {
                client,
                number,
                round,
                lease,
                value_bytes,
                sequence: 0,
                random: fastrand::Rng::with_seed(round << 8 | number),
                present: BTreeSet::new(),
            };
            running.spawn(writer.run(Arc::clone(&counter), Arc::clone(&stop)));
        }
        Self { clients: running, acknowledged, stop }
    }

    /// Returns when `count` operations have been acknowledged, or when all clients have ended.
    pub(crate) async fn wait_for(&mut self, count: u64) {
        // An error says that every client is gone, which the next step meets.
        drop(self.acknowledged.wait_for(|acknowledged| *acknowledged >= count).await);
    }

    /// Returns the observations of the clients, once the server is gone for them.
    pub(crate) async fn finish(self) -> Seen {
        self.clients.join_all().await.into_iter().fold(Seen::default(), |mut all, seen| {
            all.join(seen);
            all
        })
    }

    /// Lets every client finish its operation, and returns their observations.
    pub(crate) async fn stop(self) -> Seen {
        self.stop.store(1, Ordering::Release);
        self.finish().await
    }
}

struct Writer {
    client: Client,
    number: u64,
    round: u64,
    lease: i64,
    value_bytes: usize,
    sequence: u64,
    random: fastrand::Rng,
    present: BTreeSet<String>,
}

impl Writer {
    async fn run(mut self, counter: Arc<Counter>, stop: Arc<AtomicU64>) -> Seen {
        let mut seen = Seen::default();
        while stop.load(Ordering::Acquire) == 0 {
            let operation = self.next();
            match self.ask(&operation).await {
                Ok(revision) => {
                    seen.acknowledge(revision, operation);
                    counter.0.send_modify(|count| *count += 1);
                }
                Err(status) => {
                    assert_ne!(status.code(), Code::InvalidArgument, "{status}");
                    seen.unanswered.push(operation);
                    break;
                }
            }
        }
        seen
    }

    /// Chooses the next changes; the keys that it believes to be there follow.
    fn next(&mut self) -> Operation {
        let key = self.key();
        match self.random.u8(0..10) {
            0 if self.present.remove(&key) => vec![Change::Delete { key }],
            1 | 2 => {
                let second = self.key();
                let put = self.put(key.clone());
                if second == key { vec![put] } else { vec![put, self.put(second)] }
            }
            _ => vec![self.put(key)],
        }
    }

    fn key(&mut self) -> String {
        // Rounds begin without knowing the present keys, so they delete only their own.
        format!("client-{}/{:02}", self.number, self.random.u64(0..KEYS))
    }

    fn put(&mut self, key: String) -> Change {
        self.sequence += 1;
        let mut value = format!("{}-{}-{}-", self.round, self.number, self.sequence);
        let length = self.random.usize(0..=self.value_bytes);
        value.extend(std::iter::repeat_with(|| self.random.alphanumeric()).take(length));
        self.present.insert(key.clone());
        Change::Put { key, value, lease: if self.random.u8(0..4) == 0 { self.lease } else { 0 } }
    }

    async fn ask(&mut self, operation: &Operation) -> Result<i64, Status> {
        match operation.as_slice() {
            [Change::Put { key, value, lease }] => {
                let response = self.client.kv.put(put_request(key, value, *lease)).await?.into_inner();
                Ok(response.header.unwrap_or_default().revision)
            }
            [Change::Delete { key }] => {
                let request = DeleteRangeRequest { key: key.clone().into(), ..DeleteRangeRequest::default() };
                let response = self.client.kv.delete_range(request).await?.into_inner();
                assert_eq!(response.deleted, 1, "{key} was put and is not there");
                Ok(response.header.unwrap_or_default().revision)
            }
            changes => {
                let response = self.client.kv.txn(transaction(changes)).await?.into_inner();
                assert!(response.succeeded, "revisions are never negative");
                Ok(response.header.unwrap_or_default().revision)
            }
        }
    }
}

fn put_request(key: &str, value: &str, lease: i64) -> PutRequest {
    PutRequest { key: key.to_owned().into(), value: value.to_owned().into(), lease, ..PutRequest::default() }
}

fn transaction(changes: &[Change]) -> TxnRequest {
    let puts = changes.iter().filter_map(|change| match change {
        Change::Put { key, value, lease } => {
            Some(RequestOp { request: Some(Request::RequestPut(put_request(key, value, *lease))) })
        }
        Change::Delete { .. } => None,
    });
    let compare = Compare {
        key: "client".into(),
        result: CompareResult::Greater.into(),
        target: CompareTarget::Mod.into(),
        target_union: Some(TargetUnion::ModRevision(-1)),
        ..Compare::default()
    };
    TxnRequest { compare: vec![compare], success: puts.collect(), failure: Vec::new() }
}
