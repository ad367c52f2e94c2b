//! TLS of the whole daemon: who is let in on which port, as whom, and what changes of files and floods do.
//!
//! `ETCD_BIN_DIR` names a folder with a real etcdctl, `ETCD_OLD_BIN_DIR` one with an etcd of 3.4, which has the holes that are tested for.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::missing_panics_doc,
    reason = "helpers of tests: a failure is a failed test, figures are printed"
)]

#[path = "tls/client.rs"]
mod client;
#[path = "tls/cluster.rs"]
mod cluster;
#[path = "tls/daemon.rs"]
mod daemon;
#[path = "tls/doors.rs"]
mod doors;
#[path = "tls/flood.rs"]
mod flood;
#[path = "tls/identity.rs"]
mod identity;
#[path = "tls/pki.rs"]
mod pki;
#[path = "tls/real_etcdctl.rs"]
mod real_etcdctl;
#[path = "tls/refused.rs"]
mod refused;
#[path = "tls/reload.rs"]
mod reload;
