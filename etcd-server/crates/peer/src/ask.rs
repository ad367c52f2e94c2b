//! Questions to other members, outside of raft's traffic.

use crate::connect::{Answered, Connect, RequestError, ask, request};
use crate::handshake;
use crate::local::HashKv;
use http::{Method, StatusCode, Uri};
use http_body_util::Full;
use membership::{Member, Version};
use prost::Message as _;
use proto::etcdserverpb::{LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseTimeToLiveRequest, LeaseTimeToLiveResponse};
use proto::leasepb::{LeaseInternalRequest, LeaseInternalResponse};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use types::ClusterId;

/// Largest list of members that is read.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Why another member's answer is of no use.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There was none.
    #[error("{url}: {error}")]
    Request {
        /// Who was asked.
        url: Uri,
        /// What happened.
        error: RequestError,
    },
    /// It says no.
    #[error("{url}: {status}: {text}")]
    Refused {
        /// Who was asked.
        url: Uri,
        /// The status.
        status: StatusCode,
        /// The text of the answer.
        text: String,
    },
    /// It makes no sense.
    #[error("{url}: {why}")]
    Malformed {
        /// Who was asked.
        url: Uri,
        /// What is wrong.
        why: String,
    },
}

/// The members as another member knows them.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its cluster.
    pub cluster: ClusterId,
    /// The members, ascending by id.
    pub members: Vec<Member>,
}

/// The body of a question for HashKV.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct HashKvQuestion {
    #[serde(default)]
    pub(crate) revision: i64,
}

/// Its answer; zeros are left out.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct HashKvAnswer {
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

impl From<HashKv> for HashKvAnswer {
    fn from(hashed: HashKv) -> Self {
        let HashKv { current_revision, hash, compact_revision, hash_revision } = hashed;
        Self { header: HashKvHeader { revision: current_revision }, hash, compact_revision, hash_revision }
    }
}

async fn get(connect: &dyn Connect, url: &Uri, path: &str, timeout: Duration) -> Result<Answered, AskError> {
    let build = || request(Method::GET, url, path).body(Full::default());
    accepted(url, ask(connect, url, build, ANSWER_BYTES_MAX, timeout).await)
}

async fn post(connect: &dyn Connect, url: &Uri, path: &str, body: Vec<u8>, timeout: Duration) -> Result<Answered, AskError> {
    let build = || request(Method::POST, url, path).header(http::header::CONTENT_TYPE, "application/protobuf").body(Full::new(body.into()));
    accepted(url, ask(connect, url, build, ANSWER_BYTES_MAX, timeout).await)
}

fn accepted(url: &Uri, answered: Result<Answered, RequestError>) -> Result<Answered, AskError> {
    let answered = answered.map_err(|error| AskError::Request { url: url.clone(), error })?;
    if answered.head.status == StatusCode::OK {
        return Ok(answered);
    }
    let text = String::from_utf8_lossy(&answered.body).trim_end().to_owned();
    Err(AskError::Refused { url: url.clone(), status: answered.head.status, text })
}

fn malformed(url: &Uri, why: &dyn std::fmt::Display) -> AskError {
    AskError::Malformed { url: url.clone(), why: why.to_string() }
}

/// Who belongs to the cluster of the member at `url`.
pub async fn members(connect: &dyn Connect, url: &Uri, timeout: Duration) -> Result<Known, AskError> {
    let answered = get(connect, url, "/members", timeout).await?;
    let cluster = answered.head.headers.get(handshake::CLUSTER).and_then(|value| handshake::id_of(value.to_str().ok()?));
    let cluster = cluster.ok_or_else(|| malformed(url, &"the answer names no cluster"))?;
    let values: Vec<serde_json::Value> = serde_json::from_slice(&answered.body).map_err(|error| malformed(url, &error))?;
    let members: Result<Vec<Member>, _> = values.iter().map(|value| Member::from_json(value.to_string().as_bytes())).collect();
    let mut members = members.map_err(|error| malformed(url, &error))?;
    members.sort_by_key(|member| member.id);
    if members.is_empty() {
        return Err(malformed(url, &"it knows no members"));
    }
    Ok(Known { cluster: ClusterId(cluster), members })
}

/// The version of the member at `url`, and of its cluster when that is decided.
pub async fn version(connect: &dyn Connect, url: &Uri, timeout: Duration) -> Result<(Version, Option<Version>), AskError> {
    #[derive(Deserialize)]
    struct Versions {
        etcdserver: String,
        etcdcluster: String,
    }
    let answered = get(connect, url, "/version", timeout).await?;
    let versions: Versions = serde_json::from_slice(&answered.body).map_err(|error| malformed(url, &error))?;
    Ok((versions.etcdserver.parse().map_err(|error| malformed(url, &error))?, versions.etcdcluster.parse().ok()))
}

