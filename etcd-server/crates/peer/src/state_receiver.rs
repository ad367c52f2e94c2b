//! The state as a whole, taken in from another member.

use crate::frame::kind;
use crate::handshake;
use crate::local::{Held, Local};
use crate::reply::{self, Reply, text};
use crate::transport::Transport;
use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use prost::Message as _;
use proto::raftpb::Message;
use std::sync::Arc;
use std::time::Duration;

/// Largest raft message before a snapshot (etcd 3.7.1).
const ENVELOPE_BYTES_MAX: u64 = 64 << 20;
/// A snapshot whose sender is silent for so long has failed.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// The rest of a snapshot's body: the backend file.
#[derive(Debug)]
pub struct SnapshotReader {
    read: BytesMut,
    body: Incoming,
}

impl SnapshotReader {
    /// The next bytes of the file; nothing at its end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, String> {
        if !self.read.is_empty() {
            return Ok(Some(self.read.split().freeze()));
        }
        self.receive().await
    }

    async fn receive(&mut self) -> Result<Option<Bytes>, String> {
        loop {
            match tokio::time::timeout(SILENCE_MAX, self.body.frame()).await {
                Err(_) => return Err(format!("the sender was silent for {SILENCE_MAX:?}")),
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => return Err(error.to_string()),
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => return Ok(Some(data)),
                    Ok(_) | Err(_) => {}
                },
            }
        }
    }

    async fn fill(&mut self, length: usize) -> Result<(), String> {
        while self.read.len() < length {
            let received = self.receive().await?.ok_or("it ends too early")?;
            self.read.extend_from_slice(&received);
        }
        Ok(())
    }

    async fn message(&mut self) -> Result<Message, String> {
        self.fill(8).await?;
        let length = self.read.get_u64();
        if length > ENVELOPE_BYTES_MAX {
            return Err(format!("a raft message of {length} bytes is larger than allowed"));
        }
        let length = usize::try_from(length).map_err(|error| error.to_string())?;
        self.fill(length).await?;
        Message::decode(self.read.split_to(length).freeze()).map_err(|error| error.to_string())
    }
}

/// What this member holds of a state whose sending broke off.
pub(crate) async fn held(local: Arc<dyn Local>) -> Reply {
    match local.held_snapshot().await {
        Ok(held) => reply::json(serde_json::to_string(&held).unwrap_or_default()),
        Err(refusal) => reply::refusal(&refusal),
    }
}

/// Takes a state in, or the rest of one.
pub(crate) async fn take(transport: Transport, local: Arc<dyn Local>, request: Request<Incoming>) -> Reply {
    let transfer = transfer(request.headers());
    let mut reader = SnapshotReader { read: BytesMut::new(), body: request.into_body() };
    let message = match reader.message().await {
        Ok(message) => message,
        Err(error) => return text(StatusCode::BAD_REQUEST, &format!("failed to decode raft message ({error})")),
    };
    if message.r#type != kind::SNAPSHOT {
        return text(StatusCode::BAD_REQUEST, "wrong raft message type");
    }
    if message.to != transport.0.own.member.0 || transport.0.is_removed(message.from) {
        return text(StatusCode::INTERNAL_SERVER_ERROR, "failed to process raft message (it is meant for another member)");
    }
    let from = types::MemberId(message.from);
    let from_byte = transfer.map_or(0, |held| held.bytes);
    tracing::info!(remote_snapshot_sender_id = %from, from_byte, "receiving database snapshot");
    match local.receive_snapshot(message, transfer, &mut reader).await {
        Ok(()) => reply::empty(StatusCode::NO_CONTENT),
        Err(refusal) => {
            tracing::warn!(remote_snapshot_sender_id = %from, error = refusal.text, "failed to receive database snapshot");
            reply::refusal(&refusal)
        }
    }
}

/// Which state comes, and from where on; nothing from a member that sends a bare file.
fn transfer(headers: &HeaderMap) -> Option<Held> {
    let number = |name: HeaderName| headers.get(name)?.to_str().ok()?.parse().ok();
    Some(Held { transfer: number(handshake::TRANSFER)?, bytes: number(handshake::OFFSET)? })
}
