//! The KV service.

use crate::identity::Caller;
use crate::request_stats::ResponseCounts;
use crate::request_text;
use crate::response_slots::{ConnectionShare, ResponseSlot};
use crate::server::{Server, WHOLE_KIB_MAX, unexpected};
use crate::slow::{ReadText, ReadTimes};
use crate::spans;
use crate::status::{self, ToStatus};
use crate::streamed_range::{MeasuredRange, WHOLE_BYTES_MAX, turn};
use apply::{ApplyResponse, Operations, Ordered};
use auth::{Identity, RequestClass};
use membership::Version;
use mvcc::{RangeOptions, RangeResult, ReadPoint};
use prost::Message as _;
use proto::etcdserverpb::response_op::Response as OpResponse;
use proto::etcdserverpb::{
    CompactionRequest, CompactionResponse, DeleteRangeRequest, DeleteRangeResponse, InternalRaftRequest, PutRequest,
    PutResponse, RangeRequest, RangeResponse, RangeStreamResponse, TxnRequest, TxnResponse,
};
use replica::Replica;
use rpc::etcdserverpb::kv_server::Kv;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;
use storage::Store;
use telemetry::metrics::RequestKind;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use types::Fault;

/// Ranges that may read more keys than this leave the threads that serve sockets.
const INLINE_KEYS_MAX: i64 = 64;
/// From this cluster version on all members apply the reads of a transaction, regardless of its
/// proposer (etcd: skipRangeExecution).
const KEEPS_READS_SINCE: Version = Version::new(3, 7, 0);

/// The result of a range request.
pub(crate) enum RangeRead {
    /// The response, the revision at which it was read, and the resources of a large one.
    Whole(i64, RangeResult, Option<Held>),
    /// One that is read while it is sent.
    Large(MeasuredRange),
}

/// The resources of a response above 1 MiB that has to be in memory as one message.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) place: ResponseSlot,
    _bytes: OwnedSemaphorePermit,
}

impl RangeRead {
    /// The revision of the read, the number of keys, and their bytes.
    fn figures(&self) -> (i64, usize, usize) {
        match self {
            Self::Whole(revision, found, _) => (*revision, found.keys, found.encoded_kvs.len()),
            Self::Large(measured) => {
                let whole = |number| usize::try_from(number).unwrap_or(usize::MAX);
                (measured.revision, whole(measured.count), whole(measured.kvs_bytes))
            }
        }
    }
}

/// A range for the log; `found` is its revision, the number of keys, and their bytes.
fn range_text(request: &RangeRequest, found: Option<(i64, usize, usize)>) -> ReadText {
    let (begin, end) = (String::from_utf8_lossy(&request.key), String::from_utf8_lossy(&request.range_end));
    let mut detail = format!("{{range_begin:{begin}; range_end:{end}; ");
    let mut response = String::new();
    if let Some((revision, keys, bytes)) = found {
        response = format!("range_response_count:{keys} size:{bytes}");
        detail += &format!("response_count:{keys}; response_revision:{revision}; ");
    }
    ReadText {
        request: request_text::message("etcdserverpb.RangeRequest", &request.encode_to_vec()),
        response,
        detail: detail + "}",
    }
}

/// A transaction that only reads, for the log.
fn txn_text(request: &TxnRequest, response: Option<&TxnResponse>) -> ReadText {
    let response = response.map(|response| {
        let ranges = response.responses.iter().map(|op| match &op.response {
            Some(OpResponse::ResponseRange(range)) => format!("range_response_count:{}", range.kvs.len()),
            _ => "range_response:nil".to_owned(),
        });
        format!("responses:<{}> size:{}", ranges.collect::<Vec<_>>().join(" "), response.encoded_len())
    });
    ReadText {
        request: request_text::txn_request(request),
        response: response.unwrap_or_default(),
        detail: "{read_only:true; }".to_owned(),
    }
}

