//! etcdctl's commands: their flags, their outputs, their exit codes.
//!
//! Code belongs here if etcdctl 3.7 has its counterpart. Requests and output are etcdctl's, so that
//! scripts keep working; in addition, a failed connection is followed by the step that broke.
//! [`program::run`] is the whole program; [`SharedCommand`] and [`run`] are the commands that
//! etcd-admin has too. Commands reach members through `admin_client`, and open no data directory.
#![forbid(unsafe_code)]

mod args;
mod auth;
mod check;
#[cfg(test)]
mod command_line;
mod context;
mod dispatch;
mod endpoint;
mod error;
mod keys;
mod kv;
mod lease;
mod lock;
mod maintenance;
mod member;
mod mirror;
mod print;
pub mod program;
mod session_lease;
mod snapshot;
mod txn;
mod user;
mod watch;

pub use args::SharedCommand;
pub use context::Ctl;
pub use dispatch::run;
pub use error::CtlError;
