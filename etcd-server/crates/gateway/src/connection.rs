//! HTTP/1.1 on one connection: hyper with the bounds of `Limits`, keep-alive, pipelining and
//! websocket upgrades.

use std::convert::Infallible;
use std::sync::Arc;

use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tower_service::Service;

use crate::limits::Limits;
use crate::response::{Body, BoxError};
use crate::router::{Gateway, Peer};
use crate::unread::answer_and_drain;

/// Lines of a head. hyper sets aside room for as many.
const HEADER_LINES_MAX: usize = 1_000;

/// Serves one connection until the client leaves, a limit is exceeded, or `shutdown` completes and
/// the current request has its response.
///
/// Streams may continue for any time after `shutdown`; the caller bounds the wait by dropping the
/// future.
///
/// # Errors
/// The reason why the connection ended other than by agreement: broken by the client, malformed
/// HTTP, headers too slow.
pub async fn serve_connection<I, S>(
    io: I,
    gateway: Gateway<S>,
    peer: Peer,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), BoxError>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<tonic::body::Body>, Response = Response<tonic::body::Body>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    let limits = *gateway.limits();
    let upgrades = Arc::new(Upgrades::default());
    let handler = {
        let upgrades = upgrades.clone();
        move |request| gateway.clone().respond(peer.clone(), request, Some(upgrades.clone()))
    };
    serve(io, limits, handler, shutdown).await?;
    if let Some(websocket) = upgrades.take() {
        websocket.await;
    }
    Ok(())
}

/// The connection loop, for any handler.
pub(crate) async fn serve<I, H, F>(
    io: I,
    limits: Limits,
    handler: H,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), BoxError>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Request<Body>) -> F,
    F: Future<Output = Response<Body>>,
{
    let first_request = Notify::new();
    let service = service_fn(|request: Request<Incoming>| {
        first_request.notify_one();
        let response = answer_and_drain(request.map(|body| body.map_err(Into::into).boxed_unsync()), &handler);
        async { Ok::<_, Infallible>(response.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.idle_timeout)
        .max_buf_size(limits.header_bytes_max)
        // etcd bounds the bytes alone.
        .max_headers(HEADER_LINES_MAX)
        // Go writes names so, and scripts that grep for them care.
        .title_case_headers(true)
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let mut shutdown = std::pin::pin!(shutdown);
    let mut late = std::pin::pin!(first_headers_late(&limits, &first_request));
    let (mut waiting, mut running) = (true, true);
    loop {
        tokio::select! {
            ended = &mut connection => return ended.map_err(Into::into),
            is_late = &mut late, if waiting => {
                if is_late {
                    return Err("request headers were not received in time".into());
                }
                waiting = false;
            }
            () = &mut shutdown, if running => {
                running = false;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Returns `true` if the first request took too long; etcd's only bound is the one between
/// requests, 5 minutes.
async fn first_headers_late(limits: &Limits, first_request: &Notify) -> bool {
    tokio::time::timeout(limits.header_timeout, first_request.notified()).await.is_err()
}

/// The place where a request leaves the further use of its connection once HTTP is over.
#[derive(Default)]
pub(crate) struct Upgrades(std::sync::Mutex<Option<BoxFuture<'static, ()>>>);

impl Upgrades {
    pub(crate) fn put(&self, websocket: impl Future<Output = ()> + Send + 'static) {
        *self.slot() = Some(Box::pin(websocket));
    }

    fn take(&self) -> Option<BoxFuture<'static, ()>> {
        self.slot().take()
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<BoxFuture<'static, ()>>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
