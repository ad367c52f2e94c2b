//! A server under load, and the connections to it.

use std::time::Duration;

use testbed::{Cluster, ClusterError, Server, Settings, StartError, Usage};
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};

use crate::cases::Plan;

/// Largest answer that we take: a whole key space at once.
pub(crate) const ANSWER_BYTES_MAX: usize = 4 << 30;

/// The reason why a case could not be measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
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

/// One server, or a cluster, with the name that the table gives it.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) label: &'static str,
    pub(crate) server: Server,
    /// The other members; connections are spread over all.
    others: Vec<Server>,
}

impl Target {
    pub(crate) async fn start(label: &'static str, command: &str, plan: &Plan) -> Result<Self, BenchError> {
        let mut settings = Settings::new(command);
        settings.flags = ["--log-level", "error"].map(str::to_owned).to_vec();
        settings.parent.clone_from(&plan.parent);
        // A restart with a million keys takes etcd minutes on a machine that has other work.
        settings.start_limit = Duration::from_secs(600);
        if plan.members <= 1 {
            return Ok(Self { label, server: Server::start(settings).await?, others: Vec::new() });
        }
        let mut others = Cluster::start(settings, plan.members).await?.members;
        Ok(Self { label, server: others.remove(0), others })
    }

    /// `count` connections, each made already.
    pub(crate) async fn connections(&self, count: usize) -> Result<Vec<Channel>, BenchError> {
        let failed = |source| BenchError::Connect { label: self.label, source };
        let mut endpoints = Vec::new();
        for server in std::iter::once(&self.server).chain(&self.others) {
            let endpoint = Endpoint::from_shared(server.endpoint()).map_err(failed)?;
            endpoints.push(
                endpoint.initial_stream_window_size(1 << 20).initial_connection_window_size(16 << 20).tcp_nodelay(true),
            );
        }
        let connecting = endpoints.iter().cycle().take(count).map(Endpoint::connect);
        futures::future::try_join_all(connecting).await.map_err(failed)
    }

    pub(crate) async fn connection(&self) -> Result<Channel, BenchError> {
        self.connections(1).await.map(|mut made| made.swap_remove(0))
    }

    /// Takes the last member out, to be dealt with apart: no connection made from now on is to it.
    pub(crate) fn take_last(&mut self) -> Server {
        self.others.pop().expect("a cluster of several members")
    }

    /// A connection to a member that was taken out.
    pub(crate) async fn connection_to(&self, member: &Server) -> Result<Channel, BenchError> {
        let failed = |source| BenchError::Connect { label: self.label, source };
        Endpoint::from_shared(member.endpoint()).map_err(failed)?.connect().await.map_err(failed)
    }

    /// Returns the cost of all members together.
    pub(crate) fn usage(&self) -> Result<Usage, BenchError> {
        let mut usage = self.server.usage()?;
        for other in &self.others {
            let other = other.usage()?;
            usage.cpu += other.cpu;
            usage.resident_bytes += other.resident_bytes;
            usage.resident_peak_bytes += other.resident_peak_bytes;
        }
        Ok(usage)
    }

    /// Turns the status of a failed call into the error that names this server.
    pub(crate) fn failed(&self) -> impl Fn(Status) -> BenchError + use<> {
        let label = self.label;
        move |status| BenchError::Call { label, status: Box::new(status) }
    }
}
