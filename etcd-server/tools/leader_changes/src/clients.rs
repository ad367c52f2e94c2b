//! Clients that increment counters, and the record of their requests.

use parking_lot::Mutex;
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{PutRequest, RangeRequest, RequestOp, TxnRequest};
use rpc::etcdserverpb::kv_client::KvClient;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tonic::transport::Channel;

/// No member is excluded.
const NONE: usize = usize::MAX;
/// Time after which a client gives a request up: longer than the server does.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// A finished request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finished {
    pub(crate) begun: Instant,
    pub(crate) ended: Instant,
    pub(crate) success: bool,
}

/// The state that all clients share.
#[derive(Debug)]
pub(crate) struct Shared {
    finished: Mutex<Vec<Finished>>,
    /// The member that is about to end: its clients wait.
    excluded: AtomicUsize,
    /// Requests under way, by member, and the begin of each client's last one.
    busy: Vec<AtomicUsize>,
    under_way: Mutex<std::collections::BTreeMap<usize, Instant>>,
    stopped: AtomicBool,
}

/// The counter of one client.
#[derive(Debug)]
pub(crate) struct Counter {
    pub(crate) key: String,
    pub(crate) acknowledged: u64,
    /// Requests that failed: they may have been executed.
    pub(crate) unknown: u64,
}

impl Shared {
    pub(crate) fn new(members: usize) -> Self {
        Self {
            finished: Mutex::new(Vec::new()),
            excluded: AtomicUsize::new(NONE),
            busy: (0..members).map(|_| AtomicUsize::new(0)).collect(),
            under_way: Mutex::default(),
            stopped: AtomicBool::new(false),
        }
    }

    /// Takes the requests that have finished since the last call.
    pub(crate) fn take(&self) -> Vec<Finished> {
        std::mem::take(&mut self.finished.lock())
    }

    /// Lets the clients of a member wait, and returns when none of them has a request under way.
    pub(crate) async fn exclude(&self, member: usize) {
        self.excluded.store(member, Ordering::SeqCst);
        while self.busy[member].load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Returns when all requests that were under way a little after `begun` have finished.
    pub(crate) async fn wait_for_those_of(&self, begun: Instant) {
        let until = begun + Duration::from_millis(500);
        while self.under_way.lock().values().any(|request| *request < until) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Lets all clients go on.
    pub(crate) fn include_all(&self) {
        self.excluded.store(NONE, Ordering::SeqCst);
    }

    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }

    /// Enters a request at a member. Returns `false` if the member is excluded.
    fn enter(&self, member: usize) -> bool {
        self.busy[member].fetch_add(1, Ordering::SeqCst);
        let allowed = self.excluded.load(Ordering::SeqCst) != member;
        if !allowed {
            self.leave(member);
        }
        allowed
    }

    fn leave(&self, member: usize) {
        self.busy[member].fetch_sub(1, Ordering::SeqCst);
    }
}

/// Starts a client of a member that sends a request each `pause`, and returns its counter at the
/// end. Odd clients increment by a transaction.
pub(crate) fn start(
    shared: Arc<Shared>,
    member: usize,
    number: usize,
    channel: Channel,
    pause: Duration,
) -> JoinHandle<Counter> {
    tokio::spawn(async move {
        let mut kv = KvClient::new(channel);
        let mut counter = Counter { key: format!("counter/{number:05}"), acknowledged: 0, unknown: 0 };
        let offset = pause.mul_f64(f64::from(u32::try_from(number % 97).unwrap_or(0)) / 97.0);
        let mut due = tokio::time::Instant::now() + offset;
        while !shared.stopped.load(Ordering::SeqCst) {
            tokio::time::sleep_until(due).await;
            due = (due + pause).max(tokio::time::Instant::now());
            if !shared.enter(member) {
                continue;
            }
            let begun = Instant::now();
            shared.under_way.lock().insert(number, begun);
            let success = increment(&mut kv, &counter.key, number % 2 == 1).await;
            shared.under_way.lock().remove(&number);
            shared.finished.lock().push(Finished { begun, ended: Instant::now(), success });
            shared.leave(member);
            if success {
                counter.acknowledged += 1;
            } else {
                counter.unknown += 1;
            }
        }
        counter
    })
}

/// The version of a key is the number of its puts.
async fn increment(kv: &mut KvClient<Channel>, key: &str, by_txn: bool) -> bool {
    let put = PutRequest { key: key.to_owned().into(), value: vec![b'x'; 256].into(), ..PutRequest::default() };
    let calling = async {
        if by_txn {
            let success = vec![RequestOp { request: Some(Request::RequestPut(put)) }];
            kv.txn(TxnRequest { success, ..TxnRequest::default() }).await.map(drop)
        } else {
            kv.put(put).await.map(drop)
        }
    };
    match tokio::time::timeout(REQUEST_TIMEOUT, calling).await {
        Ok(Ok(())) => true,
        Ok(Err(status)) => {
            eprintln!("{key}: {}: {}", status.code(), status.message());
            false
        }
        Err(_) => {
            eprintln!("{key}: no response within {REQUEST_TIMEOUT:?}");
            false
        }
    }
}

/// Returns the value of a counter.
pub(crate) async fn value(kv: &mut KvClient<Channel>, key: &str) -> Result<u64, tonic::Status> {
    let range = RangeRequest { key: key.to_owned().into(), ..RangeRequest::default() };
    let found = kv.range(range).await?.into_inner().kvs;
    Ok(found.first().map_or(0, |found| found.version.unsigned_abs()))
}
