//! Sending a raft snapshot to a member that needs it.
//!
//! Not etcd's: a member is first asked for the received part of an interrupted transfer (`GET
//! /raft/snapshot`). One of ours returns it, and is then sent the rest of that snapshot, or another
//! one, with a checksum at its end. Others refuse the request, and get the bare file.

use crate::connect::{Connection, RequestError, ask, request, whole};
use crate::frame::kind;
use crate::handshake;
use crate::local::{Held, Outgoing, Receiver};
use crate::peer_sender::PeerSender;
use crate::post::{ANSWER_BYTES_MAX, POST_TIMEOUT, PostError, answer, post_request};
use crate::shared::Shared;
use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderValue, Method, StatusCode, Uri};
use http_body::{Body, Frame};
use http_body_util::Full;
use prost::Message as _;
use proto::raftpb::Message;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// A member that takes nothing for so long, though there is something, gets no more of it.
const STALL_MAX: Duration = Duration::from_secs(30);
/// Delay before a failure is reported to raft, which then tries again with the next heartbeat: the
/// member may be busy with a snapshot for minutes.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Sends a snapshot and reports the outcome to raft.
pub(crate) async fn send(shared: Arc<Shared>, peer: Arc<PeerSender>, message: Message) {
    debug_assert_eq!(message.r#type, kind::SNAPSHOT);
    let begun = Instant::now();
    let sending = Sending::begin(&peer);
    let outcome = try_send(&shared, &peer, message).await;
    let success = outcome.is_ok();
    match outcome {
        Ok(Sent { index, from }) => {
            tracing::info!(remote_peer_id = %types::MemberId(peer.id), snapshot_index = index, from_byte = from, took = ?begun.elapsed(), "sent database snapshot");
        }
        Err(error) => {
            tracing::warn!(remote_peer_id = %types::MemberId(peer.id), %error, took = ?begun.elapsed(), "failed to send database snapshot");
            shared.unreachable(peer.id);
        }
    }
    peer.observer.snapshot_sent(success, begun.elapsed());
    drop(sending);
    if !success {
        tokio::time::sleep(RETRY_PAUSE).await;
    }
    shared.snapshot_sent(peer.id, success);
}

/// Counts a sending for as long as it lasts, however it ends.
struct Sending(Arc<PeerSender>);

impl Sending {
    fn begin(peer: &Arc<PeerSender>) -> Self {
        peer.observer.snapshot_sending(true);
        Self(Arc::clone(peer))
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.observer.snapshot_sending(false);
    }
}

struct Sent {
    index: u64,
    /// Its offset in the file.
    from: u64,
}

async fn try_send(shared: &Shared, peer: &PeerSender, message: Message) -> Result<Sent, PostError> {
    let local = shared.local().ok_or_else(|| PostError::State("this member is starting".to_owned()))?;
    let url = shared.pick(peer);
    let receiver = receiver(shared, &url).await?;
    let Outgoing { message, transfer, mut parts } =
        local.snapshot(message, receiver).await.map_err(PostError::State)?;
    // A large snapshot takes a while to be laid out, and receivers, etcd too, take five silent
    // seconds for the end of it.
    let first = parts.recv().await.transpose().map_err(PostError::State)?;
    let index =
        message.snapshot.as_ref().and_then(|snapshot| snapshot.metadata.as_ref()).map_or(0, |metadata| metadata.index);
    let mut connection = Connection::open(&*shared.connect, &url, shared.dial_timeout).await?;
    let pace = Arc::new(Pace::default());
    let body = StateBody { head: Some(envelope(&message)), first, parts, pace: Arc::clone(&pace) };
    let mut posted = post_request(shared, &url, "/raft/snapshot", "application/octet-stream", body)?;
    if let Some(Held { transfer, bytes }) = transfer {
        posted.headers_mut().insert(handshake::TRANSFER, HeaderValue::from(transfer));
        posted.headers_mut().insert(handshake::OFFSET, HeaderValue::from(bytes));
    }
    let response = pace.hold_to(connection.send(posted)).await??;
    let reading = whole(response, ANSWER_BYTES_MAX);
    answer(&tokio::time::timeout(POST_TIMEOUT, reading).await.unwrap_or(Err(RequestError::TimedOut(POST_TIMEOUT)))?)?;
    Ok(Sent { index, from: transfer.map_or(0, |held| held.bytes) })
}

/// Returns the kind of the member at `url`, and its received part.
async fn receiver(shared: &Shared, url: &Uri) -> Result<Receiver, PostError> {
    let build = || {
        let mut asked = request(Method::GET, url, "/raft/snapshot").body(Full::default())?;
        asked.headers_mut().extend(shared.own.headers(None));
        Ok(asked)
    };
    let answered = ask(&*shared.connect, url, build, ANSWER_BYTES_MAX, shared.dial_timeout).await?;
    match answered.head.status {
        StatusCode::OK => serde_json::from_slice(&answered.body)
            .map(Receiver::Resuming)
            .map_err(|error| PostError::State(error.to_string())),
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_FOUND => Ok(Receiver::Plain),
        _ => answer(&answered).map(|()| Receiver::Plain),
    }
}

fn envelope(message: &Message) -> Bytes {
    let mut head = BytesMut::new();
    head.put_u64(message.encoded_len() as u64);
    head.put_slice(&message.encode_to_vec());
    head.freeze()
}

/// The progress of the other side.
#[derive(Debug, Default)]
struct Pace {
    parts: AtomicU64,
    /// `true` if it waits for us: for the next part, or for nothing more, while it makes a state of
    /// the file.
    waits: AtomicBool,
}

impl Pace {
    /// Waits for `sending` for as long as the other side takes bytes.
    async fn hold_to<T>(&self, sending: impl Future<Output = T>) -> Result<T, PostError> {
        let mut sending = pin!(sending);
        loop {
            let before = self.parts.load(Ordering::Relaxed);
            match tokio::time::timeout(STALL_MAX, &mut sending).await {
                Ok(sent) => return Ok(sent),
                Err(_) if self.waits.load(Ordering::Relaxed) || self.parts.load(Ordering::Relaxed) != before => {}
                Err(_) => return Err(PostError::Stalled(STALL_MAX)),
            }
        }
    }
}

/// The message, then the file.
struct StateBody {
    head: Option<Bytes>,
    first: Option<Bytes>,
    parts: mpsc::Receiver<Result<Bytes, String>>,
    pace: Arc<Pace>,
}

impl Body for StateBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if let Some(known) = this.head.take().or_else(|| this.first.take()) {
            return Poll::Ready(Some(Ok(Frame::data(known))));
        }
        let polled = this.parts.poll_recv(context);
        this.pace.waits.store(!matches!(polled, Poll::Ready(Some(_))), Ordering::Relaxed);
        this.pace.parts.fetch_add(1, Ordering::Relaxed);
        polled.map(|part| part.map(|part| part.map(Frame::data).map_err(Into::into)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_for_long_is_given_up_and_who_works_is_not() {
        let pace = Pace::default();
        assert!(matches!(pace.hold_to(pending::<()>()).await, Err(PostError::Stalled(_))));
        let taking = async {
            for _ in 0..100 {
                tokio::time::sleep(STALL_MAX / 2).await;
                pace.parts.fetch_add(1, Ordering::Relaxed);
            }
            pace.waits.store(true, Ordering::Relaxed);
            tokio::time::sleep(STALL_MAX * 100).await;
        };
        assert!(pace.hold_to(taking).await.is_ok());
    }
}
