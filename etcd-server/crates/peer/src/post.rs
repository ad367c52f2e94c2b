//! Messages by POST: for members that have no stream open to us, and the state as a whole.

use crate::connect::{Connection, RequestError, request, whole};
use crate::frame::kind;
use crate::local::Outgoing;
use crate::outbox::Outbox;
use crate::transport::Shared;
use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, StatusCode, Uri};
use http_body::{Body, Frame};
use http_body_util::Full;
use prost::Message as _;
use proto::raftpb::Message;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// For one message, from sending it to its answer.
const POST_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Why a message did not arrive.
#[derive(Debug, thiserror::Error)]
enum PostError {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("refused with {status}: {text}")]
    Refused { status: StatusCode, text: String },
    #[error("{0}")]
    State(String),
}

/// Posts what waits, one message after another, over a connection that is kept.
pub(crate) async fn run(shared: Arc<Shared>, peer: Arc<Outbox>, mut waiting: mpsc::Receiver<Message>) {
    let mut connection = None;
    while let Some(message) = waiting.recv().await {
        let length = message.encoded_len();
        match post(&shared, &peer, &mut connection, &message).await {
            Ok(()) => {
                peer.seen();
                peer.observer.sent(length);
            }
            Err(error) => {
                connection = None;
                peer.lost(&error);
                peer.observer.send_failed();
                shared.unreachable(peer.id);
            }
        }
    }
}

async fn post(
    shared: &Shared,
    peer: &Outbox,
    connection: &mut Option<(Uri, Connection<Full<Bytes>>)>,
    message: &Message,
) -> Result<(), PostError> {
    if connection.is_none() {
        let url = shared.pick(peer);
        *connection = Some((url.clone(), Connection::open(&*shared.connect, &url, shared.dial_timeout).await?));
    }
    let Some((url, open)) = connection else { return Ok(()) };
    let posted = post_request(shared, url, "/raft", "application/protobuf", Full::new(message.encode_to_vec().into()))?;
    let sending = async { answer(&whole(open.send(posted).await?, ANSWER_BYTES_MAX).await?) };
    tokio::time::timeout(POST_TIMEOUT, sending).await.unwrap_or(Err(RequestError::TimedOut(POST_TIMEOUT).into()))
}

fn post_request<B>(shared: &Shared, url: &Uri, path: &str, content: &'static str, body: B) -> Result<Request<B>, RequestError> {
    let mut posted = request(Method::POST, url, path).header(CONTENT_TYPE, HeaderValue::from_static(content)).body(body)?;
    posted.headers_mut().extend(shared.own.headers(None));
    Ok(posted)
}

fn answer(answered: &crate::connect::Answered) -> Result<(), PostError> {
    if answered.head.status == StatusCode::NO_CONTENT {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&answered.body).trim_end().to_owned();
    Err(PostError::Refused { status: answered.head.status, text })
}

/// Sends the state as a whole and tells raft how that went.
pub(crate) async fn send_snapshot(shared: Arc<Shared>, peer: Arc<Outbox>, message: Message) {
    debug_assert_eq!(message.r#type, kind::SNAPSHOT);
    let begun = Instant::now();
    let outcome = try_send_snapshot(&shared, &peer, message).await;
    let success = outcome.is_ok();
    match outcome {
        Ok(index) => {
            tracing::info!(remote_peer_id = %types::MemberId(peer.id), snapshot_index = index, took = ?begun.elapsed(), "sent database snapshot");
        }
        Err(error) => {
            tracing::warn!(remote_peer_id = %types::MemberId(peer.id), %error, took = ?begun.elapsed(), "failed to send database snapshot");
            shared.unreachable(peer.id);
        }
    }
    peer.observer.snapshot_sent(success, begun.elapsed());
    shared.snapshot_sent(peer.id, success);
}

async fn try_send_snapshot(shared: &Shared, peer: &Outbox, message: Message) -> Result<u64, PostError> {
    let local = shared.local().ok_or_else(|| PostError::State("this member is starting".to_owned()))?;
    let Outgoing { message, parts } = local.snapshot(message).await.map_err(PostError::State)?;
    let index = message.snapshot.as_ref().and_then(|snapshot| snapshot.metadata.as_ref()).map_or(0, |metadata| metadata.index);
    let url = shared.pick(peer);
    let mut connection = Connection::open(&*shared.connect, &url, shared.dial_timeout).await?;
    let body = SnapshotBody { head: Some(envelope(&message)), parts };
    let posted = post_request(shared, &url, "/raft/snapshot", "application/octet-stream", body)?;
    let response = connection.send(posted).await?;
    let reading = whole(response, ANSWER_BYTES_MAX);
    answer(&tokio::time::timeout(POST_TIMEOUT, reading).await.unwrap_or(Err(RequestError::TimedOut(POST_TIMEOUT)))?)?;
    Ok(index)
}

fn envelope(message: &Message) -> Bytes {
    let mut head = BytesMut::new();
    head.put_u64(message.encoded_len() as u64);
    head.put_slice(&message.encode_to_vec());
    head.freeze()
}

/// The message, then the backend file.
struct SnapshotBody {
    head: Option<Bytes>,
    parts: mpsc::Receiver<Result<Bytes, String>>,
}

impl Body for SnapshotBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if let Some(head) = this.head.take() {
            return Poll::Ready(Some(Ok(Frame::data(head))));
        }
        this.parts.poll_recv(context).map(|part| part.map(|part| part.map(Frame::data).map_err(Into::into)))
    }
}
