//! The way of a request: rewriting, access rules, then the endpoint that its path names.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body_util::BodyExt as _;
use tokio::sync::watch;
use tower_service::Service;

use crate::access::{self, AllowList};
use crate::bindings::Routes;
use crate::connection::Upgrades;
use crate::health::{self, Probe, Query};
use crate::limits::Limits;
use crate::member::Member;
use crate::response::{Body, BoxError, bad_request, empty, not_found, text};
use crate::transcode::Bounds;
use crate::{path, plain, transcode, websocket};

/// The page of this server's own for etcd-admin.
pub(crate) const MEMBER_PAGE: &str = "/debug/member";

/// The settings of the port.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `--enable-grpc-gateway`: without it, paths below `/v3/` do not exist.
    pub enable_gateway: bool,
    /// `--cors`: origins whose pages may read answers.
    pub cors: AllowList,
    /// `--host-whitelist`: names by which plain HTTP may be reached.
    pub host_whitelist: AllowList,
    /// `--client-cert-auth`: clients over TLS show a certificate.
    pub client_cert_auth: bool,
    /// Time limit of a health check's read: etcd's request timeout, 5 s and two election timeouts.
    pub request_timeout: Duration,
    /// The limits of a request.
    pub limits: Limits,
}

/// The known properties of the other side of a connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peer {
    /// Its address; unknown for unix sockets.
    pub remote: Option<SocketAddr>,
    /// `true` if the connection is encrypted.
    pub tls: bool,
    /// The common name of its verified certificate.
    pub common_name: Option<String>,
}

/// Everything that etcd serves over HTTP/1.1 on a client port. Cheap to clone; one clone serves one
/// request.
#[derive(Debug, Clone)]
pub struct Gateway<S> {
    service: S,
    shared: Arc<Shared>,
    end: Option<watch::Receiver<bool>>,
    ready: Option<watch::Receiver<bool>>,
}

struct Shared {
    member: Arc<dyn Member>,
    settings: Settings,
    routes: Routes,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl<S> Gateway<S>
where
    S: Service<Request<tonic::body::Body>, Response = Response<tonic::body::Body>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    /// A gateway that hands its calls to `service` and speaks for `member`.
    pub fn new(service: S, member: Arc<dyn Member>, settings: Settings) -> Gateway<S> {
        Gateway {
            service,
            shared: Arc::new(Shared { member, settings, routes: Routes::load() }),
            end: None,
            ready: None,
        }
    }

    /// The same, whose calls end with an error once the signal is given: the member stops.
    #[must_use]
    pub fn ended_by(self, signal: watch::Receiver<bool>) -> Gateway<S> {
        Gateway { end: Some(signal), ..self }
    }

    /// The same, which answers nothing but the pages that describe the member before the signal is
    /// given.
    #[must_use]
    pub fn held_until(self, signal: watch::Receiver<bool>) -> Gateway<S> {
        Gateway { ready: Some(signal), ..self }
    }

    async fn until_ready(&self) {
        if let Some(mut ready) = self.ready.clone() {
            // The sender goes only with the process.
            drop(ready.wait_for(|ready| *ready).await);
        }
    }

    /// The limits that connections are served with.
    pub(crate) fn limits(&self) -> &Limits {
        &self.shared.settings.limits
    }

    /// Responses one request that came by other means than `serve_connection`, such as HTTP/2 on a
    /// TLS port. Without websockets.
    pub async fn handle<B>(self, peer: Peer, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.respond(peer, request.map(|body| body.map_err(Into::into).boxed_unsync()), None).await
    }