/// Whether the cluster of the member at `url` is on its way to an earlier version.
pub async fn downgrade_enabled(connect: &dyn Connect, url: &Uri, timeout: Duration) -> Result<bool, AskError> {
    let answered = get(connect, url, "/downgrade/enabled", timeout).await?;
    std::str::from_utf8(&answered.body)
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .ok_or_else(|| malformed(url, &"neither true nor false"))
}

/// Whom the leader at `url` has heard of lately. An etcd member does not know the question.
pub async fn recently_active(connect: &dyn Connect, url: &Uri, timeout: Duration) -> Result<Vec<u64>, AskError> {
    let answered = get(connect, url, "/raft/progress", timeout).await?;
    serde_json::from_slice(&answered.body).map_err(|error| malformed(url, &error))
}

/// The hash of the live records of the member at `url`, by index. An etcd member does not know the question.
pub async fn live_hashes(connect: &dyn Connect, url: &Uri, timeout: Duration) -> Result<BTreeMap<u64, u128>, AskError> {
    let answered = get(connect, url, "/members/livehash", timeout).await?;
    let marks: BTreeMap<u64, String> = serde_json::from_slice(&answered.body).map_err(|error| malformed(url, &error))?;
    let read = |(index, hash): (u64, String)| u128::from_str_radix(&hash, 16).map(|hash| (index, hash));
    marks.into_iter().map(read).collect::<Result<_, _>>().map_err(|error| malformed(url, &error))
}

/// Asks the leader at `url` to renew a lease.
pub async fn keep_alive(connect: &dyn Connect, url: &Uri, lease: i64, timeout: Duration) -> Result<LeaseKeepAliveResponse, AskError> {
    let body = LeaseKeepAliveRequest { id: lease }.encode_to_vec();
    let answered = post(connect, url, "/leases", body, timeout).await?;
    LeaseKeepAliveResponse::decode(answered.body).map_err(|error| malformed(url, &error))
}

/// Asks the leader at `url` what is left of a lease.
pub async fn time_to_live(
    connect: &dyn Connect,
    url: &Uri,
    lease: i64,
    keys: bool,
    timeout: Duration,
) -> Result<LeaseTimeToLiveResponse, AskError> {
    let asked = LeaseInternalRequest { lease_time_to_live_request: Some(LeaseTimeToLiveRequest { id: lease, keys }) };
    let answered = post(connect, url, "/leases/internal", asked.encode_to_vec(), timeout).await?;
    let answer = LeaseInternalResponse::decode(answered.body).map_err(|error| malformed(url, &error))?;
    answer.lease_time_to_live_response.ok_or_else(|| malformed(url, &"an empty answer"))
}

/// Asks the leader at `url` to promote a learner; answers the members.
pub async fn promote(connect: &dyn Connect, url: &Uri, id: u64, token: Option<&str>, timeout: Duration) -> Result<Vec<Member>, AskError> {
    let build = || {
        let asked = request(Method::POST, url, &format!("/members/promote/{id}"));
        let asked = if let Some(token) = token { asked.header(http::header::AUTHORIZATION, token) } else { asked };
        asked.body(Full::default())
    };
    let answered = accepted(url, ask(connect, url, build, ANSWER_BYTES_MAX, timeout).await)?;
    let values: Vec<serde_json::Value> = serde_json::from_slice(&answered.body).map_err(|error| malformed(url, &error))?;
    let members: Result<Vec<Member>, _> = values.iter().map(|value| Member::from_json(value.to_string().as_bytes())).collect();
    members.map_err(|error| malformed(url, &error))
}

/// Asks the member at `url` for the hash of its key space at a revision.
pub async fn hash_kv(connect: &dyn Connect, url: &Uri, cluster: ClusterId, revision: i64, timeout: Duration) -> Result<HashKv, AskError> {
    let body = serde_json::to_vec(&HashKvQuestion { revision }).map_err(|error| malformed(url, &error))?;
    let build =
        || request(Method::GET, url, "/members/hashkv").header(handshake::CLUSTER, cluster.to_string()).body(Full::new(body.into()));
    let answered = accepted(url, ask(connect, url, build, ANSWER_BYTES_MAX, timeout).await)?;
    let answer: HashKvAnswer = serde_json::from_slice(&answered.body).map_err(|error| malformed(url, &error))?;
    let HashKvAnswer { header, hash, compact_revision, hash_revision } = answer;
    Ok(HashKv { current_revision: header.revision, hash, compact_revision, hash_revision })
}
