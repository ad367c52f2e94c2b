//! HTTP/1.1 beside gRPC on a client port: the JSON gateway, health, version, metrics and debug
//! endpoints.
//!
//! ```text
//! connection ─ hyper, limits ─ access (whitelist, CORS) ─ router ─┬─ plain: /health /livez /readyz /version /metrics /debug/vars
//!                                                                └─ transcode: JSON ⇄ gRPC, passed to the service in-process
//! ```
//!
//! Knows no socket and no RPC: bytes come from any stream, calls go to any tower service, and
//! messages are translated by descriptors. Only protobuf's JSON mapping and etcd's HTTP conventions
//! live here; the meaning of a request is the service's. Left out on purpose: `/debug/pprof/*`,
//! `/debug/requests`, `/debug/events` (profiles of a Go runtime; answered 404) and the protobuf
//! form of `/metrics` (the text form is sent instead, which the `Accept` rules of Prometheus
//! allow).

#![forbid(unsafe_code)]

mod access;
mod bindings;
mod call;
mod connection;
mod health;
mod json_decode;
mod json_encode;
mod json_number;
mod json_requests;
mod json_scanner;
mod limits;
mod member;
mod metadata;
mod metrics_listener;
mod path;
mod plain;
mod request_reader;
mod response;
mod router;
mod status;
mod transcode;
mod unread;
mod websocket;

pub use access::AllowList;
pub use bindings::{BINDINGS, Binding};
pub use connection::serve_connection;
pub use json_requests::JsonRequests;
pub use limits::Limits;
pub use member::{Alarm, HealthRecord, Member, MemberFuture, Versions};
pub use metrics_listener::serve_metrics_connection;
pub use response::{Body, BoxError};
pub use router::{Gateway, Peer, Settings};
