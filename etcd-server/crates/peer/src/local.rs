//! The interface of this member for the peer protocol, and the reports back to it.

use crate::snapshot_reader::SnapshotReader;
use bytes::Bytes;
use membership::{Membership, Version};
use proto::etcdserverpb::{HashKvResponse, LeaseKeepAliveResponse, LeaseTimeToLiveResponse};
use proto::raftpb::Message;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// An answer that takes time.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A refusal on its way to another member: an HTTP status and a line of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpError {
    /// The status code.
    pub status: u16,
    /// The text, without a newline.
    pub text: String,
}

/// The part of a snapshot that a member has received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The snapshot: a number that its sender drew for it.
    pub transfer: u64,
    /// Number of bytes from its beginning.
    pub bytes: u64,
}

/// A member that needs a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// It takes the bare backend file: a real etcd.
    Plain,
    /// It checks a checksum behind the file, and can go on with a state that it holds the beginning
    /// of.
    Resuming(Option<Held>),
}

/// The state on its way to a member that needs all of it.
#[derive(Debug)]
pub struct Outgoing {
    /// The raft message, with the index, term and configuration of the very state that follows.
    pub message: Message,
    /// The snapshot and the number of its bytes that are left out; `None` for the bare file.
    pub transfer: Option<Held>,
    /// The backend file in order, its checksum behind it where there is one; an error ends it, and
    /// with it the sending.
    pub parts: mpsc::Receiver<Result<Bytes, String>>,
}

/// The HashKV of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashKv {
    /// The member's newest revision.
    pub current_revision: i64,
    /// The hash.
    pub hash: u32,
    /// Its compacted revision.
    pub compact_revision: i64,
    /// The revision that was hashed.
    pub hash_revision: i64,
}

impl From<HashKvResponse> for HashKv {
    fn from(response: HashKvResponse) -> Self {
        Self {
            current_revision: response.header.map_or(0, |header| header.revision),
            hash: response.hash,
            compact_revision: response.compact_revision,
            hash_revision: response.hash_revision,
        }
    }
}

/// This member, as other members meet it. Calls that answer at once must not wait for anything.
pub trait Local: Send + Sync {
    /// A raft message came in. `false` when there is no room for it: it is dropped, which raft
    /// allows.
    fn step(&self, message: Message) -> bool;

    /// A message to `member` could not be sent.
    fn unreachable(&self, member: u64);

    /// `member` honours the fences of forwarded proposals from now on, or does not: it appends each
    /// in the term that it was sent in or not at all. A real etcd does not, nor does an older
    /// version of this program.
    fn fencing(&self, member: u64, honours: bool);

    /// The process of `member` has ended: a stream that it served is closed, and all its addresses
    /// refuse connections.
    fn gone(&self, member: u64);

    /// The state was sent to `member` as a whole, or not.
    fn snapshot_sent(&self, member: u64, success: bool);

    /// Another member says that this one was removed.
    fn told_removed(&self);

    /// The members.
    fn membership(&self) -> Arc<Membership>;

    /// The version of the cluster, when it is decided.
    fn cluster_version(&self) -> Option<Version>;

    /// Returns the snapshot for `message`, which raft wants to send: at its index or later, or the
    /// one that `receiver` holds the beginning of.
    fn snapshot(&self, message: Message, receiver: Receiver) -> LocalFuture<'_, Result<Outgoing, String>>;

    /// Returns the received part of an interrupted transfer. The refusal is returned to the sender:
    /// another snapshot is being received.
    fn held_snapshot(&self) -> LocalFuture<'_, Result<Option<Held>, HttpError>>;

    /// Receives another member's snapshot, from the bytes on that `transfer` names, and returns
    /// when raft has accepted it. Without `transfer` it is a bare file. The error is returned to
    /// the sender.
    fn receive_snapshot<'a>(
        &'a self,
        message: Message,
        transfer: Option<Held>,
        body: &'a mut SnapshotReader,
    ) -> LocalFuture<'a, Result<(), HttpError>>;

    /// Promotes a learner on behalf of another member; the answer is the JSON of the members.
    fn promote<'a>(&'a self, id: u64, token: Option<&'a str>) -> LocalFuture<'a, Result<String, HttpError>>;

    /// The hash at a revision; 0 is the newest.
    fn hash_kv(&self, revision: i64) -> LocalFuture<'_, Result<HashKv, HttpError>>;

    /// Renews a lease, as the leader.
    fn keep_alive(&self, lease: i64) -> LocalFuture<'_, Result<LeaseKeepAliveResponse, HttpError>>;

    /// Renews leases, as the leader; zero for one that does not exist, `None` for one that has to
    /// be renewed again.
    fn keep_alive_batch(&self, leases: Vec<i64>) -> LocalFuture<'_, Result<Vec<Option<i64>>, HttpError>>;

    /// Returns the remaining time of a lease, as the leader knows it.
    fn time_to_live(&self, lease: i64, keys: bool) -> LocalFuture<'_, Result<LeaseTimeToLiveResponse, HttpError>>;

    /// Returns `true` if a downgrade is under way, as of now.
    fn downgrade_enabled(&self) -> LocalFuture<'_, Result<bool, HttpError>>;

    /// The hash of the live records at some of the last indexes.
    fn live_hashes(&self) -> BTreeMap<u64, u128>;

    /// The members that have answered the leader lately; nothing when this member does not lead.
    fn recently_active(&self) -> LocalFuture<'_, Option<Vec<u64>>>;
}

/// The observer of the traffic with other members.
pub trait Observer: Send + Sync + std::fmt::Debug {
    /// The counters of a member. May wait for a lock, so it is asked for once and kept where
    /// messages pass.
    fn peer(&self, id: u64) -> Arc<dyn PeerObserver>;

    /// A message from this address could not be received or read.
    fn receive_failed(&self, _from: IpAddr) {}
}

/// The observer of the traffic with one member. Called where events happen; must not wait.
pub trait PeerObserver: Send + Sync + std::fmt::Debug {
    /// Bytes of raft messages left for it.
    fn sent(&self, bytes: usize);

    /// Bytes of raft messages came from it.
    fn received(&self, bytes: usize);

    /// A message to it was dropped or failed.
    fn send_failed(&self);

    /// A question to it took so long to be answered.
    fn round_trip(&self, took: Duration);

    /// Records that a snapshot is being sent to it from now on, or no more.
    fn snapshot_sending(&self, _sending: bool) {}

    /// Records that a snapshot was sent to it, or failed.
    fn snapshot_sent(&self, success: bool, took: Duration);

    /// It is a member from now on, or no more.
    fn member(&self, is_member: bool);

    /// A connection to it was made or lost.
    fn active(&self, active: bool);
}
