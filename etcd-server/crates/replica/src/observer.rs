//! The observer of the pipeline, which counts and logs.
//!
//! The pipeline reports events and durations in its own terms; names of metrics, thresholds and log
//! lines are the observer's. So the pipeline is tested without a registry, and a counter can be
//! added without touching it.

use apply::{Operations, RequestKind};
use bytes::Bytes;
use std::time::Duration;

/// One request that was applied.
#[derive(Debug)]
pub struct AppliedRequest<'a> {
    /// Its entry.
    pub index: u64,
    /// Its kind.
    pub kind: RequestKind,
    /// The encoded request.
    pub data: &'a Bytes,
    /// The operations that it executed.
    pub operations: Operations,
    /// The response to the client, or the reason for which the state refused it.
    pub outcome: Result<&'a apply::ApplyResponse, &'a apply::ApplyError>,
    /// The time it took, without its share of writing the batch.
    pub took: Duration,
}

/// An observer, called by the threads of the pipeline while they work: every method must return at
/// once, without waiting for anything.
pub trait Observer: Send + Sync {
    /// A request was applied; it becomes readable with the batch.
    fn applied(&self, _: &AppliedRequest<'_>) {}

    /// A batch of applied entries was written to the state.
    fn batch_written(&self, _took: Duration) {}

    /// Records were handed to the system: so many bytes of data and record headers.
    fn log_written(&self, _bytes: u64, _took: Duration) {}

    /// Records that written data became durable.
    fn log_synced(&self, _took: Duration) {}

    /// One step of removing history was made, which freed so many revisions.
    fn removal_step(&self, _revisions: u64, _took: Duration) {}

    /// The removal of history that a compaction asked for is complete.
    fn removal_completed(&self, _took: Duration) {}

    /// The applied state was made durable, so that the log may be cut before it.
    fn state_flushed(&self, _took: Duration) {}

    /// The log dropped its entries up to some index, and noted where it begins.
    fn log_truncated(&self, _took: Duration) {}

    /// As the leader, this member sent its heartbeats later than twice the interval after the last
    /// ones, by this much.
    fn heartbeats_late(&self, _exceeded: Duration) {}

    /// A leader is known, and another one, or none, was known before.
    fn leader_changed(&self) {}

    /// A lease was granted.
    fn lease_granted(&self, _ttl_seconds: i64) {}

    /// A lease was revoked.
    fn lease_revoked(&self) {}

    /// A request that was let in is decided, one way or the other.
    fn request_decided(&self, _kind: RequestKind, _success: bool, _took: Duration) {}

    /// A request that was let in was dropped, or not decided in time.
    fn proposal_failed(&self) {}

    /// A message of another member was refused: it makes no sense, or not now.
    fn message_refused(&self) {}

    /// A read index was not answered in time.
    fn read_index_timed_out(&self) {}

    /// A read index could not be had, or the leader changed while it was waited for.
    fn read_index_failed(&self) {}
}

/// Looks away.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {}
