//! RangeStream: a range in several responses.

use crate::server::Server;
use auth::Identity;
use proto::etcdserverpb::{RangeRequest, RangeStreamResponse};
use tokio::sync::mpsc;
use tonic::Status;

/// Keys in the first part of a streamed range.
const FIRST_CHUNK_KEYS: i64 = 10;

impl Server {
    /// Sends a range in parts of a bounded size, all at one revision; the last part carries header,
    /// count and whether there is more.
    pub(crate) async fn stream_range(
        &self,
        request: RangeRequest,
        identity: &Identity,
        parts: &mpsc::Sender<Result<RangeStreamResponse, Status>>,
    ) -> Result<(), Status> {
        let mut rest = request.clone();
        let (mut chunk, mut sent, mut pinned) = (FIRST_CHUNK_KEYS, 0, None);
        loop {
            let left = if request.limit > 0 { request.limit - sent } else { i64::MAX };
            rest.limit = if request.limit < 0 || request.count_only { 0 } else { chunk.min(left) };
            let (revision, found) = self.read_range(&rest, None).await?;
            let at_start = *pinned.get_or_insert(revision);
            rest.revision = if request.revision > 0 { request.revision } else { at_start };
            let bytes = found.encoded_kvs.len();
            let (keys, more) = (i64::try_from(found.keys).unwrap_or(i64::MAX), found.more);
            let mut response = found.into_response().map_err(|fault| self.faulted(fault))?;
            let last = !more || (request.limit > 0 && sent + keys >= request.limit);
            if let Some(last_key) = response.kvs.last() {
                rest.key = [&last_key.key[..], &[0]].concat().into();
            }
            if last {
                self.still_current(identity)?;
                response.header = Some(self.header(at_start));
                response.count += sent;
            } else {
                (response.more, response.count) = (false, 0);
            }
            sent += keys;
            let part = RangeStreamResponse { range_response: Some(response) };
            if parts.send(Ok(part)).await.is_err() || last {
                return Ok(());
            }
            chunk = next_chunk(chunk, bytes, self.settings.request_bytes_max);
        }
    }
}

/// Parts grow until they are about as large as the largest request, and shrink when they are much
/// larger.
fn next_chunk(keys: i64, bytes: usize, request_bytes_max: usize) -> i64 {
    if bytes < request_bytes_max / 2 {
        keys.saturating_mul(2)
    } else if bytes > request_bytes_max * 2 {
        (keys / 2).max(1)
    } else {
        keys
    }
}
