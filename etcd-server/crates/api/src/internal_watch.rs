//! Watches that calls of this server wait on: Lock and Campaign for the deletion of a key, Observe
//! for changes.
//!
//! They go through the same hub as clients' watches, so a write wakes only the calls that wait for
//! its key.

use crate::Server;
use crate::status;
use bytes::Bytes;
use prost::Message as _;
use proto::etcdserverpb::watch_create_request::FilterType;
use proto::etcdserverpb::{WatchCreateRequest, WatchResponse};
use proto::mvccpb::event::EventType;
use replica::{RequestError, WatchResponses};
use std::time::Duration;
use tonic::Status;

/// Progress reports are not requested, so the interval only has to be long.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// A watch of one key or range. Dropping it cancels the watch.
#[derive(Debug)]
pub(crate) struct OwnWatch {
    server: Server,
    responses: WatchResponses,
}

/// The next result of an [`OwnWatch`].
#[derive(Debug)]
pub(crate) enum Observed {
    /// Events in order of their revisions.
    Events(WatchResponse),
    /// The start revision has been compacted; the current state has to be read again.
    Compacted,
}

impl Server {
    /// Starts a watch as `request` says. Permission to read the range must have been checked.
    pub(crate) async fn internal_watch(&self, request: WatchCreateRequest) -> Result<OwnWatch, Status> {
        let (requests, responses) = self.replica.watches().open(PROGRESS_INTERVAL);
        requests.create(request).await.map_err(|refused| self.refused(&refused))?;
        Ok(OwnWatch { server: self.clone(), responses })
    }

    /// Returns once a deletion of `key` at `start_revision` or later has been published, or when
    /// that revision has been compacted.
    pub(crate) async fn wait_for_deletion(&self, key: Bytes, start_revision: i64) -> Result<(), Status> {
        let request = WatchCreateRequest {
            key,
            start_revision,
            filters: vec![FilterType::Noput.into()],
            ..WatchCreateRequest::default()
        };
        let mut watch = self.internal_watch(request).await?;
        loop {
            match watch.next().await? {
                Observed::Events(response)
                    if !response.events.iter().any(|event| event.r#type() == EventType::Delete) => {}
                Observed::Events(_) | Observed::Compacted => return Ok(()),
            }
        }
    }
}

impl OwnWatch {
    /// Waits for events.
    ///
    /// # Errors
    /// Unavailable when the member stops.
    pub(crate) async fn next(&mut self) -> Result<Observed, Status> {
        loop {
            let output =
                std::future::poll_fn(|context| self.responses.poll_next(context)).await.ok_or_else(status::stopped)?;
            let header = self.server.watch_header();
            let mut encoded = Vec::with_capacity(output.encoded_len(header));
            output.encode_into(header, &mut encoded);
            let response = WatchResponse::decode(&encoded[..]).map_err(|error| Status::internal(error.to_string()))?;
            if response.compact_revision > 0 {
                return Ok(Observed::Compacted);
            }
            if response.canceled {
                return Err(self.server.refused(&RequestError::Stopped));
            }
            if !response.events.is_empty() {
                return Ok(Observed::Events(response));
            }
        }
    }
}
