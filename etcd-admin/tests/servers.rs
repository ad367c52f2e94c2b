//! Servers for the tests: ours from beside the tool, the real ones from `ETCD_BIN_DIR`.

use std::path::{Path, PathBuf};
use testbed::{Cluster, Server, Settings};
use tokio::runtime::Runtime;

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Our daemon, which Cargo builds into the same directory as the tool.
pub(crate) fn our_daemon() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_etcd-admin")).with_file_name("etcd-server");
    assert!(path.is_file(), "{} is missing: cargo build --release -p etcd-server", path.display());
    path
}

/// A directory with all three of the real binaries, if there is one.
pub(crate) fn real_binaries() -> Option<PathBuf> {
    let dir = PathBuf::from(std::env::var_os("ETCD_BIN_DIR")?);
    ["etcd", "etcdctl", "etcdutl"].iter().all(|name| dir.join(name).is_file()).then_some(dir)
}

/// Elections take long enough for a machine that is busy with other tests.
pub(crate) fn settings(daemon: &Path) -> Settings {
    let mut settings = Settings::new(daemon.display().to_string());
    settings.flags = ["--heartbeat-interval", "100", "--election-timeout", "1000"].map(str::to_owned).to_vec();
    settings
}

pub(crate) async fn one(daemon: &Path) -> Server {
    Server::start(settings(daemon)).await.unwrap()
}

pub(crate) async fn cluster(size: usize) -> Cluster {
    Cluster::start(settings(&our_daemon()), size).await.unwrap()
}
