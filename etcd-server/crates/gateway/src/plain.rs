//! /version, /metrics, /debug/vars and /debug/member.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use crate::member::{Member, Versions};
use crate::response::{Body, JSON, only_get, respond};

const METRICS_TYPE: HeaderValue =
    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8; escaping=underscores");

pub(crate) fn version(member: &dyn Member, method: &Method) -> Response<Body> {
    if method != Method::GET {
        return only_get();
    }
    let Versions { server, cluster, storage } = member.versions();
    let cluster = cluster.as_deref().unwrap_or("not_decided");
    let storage = storage.as_deref().unwrap_or("unknown");
    let quoted = |text: &str| serde_json::Value::from(text);
    let json = format!(
        r#"{{"etcdserver":{},"etcdcluster":{},"storage":{}}}"#,
        quoted(&server),
        quoted(cluster),
        quoted(storage)
    );
    respond(StatusCode::OK, JSON, json)
}

/// Any method is answered, as the handler of Prometheus' Go library does.
pub(crate) async fn metrics(member: &dyn Member, headers: &HeaderMap) -> Response<Body> {
    let metrics = member.metrics_text().await;
    if !accepts_gzip(headers) {
        return respond(StatusCode::OK, METRICS_TYPE, metrics);
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let packed = encoder.write_all(metrics.as_bytes()).and_then(|()| encoder.finish());
    let mut response = respond(StatusCode::OK, METRICS_TYPE, packed.expect("writing to memory does not fail"));
    response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let offers = headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    offers.map(|offer| offer.split_once(';').unwrap_or((offer, ""))).any(|(coding, weight)| {
        let refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.trim().parse() == Ok(0.0));
        matches!(coding.trim(), "gzip" | "*") && !refused
    })
}

/// Laid out as Go's expvar does: one line for each name.
pub(crate) fn debug_vars(member: &dyn Member, method: &Method) -> Response<Body> {
    if method != Method::GET {
        return only_get();
    }
    let vars = member.debug_vars();
    let lines = vars.iter().map(|(name, value)| format!("{}: {value}", serde_json::Value::from(name.as_str())));
    let json = format!("{{\n{}\n}}\n", lines.collect::<Vec<_>>().join(",\n"));
    respond(StatusCode::OK, HeaderValue::from_static("application/json; charset=utf-8"), json)
}

/// Returns the page that etcd-admin reads; etcd does not have it.
pub(crate) fn member_page(member: &dyn Member, method: &Method) -> Response<Body> {
    if method != Method::GET {
        return only_get();
    }
    respond(StatusCode::OK, JSON, format!("{}\n", member.member_page()))
}
