//! Clients of a cluster that is migrated: a writer that reads back, a counter, a watcher and a
//! lease, and what they noticed.

use futures::StreamExt as _;
use proto::etcdserverpb::{
    Compare, LeaseGrantRequest, LeaseTimeToLiveRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
    WatchCreateRequest, WatchRequest, compare, request_op, watch_request,
};
use rpc::etcdserverpb::{kv_client::KvClient, lease_client::LeaseClient, watch_client::WatchClient};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};
use tonic::transport::{Channel, Endpoint};

const LEASE: i64 = 77;
const WRITTEN: &str = "written/";
const PATIENCE: Duration = Duration::from_secs(60);

/// The observations of all clients.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) writes: i64,
    pub(crate) failed_requests: u64,
    /// Longest time between two acknowledged writes.
    pub(crate) longest_gap: Duration,
    /// Reads that did not return what was acknowledged before.
    stale_reads: u64,
    /// Acknowledged increments, those with an unknown outcome, and the value at the end.
    counter: (i64, i64, i64),
    /// Events that the watcher saw, and those that are missing, doubled or out of order.
    events: i64,
    wrong_events: Vec<String>,
    lease_lives: bool,
    lost_writes: Vec<i64>,
}

impl Report {
    #[track_caller]
    pub(crate) fn assert_sound(&self) {
        let (acknowledged, unknown, value) = self.counter;
        assert!(self.writes > 100 && self.events >= self.writes && self.failed_requests < 500, "{self:?}");
        assert!(self.lost_writes.is_empty() && self.stale_reads == 0, "{self:?}");
        assert!(value >= acknowledged && value <= acknowledged + unknown, "{self:?}");
        assert!(self.wrong_events.is_empty() && self.lease_lives, "{self:?}");
    }
}

/// The clients, until their end is asked for.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Report>,
}

