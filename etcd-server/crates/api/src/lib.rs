//! The gRPC services: they translate requests for the replica, and its results into responses.
//!
//! They decide nothing: admission and auth decide what is permitted, apply decides the effect.
//! Every refusal becomes a status in one place, [`status`].

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "an answer of another kind than asked for is one case, whichever it is"
)]

mod auth_service;
pub mod backend;
mod call_head;
mod cluster;
mod concurrency;
mod election;
mod fast_path;
mod frame_scanner;
mod grpc_frame;
mod head_filter;
mod health;
mod http2;
mod huffman;
mod identity;
mod internal_watch;
mod keep_alive;
mod kv;
mod leader_client;
mod lease_service;
mod lock;
mod maintenance;
mod message_limit;
pub mod observe;
mod observed_routes;
mod ping_guard;
mod request_checks;
mod request_stats;
pub mod request_text;
mod response_slots;
mod server;
mod slow;
mod spans;
pub mod status;
mod stream_headers;
mod streamed_range;
mod token_store;
mod watch;

pub use health::HealthState;
pub use http2::{Http2Settings, Web, serve_http2};
pub use observed_routes::ObservedRoutes;
pub use server::{Server, Settings};
pub use token_store::{TokenStore, Tokens};