impl Server {
    /// Reads a range for `identity`, everything that a range request asks for included.
    pub(crate) async fn range(&self, request: RangeRequest, caller: Caller<'_>) -> Result<RangeResponse, Status> {
        self.admit_range(&request)?;
        let _span = spans::range("range", &request);
        let mut times = ReadTimes::begin();
        let found =
            self.find_range(&request, caller, &mut times, async |_| self.read_range(&request, None).await).await;
        self.observer.read_decided(RequestKind::Range, times, found.as_ref().err(), || {
            range_text(
                &request,
                found.as_ref().ok().map(|(revision, found)| (*revision, found.keys, found.encoded_kvs.len())),
            )
        });
        let (revision, found) = found?;
        let mut response = found.into_response().map_err(|fault| self.faulted(fault))?;
        response.header = Some(self.header(revision));
        Ok(response)
    }

    /// As [`Server::range`], but the answer is not put together, and maybe not even read.
    pub(crate) async fn found_range(&self, request: &RangeRequest, caller: Caller<'_>) -> Result<RangeRead, Status> {
        self.admit_range(request)?;
        let _span = spans::range("range", request);
        let mut times = ReadTimes::begin();
        let found = self
            .find_range(request, caller, &mut times, async |identity| {
                self.read_or_measure_range(request, identity).await
            })
            .await;
        self.observer.read_decided(RequestKind::Range, times, found.as_ref().err(), || {
            range_text(request, found.as_ref().ok().map(RangeRead::figures))
        });
        found
    }

    /// Refuses a range before it counts as a read, as etcd does.
    fn admit_range(&self, request: &RangeRequest) -> Result<(), Status> {
        admission::check_range(request).map_err(|rejection| rejection.to_status())?;
        if !request.serializable && self.is_learner() { Err(status::not_for_learners()) } else { Ok(()) }
    }

    /// Makes the checks before and after `read`.
    async fn find_range<T>(
        &self,
        request: &RangeRequest,
        caller: Caller<'_>,
        times: &mut ReadTimes,
        read: impl AsyncFnOnce(&Identity) -> Result<T, Status>,
    ) -> Result<T, Status> {
        // Where the barrier is free, so is not looking at the clock for it.
        if !request.serializable && !self.replica.leads_alone() {
            let agreed = self.barrier().await;
            times.agreed = Some(Instant::now());
            agreed?;
        }
        let identity = self.identify(caller)?;
        self.published().auth().check_range(&identity, request).map_err(|refusal| refusal.to_status())?;
        let found = read(&identity).await?;
        self.still_current(&identity)?;
        Ok(found)
    }

    async fn read_or_measure_range(&self, request: &RangeRequest, identity: &Identity) -> Result<RangeRead, Status> {
        let (revision, found) = self.read_range(request, Some(WHOLE_BYTES_MAX)).await?;
        if !found.too_large && found.encoded_kvs.len() <= WHOLE_BYTES_MAX {
            return Ok(RangeRead::Whole(revision, found, None));
        }
        let connection = self.share.as_ref().map(ConnectionShare::large_ranges);
        let place = self.large_ranges.take(connection, &identity.user).await?;
        if found.too_large {
            return self.measure_large_range(RangeOptions::new(request), place).await.map(RangeRead::Large);
        }
        let kib = u32::try_from(found.encoded_kvs.len() >> 10).unwrap_or(u32::MAX).clamp(1, WHOLE_KIB_MAX);
        let held = Held { place, _bytes: self.large_ranges.reserve(&self.whole_kib, kib).await? };
        Ok(RangeRead::Whole(revision, found, Some(held)))
    }

    /// Reads a range at the newest state; the revision is the one at which the read began.
    pub(crate) async fn read_range(
        &self,
        request: &RangeRequest,
        bytes_max: Option<usize>,
    ) -> Result<(i64, RangeResult), Status> {
        let begun = Instant::now();
        let mut options = RangeOptions::new(request);
        options.bytes_max = bytes_max;
        let small = options.range.as_single().is_some()
            || (reads_no_more_than_limit(request) && (1..=INLINE_KEYS_MAX).contains(&request.limit));
        let read = move |point: &ReadPoint, store: &Store| Ok((point.current, point.range(store, &options)?));
        // A range that is read whole may be of any size: a few at a time, so that others keep their
        // processors.
        let turn = if small || reads_no_more_than_limit(request) { None } else { Some(turn(&self.whole_reads).await?) };
        let (revision, found) = if small { self.replica.read(read) } else { off_thread(&self.replica, read).await }
            .map_err(|fault| self.faulted(fault))?;
        drop(turn);
        self.observer.range_read(found.is_ok(), begun.elapsed());
        Ok((revision, found.map_err(|refusal| refusal.to_status())?))
    }