impl Load {
    pub(crate) fn start(endpoints: Vec<String>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(run(endpoints, stopped))
        });
        Self { stop, thread }
    }

    pub(crate) fn end(self) -> Report {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// One client, which goes to the next endpoint when one fails.
struct Client {
    endpoints: Vec<String>,
    next: usize,
    channel: Option<Channel>,
    failed: u64,
}

impl Client {
    fn new(endpoints: &[String]) -> Self {
        Self { endpoints: endpoints.to_vec(), next: 0, channel: None, failed: 0 }
    }

    async fn channel(&mut self) -> Channel {
        loop {
            if let Some(channel) = &self.channel {
                return channel.clone();
            }
            let endpoint = Endpoint::from_shared(self.endpoints[self.next].clone()).unwrap();
            let endpoint = endpoint.timeout(Duration::from_secs(2)).connect_timeout(Duration::from_secs(1));
            match endpoint.connect().await {
                Ok(channel) => self.channel = Some(channel),
                Err(_) => {
                    self.next = (self.next + 1) % self.endpoints.len();
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
        }
    }

    fn failed(&mut self) {
        self.failed += 1;
        self.channel = None;
        self.next = (self.next + 1) % self.endpoints.len();
    }

    /// Repeats a request until it succeeds.
    async fn until_done<T>(&mut self, ask: impl AsyncFn(Channel) -> Result<T, tonic::Status>) -> T {
        let begun = Instant::now();
        loop {
            match ask(self.channel().await).await {
                Ok(done) => return done,
                Err(status) => {
                    assert!(begun.elapsed() < PATIENCE, "{status}");
                    self.failed();
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
        }
    }
}

fn put(key: String, value: &str, lease: i64) -> PutRequest {
    PutRequest { key: key.into(), value: value.to_owned().into(), lease, ..PutRequest::default() }
}

async fn run(endpoints: Vec<String>, stop: Arc<AtomicBool>) -> Report {
    let written = Arc::new(AtomicI64::new(-1));
    let mut lease = Client::new(&endpoints);
    lease
        .until_done(async |channel| {
            match LeaseClient::new(channel.clone()).lease_grant(LeaseGrantRequest { id: LEASE, ttl: 3600 }).await {
                Err(status) if !status.message().contains("already exists") => return Err(status),
                Ok(_) | Err(_) => {}
            }
            KvClient::new(channel).put(put("leased".to_owned(), "kept", LEASE)).await
        })
        .await;
    let (writer, counter, watcher) = tokio::join!(
        write(Client::new(&endpoints), Arc::clone(&stop), Arc::clone(&written)),
        count(Client::new(&endpoints), Arc::clone(&stop)),
        watch(Client::new(&endpoints), Arc::clone(&stop), written)
    );
    let (writes, longest_gap, stale_reads, failed_writes) = writer;
    let (counter, failed_counts) = counter;
    let (events, wrong_events) = watcher;
    let lives = lease
        .until_done(async |channel| {
            let request = LeaseTimeToLiveRequest { id: LEASE, keys: true };
            Ok(LeaseClient::new(channel).lease_time_to_live(request).await?.into_inner())
        })
        .await;
    let mut lost_writes = Vec::new();
    for number in 0..writes {
        let value = read(&mut lease, format!("{WRITTEN}{number}")).await;
        if value.as_deref() != Some(number.to_string().as_str()) {
            lost_writes.push(number);
        }
    }
    Report {
        writes,
        failed_requests: failed_writes + failed_counts,
        longest_gap,
        stale_reads,
        counter,
        events,
        wrong_events,
        lease_lives: lives.ttl > 0 && lives.keys == [&b"leased"[..]],
        lost_writes,
    }
}

async fn read(client: &mut Client, key: String) -> Option<String> {
    let request = RangeRequest { key: key.into(), ..RangeRequest::default() };
    let found =
        client.until_done(async |channel| Ok(KvClient::new(channel).range(request.clone()).await?.into_inner())).await;
    found.kvs.first().map(|kv| String::from_utf8_lossy(&kv.value).into_owned())
}

/// Writes numbered keys one after the other, and reads each back through another member.
async fn write(mut client: Client, stop: Arc<AtomicBool>, written: Arc<AtomicI64>) -> (i64, Duration, u64, u64) {
    let mut reader = Client::new(&client.endpoints);
    let (mut longest_gap, mut stale_reads, mut number) = (Duration::ZERO, 0, 0);
    let mut last = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let request = put(format!("{WRITTEN}{number}"), &number.to_string(), 0);
        client.until_done(async |channel| KvClient::new(channel).put(request.clone()).await).await;
        longest_gap = longest_gap.max(last.elapsed());
        last = Instant::now();
        written.store(number, Ordering::Relaxed);
        if number % 10 == 0 {
            reader.channel = None;
            reader.next = usize::try_from(number / 10).unwrap() % reader.endpoints.len();
            let found = read(&mut reader, format!("{WRITTEN}{number}")).await;
            stale_reads += u64::from(found.as_deref() != Some(number.to_string().as_str()));
            last = Instant::now();
        }
        number += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    (number, longest_gap, stale_reads, client.failed + reader.failed)
}

/// Increments a counter by compare and swap.
async fn count(mut client: Client, stop: Arc<AtomicBool>) -> ((i64, i64, i64), u64) {
    let (mut acknowledged, mut unknown) = (0, 0);
    let value = |text: Option<String>| text.map_or(0, |text| text.parse::<i64>().unwrap());
    while !stop.load(Ordering::Relaxed) {
        let before = read(&mut client, "counter".to_owned()).await;
        let target = match &before {
            Some(value) => compare::TargetUnion::Value(value.clone().into()),
            None => compare::TargetUnion::Version(0),
        };
        let kind = if before.is_some() { compare::CompareTarget::Value } else { compare::CompareTarget::Version };
        let compare = Compare {
            result: compare::CompareResult::Equal.into(),
            target: kind.into(),
            key: "counter".into(),
            target_union: Some(target),
            ..Compare::default()
        };
        let next = (value(before) + 1).to_string();
        let swap = request_op::Request::RequestPut(put("counter".to_owned(), &next, 0));
        let request = TxnRequest {
            compare: vec![compare],
            success: vec![RequestOp { request: Some(swap) }],
            ..TxnRequest::default()
        };
        match KvClient::new(client.channel().await).txn(request).await {
            Ok(response) => acknowledged += i64::from(response.into_inner().succeeded),
            Err(_) => {
                unknown += 1;
                client.failed();
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let last = value(read(&mut client, "counter".to_owned()).await);
    ((acknowledged, unknown, last), client.failed)
}

/// Watches the written keys, and resumes behind the last event where a stream ends. Returns the
/// number of events, and those that are not as the writer made them.
async fn watch(mut client: Client, stop: Arc<AtomicBool>, written: Arc<AtomicI64>) -> (i64, Vec<String>) {
    let (mut next_revision, mut seen, mut wrong) = (1, -1, Vec::new());
    let mut begun_end: Option<Instant> = None;
    loop {
        let create = WatchCreateRequest {
            key: WRITTEN.into(),
            range_end: "written0".into(),
            start_revision: next_revision,
            ..WatchCreateRequest::default()
        };
        let create = WatchRequest { request_union: Some(watch_request::RequestUnion::CreateRequest(create)) };
        // The stream of requests stays open for as long as that of responses is read.
        let requests = futures::stream::iter([create]).chain(futures::stream::pending());
        // No time limit for the call as a whole.
        let endpoint = Endpoint::from_shared(client.endpoints[client.next].clone()).unwrap();
        let opened = match endpoint.connect_timeout(Duration::from_secs(1)).connect().await {
            Ok(channel) => {
                tokio::time::timeout(Duration::from_secs(2), WatchClient::new(channel).watch(requests)).await.ok()
            }
            Err(_) => None,
        };
        if let Some(Ok(opened)) = opened {
            let mut responses = opened.into_inner();
            // A member that is removed may leave a stream open and say nothing more.
            while let Ok(Ok(Some(response))) = tokio::time::timeout(Duration::from_secs(3), responses.message()).await {
                if response.canceled {
                    break;
                }
                for event in response.events {
                    let kv = event.kv.unwrap_or_default();
                    let number: i64 = String::from_utf8_lossy(&kv.value).parse().unwrap();
                    // A write of unknown outcome was repeated: the same key, a new version.
                    let is_repeated = number == seen && kv.version > 1;
                    if kv.mod_revision < next_revision || number != seen + 1 && !is_repeated {
                        wrong.push(format!("{number} at {} after {seen}, {next_revision}", kv.mod_revision));
                    }
                    seen = number;
                    next_revision = kv.mod_revision + 1;
                }
                if stop.load(Ordering::Relaxed) && seen == written.load(Ordering::Relaxed) {
                    return (seen + 1, wrong);
                }
            }
        }
        client.failed();
        tokio::time::sleep(Duration::from_millis(5)).await;
        if stop.load(Ordering::Relaxed) {
            let begun = *begun_end.get_or_insert_with(Instant::now);
            if seen == written.load(Ordering::Relaxed) {
                return (seen + 1, wrong);
            }
            if begun.elapsed() > PATIENCE {
                wrong.push(format!("nothing after {seen}, {} were written", written.load(Ordering::Relaxed)));
                return (seen + 1, wrong);
            }
        }
    }
}
