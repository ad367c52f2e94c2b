//! Requests to other members outside of raft's traffic.
//!
//! A response is believed only if it comes from the member that the request was for: an address may
//! be reused, or a host may run a member of another cluster from an old data directory. Every
//! request names the cluster and the member that it is for, and a member of our kind names itself
//! in every response. A real etcd names at most its cluster; its responses are believed while it
//! serves a raft stream at the same address, because it has checked then that the stream was meant
//! for it. See [`Target`].

use crate::connect::{Connect, HttpResponse, RequestError, ask, request};
use crate::handshake::{self, Mismatch};
use crate::local::HashKv;
use crate::peer_sender::PeerSender;
use crate::shared::Shared;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use http_body_util::Full;
use membership::{Member, Version};
use prost::Message as _;
use proto::etcdserverpb::{
    LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseTimeToLiveRequest, LeaseTimeToLiveResponse,
};
use proto::leasepb::{LeaseInternalRequest, LeaseInternalResponse};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use types::{ClusterId, MemberId};

/// Largest response that is read, in bytes: a list of members.
const RESPONSE_BYTES_MAX: usize = 16 << 20;

/// A request to another member that failed.
#[derive(Debug, thiserror::Error)]
pub enum PeerCallError {
    /// No response.
    #[error("{url}: {error}")]
    Request {
        /// The address.
        url: Uri,
        /// The cause.
        error: RequestError,
    },
    /// A response with another status than 200.
    #[error("{url}: {status}: {text}")]
    Refused {
        /// The address.
        url: Uri,
        /// The status.
        status: StatusCode,
        /// The body.
        text: String,
    },
    /// A response of another server than the member that the request was for.
    #[error("{url}: {mismatch}")]
    Identity {
        /// The address.
        url: Uri,
        /// The difference.
        mismatch: IdentityMismatch,
    },
    /// A response that cannot be read.
    #[error("{url}: {why}")]
    Malformed {
        /// The address.
        url: Uri,
        /// The cause.
        why: String,
    },
}

/// The reason why a response is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityMismatch {
    /// The server belongs to another cluster, or refused the request because this member does.
    #[error("cluster ID mismatch: a member of another cluster{} listens at this address; stop it, or correct the address with `member update`", of(.0.as_ref()))]
    Cluster(Option<ClusterId>),
    /// The server is another member of this cluster.
    #[error("member ID mismatch: member {0} listens at this address; correct the address with `member update`")]
    Member(MemberId),
    /// The response does not say which member it comes from, and no raft stream proves it.
    #[error("the response names no member, and no raft stream to this address is open")]
    Unproven,
}

fn of(cluster: Option<&ClusterId>) -> String {
    cluster.map_or_else(String::new, |cluster| format!(" ({cluster})"))
}

/// One of the addresses of a member, as the destination of a request.
#[derive(Clone)]
pub struct Target {
    pub(crate) url: Uri,
    pub(crate) peer: Arc<PeerSender>,
    pub(crate) shared: Arc<Shared>,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target")
            .field("url", &self.url)
            .field("member", &MemberId(self.peer.id))
            .finish_non_exhaustive()
    }
}

/// The servers whose response is of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kinds {
    /// Any etcd.
    Any,
    /// Members of our kind: the path is not etcd's.
    Ours,
}

impl Target {
    /// The address.
    pub fn url(&self) -> &Uri {
        &self.url
    }

    /// Logs that another server listens at the address of the member, once a minute.
    pub fn report(&self, error: &PeerCallError) {
        if let PeerCallError::Identity { mismatch, .. } = error {
            self.peer.report_mismatch(self.shared.own.cluster, mismatch);
        }
    }

    async fn get(&self, path: &str, kinds: Kinds, timeout: Duration) -> Result<HttpResponse, PeerCallError> {
        self.send(Method::GET, path, HeaderMap::new(), Vec::new(), kinds, timeout).await
    }

    /// Posts a protobuf message.
    pub(crate) async fn post(
        &self,
        path: &str,
        body: Vec<u8>,
        timeout: Duration,
    ) -> Result<HttpResponse, PeerCallError> {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/protobuf"))]);
        self.send(Method::POST, path, headers, body, Kinds::Any, timeout).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Vec<u8>,
        kinds: Kinds,
        timeout: Duration,
    ) -> Result<HttpResponse, PeerCallError> {
        let identity = self.shared.own.headers(Some(self.peer.id));
        let build = || {
            let mut built = request(method, &self.url, path).body(Full::new(body.into()))?;
            built.headers_mut().extend(identity);
            built.headers_mut().extend(headers);
            Ok(built)
        };
        let answered = ask(&*self.shared.connect, &self.url, build, RESPONSE_BYTES_MAX, timeout).await;
        let answered = answered.map_err(|error| PeerCallError::Request { url: self.url.clone(), error })?;
        self.check_identity(&answered, kinds)
            .map_err(|mismatch| PeerCallError::Identity { url: self.url.clone(), mismatch })?;
        accepted(&self.url, answered)
    }

