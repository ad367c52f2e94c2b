//! The gRPC services: they translate requests for the replica, and its results into responses.
//!
//! They decide nothing: admission and auth decide what is permitted, apply decides the effect.
//! Every refusal becomes a status in one place, [`status`].
//!
//! [`Server`] is what the services share. Its methods are in one file for each concern:
//!
//! | file | methods |
//! |---|---|
//! | `server` | the replica behind it, headers of responses, proposals, the read barrier, faults |
//! | `request_checks` | checks of every call before its service sees it |
//! | `identity` | the user of a call, and what the user may do |
//! | `fast_path` | Range, Put, DeleteRange and Txn on the connection itself |
//! | `kv`, `range_stream`, `streamed_range` | the KV service; RangeStream; ranges above 1 MiB |
//! | `watch`, `internal_watch` | the Watch service; watches that calls of this server wait on |
//! | `lease_service`, `keep_alive` | the Lease service; renewals in batches |
//! | `lock`, `election`, `concurrency` | the Lock and Election services, and their common parts |
//! | `auth_service` | the Auth service |
//! | `cluster`, `maintenance`, `health` | the Cluster, Maintenance and Health services |
//! | `leader_client` | requests of this member to the others |

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "an answer of another kind than asked for is one case, whichever it is"
)]

mod auth_service;
pub mod backend;
mod call_head;
mod calls;
mod cluster;
mod concurrency;
mod connection_task;
mod election;
mod fast_path;
mod fields;
mod frame_scanner;
mod grpc_frame;
mod h2_connection;
mod h2_stream;
mod head_filter;
mod health;
mod http2_heads;
mod http2_settings;
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
mod range_stream;
mod request_checks;
mod request_stats;
pub mod request_text;
mod response_body;
mod response_slots;
mod server;
mod serving;
mod slow;
mod spans;
pub mod status;
mod stream_headers;
mod stream_link;
mod streamed_range;
mod token_store;
mod watch;

pub use calls::Web;
pub use connection_task::serve_connection;
pub use h2_connection::serve_h2_connection;
pub use health::HealthState;
pub use http2_settings::Http2Settings;
pub use observed_routes::ObservedRoutes;
pub use server::{Server, Settings};
pub use token_store::{TokenStore, Tokens};
