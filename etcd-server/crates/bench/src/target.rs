//! A server under load, and the connections to it.

use std::time::Duration;

use testbed::{Server, Settings, StartError, Usage};
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};

use crate::cases::Plan;

/// Largest answer that we take: a whole key space at once.
pub(crate) const ANSWER_BYTES_MAX: usize = 4 << 30;

/// Why a case could not be measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("{label}: {status}")]
    Call { label: &'static str, status: Box<Status> },
    #[error("connect to {label}: {source}")]
    Connect { label: &'static str, source: tonic::transport::Error },
    #[error("read or write: {0}")]
    Io(#[from] std::io::Error),
    #[error("no case is named {0}; --list names them")]
    NoSuchCase(String),
    #[error("a client task ended early: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// One server with the name that the table gives it.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) label: &'static str,
    pub(crate) server: Server,
}

impl Target {
    pub(crate) async fn start(label: &'static str, command: &str, plan: &Plan) -> Result<Self, BenchError> {
        let mut settings = Settings::new(command);
        settings.flags = ["--log-level", "error"].map(str::to_owned).to_vec();
        settings.parent.clone_from(&plan.parent);
        // A restart with a million keys takes etcd minutes on a machine that has other work.
        settings.start_limit = Duration::from_secs(600);
        Ok(Self { label, server: Server::start(settings).await? })
    }

    /// `count` connections, each made already.
    pub(crate) async fn connections(&self, count: usize) -> Result<Vec<Channel>, BenchError> {
        let endpoint = Endpoint::from_shared(self.server.endpoint()).map_err(|source| BenchError::Connect { label: self.label, source })?;
        let endpoint = endpoint.initial_stream_window_size(1 << 20).initial_connection_window_size(16 << 20).tcp_nodelay(true);
        let connecting = (0..count).map(|_| endpoint.connect());
        let made = futures::future::try_join_all(connecting).await;
        made.map_err(|source| BenchError::Connect { label: self.label, source })
    }

    pub(crate) async fn connection(&self) -> Result<Channel, BenchError> {
        self.connections(1).await.map(|mut made| made.swap_remove(0))
    }

    pub(crate) fn usage(&self) -> Result<Usage, BenchError> {
        Ok(self.server.usage()?)
    }

    /// Turns the status of a failed call into the error that names this server.
    pub(crate) fn failed(&self) -> impl Fn(Status) -> BenchError + use<> {
        let label = self.label;
        move |status| BenchError::Call { label, status: Box::new(status) }
    }
}
