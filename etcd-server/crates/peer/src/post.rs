//! Messages by POST: for members that have no stream open to us.

use crate::connect::{Connection, RequestError, request, whole};
use crate::peer_sender::PeerSender;
use crate::shared::Shared;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::Full;
use prost::Message as _;
use proto::raftpb::Message;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// For one message, from sending it to its answer.
pub(crate) const POST_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer that is read.
pub(crate) const ANSWER_BYTES_MAX: usize = 64 << 10;

/// The reason why a message did not arrive.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PostError {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("refused with {status}: {text}")]
    Refused { status: StatusCode, text: String },
    #[error("{0}")]
    State(String),
    #[error("it has taken nothing for {0:?}")]
    Stalled(Duration),
}

/// Posts the waiting messages, one after another, over a connection that is kept.
pub(crate) async fn run(shared: Arc<Shared>, peer: Arc<PeerSender>, mut waiting: mpsc::Receiver<Message>) {
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
    peer: &PeerSender,
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

pub(crate) fn post_request<B>(
    shared: &Shared,
    url: &Uri,
    path: &str,
    content: &'static str,
    body: B,
) -> Result<Request<B>, RequestError> {
    let mut posted =
        request(Method::POST, url, path).header(CONTENT_TYPE, HeaderValue::from_static(content)).body(body)?;
    posted.headers_mut().extend(shared.own.headers(None));
    Ok(posted)
}

pub(crate) fn answer(answered: &crate::connect::HttpResponse) -> Result<(), PostError> {
    if answered.head.status == StatusCode::NO_CONTENT {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&answered.body).trim_end().to_owned();
    Err(PostError::Refused { status: answered.head.status, text })
}
