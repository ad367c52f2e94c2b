//! The handler of requests at a peer listener.

use crate::body::{Unread, whole};
use crate::connect::Socket;
use crate::frame::StreamKind;
use crate::handshake::{self, Mismatch, id_of};
use crate::lease_batch;
use crate::local::{HttpError, Local};
use crate::peer_sender::StreamBody;
use crate::probe;
use crate::reply::{self, Reply, ReplyBody, text};
use crate::state_receiver;
use crate::transport::Transport;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prost::Message as _;
use proto::raftpb::Message;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use time::OffsetDateTime;

/// Largest posted message: one beyond the largest request and its envelope would be etcd's too.
const MESSAGE_BYTES_MAX: usize = 512 << 20;
/// Largest body of the small requests (etcd 3.7.1).
const SMALL_BYTES_MAX: usize = 64 << 10;
/// For the headers of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves one connection until it ends.
pub async fn serve(
    stream: impl Socket + 'static,
    remote: Option<IpAddr>,
    transport: Transport,
) -> Result<(), hyper::Error> {
    let stream: Box<dyn Socket> = Box::new(stream);
    let service = service_fn(move |request| {
        let transport = transport.clone();
        async move { Ok::<_, Infallible>(respond(&transport, remote, request).await) }
    });
    hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

async fn respond(transport: &Transport, remote: Option<IpAddr>, request: Request<Incoming>) -> Reply {
    let mut reply = match for_this_member(transport, &request) {
        Ok(()) => dispatch(transport, remote, request).await,
        Err(reply) => *reply,
    };
    for (name, id) in [
        (handshake::CLUSTER, transport.0.shared.own.cluster.to_string()),
        (handshake::FROM, transport.0.shared.own.member.to_string()),
        (handshake::FENCES, handshake::FENCES_VERSION.to_owned()),
    ] {
        if let Ok(id) = HeaderValue::try_from(id) {
            reply.headers_mut().insert(name, id);
        }
    }
    reply
}

/// Checks that a request which names a cluster or a member is meant for this one. A real etcd names
/// the cluster in some requests only, and a server that joins names neither.
fn for_this_member(transport: &Transport, request: &Request<Incoming>) -> Result<(), Box<Reply>> {
    let own = &transport.0.shared.own;
    let named = |name| request.headers().get(name).map(HeaderValue::as_bytes);
    if named(handshake::CLUSTER).is_some_and(|cluster| cluster != own.cluster.to_string().as_bytes()) {
        return Err(Box::new(refused(transport, Mismatch::Cluster, request)));
    }
    if named(handshake::TO).is_some_and(|member| member != own.member.to_string().as_bytes()) {
        return Err(Box::new(refused(transport, Mismatch::Member, request)));
    }
    Ok(())
}

async fn dispatch(transport: &Transport, remote: Option<IpAddr>, request: Request<Incoming>) -> Reply {
    let path = request.uri().path().to_owned();
    match path.as_str() {
        "/raft/probing" => probing(),
        "/members" => members(transport, &request),
        "/version" => version(transport, &request),
        "/raft" => guarded(transport, request, |transport, _, request| post(transport, remote, request)).await,
        "/raft/snapshot" if request.method() == Method::GET => {
            guarded_get(transport, &request, state_receiver::held).await
        }
        "/raft/snapshot" => guarded(transport, request, state_receiver::take).await,
        "/members/livehash" => live_hashes(transport, &request),
        "/raft/progress" => progress(transport, &request).await,
        "/members/hashkv" => hash_kv(transport, request).await,
        "/leases" => keep_alive(transport, request).await,
        lease_batch::PATH => lease_batch::serve(transport, request).await,
        "/leases/internal" => time_to_live(transport, request).await,
        "/downgrade/enabled" => downgrade_enabled(transport, &request).await,
        path if path.starts_with("/raft/stream/") => stream(transport, &request, path),
        path if path.starts_with("/members/promote/") => promote(transport, &request, path).await,
        _ => text(StatusCode::NOT_FOUND, "404 page not found"),
    }
}

/// The checks that come before raft's endpoints.
async fn guarded<F, R>(transport: &Transport, request: Request<Incoming>, handle: F) -> Reply
where
    F: FnOnce(Transport, Arc<dyn Local>, Request<Incoming>) -> R,
    R: Future<Output = Reply>,
{
    if request.method() != Method::POST {
        return not_allowed("POST");
    }
    if let Err(mismatch) = handshake::check(request.headers(), &transport.0.shared.own) {
        return refused(transport, mismatch, &request);
    }
    remember_sender(transport, &request);
    if let Some(peer) = sender(&request).and_then(|id| transport.0.peer(id)) {
        transport.0.shared.heard(&peer.peer_sender, request.headers());
    }
    match started(transport) {
        Ok(local) => handle(transport.clone(), local, request).await,
        Err(reply) => *reply,
    }
}

/// As [`guarded`], for a question.
async fn guarded_get<F, R>(transport: &Transport, request: &Request<Incoming>, response: F) -> Reply
where
    F: FnOnce(Arc<dyn Local>) -> R,
    R: Future<Output = Reply>,
{
    if let Err(mismatch) = handshake::check(request.headers(), &transport.0.shared.own) {
        return refused(transport, mismatch, request);
    }
    match started(transport) {
        Ok(local) => response(local).await,
        Err(reply) => *reply,
    }
}

/// Returns the member that a request names as its sender.
fn sender(request: &Request<Incoming>) -> Option<u64> {
    request.headers().get(handshake::FROM)?.to_str().ok().and_then(id_of)
}

fn remember_sender(transport: &Transport, request: &Request<Incoming>) {
    let urls = request.headers().get(handshake::PEER_URLS).and_then(|value| value.to_str().ok());
    if let (Some(id), Some(urls)) = (sender(request), urls)
        && transport.0.peer(id).is_none()
    {
        transport.0.remember(id, urls);
    }
}

/// Refuses a request of a member that this one does not work with. Such a member tries again
/// several times a second, so the log line is limited to one a minute for each sender and cause.
fn refused(transport: &Transport, mismatch: Mismatch, request: &Request<Incoming>) -> Reply {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("?");
    let (sender, cluster, urls) = (header(handshake::FROM), header(handshake::CLUSTER), header(handshake::PEER_URLS));
    if transport.0.shared.refusal_logs.allows(&format!("{sender} {cluster} {mismatch}"), Instant::now()) {
        tracing::warn!(
            remote_peer_id = sender, remote_peer_cluster_id = cluster, remote_peer_urls = urls,
            local_member_id = %transport.0.shared.own.member, local_member_cluster_id = %transport.0.shared.own.cluster, error = %mismatch,
            remedy = mismatch.remedy(),
            "rejected request from remote peer"
        );
    }
    text(Mismatch::STATUS, &mismatch.to_string())
}

fn not_allowed(method: &'static str) -> Reply {
    let mut reply = text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    reply.headers_mut().insert(ALLOW, HeaderValue::from_static(method));
    reply
}

fn stream(transport: &Transport, request: &Request<Incoming>, path: &str) -> Reply {
    let (peers, shared) = (&transport.0, &transport.0.shared);
    if request.method() != Method::GET {
        return not_allowed("GET");
    }
    if let Err(mismatch) = handshake::check(request.headers(), &shared.own) {
        return refused(transport, mismatch, request);
    }
    let mut parts = path["/raft/stream/".len()..].splitn(2, '/');
    let kind = parts.next().and_then(|name| StreamKind::ALL.into_iter().find(|kind| kind.path() == name));
    let Some(kind) = kind else { return text(StatusCode::NOT_FOUND, "invalid path") };
    let Some(from) = parts.next().and_then(id_of) else { return text(StatusCode::NOT_FOUND, "invalid from") };
    if peers.is_removed(from) {
        return text(StatusCode::GONE, "removed member");
    }
    let Some(peer) = peers.peer(from) else {
        remember_sender(transport, request);
        return text(StatusCode::NOT_FOUND, "error sender not found");
    };
    // One that names another member was refused before.
    if !request.headers().contains_key(handshake::TO) {
        return refused(transport, Mismatch::Member, request);
    }
    shared.heard(&peer.peer_sender, request.headers());
    let body: StreamBody = peer.peer_sender.open(kind);
    let mut reply = Response::new(ReplyBody::Stream(body));
    if let Ok(version) = HeaderValue::try_from(shared.own.version.to_string()) {
        reply.headers_mut().insert(handshake::VERSION, version);
    }
    reply
}

async fn post(transport: Transport, remote: Option<IpAddr>, request: Request<Incoming>) -> Reply {
    let failed = || {
        if let Some(remote) = remote {
            transport.0.shared.observer.receive_failed(remote);
        }
    };
    let Ok(body) = whole(request.into_body(), MESSAGE_BYTES_MAX).await else {
        failed();
        return text(StatusCode::BAD_REQUEST, "error reading raft message");
    };
    let Ok(message) = Message::decode(body.clone()) else {
        failed();
        return text(StatusCode::BAD_REQUEST, "error unmarshalling raft message");
    };
    if message.to != transport.0.shared.own.member.0 || transport.0.is_removed(message.from) {
        tracing::warn!(remote_peer_id = %types::MemberId(message.from), to = %types::MemberId(message.to), "refused raft message");
        return text(StatusCode::INTERNAL_SERVER_ERROR, "error processing raft message");
    }
    // A sender that is not a member is not counted: its id is arbitrary.
    if let Some(peer) = transport.0.peer(message.from) {
        peer.peer_sender.observer.received(body.len());
    }
    transport.0.shared.deliver(message);
    reply::empty(StatusCode::NO_CONTENT)
}

fn probing() -> Reply {
    let mut reply = Response::new(ReplyBody::Full(Full::new(Bytes::from(probe::health(OffsetDateTime::now_utc())))));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    reply
}

/// This member, once it can answer.
pub(crate) fn started(transport: &Transport) -> Result<Arc<dyn Local>, Box<Reply>> {
    let starting = || Box::new(text(StatusCode::SERVICE_UNAVAILABLE, "this member is starting"));
    transport.0.shared.local().cloned().ok_or_else(starting)
}

/// Answers `GET` alone, from this member.
fn got(transport: &Transport, request: &Request<Incoming>) -> Result<Arc<dyn Local>, Box<Reply>> {
    if request.method() != Method::GET {
        return Err(Box::new(not_allowed("GET")));
    }
    started(transport)
}

fn members(transport: &Transport, request: &Request<Incoming>) -> Reply {
    match got(transport, request) {
        Ok(local) => reply::json(format!("{}\n", members_json(&local.membership()))),
        Err(reply) => *reply,
    }
}

/// The members as a JSON array, ascending by id.
pub fn members_json(membership: &membership::Membership) -> String {
    let members: Vec<String> = membership.members().map(membership::Member::to_json).collect();
    format!("[{}]", members.join(","))
}

fn version(transport: &Transport, request: &Request<Incoming>) -> Reply {
    let local = match got(transport, request) {
        Ok(local) => local,
        Err(reply) => return *reply,
    };
    let server = transport.0.shared.own.version;
    let cluster = local.cluster_version();
    let text = |undecided: &str| cluster.map_or_else(|| undecided.to_owned(), |version| version.to_string());
    reply::json(format!(
        "{{\"etcdserver\":\"{server}\",\"etcdcluster\":\"{}\",\"storage\":\"{}\"}}",
        text("not_decided"),
        text("unknown")
    ))
}

/// Not etcd's: the hash of the live records at some of the last indexes, by which members compare
/// themselves all the time.
fn live_hashes(transport: &Transport, request: &Request<Incoming>) -> Reply {
    match got(transport, request) {
        Ok(local) => {
            let marks: BTreeMap<u64, String> =
                local.live_hashes().into_iter().map(|(index, hash)| (index, format!("{hash:032x}"))).collect();
            reply::json(serde_json::to_string(&marks).unwrap_or_default())
        }
        Err(reply) => *reply,
    }
}

/// Returns the members that the leader has heard of lately, so that any member can judge a
/// membership change. Not etcd's.
async fn progress(transport: &Transport, request: &Request<Incoming>) -> Reply {
    let local = match got(transport, request) {
        Ok(local) => local,
        Err(reply) => return *reply,
    };
    match local.recently_active().await {
        Some(active) => reply::json(serde_json::to_string(&active).unwrap_or_default()),
        None => text(StatusCode::CONFLICT, "not leader"),
    }
}

async fn promote(transport: &Transport, request: &Request<Incoming>, path: &str) -> Reply {
    if request.method() != Method::POST {
        return not_allowed("POST");
    }
    let local = match started(transport) {
        Ok(local) => local,
        Err(reply) => return *reply,
    };
    let id = &path["/members/promote/".len()..];
    let Ok(number) = id.parse::<u64>() else {
        return text(StatusCode::NOT_FOUND, &format!("member {id} not found in cluster"));
    };
    let token = request.headers().get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match local.promote(number, token).await {
        Ok(members) => reply::json(format!("{members}\n")),
        Err(refusal) => reply::refusal(&refusal),
    }
}

async fn hash_kv(transport: &Transport, request: Request<Incoming>) -> Reply {
    let local = match got(transport, &request) {
        Ok(local) => local,
        Err(reply) => return *reply,
    };
    let Ok(body) = whole(request.into_body(), SMALL_BYTES_MAX).await else {
        return text(StatusCode::BAD_REQUEST, "error reading body");
    };
    let Ok(asked) = serde_json::from_slice::<crate::ask::HashKvRequest>(&body) else {
        return text(StatusCode::BAD_REQUEST, "error unmarshalling request");
    };
    match local.hash_kv(asked.revision).await {
        Ok(hashed) => reply::json(serde_json::to_string(&crate::ask::HashKvReply::from(hashed)).unwrap_or_default()),
        Err(refusal) => reply::refusal(&refusal),
    }
}

async fn small_body<M: prost::Message + Default>(request: Request<Incoming>) -> Result<M, Box<Reply>> {
    if request.method() != Method::POST {
        return Err(Box::new(not_allowed("POST")));
    }
    let body = whole(request.into_body(), SMALL_BYTES_MAX).await.map_err(|unread| {
        Box::new(match unread {
            Unread::Refused => text(StatusCode::PAYLOAD_TOO_LARGE, "request body too large"),
            Unread::TooSlow => text(StatusCode::REQUEST_TIMEOUT, "request body too slow"),
        })
    })?;
    M::decode(body).map_err(|_| Box::new(text(StatusCode::BAD_REQUEST, "error unmarshalling request")))
}

async fn keep_alive(transport: &Transport, request: Request<Incoming>) -> Reply {
    let local = match started(transport) {
        Ok(local) => local,
        Err(reply) => return *reply,
    };
    match small_body::<proto::etcdserverpb::LeaseKeepAliveRequest>(request).await {
        Err(reply) => *reply,
        Ok(asked) => reply::protobuf(local.keep_alive(asked.id).await),
    }
}

async fn time_to_live(transport: &Transport, request: Request<Incoming>) -> Reply {
    let local = match started(transport) {
        Ok(local) => local,
        Err(reply) => return *reply,
    };
    match small_body::<proto::leasepb::LeaseInternalRequest>(request).await {
        Err(reply) => *reply,
        Ok(asked) => {
            let asked = asked.lease_time_to_live_request.unwrap_or_default();
            let response = local.time_to_live(asked.id, asked.keys).await;
            let wrapped =
                |response| proto::leasepb::LeaseInternalResponse { lease_time_to_live_response: Some(response) };
            reply::protobuf(response.map(wrapped))
        }
    }
}

async fn downgrade_enabled(transport: &Transport, request: &Request<Incoming>) -> Reply {
    match got(transport, request) {
        Err(reply) => *reply,
        Ok(local) => match local.downgrade_enabled().await {
            Ok(enabled) => text(StatusCode::OK, &enabled.to_string()),
            Err(HttpError { text: why, .. }) => text(StatusCode::INTERNAL_SERVER_ERROR, &why),
        },
    }
}