    /// Orders a put.
    pub(crate) async fn put(&self, request: PutRequest, caller: Caller<'_>) -> Result<PutResponse, Status> {
        let request = InternalRaftRequest { put: Some(request), ..InternalRaftRequest::default() };
        self.check_quota(&request).await?;
        if let Some(put) = &request.put {
            admission::check_put(put).map_err(|rejection| rejection.to_status())?;
        }
        let key = request.put.as_ref().map(|put| put.key.clone()).unwrap_or_default();
        let _span = spans::put(&key);
        let identity = self.identify(caller)?;
        let begun = Instant::now();
        match self.propose(request, &identity).await? {
            Ordered { response: ApplyResponse::Put(mut response), revision } => {
                response.header = Some(self.header(revision));
                self.observer.write_decided("put", begun, || {
                    format!("{{key:{}; response_revision:{revision}; }}", String::from_utf8_lossy(&key))
                });
                Ok(response)
            }
            ordered => Err(unexpected(&ordered)),
        }
    }

    /// Orders a deletion.
    pub(crate) async fn delete_range(
        &self,
        request: DeleteRangeRequest,
        caller: Caller<'_>,
    ) -> Result<DeleteRangeResponse, Status> {
        admission::check_delete_range(&request).map_err(|rejection| rejection.to_status())?;
        let (key, range_end) = (request.key.clone(), request.range_end.clone());
        let _span = spans::delete_range(&request);
        let request = InternalRaftRequest { delete_range: Some(request), ..InternalRaftRequest::default() };
        let identity = self.identify(caller)?;
        let begun = Instant::now();
        match self.propose(request, &identity).await? {
            Ordered { response: ApplyResponse::DeleteRange(mut response), revision } => {
                response.header = Some(self.header(revision));
                self.observer.write_decided("delete_range", begun, || {
                    let (key, end) = (String::from_utf8_lossy(&key), String::from_utf8_lossy(&range_end));
                    format!("{{key:{key}; range_end:{end}; response_revision:{revision}; }}")
                });
                Ok(response)
            }
            ordered => Err(unexpected(&ordered)),
        }
    }

    /// Orders a transaction, or reads it here when it changes nothing.
    pub(crate) async fn txn(&self, request: TxnRequest, caller: Caller<'_>) -> Result<TxnResponse, Status> {
        if admission::is_read_only(&request) {
            return self.txn_read(request, caller).await;
        }
        let request = InternalRaftRequest { txn: Some(request), ..InternalRaftRequest::default() };
        self.check_quota(&request).await?;
        if let Some(txn) = &request.txn {
            admission::check_txn(txn, self.settings.txn_operations_max).map_err(|rejection| rejection.to_status())?;
        }
        let _span = request.txn.as_ref().and_then(|txn| spans::txn(txn, false));
        let identity = self.identify(caller)?;
        if let Some(txn) = &request.txn {
            self.check_reads_of_txn(txn, &identity).await?;
        }
        let begun = Instant::now();
        match self.propose(request, &identity).await? {
            Ordered { response: ApplyResponse::Txn(mut response), revision } => {
                response.header = Some(self.header(revision));
                self.observer.write_decided("transaction", begun, || {
                    format!("{{read_only:false; response_revision:{revision}; }}")
                });
                Ok(response)
            }
            ordered => Err(unexpected(&ordered)),
        }
    }

