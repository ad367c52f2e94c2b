//! The tool as an operator runs it: its output, its files, and its exit status. `ETCD_BIN_DIR`
//! lets a real etcd serve with the results.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a failure is a failed test, and a skipped test says why")]

mod adopted;
mod bootstrapped;
mod care;
mod cas;
mod clusters;
mod command_lines;
mod completion;
mod contract;
mod documents;
mod encrypted;
mod etcdctl;
mod etcdutl;
mod first_use;
mod help;
mod hosts;
mod locked_out;
mod members;
mod membership;
mod migrate;
mod migrate_load;
mod mistakes;
mod real_etcd;
mod recorded;
mod recovery;
mod refused;
mod scheduled;
mod servers;
mod shapes;
mod snapshots;
mod streams;
mod tool;
mod unfit;
mod unhealthy;
