//! Data of members that do not run: the only modules that link the store.

pub(crate) mod aside;
pub(crate) mod data_dir;
mod etcd_log;
pub(crate) mod etcdutl;
pub(crate) mod new_cluster;
pub(crate) mod restore;
pub(crate) mod snapshot_file;
pub(crate) mod temp_member;
