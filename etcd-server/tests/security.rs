//! Security of the whole daemon: accepted clients on each port, their identities and permissions,
//! and the effect of hostile input.
//!
//! `ETCD_BIN_DIR` names a directory with a real etcdctl, `ETCD_OLD_BIN_DIR` one with an etcd of
//! 3.4, which has the vulnerabilities under test.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::missing_panics_doc,
    reason = "helpers of tests: a failure is a failed test, figures are printed"
)]

#[path = "security/advisories.rs"]
mod advisories;
#[path = "security/calls.rs"]
mod calls;
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
#[path = "security/floods.rs"]
mod floods;
#[path = "tls/identity.rs"]
mod identity;
#[path = "tls/pki.rs"]
mod pki;
#[path = "security/rbac.rs"]
mod rbac;
#[path = "security/rbac_cases.rs"]
mod rbac_cases;
#[path = "security/rbac_members.rs"]
mod rbac_members;
#[path = "security/rbac_rule.rs"]
mod rbac_rule;
#[path = "tls/real_etcdctl.rs"]
mod real_etcdctl;
#[path = "tls/refused.rs"]
mod refused;
#[path = "tls/reload.rs"]
mod reload;
#[path = "security/secrets.rs"]
mod secrets;
#[path = "security/sockets.rs"]
mod sockets;
#[path = "security/suspect.rs"]
mod suspect;
#[path = "security/token_keys.rs"]
mod token_keys;
