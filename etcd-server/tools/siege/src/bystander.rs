//! An honest client: reads a key over and over while others flood the server.

use proto::etcdserverpb::{PutRequest, RangeRequest};
use rpc::etcdserverpb::kv_client::KvClient;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(5);
/// A question that has no answer by then counts as lost.
const PATIENCE: Duration = Duration::from_secs(10);

/// The latencies of its requests.
#[derive(Clone, Copy, Debug, Default)]
pub struct Latency {
    pub p50: Duration,
    pub p99: Duration,
    pub max: Duration,
    pub answers: usize,
    pub lost: usize,
}

/// A client that reads until it is stopped.
#[derive(Debug)]
pub struct Bystander {
    stop: Arc<AtomicBool>,
    asking: JoinHandle<(Vec<Duration>, usize)>,
}

impl Bystander {
    /// Begins to ask: a linearizable read and a small put in turn. `token` where the server wants
    /// one.
    pub async fn begin(endpoint: &str, token: Option<String>) -> Result<Self, tonic::transport::Error> {
        let channel = Endpoint::from_shared(endpoint.to_owned())?.timeout(PATIENCE).connect().await?;
        let stop = Arc::new(AtomicBool::new(false));
        Ok(Self { asking: tokio::spawn(ask(channel, token, Arc::clone(&stop))), stop })
    }

    /// Stops it and returns the latencies.
    pub async fn end(self) -> Latency {
        self.stop.store(true, Ordering::Relaxed);
        let (mut took, lost) = self.asking.await.unwrap_or_default();
        took.sort_unstable();
        let at = |share: usize| {
            took.get((took.len() * share / 100).min(took.len().saturating_sub(1))).copied().unwrap_or_default()
        };
        Latency { p50: at(50), p99: at(99), max: at(100), answers: took.len(), lost }
    }
}

async fn ask(channel: Channel, token: Option<String>, stop: Arc<AtomicBool>) -> (Vec<Duration>, usize) {
    let (mut took, mut lost) = (Vec::new(), 0);
    let mut client = KvClient::new(channel);
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let answered = if took.len() % 2 == 0 {
            client
                .range(with(&token, RangeRequest { key: "bystander".into(), ..RangeRequest::default() }))
                .await
                .map(drop)
        } else {
            client
                .put(with(&token, PutRequest { key: "bystander".into(), value: "v".into(), ..PutRequest::default() }))
                .await
                .map(drop)
        };
        took.push(begun.elapsed());
        lost += usize::from(answered.is_err());
        tokio::time::sleep(PAUSE).await;
    }
    (took, lost)
}

/// A request with the token that the server wants.
pub fn with<T>(token: &Option<String>, request: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(request);
    if let Some(token) = token.as_ref().and_then(|token| token.parse().ok()) {
        request.metadata_mut().insert("token", token);
    }
    request
}
