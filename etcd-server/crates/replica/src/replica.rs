//! The handle by which requests enter the pipeline.

use crate::clock::Clock;
use crate::install::{self, PrepareError, Prepared};
use crate::message_quota::MessageQuota;
use crate::messages::Input;
use crate::overload::{Overload, Proposer};
use crate::pending_proposals::{PendingProposals, Reply};
use crate::published::Published;
use crate::{Observer, RequestError, RequestIds, UnderWay, Watches};
use apply::{Ordered, RequestKind};
use auth::Identity;
use bytes::Bytes;
use consensus::{Progress, SnapshotMark};
use membership::ConfChange;
use mvcc::ReadPoint;
use pipeline::{NodeInput, Proposal, ProposalKind};
use prost::Message as _;
use proto::etcdserverpb::{InternalRaftRequest, RequestHeader};
use proto::raftpb::Message;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};
use storage::{Store, StoreOptions};
use tokio::sync::oneshot;
use types::{ClusterId, Fault, MemberId};

/// A request that was let in; its outcome comes when it is applied.
pub type Submitted = oneshot::Receiver<Result<Ordered, RequestError>>;

/// The pipeline, as services see it. Shared by all of them.
pub struct Replica {
    pub(crate) member_id: MemberId,
    pub(crate) cluster_id: ClusterId,
    pub(crate) published: Arc<Published>,
    pub(crate) log: raftlog::Reader,
    pub(crate) pending_proposals: Arc<PendingProposals>,
    pub(crate) ids: RequestIds,
    pub(crate) node: Sender<Input>,
    pub(crate) message_quota: Arc<MessageQuota>,
    pub(crate) dir: PathBuf,
    pub(crate) store_options: StoreOptions,
    pub(crate) clock: Clock,
    pub(crate) watches: Watches,
    pub(crate) long_reads: UnderWay,
    pub(crate) installations: UnderWay,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) overload: Overload,
    pub(crate) request_bytes_max: usize,
    pub(crate) request_timeout: Duration,
    /// Maximum time from the loss of a leader to the next one (etcd: two election timeouts).
    pub(crate) leader_loss: Duration,
    pub(crate) on_fault: Arc<dyn Fn(Fault) + Send + Sync>,
}

impl std::fmt::Debug for Replica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replica")
            .field("member_id", &self.member_id)
            .field("cluster_id", &self.cluster_id)
            .finish_non_exhaustive()
    }
}

impl Replica {
    /// This member.
    pub fn member_id(&self) -> MemberId {
        self.member_id
    }

    /// Its cluster.
    pub fn cluster_id(&self) -> ClusterId {
        self.cluster_id
    }

    /// The newest state.
    pub fn published(&self) -> &Published {
        &self.published
    }

    /// Returns the store of the published state.
    pub fn store(&self) -> Arc<Store> {
        self.published.store()
    }

    /// Returns the source of watch streams.
    pub fn watches(&self) -> &Watches {
        &self.watches
    }

    /// Reads of the state that may take long: large ranges, hashes, backups, states on their way to
    /// other members.
    pub fn long_reads(&self) -> &UnderWay {
        &self.long_reads
    }

    /// States of other members that are being put in the place of the present one.
    pub fn installations(&self) -> &UnderWay {
        &self.installations
    }

    /// This process' time line.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// A fresh request id; also good as a lease id, once made positive.
    pub fn next_id(&self) -> u64 {
        self.ids.next()
    }

    /// Returns the identity of this member's own requests: root while authentication is on, because
    /// no user's permissions limit it.
    pub fn own_identity(&self) -> Identity {
        let store = self.published.auth();
        if store.enabled() { Identity::new(auth::ROOT, store.auth_revision()) } else { Identity::default() }
    }

    /// Returns the time limit of a request on the server's side.
    pub fn request_timeout(&self) -> Duration {
        self.request_timeout
    }

    /// Stops the member because of `fault`: nothing may be answered any more.
    pub fn fault(&self, fault: Fault) {
        (self.on_fault)(fault);
    }

    /// Orders a request for `identity` and waits until it is applied.
    pub async fn propose(&self, request: InternalRaftRequest, identity: &Identity) -> Reply {
        let (kind, begun) = (RequestKind::of(&request), Instant::now());
        let submitted = self.submit(request, identity)?;
        let outcome = self.outcome(submitted).await;
        // Requests that the ordered state refuses have been decided all the same, as etcd counts
        // them.
        let success = outcome.as_ref().err().is_none_or(|refused| matches!(refused, RequestError::State(_)));
        self.observer.request_decided(kind, success, begun.elapsed());
        outcome
    }