    /// Checks, in a cluster with members of etcd below 3.7, that a transaction reads nothing that
    /// apply would refuse.
    ///
    /// Such a member leaves the reads out when it applies a transaction that another member has
    /// proposed, checks of their permission and revision included. A transaction refused here would
    /// then be executed there, and the members would differ for good (etcd 3.5 and 3.6 do this
    /// among themselves, too: removeNeedlessRangeReqs in server/etcdserver/server.go). A read in
    /// the branch that is not taken counts as well: the branch is not known before the transaction
    /// is ordered.
    async fn check_reads_of_txn(&self, txn: &TxnRequest, identity: &Identity) -> Result<(), Status> {
        let keeps_reads =
            self.published().members().cluster_version().is_some_and(|version| version >= KEEPS_READS_SINCE);
        let revisions = if keeps_reads { Vec::new() } else { admission::read_revisions(txn) };
        if revisions.is_empty() {
            return Ok(());
        }
        // So that users, permissions and revisions are those of the newest entry.
        self.barrier().await?;
        let no_leases = &mut |_| Ok::<_, auth::AuthError>(Vec::new());
        self.published().auth().check_txn(identity, txn, no_leases).map_err(|refusal| refusal.to_status())?;
        let point = self.published().read_point();
        for revision in revisions {
            point.resolve(revision).map_err(|refusal| refusal.to_status())?;
        }
        Ok(())
    }

    async fn txn_read(&self, request: TxnRequest, caller: Caller<'_>) -> Result<TxnResponse, Status> {
        admission::check_txn(&request, self.settings.txn_operations_max).map_err(|rejection| rejection.to_status())?;
        let _span = spans::txn(&request, true);
        let mut times = ReadTimes::begin();
        if !admission::is_serializable(&request) {
            self.barrier().await?;
            times.agreed = Some(Instant::now());
        }
        let request = Arc::new(request);
        let read = self.read_txn(&request, caller).await;
        self.observer.read_decided(RequestKind::ReadonlyTxn, times, read.as_ref().err(), || {
            txn_text(&request, read.as_ref().ok())
        });
        read
    }

    async fn read_txn(&self, request: &Arc<TxnRequest>, caller: Caller<'_>) -> Result<TxnResponse, Status> {
        let identity = self.identify(caller)?;
        let nothing_leased = &mut |_| Ok::<_, auth::AuthError>(Vec::new());
        self.published().auth().check_txn(&identity, request, nothing_leased).map_err(|refusal| refusal.to_status())?;
        let reading = Arc::clone(request);
        let executed = off_thread(&self.replica, move |point, store| {
            let executed = mvcc::execute_txn_read(point, store, &reading)?;
            Ok(executed.map(|response| (Operations::of_txn(&reading, &response), response)))
        });
        let executed = executed.await.map_err(|fault| self.faulted(fault))?;
        let (operations, mut response) = executed.map_err(|refusal| refusal.to_status())?;
        self.observer.executed(operations);
        self.still_current(&identity)?;
        response.header = Some(self.header(response.header.as_ref().map_or(0, |header| header.revision)));
        Ok(response)
    }

    /// Checks the quota. A request that does not fit is not proposed: the alarm is raised instead,
    /// on all members.
    pub(crate) async fn check_quota(&self, request: &InternalRaftRequest) -> Result<(), Status> {
        let Some(quota) = self.settings.quota_bytes else { return Ok(()) };
        let cost = apply::quota_cost(request);
        if cost == 0 || self.published().stored_bytes().saturating_add(cost) < quota {
            return Ok(());
        }
        self.raise_no_space().await;
        Err(status::no_space())
    }

    async fn compact(&self, request: CompactionRequest, identity: &Identity) -> Result<CompactionResponse, Status> {
        let physical = request.physical;
        let _span = spans::compact(&request);
        let begun = Instant::now();
        let request = InternalRaftRequest { compaction: Some(request), ..InternalRaftRequest::default() };
        let (compacted, revision) = match self.propose(request, identity).await? {
            Ordered { response: ApplyResponse::Compaction(compacted), revision } => (compacted, revision),
            ordered => return Err(unexpected(&ordered)),
        };
        if physical {
            self.wait_until_removed(compacted).await;
        }
        self.observer.write_decided("compact", begun, || format!("{{revision:{compacted}; }}"));
        Ok(CompactionResponse { header: Some(self.header(revision)) })
    }

    /// Removal works in steps of milliseconds; looking at it as often costs nothing that matters.
    async fn wait_until_removed(&self, revision: i64) {
        let mut pause = tokio::time::interval(std::time::Duration::from_millis(5));
        while self.published().removed_revision() < revision {
            pause.tick().await;
        }
    }
}

