//! Communication between members: etcd's peer protocol over HTTP/1.1.
//!
//! Each member opens two endless GETs to every other one and reads raft messages from the bodies of
//! the responses, so messages from A to B leave over streams that B opened to A ([`frame`]). A
//! member without an open stream is sent single messages by POST; a raft snapshot always goes by a
//! POST of its own and never delays anything else; an interrupted one resumes, among members of our
//! kind. [`Transport`] sends raft messages, [`serve`] handles the requests of a listener, and
//! [`ask`] holds the requests that are no raft messages.
//!
//! Messages in flight to one member are bounded; further ones are dropped, as raft allows, and the
//! member reported as unreachable. Messages of one connection keep their order; a newer connection
//! of the same kind ends the older one.
//!
//! Deliberately absent: the meaning of messages, encryption (a [`Connect`] does it), and any
//! promise that a message arrives.
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
mod peer_sender;
mod post;
mod probe;
mod reply;
mod service;
mod shared;
mod snapshot_reader;
mod state_receiver;
mod state_sender;
mod transport;

pub use connect::{Connect, Connecting, Plain, RequestError, Socket, socket_path, tcp, tcp_from, uri};
pub use handshake::{Mismatch, PeerIdentity};
pub use link::{Cause, Link, Problem, first_cause};
pub use local::{HashKv, Held, HttpError, Local, LocalFuture, Observer, Outgoing, PeerObserver, Receiver};
pub use service::{members_json, serve};
pub use snapshot_reader::SnapshotReader;
pub use transport::Transport;
