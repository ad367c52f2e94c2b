//! A response to Range that is too large for memory: sent while it is read.
//!
//! The length of a gRPC message stands in front of it, so the range is measured first and then read
//! again, part by part, at the same revision; memory is two parts, independent of the size, and
//! between two parts nothing is held but a place. If compaction passes the revision meanwhile, or
//! the state is replaced, the response is broken off. Places are bounded
//! ([`crate::response_slots`]).

use crate::Server;
use crate::response_slots::{ResponseSlot, too_many_requests};
use crate::status::{self, ToStatus as _};
use bytes::Bytes;
use mvcc::{Parts, RangeOptions, ReadPoint};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tonic::Status;

/// Responses up to this size are put together in memory.
pub(crate) const WHOLE_BYTES_MAX: usize = 1 << 20;
/// Bytes of a part.
const PART_BYTES: usize = 256 << 10;
/// A read that waits longer for others is refused.
const TURN_WAIT_MAX: Duration = Duration::from_secs(30);
/// The measures of a response before it is read.
#[derive(Debug)]
pub(crate) struct MeasuredRange {
    pub(crate) revision: i64,
    pub(crate) kvs_bytes: u64,
    pub(crate) more: bool,
    pub(crate) count: u64,
    pub(crate) parts: Box<PartReader>,
}

/// Reads the parts of a response, in order.
pub(crate) struct PartReader {
    server: Server,
    point: ReadPoint,
    /// The state that was measured, as [`replica::Replica::generation`] counts it.
    generation: u64,
    plan: Parts,
    place: Arc<ResponseSlot>,
}

impl std::fmt::Debug for PartReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartReader").field("plan", &self.plan).field("place", &self.place).finish_non_exhaustive()
    }
}

/// A part that is being read, and the reader of the rest.
pub(crate) type Reading = JoinHandle<Result<(Box<PartReader>, Bytes), Status>>;

impl PartReader {
    /// The place that the response holds.
    pub(crate) fn place(&self) -> &Arc<ResponseSlot> {
        &self.place
    }

    /// Starts to read the next part, which is empty at the end.
    pub(crate) fn begin(mut self: Box<Self>) -> Reading {
        tokio::spawn(async move {
            let turn = turn(&self.server.part_reads).await?;
            let read = tokio::task::spawn_blocking(move || {
                let part = self.read();
                drop(turn);
                part.map(|part| (self, part))
            });
            read.await.unwrap_or_else(|_| Err(status::faulted()))
        })
    }

    fn read(&mut self) -> Result<Bytes, Status> {
        let Self { server, point, generation, plan, .. } = self;
        let read = server.replica.read_again(*generation, plan.revision(), |store| plan.next(point, store, PART_BYTES));
        let part =
            read.ok_or_else(|| Status::out_of_range("etcdserver: mvcc: required revision has been compacted"))?;
        part.map_err(|fault| server.faulted(fault))
    }
}

/// Waits for a turn to read, in the order of requests.
pub(crate) async fn turn(turns: &Arc<Semaphore>) -> Result<tokio::sync::OwnedSemaphorePermit, Status> {
    let turn = tokio::time::timeout(TURN_WAIT_MAX, Arc::clone(turns).acquire_owned()).await;
    turn.map_err(|_| too_many_requests())?.map_err(|_| status::stopped())
}

impl Server {
    /// Measures a range that is larger than [`WHOLE_BYTES_MAX`].
    pub(crate) async fn measure_large_range(
        &self,
        options: RangeOptions,
        place: ResponseSlot,
    ) -> Result<MeasuredRange, Status> {
        let turn = turn(&self.measures).await?;
        let generation = self.replica.generation();
        let replica = Arc::clone(&self.replica);
        let measuring = tokio::task::spawn_blocking(move || {
            let measured =
                replica.read(|point, store| Ok(point.measure(store, &options)?.map(|plan| (point.clone(), plan))));
            drop(turn);
            measured
        });
        let measured = measuring.await.map_err(|_| status::faulted())?;
        let (point, plan) = measured.map_err(|fault| self.faulted(fault))?.map_err(|refusal| refusal.to_status())?;
        let Some(plan) = plan else { return Err(Status::internal("etcdserver: range cannot be read in parts")) };
        let (revision, kvs_bytes, more, count) = (point.current, plan.bytes, plan.more, plan.count);
        let parts = Box::new(PartReader { server: self.clone(), point, generation, plan, place: Arc::new(place) });
        Ok(MeasuredRange { revision, kvs_bytes, more, count, parts })
    }
}
