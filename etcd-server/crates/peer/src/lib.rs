//! How members talk to each other: etcd's peer protocol over HTTP/1.1.
//!
//! Each member opens two endless GETs to every other one and reads raft messages from the answers' bodies, so what A sends to B leaves
//! over streams that B opened to A ([`frame`]). Who has no stream open is sent single messages by POST; the state as a whole always goes
//! by a POST of its own and never delays anything else; one that breaks off is gone on with, among members of our kind. [`Transport`] is what raft sends by, [`serve`] what a listener answers with, and
//! [`ask`] holds the questions that are no raft messages.
//!
//! What is in flight to one member is bounded; what does not fit is dropped, as raft allows, and the member reported as unreachable.
//! Messages of one connection keep their order; a newer connection of the same kind ends the older one.
//!
//! Deliberately absent: what messages mean, encryption (a [`Connect`] does it), and any promise that a message arrives.
#![forbid(unsafe_code)]

pub mod ask;
mod body;
mod connect;
mod dial;
pub mod frame;
mod handshake;
pub mod lease_batch;
mod link;
mod local;
mod log_limit;
mod outbox;
mod post;
mod probe;
mod reply;
mod service;
mod state_receiver;
mod state_sender;
mod transport;

pub use connect::{Connect, Connecting, Plain, RequestError, Socket, socket_path, tcp, tcp_from, uri};
pub use handshake::{Introduction, Mismatch};
pub use link::{Cause, Link, Problem, first_cause};
pub use local::{Answer, HashKv, Held, HttpRefusal, Local, Observer, Outgoing, PeerObserver, Receiver};
pub use service::{members_json, serve};
pub use state_receiver::SnapshotReader;
pub use transport::Transport;
