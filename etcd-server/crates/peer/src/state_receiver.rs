//! Receiving a raft snapshot from another member.

use crate::frame::kind;
use crate::handshake;
use crate::local::{Held, Local};
use crate::reply::{self, Reply, text};
use crate::snapshot_reader::SnapshotReader;
use crate::transport::Transport;
use http::{HeaderMap, HeaderName, Request, StatusCode};
use hyper::body::Incoming;
use std::sync::Arc;

/// Returns the part of an interrupted snapshot that this member holds.
pub(crate) async fn held(local: Arc<dyn Local>) -> Reply {
    match local.held_snapshot().await {
        Ok(held) => reply::json(serde_json::to_string(&held).unwrap_or_default()),
        Err(refusal) => reply::refusal(&refusal),
    }
}

/// Takes a state in, or the rest of one.
pub(crate) async fn take(transport: Transport, local: Arc<dyn Local>, request: Request<Incoming>) -> Reply {
    let transfer = transfer(request.headers());
    let mut reader = SnapshotReader::new(request.into_body());
    let message = match reader.message().await {
        Ok(message) => message,
        Err(error) => return text(StatusCode::BAD_REQUEST, &format!("failed to decode raft message ({error})")),
    };
    if message.r#type != kind::SNAPSHOT {
        return text(StatusCode::BAD_REQUEST, "wrong raft message type");
    }
    if message.to != transport.0.shared.own.member.0 || transport.0.is_removed(message.from) {
        return text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "failed to process raft message (it is meant for another member)",
        );
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

/// Returns the snapshot and its offset; `None` from a member that sends a bare file.
fn transfer(headers: &HeaderMap) -> Option<Held> {
    let number = |name: HeaderName| headers.get(name)?.to_str().ok()?.parse().ok();
    Some(Held { transfer: number(handshake::TRANSFER)?, bytes: number(handshake::OFFSET)? })
}
