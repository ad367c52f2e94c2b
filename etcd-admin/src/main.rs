//! The operator's tool: certificates, members, snapshots, and etcdctl's own commands.
//!
//! Called as `etcdctl` or `etcdutl` it behaves as they do; so does `etcd-admin etcdctl …`. Created
//! files are printed with their paths; nothing is overwritten silently. Exit codes are in
//! [`failure`].

mod admin;
mod aside;
mod bootstrap;
mod care;
mod client;
mod cluster;
mod commands;
mod confirm;
mod context;
mod ctl;
mod diagnosis;
mod etcdctl;
mod etcdutl;
mod failure;
mod go_flags;
#[cfg(test)]
mod hints;
mod host;
mod inventory;
mod offline;
mod output;
mod passphrase;
mod progress;
mod recover;
mod snapshot;
mod words;

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
        Some("etcdctl") => etcdctl::run(&words),
        Some("etcdutl") => etcdutl::run(&words),
        _ => admin::run(words),
    }
}
