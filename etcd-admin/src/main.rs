//! The operator's tool: certificates, members, snapshots, and etcdctl's own commands.
//!
//! Called as `etcdctl` or `etcdutl` it behaves as they do; so does `etcd-admin etcdctl …`. Created
//! files are printed with their paths; nothing is overwritten silently. Exit codes are in
//! [`failure`].

mod cli;
mod client;
mod cluster_config;
mod doctor;
mod etcdctl;
mod etcdutl;
mod explain;
mod host;
mod init;
mod maintenance;
mod members;
mod offline;
mod pki;
mod recover;
mod snapshot;
mod support;
mod top;
mod ui;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words: Vec<OsString> = std::env::args_os().collect();
    if words.get(1).is_some_and(|word| word == "etcdctl" || word == "etcdutl") {
        words.remove(0);
    }
    let name = words.first().map(|word| Path::new(word).file_name().unwrap_or_default().to_owned()).unwrap_or_default();
    match name.to_str() {
        Some("etcdctl") => etcdctl::program::run(&words),
        Some("etcdutl") => etcdutl::run(&words),
        _ => cli::admin::run(words),
    }
}