    pub(crate) async fn respond(
        self,
        peer: Peer,
        request: Request<Body>,
        upgrades: Option<Arc<Upgrades>>,
    ) -> Response<Body> {
        let host = host_of(&request);
        if lacks_host(&request) {
            return bad_request(": missing required Host header");
        }
        let Some(mut decoded) = path::decode(request.uri().path()) else {
            return bad_request("");
        };
        if let Some(rest) = decoded.strip_prefix("/v3beta/") {
            decoded = format!("/v3/{rest}");
        }
        if let Some(refusal) = self.shared.refuse(&peer, &decoded, host.as_deref().unwrap_or_default()) {
            return refusal;
        }
        let cors = access::cors(&self.shared.settings.cors, request.headers());
        let mut response = self.route(peer, request, &decoded, upgrades).await;
        // A websocket is no page's to read, and etcd's upgrade answer has no such headers.
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            response.headers_mut().extend(cors);
        }
        response
    }

    async fn route(
        self,
        peer: Peer,
        request: Request<Body>,
        decoded: &str,
        upgrades: Option<Arc<Upgrades>>,
    ) -> Response<Body> {
        if *request.method() == Method::OPTIONS {
            return empty(StatusCode::OK);
        }
        if !decoded.starts_with('/') {
            return empty(StatusCode::BAD_REQUEST);
        }
        if !describes_member(decoded) {
            self.until_ready().await;
        }
        let gateway = self.shared.settings.enable_gateway;
        let cleaned = path::clean(decoded);
        if cleaned != decoded {
            return path::redirect(request.method(), &cleaned, request.uri().query());
        }
        if gateway && decoded == "/v3" {
            return path::redirect(request.method(), "/v3/", request.uri().query());
        }
        if !gateway || !decoded.starts_with("/v3/") {
            let (parts, _body) = request.into_parts();
            return self.shared.plain(&parts.method, decoded, parts.uri.query(), &parts.headers).await;
        }
        match upgrades {
            Some(upgrades) if websocket::is_wanted(request.headers()) => {
                self.upgrade(peer, request, decoded, &upgrades)
            }
            Some(_) | None => self.transcode(peer, request, decoded).await,
        }
    }

    async fn transcode(self, peer: Peer, request: Request<Body>, decoded: &str) -> Response<Body> {
        let Shared { settings, routes, .. } = &*self.shared;
        let bounds = Bounds { limits: settings.limits, end: self.end };
        transcode::transcode(self.service, routes, bounds, &peer, decoded, request).await
    }

    fn upgrade(self, peer: Peer, mut request: Request<Body>, decoded: &str, upgrades: &Upgrades) -> Response<Body> {
        let (response, handshake) = match websocket::accept(&mut request) {
            Ok(accepted) => accepted,
            Err(refusal) => return *refusal,
        };
        let (path, text_bytes_max) = (decoded.to_owned(), self.limits().text_bytes_max);
        upgrades.put(async move {
            let call = |request| self.transcode(peer, request, &path);
            handshake.run(text_bytes_max, call).await;
        });
        response
    }
}

impl Shared {
    /// The rules that stand before every endpoint.
    fn refuse(&self, peer: &Peer, decoded: &str, host: &str) -> Option<Response<Body>> {
        let name = access::host_name(host);
        if !peer.tls {
            return (!self.settings.host_whitelist.allows(name)).then(|| access::misdirected(name));
        }
        let named = self.settings.client_cert_auth && peer.common_name.as_ref().is_some_and(|name| !name.is_empty());
        let ignored =
            named && self.settings.enable_gateway && decoded.starts_with("/v3/") && self.member.auth_enabled();
        ignored.then(|| {
            let words =
                "CommonName of client sending a request against gateway will be ignored and not used as expected\n";
            text(StatusCode::BAD_REQUEST, words)
        })
    }

    async fn plain(&self, method: &Method, decoded: &str, query: Option<&str>, headers: &HeaderMap) -> Response<Body> {
        let member = &*self.member;
        match decoded {
            "/version" => plain::version(member, method),
            "/debug/vars" => plain::debug_vars(member, method),
            _ => observe(member, self.settings.request_timeout, method, decoded, query, headers).await,
        }
    }
}

/// Returns `true` for a request that HTTP/1.1 does not allow.
pub(crate) fn lacks_host(request: &Request<Body>) -> bool {
    request.version() == Version::HTTP_11 && host_of(request).is_none()
}

/// Returns `true` for the pages that describe the member itself. They are served while it waits for
/// a leader.
fn describes_member(path: &str) -> bool {
    matches!(path, "/metrics" | "/health" | MEMBER_PAGE) || Probe::at(path).is_some()
}

/// The endpoints that the metrics listener shares: /metrics, /health, /livez, /readyz and
/// /debug/member.
pub(crate) async fn observe(
    member: &dyn Member,
    timeout: Duration,
    method: &Method,
    path: &str,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Response<Body> {
    let query = Query::parse(query.unwrap_or_default());
    match (path, Probe::at(path)) {
        ("/metrics", _) => plain::metrics(member, headers).await,
        (MEMBER_PAGE, _) => plain::member_page(member, method),
        ("/health", _) => health::health(member, timeout, method, &query).await,
        (_, Some(probe)) => probe.response(member, timeout, method, &query).await,
        (_, None) => not_found(),
    }
}

/// The host that the client meant: of the request line if it names one, else of the header.
pub(crate) fn host_of(request: &Request<Body>) -> Option<String> {
    if let Some(authority) = request.uri().authority() {
        return Some(authority.as_str().to_owned());
    }
    request.headers().get(HOST).map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned())
}