    /// Orders a request as [`Replica::propose`] does, for requests of a leader itself, such as
    /// revoking a lease that expired by its clock: a member that is no longer leader does not
    /// forward it to the new one.
    pub async fn propose_as_leader(&self, request: InternalRaftRequest) -> Reply {
        let submitted = self.submit_as(request, &self.own_identity(), Proposer::Leader)?;
        self.outcome(submitted).await
    }

    /// Hands a request to the pipeline without waiting. A request that fails here was not proposed.
    pub fn submit(&self, request: InternalRaftRequest, identity: &Identity) -> Result<Submitted, RequestError> {
        self.submit_as(request, identity, Proposer::Client)
    }

    fn submit_as(
        &self,
        mut request: InternalRaftRequest,
        identity: &Identity,
        proposer: Proposer,
    ) -> Result<Submitted, RequestError> {
        let kind = RequestKind::of(&request);
        let id = self.ids.next();
        request.header =
            Some(RequestHeader { id, username: identity.user.clone(), auth_revision: identity.auth_revision });
        let data = Bytes::from(request.encode_to_vec());
        if data.len() > self.request_bytes_max {
            return Err(RequestError::TooLarge);
        }
        if self.published.has_left() {
            return Err(RequestError::Stopped);
        }
        let raft_status = self.published.raft_status();
        if self.overload.refuses(proposer, kind, raft_status.commit.saturating_sub(raft_status.applied)) {
            return Err(RequestError::TooManyRequests);
        }
        let (reply, submitted) = oneshot::channel();
        let kind = match proposer {
            Proposer::Client => ProposalKind::Request,
            Proposer::Leader => ProposalKind::OfTheLeader,
        };
        let input = Input::Propose { kind, proposal: Proposal { id, data }, reply };
        self.node.send(input).map_err(|_| RequestError::Stopped)?;
        Ok(submitted)
    }

