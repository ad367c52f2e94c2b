//! The operator's tool: certificates, members, snapshots, and etcdctl's own commands.
//!
//! Called as `etcdctl` or `etcdutl` it behaves as they do; so does `etcd-admin etcdctl …`. Created
//! files are printed with their paths; nothing is overwritten silently. Exit codes are in
//! [`admin_ui::error`].

mod cli;
mod cluster_config;
mod cluster_view;
mod doctor;
mod explain;
mod host;
mod init;
mod maintenance;
mod members;
mod migrate;
mod pki;
mod recover;
mod snapshot;
mod support;
mod top;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args: Vec<OsString> = std::env::args_os().collect();
    if args.get(1).is_some_and(|arg| arg == "etcdctl" || arg == "etcdutl") {
        args.remove(0);
    }
    let name = args.first().map(|arg| Path::new(arg).file_name().unwrap_or_default().to_owned()).unwrap_or_default();
    match name.to_str() {
        Some("etcdctl") => etcdctl::program::run(&args),
        Some("etcdutl") => admin_offline::etcdutl::run(&args),
        _ => cli::admin::run(args),
    }
}