/// Returns `true` if a range stops at its limit: an order other than by key, and filters by
/// revision, need every key of the range.
fn reads_no_more_than_limit(request: &RangeRequest) -> bool {
    is_by_key(request) && revision_filters(request) == [0; 4]
}

/// Returns `true` if the keys are wanted in the order in which they are stored.
fn is_by_key(request: &RangeRequest) -> bool {
    request.sort_order == 0 || (request.sort_order == 1 && request.sort_target == 0)
}

fn revision_filters(request: &RangeRequest) -> [i64; 4] {
    [request.min_mod_revision, request.max_mod_revision, request.min_create_revision, request.max_create_revision]
}

/// Runs a read that may take long on a thread where it delays no other call.
pub(crate) async fn off_thread<T: Send + 'static>(
    replica: &Arc<Replica>,
    read: impl FnMut(&ReadPoint, &Store) -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    let replica = Arc::clone(replica);
    let joined = tokio::task::spawn_blocking(move || {
        let _reading = replica.long_reads().begin();
        replica.read(read)
    })
    .await;
    joined.unwrap_or_else(|error| Err(Fault::store("read state", error)))
}

/// Returns a response with its numbers for the log.
fn counted<T>(response: T, counts: ResponseCounts) -> tonic::Response<T> {
    let mut response = tonic::Response::new(response);
    response.extensions_mut().insert(counts);
    response
}

#[tonic::async_trait]
impl Kv for Server {
    type RangeStreamStream = Pin<Box<dyn futures::Stream<Item = Result<RangeStreamResponse, Status>> + Send>>;

    async fn range(&self, request: Request<RangeRequest>) -> Result<Response<RangeResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let response = Self::range(self, request, Caller::Claimed(metadata.as_ref())).await?;
        let counts = ResponseCounts { count: response.count, ..ResponseCounts::default() };
        Ok(counted(response, counts))
    }

    async fn range_stream(&self, request: Request<RangeRequest>) -> Result<Response<Self::RangeStreamStream>, Status> {
        let (metadata, _, request) = request.into_parts();
        admission::check_range(&request).map_err(|rejection| rejection.to_status())?;
        check_streamable(&request)?;
        if !request.serializable {
            self.barrier().await?;
        }
        let identity = self.identity(&metadata)?;
        self.published().auth().check_range(&identity, &request).map_err(|refusal| refusal.to_status())?;
        let span = spans::range("range_streaming", &request);
        // One part is on its way while the next is read; a client that does not read stops the
        // reading.
        let (parts, stream) = mpsc::channel(1);
        let server = self.clone();
        tokio::spawn(async move {
            let streamed = server.stream_range(request, &identity, &parts).await;
            drop(span);
            if let Err(status) = streamed {
                drop(parts.send(Err(status)).await);
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        Ok(counted(Self::put(self, request, Caller::Claimed(metadata.as_ref())).await?, ResponseCounts::default()))
    }

    async fn delete_range(
        &self,
        request: Request<DeleteRangeRequest>,
    ) -> Result<Response<DeleteRangeResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let response = Self::delete_range(self, request, Caller::Claimed(metadata.as_ref())).await?;
        let counts = ResponseCounts { count: response.deleted, ..ResponseCounts::default() };
        Ok(counted(response, counts))
    }

    async fn txn(&self, request: Request<TxnRequest>) -> Result<Response<TxnResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let response = Self::txn(self, request, Caller::Claimed(metadata.as_ref())).await?;
        let counts = ResponseCounts { succeeded: response.succeeded, ..ResponseCounts::default() };
        Ok(counted(response, counts))
    }

    async fn compact(&self, request: Request<CompactionRequest>) -> Result<Response<CompactionResponse>, Status> {
        let identity = self.permitted(request.metadata(), RequestClass::Root)?;
        Ok(Response::new(Self::compact(self, request.into_inner(), &identity).await?))
    }
}

/// Checks that a range can be streamed: in key order, without anything that needs the whole range
/// first.
fn check_streamable(request: &RangeRequest) -> Result<(), Status> {
    if !is_by_key(request) {
        return Err(Status::unimplemented("RangeStream does not support custom sort orders"));
    }
    if revision_filters(request) != [0; 4] {
        return Err(Status::unimplemented("RangeStream does not support revision filters"));
    }
    Ok(())
}