    /// Waits for a request that was let in, for as long as a request may take.
    pub async fn outcome(&self, submitted: Submitted) -> Reply {
        let outcome = match tokio::time::timeout(self.request_timeout, submitted).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) => Err(RequestError::Stopped),
            Err(_) if self.published.raft_status().leader == 0 => Err(RequestError::NoLeader),
            Err(_) if self.lost_leader() => Err(RequestError::LeaderFailed),
            Err(_) => Err(RequestError::TimedOut),
        };
        if outcome.as_ref().is_err_and(|refused| !matches!(refused, RequestError::State(_))) {
            self.observer.proposal_failed();
        }
        outcome
    }

    /// Returns `true` if a request that has just timed out was begun while the leader was being
    /// lost: it went to one that could not pass it on.
    fn lost_leader(&self) -> bool {
        let begun = Instant::now().checked_sub(self.request_timeout);
        begun.is_some_and(|begun| self.published.lost_leader_after(begun, self.leader_loss))
    }

    /// Orders a change of the members and waits until it is applied or refused, for as long as a
    /// request may take.
    pub async fn change_members(&self, change: &ConfChange) -> Reply {
        let id = self.ids.next();
        let data = Bytes::from(change.to_raft(id).encode_to_vec());
        let (reply, submitted) = oneshot::channel();
        let input = Input::Propose { kind: ProposalKind::ConfChange, proposal: Proposal { id, data }, reply };
        self.node.send(input).map_err(|_| RequestError::Stopped)?;
        let decided = tokio::time::timeout(self.request_timeout, submitted).await;
        decided.map_or(Err(RequestError::TimedOut), |reply| reply.unwrap_or(Err(RequestError::Stopped)))
    }

    /// Returns `true` if a barrier costs nothing: this member is leader of a single-member cluster,
    /// and only published changes are acknowledged.
    pub fn leads_alone(&self) -> bool {
        self.published.leads_alone.load(Ordering::Acquire)
    }

    /// Returns once the published state holds everything that was acknowledged before the call.
    pub async fn barrier(&self) -> Result<(), RequestError> {
        // The leader of a single-member cluster acknowledges only published changes, and no other
        // member can acknowledge anything.
        if self.leads_alone() {
            return Ok(());
        }
        if self.published.has_left() {
            return Err(RequestError::Stopped);
        }
        let (reply, answered) = oneshot::channel();
        self.node.send(Input::ReadIndex(reply)).map_err(|_| RequestError::Stopped)?;
        match tokio::time::timeout(self.request_timeout, answered).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => {
                self.observer.read_index_failed();
                Err(RequestError::Stopped)
            }
            Err(_) => {
                self.observer.read_index_timed_out();
                Err(RequestError::TimedOut)
            }
        }
    }

    /// Requests of this member that are let in and not decided.
    pub fn proposals_pending(&self) -> usize {
        self.pending_proposals.len()
    }

    /// Reads at the published state. `read` is called again when a compaction came meanwhile: its
    /// removal may have taken away under the reader versions that a revision before it still
    /// needed.
    pub fn read<T>(&self, mut read: impl FnMut(&ReadPoint, &Store) -> Result<T, Fault>) -> Result<T, Fault> {
        loop {
            let replaced = self.published.replaced.load(Ordering::Acquire);
            let (point, store) = (self.published.read_point(), self.published.store());
            if replaced.is_multiple_of(2) {
                let result = read(&point, &store);
                let same_state = self.published.replaced.load(Ordering::Acquire) == replaced;
                if same_state && self.published.read_point.load().compacted == point.compacted {
                    return result;
                }
            } else {
                // Two pointers are being exchanged.
                std::hint::spin_loop();
            }
        }
    }

    /// Counts how often the state was replaced as a whole.
    pub fn generation(&self) -> u64 {
        self.published.replaced.load(Ordering::Acquire)
    }

    /// Reads once more at a read point of an earlier [`Replica::read`]. `None` if the result may be
    /// incomplete: the state was replaced since `generation`, or compaction has passed `revision`.
    pub fn read_again<T>(
        &self,
        generation: u64,
        revision: i64,
        read: impl FnOnce(&Store) -> Result<T, Fault>,
    ) -> Option<Result<T, Fault>> {
        let result = read(&self.published.store());
        let is_whole = self.generation() == generation && self.published.read_point.load().compacted <= revision;
        is_whole.then_some(result)
    }

    /// A message of another member. `false` when there is no room for it: it is dropped, which raft
    /// allows.
    pub fn step(&self, message: Message) -> bool {
        let Some(bytes) = self.message_quota.enter(&message) else { return false };
        self.node.send(Input::Message { message: Box::new(message), bytes }).is_ok()
    }

    /// Records whether `member` honours the fences of proposals; see [`NodeInput::Fencing`].
    pub fn set_fencing(&self, member: u64, honours: bool) {
        drop(self.node.send(Input::Other(NodeInput::Fencing { member, honours })));
    }

    /// The process of `member` has ended; see [`NodeInput::Gone`].
    pub fn gone(&self, member: u64) {
        drop(self.node.send(Input::Other(NodeInput::Gone(member))));
    }

    /// A message to `member` could not be sent.
    pub fn unreachable(&self, member: u64) {
        drop(self.node.send(Input::Other(NodeInput::Unreachable(member))));
    }

    /// Reports that the snapshot for `member` was sent, or failed.
    pub fn snapshot_sent(&self, member: u64, success: bool) {
        drop(self.node.send(Input::Other(NodeInput::SnapshotSent { member, success })));
    }

    /// Records that `member` may have the beginning of this snapshot, and resumes it when raft
    /// sends it one again; until then the log behind it stays in memory, as far as there is room.
    /// `None` clears the record.
    pub fn snapshot_begun(&self, member: u64, mark: Option<SnapshotMark>) {
        drop(self.node.send(Input::Other(NodeInput::SnapshotBegun { member, mark })));
    }

    /// Requests a transfer of leadership to `member`; [`Published::raft_status`] shows the result.
    pub fn transfer_leader(&self, member: MemberId) {
        drop(self.node.send(Input::Other(NodeInput::Transfer(member.0))));
    }

    /// Shortens the time until this member campaigns to two ticks, unless it hears of a leader.
    pub fn bring_election_forward(&self) {
        drop(self.node.send(Input::Other(NodeInput::BringElectionForward)));
    }

    /// Returns the progress of the members; empty unless this one is leader.
    pub async fn progress(&self) -> Vec<Progress> {
        let (reply, answered) = oneshot::channel();
        if self.node.send(Input::Progress(reply)).is_err() {
            return Vec::new();
        }
        answered.await.unwrap_or_default()
    }

    /// Makes a state of a backend file that another member sent with `message`. Blocks for as long
    /// as the file is large, and changes nothing of the present state.
    pub fn prepare_snapshot(&self, message: &Message, file: &File) -> Result<Prepared, PrepareError> {
        let own = raftlog::Identity { member_id: self.member_id, cluster_id: self.cluster_id };
        install::prepare(&self.dir, own, &self.store_options, message, file)
    }

    /// Puts a prepared state in the place of the present one, unless raft has no use for it.
    /// Returns whether it did.
    pub async fn install_snapshot(&self, message: Message, prepared: Prepared) -> bool {
        let (taken, answered) = oneshot::channel();
        let input = Input::Snapshot { message: Box::new(message), prepared: Box::new(prepared), taken };
        self.node.send(input).is_ok() && answered.await.unwrap_or(false)
    }

    /// Returns index and term of the last entry of the log. The term is 0 while another thread
    /// replaces the log.
    pub fn last_entry(&self) -> (u64, u64) {
        let index = self.log.last_index();
        (index, self.log.term(index).unwrap_or(0))
    }

    /// Returns the directory of this member's data.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}