    /// Checks that the response comes from the member that the request was for.
    fn check_identity(&self, answered: &HttpResponse, kinds: Kinds) -> Result<(), IdentityMismatch> {
        let id = |name: &http::HeaderName| {
            answered.head.headers.get(name).and_then(|value| handshake::id_of(value.to_str().ok()?))
        };
        let cluster = id(&handshake::CLUSTER);
        let refused =
            answered.head.status == Mismatch::STATUS && Mismatch::from_body(&answered.body) == Some(Mismatch::Cluster);
        if refused || cluster.is_some_and(|cluster| cluster != self.shared.own.cluster.0) {
            return Err(IdentityMismatch::Cluster(cluster.map(ClusterId)));
        }
        match id(&handshake::FROM) {
            Some(member) if member == self.peer.id => Ok(()),
            Some(member) => Err(IdentityMismatch::Member(MemberId(member))),
            None if kinds == Kinds::Any && self.peer.streams_from(&self.url) => Ok(()),
            None => Err(IdentityMismatch::Unproven),
        }
    }
}

/// The members as another member knows them.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its cluster.
    pub cluster: ClusterId,
    /// The members, ascending by id.
    pub members: Vec<Member>,
}

/// The body of a request for HashKV.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct HashKvRequest {
    #[serde(default)]
    pub(crate) revision: i64,
}

/// The response to it; zeros are omitted.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct HashKvReply {
    header: HashKvHeader,
    #[serde(skip_serializing_if = "is_zero")]
    hash: u32,
    #[serde(skip_serializing_if = "is_zero")]
    compact_revision: i64,
    #[serde(skip_serializing_if = "is_zero")]
    hash_revision: i64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct HashKvHeader {
    #[serde(skip_serializing_if = "is_zero")]
    revision: i64,
}

fn is_zero<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}

impl From<HashKv> for HashKvReply {
    fn from(hashed: HashKv) -> Self {
        let HashKv { current_revision, hash, compact_revision, hash_revision } = hashed;
        Self { header: HashKvHeader { revision: current_revision }, hash, compact_revision, hash_revision }
    }
}

fn accepted(url: &Uri, answered: HttpResponse) -> Result<HttpResponse, PeerCallError> {
    if answered.head.status == StatusCode::OK {
        return Ok(answered);
    }
    let text = String::from_utf8_lossy(&answered.body).trim_end().to_owned();
    Err(PeerCallError::Refused { url: url.clone(), status: answered.head.status, text })
}

fn malformed(url: &Uri, why: &dyn std::fmt::Display) -> PeerCallError {
    PeerCallError::Malformed { url: url.clone(), why: why.to_string() }
}

/// Sends a request to an address whose member is not known yet: this server joins, and has no
/// identity itself.
async fn get_unidentified(
    connect: &dyn Connect,
    url: &Uri,
    path: &str,
    timeout: Duration,
) -> Result<HttpResponse, PeerCallError> {
    let build = || request(Method::GET, url, path).body(Full::default());
    let answered = ask(connect, url, build, RESPONSE_BYTES_MAX, timeout).await;
    accepted(url, answered.map_err(|error| PeerCallError::Request { url: url.clone(), error })?)
}

/// Returns the members of the cluster of the member at `url`.
pub async fn members(connect: &dyn Connect, url: &Uri, timeout: Duration) -> Result<Known, PeerCallError> {
    let answered = get_unidentified(connect, url, "/members", timeout).await?;
    let cluster =
        answered.head.headers.get(handshake::CLUSTER).and_then(|value| handshake::id_of(value.to_str().ok()?));
    let cluster = cluster.ok_or_else(|| malformed(url, &"the response names no cluster"))?;
    let mut members = members_from_json(url, &answered.body)?;
    members.sort_by_key(|member| member.id);
    if members.is_empty() {
        return Err(malformed(url, &"the list of members is empty"));
    }
    Ok(Known { cluster: ClusterId(cluster), members })
}

fn members_from_json(url: &Uri, body: &[u8]) -> Result<Vec<Member>, PeerCallError> {
    let values: Vec<serde_json::Value> = serde_json::from_slice(body).map_err(|error| malformed(url, &error))?;
    let members: Result<Vec<Member>, _> =
        values.iter().map(|value| Member::from_json(value.to_string().as_bytes())).collect();
    members.map_err(|error| malformed(url, &error))
}

