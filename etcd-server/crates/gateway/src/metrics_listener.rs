//! The listener of `--listen-metrics-urls`: /metrics, /health, /livez and /readyz alone, without
//! host whitelist and CORS.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::connection::serve;
use crate::limits::Limits;
use crate::member::Member;
use crate::response::{Body, BoxError, bad_request};
use crate::{path, router};

/// Serves one connection of a metrics listener; `request_timeout` bounds the read of a health
/// check.
///
/// # Errors
/// As `serve_connection`.
pub async fn serve_metrics_connection<I>(
    io: I,
    member: Arc<dyn Member>,
    limits: Limits,
    request_timeout: Duration,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), BoxError>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    serve(io, limits, |request| respond(member.clone(), request_timeout, request), shutdown).await
}

async fn respond(member: Arc<dyn Member>, timeout: Duration, request: Request<Body>) -> Response<Body> {
    if router::lacks_host(&request) {
        return bad_request(": missing required Host header");
    }
    let (parts, _body) = request.into_parts();
    let Some(decoded) = path::decode(parts.uri.path()) else {
        return bad_request("");
    };
    let cleaned = path::clean(&decoded);
    if cleaned != decoded {
        return path::redirect(&parts.method, &cleaned, parts.uri.query());
    }
    router::observe(&*member, timeout, &parts.method, &decoded, parts.uri.query(), &parts.headers).await
}
