//! A lease that lives as long as this process does, and the renewals that keep it.

use crate::error::CtlError;
use admin_client::{CallError, Client, Repeat};
use proto::etcdserverpb::{LeaseGrantRequest, LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseRevokeRequest};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

/// A lease of this process.
#[derive(Debug)]
pub(super) struct SessionLease {
    pub(super) id: i64,
    ttl: Duration,
}

impl SessionLease {
    pub(super) async fn grant(client: &Client, ttl: i64) -> Result<Self, CtlError> {
        let request = LeaseGrantRequest { ttl, id: 0 };
        let granted = client.call(Repeat::Unsafe, async |session| session.lease().lease_grant(request).await).await?;
        Ok(Self { id: granted.id, ttl: seconds(granted.ttl) })
    }

    /// Renews the lease for as long as this is polled. Returns when the lease is lost.
    pub(super) async fn keep(&self, client: &Client) {
        let mut renewals = Renewals::new(self.id, self.ttl);
        while let Ok(Some(_)) = renewals.next(client).await {}
    }

    pub(super) async fn revoke(&self, client: &Client) -> Result<(), CallError> {
        let request = LeaseRevokeRequest { id: self.id };
        client.call(Repeat::Safe, async |session| session.lease().lease_revoke(request).await).await.map(drop)
    }
}

/// Renewals of one lease: three in its time to live, as etcd's client sends them, on one stream
/// after another.
#[derive(Debug)]
pub(super) struct Renewals {
    id: i64,
    stream: Option<Stream>,
    /// When the lease has run out unless it is renewed.
    expires: Instant,
    /// When the next renewal is due.
    due: Instant,
}

#[derive(Debug)]
struct Stream {
    endpoint: String,
    requests: mpsc::Sender<LeaseKeepAliveRequest>,
    responses: tonic::Streaming<LeaseKeepAliveResponse>,
}

impl Renewals {
    pub(super) fn new(id: i64, ttl: Duration) -> Self {
        let now = Instant::now();
        Self { id, stream: None, expires: now + ttl, due: now }
    }

    /// Waits until the next renewal is due, sends it and returns its response; `None` if the lease
    /// is lost. A stream that breaks is made again, to any member, while the lease may still live.
    ///
    /// # Errors
    /// When a member refuses the renewal.
    pub(super) async fn next(&mut self, client: &Client) -> Result<Option<LeaseKeepAliveResponse>, CallError> {
        tokio::time::sleep_until(self.due).await;
        loop {
            match tokio::time::timeout_at(self.expires, self.renew(client)).await {
                Err(_) => return Ok(None),
                Ok(Ok(response)) if response.ttl <= 0 => return Ok(None),
                Ok(Ok(response)) => {
                    let (now, ttl) = (Instant::now(), seconds(response.ttl));
                    (self.expires, self.due) = (now + ttl, now + ttl / 3);
                    return Ok(Some(response));
                }
                Ok(Err(error)) if error.code() == tonic::Code::Unavailable => {
                    self.stream = None;
                    client.leave_and_pause().await;
                }
                Ok(Err(error)) => return Err(error),
            }
        }
    }

    async fn renew(&mut self, client: &Client) -> Result<LeaseKeepAliveResponse, CallError> {
        let id = self.id;
        let ended = |endpoint: &str| CallError::Status {
            endpoint: endpoint.to_owned(),
            status: Status::unavailable("the stream of renewals has ended"),
        };
        let stream = match &mut self.stream {
            Some(stream) if stream.requests.send(LeaseKeepAliveRequest { id }).await.is_err() => {
                return Err(ended(&stream.endpoint));
            }
            Some(stream) => stream,
            empty => empty.insert(open(client, id).await?),
        };
        let failed = |status| CallError::Status { endpoint: stream.endpoint.clone(), status };
        stream.responses.message().await.map_err(failed)?.ok_or_else(|| ended(&stream.endpoint))
    }
}

/// Opens a stream. Its first request is sent before its headers are awaited: etcd sends them with
/// the first response.
async fn open(client: &Client, id: i64) -> Result<Stream, CallError> {
    let session = client.session().await?;
    let (requests, queue) = mpsc::channel(1);
    let endpoint = session.endpoint().to_owned();
    let full =
        |_| CallError::Status { endpoint: endpoint.clone(), status: Status::internal("no room for the first request") };
    requests.try_send(LeaseKeepAliveRequest { id }).map_err(full)?;
    let opened = session.lease().lease_keep_alive(ReceiverStream::new(queue)).await;
    let responses = opened.map_err(|status| CallError::Status { endpoint: endpoint.clone(), status })?.into_inner();
    Ok(Stream { endpoint, requests, responses })
}

fn seconds(ttl: i64) -> Duration {
    Duration::from_secs(u64::try_from(ttl).unwrap_or(0))
}