/// Returns the version of the cluster of the member at `url`; `None` before it is decided.
pub async fn cluster_version(
    connect: &dyn Connect,
    url: &Uri,
    timeout: Duration,
) -> Result<Option<Version>, PeerCallError> {
    Ok(versions(url, &get_unidentified(connect, url, "/version", timeout).await?)?.1)
}

fn versions(url: &Uri, answered: &HttpResponse) -> Result<(Version, Option<Version>), PeerCallError> {
    #[derive(Deserialize)]
    struct Versions {
        etcdserver: String,
        etcdcluster: String,
    }
    let versions: Versions = serde_json::from_slice(&answered.body).map_err(|error| malformed(url, &error))?;
    Ok((versions.etcdserver.parse().map_err(|error| malformed(url, &error))?, versions.etcdcluster.parse().ok()))
}

/// Returns the version of a member.
pub async fn version(target: &Target, timeout: Duration) -> Result<Version, PeerCallError> {
    Ok(versions(&target.url, &target.get("/version", Kinds::Any, timeout).await?)?.0)
}

/// Returns the members that the leader has heard of within an election timeout. A real etcd does
/// not have this request.
pub async fn recently_active(target: &Target, timeout: Duration) -> Result<Vec<u64>, PeerCallError> {
    let answered = target.get("/raft/progress", Kinds::Ours, timeout).await?;
    serde_json::from_slice(&answered.body).map_err(|error| malformed(&target.url, &error))
}

/// Returns the hash of a member's live records by index. A real etcd does not have this request.
pub async fn live_hashes(target: &Target, timeout: Duration) -> Result<BTreeMap<u64, u128>, PeerCallError> {
    let answered = target.get("/members/livehash", Kinds::Ours, timeout).await?;
    let marks: BTreeMap<u64, String> =
        serde_json::from_slice(&answered.body).map_err(|error| malformed(&target.url, &error))?;
    let read = |(index, hash): (u64, String)| u128::from_str_radix(&hash, 16).map(|hash| (index, hash));
    marks.into_iter().map(read).collect::<Result<_, _>>().map_err(|error| malformed(&target.url, &error))
}

/// Renews a lease at the leader.
pub async fn keep_alive(
    target: &Target,
    lease: i64,
    timeout: Duration,
) -> Result<LeaseKeepAliveResponse, PeerCallError> {
    let body = LeaseKeepAliveRequest { id: lease }.encode_to_vec();
    let answered = target.post("/leases", body, timeout).await?;
    LeaseKeepAliveResponse::decode(answered.body).map_err(|error| malformed(&target.url, &error))
}

/// Returns the remaining time of a lease, as the leader knows it.
pub async fn time_to_live(
    target: &Target,
    lease: i64,
    keys: bool,
    timeout: Duration,
) -> Result<LeaseTimeToLiveResponse, PeerCallError> {
    let wrapped = LeaseInternalRequest { lease_time_to_live_request: Some(LeaseTimeToLiveRequest { id: lease, keys }) };
    let answered = target.post("/leases/internal", wrapped.encode_to_vec(), timeout).await?;
    let response = LeaseInternalResponse::decode(answered.body).map_err(|error| malformed(&target.url, &error))?;
    response.lease_time_to_live_response.ok_or_else(|| malformed(&target.url, &"the response is empty"))
}

/// Has the leader promote a learner; returns the members after that.
pub async fn promote(
    target: &Target,
    id: u64,
    token: Option<&str>,
    timeout: Duration,
) -> Result<Vec<Member>, PeerCallError> {
    let mut headers = HeaderMap::new();
    if let Some(token) = token {
        headers.insert(AUTHORIZATION, HeaderValue::try_from(token).map_err(|error| malformed(&target.url, &error))?);
    }
    let path = format!("/members/promote/{id}");
    let answered = target.send(Method::POST, &path, headers, Vec::new(), Kinds::Any, timeout).await?;
    members_from_json(&target.url, &answered.body)
}

/// Returns the hash of a member's key space at a revision; 0 is its newest.
pub async fn hash_kv(target: &Target, revision: i64, timeout: Duration) -> Result<HashKv, PeerCallError> {
    let body = serde_json::to_vec(&HashKvRequest { revision }).map_err(|error| malformed(&target.url, &error))?;
    let answered = target.send(Method::GET, "/members/hashkv", HeaderMap::new(), body, Kinds::Any, timeout).await?;
    let reply: HashKvReply = serde_json::from_slice(&answered.body).map_err(|error| malformed(&target.url, &error))?;
    let HashKvReply { header, hash, compact_revision, hash_revision } = reply;
    Ok(HashKv { current_revision: header.revision, hash, compact_revision, hash_revision })
}
