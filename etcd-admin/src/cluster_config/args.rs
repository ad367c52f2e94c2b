//! The flag that names `cluster.yaml`.

use clap::Args;
use std::path::PathBuf;

#[derive(Clone, Debug, Default, Args)]
pub(crate) struct DocumentArgs {
    /// Cluster configuration [default: ./cluster.yaml, else /etc/etcd/cluster.yaml]
    #[arg(long, value_name = "FILE")]
    pub(crate) cluster: Option<PathBuf>,
}
