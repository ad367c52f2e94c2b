//! Members, writers and comparison of their data.

use proto::etcdserverpb::{PutRequest, RangeRequest};
use rpc::etcdserverpb::kv_client::KvClient;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use testbed::{Cluster, Settings};
use tokio::task::JoinHandle;
use tonic::transport::Channel;

pub(crate) const OURS: &str = env!("CARGO_BIN_EXE_etcd-server");
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn settings(flags: &[&str]) -> Settings {
    let mut settings = Settings::new(OURS);
    settings.flags = ["--heartbeat-interval", "50", "--election-timeout", "500"]
        .iter()
        .chain(flags)
        .map(|flag| (*flag).to_owned())
        .collect();
    settings
}

pub(crate) async fn put(client: &mut KvClient<Channel>, key: &str, value: &str) -> Result<i64, tonic::Status> {
    let put = PutRequest { key: key.to_owned().into(), value: value.to_owned().into(), ..PutRequest::default() };
    Ok(client.put(put).await?.into_inner().header.unwrap().revision)
}

pub(crate) async fn get(client: &mut KvClient<Channel>, key: &str) -> Option<String> {
    let range = RangeRequest { key: key.to_owned().into(), ..RangeRequest::default() };
    let kvs = client.range(range).await.unwrap().into_inner().kvs;
    kvs.first().map(|kv| String::from_utf8(kv.value.to_vec()).unwrap())
}

pub(crate) fn all_equal(hashes: &[u32]) -> bool {
    hashes.windows(2).all(|pair| pair[0] == pair[1])
}

/// A writer of numbers, until it is stopped; keeps the acknowledged ones.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    task: JoinHandle<(BTreeMap<String, String>, u64)>,
}

impl Load {
    pub(crate) fn start(endpoints: Vec<String>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let (mut acknowledged, mut failed) = (BTreeMap::new(), 0);
            let mut clients = BTreeMap::new();
            for number in 0_u64.. {
                if told.load(Ordering::Relaxed) {
                    break;
                }
                let at = usize::try_from(number).unwrap() % endpoints.len();
                let client = match clients.entry(at) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(vacant) => {
                        let endpoint = tonic::transport::Endpoint::from_shared(endpoints[at].clone()).unwrap();
                        let Ok(channel) = endpoint.timeout(Duration::from_secs(2)).connect().await else {
                            tokio::time::sleep(Duration::from_millis(10)).await;
                            continue;
                        };
                        vacant.insert(KvClient::new(channel))
                    }
                };
                // A key of its own for each write: an unknown outcome hides no other.
                let (key, value) = (format!("load/{number}"), format!("value {number}"));
                if put(client, &key, &value).await.is_ok() {
                    acknowledged.insert(key, value);
                } else {
                    failed += 1;
                    clients.remove(&at);
                }
            }
            (acknowledged, failed)
        });
        Self { stop, task }
    }

    pub(crate) async fn finish(self) -> (BTreeMap<String, String>, u64) {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

pub(crate) async fn holds_all(cluster: &Cluster, member: usize, acknowledged: &BTreeMap<String, String>) {
    let mut kv = cluster.kv(member).await.unwrap().max_decoding_message_size(usize::MAX);
    let range = RangeRequest { key: "load/".into(), range_end: "load0".into(), ..RangeRequest::default() };
    let kvs = kv.range(range).await.unwrap().into_inner().kvs;
    let found: BTreeMap<&[u8], &[u8]> = kvs.iter().map(|kv| (&kv.key[..], &kv.value[..])).collect();
    for (key, value) in acknowledged {
        assert_eq!(found.get(key.as_bytes()), Some(&value.as_bytes()), "{key} was acknowledged; member {member}");
    }
}

/// Adds a voter, trying until the members have been connected for long enough.
pub(crate) async fn add_when_healthy(cluster: &mut Cluster) -> usize {
    let begun = Instant::now();
    loop {
        match cluster.add(0, false).await {
            Ok(added) => return added,
            Err(error) if begun.elapsed() > PATIENCE => panic!("{error}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

/// Removes a member through `via`, trying until the others have been connected for long enough.
pub(crate) async fn remove_when_healthy(cluster: &Cluster, via: usize, leaving: usize) {
    let begun = Instant::now();
    while let Err(error) = cluster.remove(via, leaving).await {
        assert!(begun.elapsed() < PATIENCE, "{error}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
