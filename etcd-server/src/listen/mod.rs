//! Sockets of the daemon: where they come from, how they are encrypted, and which service answers
//! on them.

pub(crate) mod connections;
pub(crate) mod encryption;
pub(crate) mod listeners;
pub(crate) mod peer_listener;
pub(crate) mod socket_activation;
