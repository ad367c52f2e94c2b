//! The gRPC services: they translate requests for the replica, and its results into responses.
//!
//! They decide nothing: admission and auth decide what is permitted, apply decides the effect.
//! Every refusal becomes a status in one place, [`status`].

#![expect(clippy::wildcard_enum_match_arm, reason = "an answer of another kind than asked for is one case, whichever it is")]

mod auth_service;
pub mod backend;
mod call_head;
mod cluster;
mod election;
mod frame_scanner;
mod front;
mod head_filter;
mod health;
mod hot;
mod http2;
mod huffman;
mod identity;
mod keep_alive;
mod kv;
mod large_range;
mod lease_service;
mod lock;
mod maintenance;
mod message_limit;
pub mod observe;
mod observed_routes;
mod others;
mod own_watch;
mod ping_guard;
mod places;
mod request_stats;
pub mod request_text;
mod server;
mod session;
mod slow;
mod spans;
pub mod status;
mod stream_headers;
mod token_keeper;
mod watch;

pub use health::HealthState;
pub use http2::{Http2Settings, Web, serve_http2};
pub use observed_routes::ObservedRoutes;
pub use server::{Server, Settings};
pub use token_keeper::{TokenKeeper, Tokens};
