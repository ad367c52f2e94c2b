//! Data of members that do not run, and members that run only for a command.
//!
//! Code belongs here if it opens or makes a data directory: inspection, export, restore, snapshot
//! files, directories that are renamed before they are replaced, `etcdutl`, and the temporary member
//! that is started on a directory. This is the only crate of the tools that links the store.
#![forbid(unsafe_code)]

pub mod aside;
pub mod data_dir;
mod etcd_log;
pub mod etcdutl;
pub mod new_cluster;
pub mod restore;
pub mod snapshot_file;
pub mod temp_member;
