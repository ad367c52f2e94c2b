//! The terminal side of the tools: their arguments, their output, their errors.
//!
//! Code belongs here if etcd-admin, etcdctl and etcdutl share it and it needs no cluster: arguments
//! read as Go reads them, completion scripts, tables and JSON, progress, prompts, and errors with
//! their exit status. No module knows a command, a member or a data directory.
#![forbid(unsafe_code)]

pub mod completion;
pub mod confirm;
pub mod error;
pub mod go_flags;
pub mod output;
pub mod passphrase;
pub mod progress;
