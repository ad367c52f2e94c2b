//! A cluster of servers on loopback.

use crate::server::{Place, Server, Settings, StartError};
use proto::etcdserverpb::{
    HashKvRequest, Member, MemberAddRequest, MemberListRequest, MemberPromoteRequest, MemberRemoveRequest,
    MoveLeaderRequest, RangeRequest, StatusRequest,
};
use rpc::etcdserverpb::{cluster_client::ClusterClient, kv_client::KvClient, maintenance_client::MaintenanceClient};
use std::time::{Duration, Instant};
use tonic::transport::{Channel, Endpoint};

/// Servers that found a cluster together, and those that join it.
#[derive(Debug)]
pub struct Cluster {
    /// The settings of members that are added from now on.
    pub settings: Settings,
    /// The members, in the order in which they came.
    pub members: Vec<Server>,
    born: usize,
}

/// Something that a cluster was asked and did not do.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// A server did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A call was refused.
    #[error("{0}")]
    Call(#[from] tonic::Status),
    /// No connection.
    #[error("{0}")]
    Connect(#[from] tonic::transport::Error),
    /// No port.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// It took too long.
    #[error("{what} within {limit:?}")]
    TimedOut {
        /// The state that was not reached.
        what: &'static str,
        /// The time it had.
        limit: Duration,
    },
}

impl ClusterError {
    /// Returns the text of a refused call as the server sent it, else that of the error.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Call(status) => status.message().to_owned(),
            Self::Start(_) | Self::Connect(_) | Self::Io(_) | Self::TimedOut { .. } => self.to_string(),
        }
    }
}

impl Cluster {
    /// Starts `size` members with empty data directories; returns when all answer linearizable
    /// reads.
    ///
    /// # Errors
    /// When one of them does not.
    pub async fn start(settings: Settings, size: usize) -> Result<Self, ClusterError> {
        Self::start_each(vec![settings; size]).await
    }

    /// Starts a cluster with settings of its own for each member; those of the last are for members
    /// that join.
    ///
    /// # Errors
    /// When one of them does not respond.
    pub async fn start_each(settings: Vec<Settings>) -> Result<Self, ClusterError> {
        let size = settings.len();
        let places: Vec<Place> =
            (1..=size).map(|number| Place::free(format!("m{number}"))).collect::<Result<_, _>>()?;
        let entries = places.iter().map(Place::entry).collect::<Vec<_>>().join(",");
        let flags = ["--initial-cluster".to_owned(), entries];
        Self::launch(settings.into_iter().zip(places).collect(), &flags).await
    }

    /// Starts members at these places that find each other by `flags`; returns when all answer
    /// linearizable reads.
    ///
    /// # Errors
    /// When one of them does not.
    pub async fn start_at(settings: Settings, places: Vec<Place>, flags: &[String]) -> Result<Self, ClusterError> {
        Self::launch(places.into_iter().map(|place| (settings.clone(), place)).collect(), flags).await
    }

    async fn launch(members: Vec<(Settings, Place)>, flags: &[String]) -> Result<Self, ClusterError> {
        let joining = members.last().map_or_else(|| Settings::new(""), |(settings, _)| settings.clone());
        let mut cluster = Self { settings: joining, members: Vec::new(), born: members.len() };
        for (settings, place) in members {
            cluster.members.push(Server::launch(settings, place, flags.to_vec())?);
        }
        for member in &mut cluster.members {
            member.healthy().await?;
        }
        Ok(cluster)
    }

    /// A connection to a member.
    ///
    /// # Errors
    /// When it does not listen.
    pub async fn channel(&self, member: usize) -> Result<Channel, ClusterError> {
        Ok(connect(&self.members[member]).await?)
    }

    /// A key-value client of a member.
    ///
    /// # Errors
    /// When it does not listen.
    pub async fn kv(&self, member: usize) -> Result<KvClient<Channel>, ClusterError> {
        Ok(KvClient::new(self.channel(member).await?))
    }

    /// Returns the position of the leader, as known by any responding member; waits for one for
    /// `limit`.
    ///
    /// # Errors
    /// When there is no leader in time.
    pub async fn leader(&mut self, limit: Duration) -> Result<usize, ClusterError> {
        let begun = Instant::now();
        while begun.elapsed() < limit {
            for index in 0..self.members.len() {
                if !self.members[index].is_running() {
                    continue;
                }
                let Ok(channel) = connect(&self.members[index]).await else { continue };
                let Ok(status) = MaintenanceClient::new(channel).status(StatusRequest {}).await else { continue };
                let status = status.into_inner();
                // The leader knows it best.
                if status.leader != 0 && status.header.is_some_and(|header| header.member_id == status.leader) {
                    return Ok(index);
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(ClusterError::TimedOut { what: "no leader", limit })
    }

    /// Adds a member through `via`, starts it, and returns its position when it answers.
    ///
    /// # Errors
    /// When it is refused, or does not start.
    pub async fn add(&mut self, via: usize, learner: bool) -> Result<usize, ClusterError> {
        self.born += 1;
        let place = Place::free(format!("m{}", self.born))?;
        let request = MemberAddRequest { peer_ur_ls: vec![place.peer_url()], is_learner: learner };
        let added = ClusterClient::new(self.channel(via).await?).member_add(request).await?.into_inner();
        let known = self.members.iter().map(Server::place).chain([&place]);
        let is_member = |known: &&Place| added.members.iter().any(|member| member.peer_ur_ls == [known.peer_url()]);
        let entries = known.filter(is_member).map(Place::entry).collect::<Vec<_>>().join(",");
        let flags = ["--initial-cluster", &entries, "--initial-cluster-state", "existing"].map(str::to_owned).to_vec();
        self.members.push(Server::launch(self.settings.clone(), place, flags)?);
        let index = self.members.len() - 1;
        if !learner {
            self.members[index].healthy().await?;
        }
        Ok(index)
    }

    /// The members as `via` lists them.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn list(&self, via: usize) -> Result<Vec<Member>, ClusterError> {
        let request = MemberListRequest { linearizable: true };
        Ok(ClusterClient::new(self.channel(via).await?).member_list(request).await?.into_inner().members)
    }

    /// The hash of each member's whole history at a revision that all of them have.
    ///
    /// # Errors
    /// When one of them does not answer.
    pub async fn hashes(&self) -> Result<Vec<u32>, ClusterError> {
        let (mut hashes, mut revision) = (Vec::new(), 0);
        for member in 0..self.members.len() {
            // A linearizable read first, so that the member has everything acknowledged.
            let read =
                self.kv(member).await?.range(RangeRequest { key: "x".into(), ..RangeRequest::default() }).await?;
            if revision == 0 {
                revision = read.into_inner().header.map_or(0, |header| header.revision);
            }
            let mut maintenance = MaintenanceClient::new(self.channel(member).await?);
            hashes.push(maintenance.hash_kv(HashKvRequest { revision }).await?.into_inner().hash);
        }
        Ok(hashes)
    }

    /// The id of a member, as `via` knows it.
    ///
    /// # Errors
    /// When it is not known there.
    pub async fn id_of(&self, via: usize, member: usize) -> Result<u64, ClusterError> {
        let url = self.members[member].peer_url();
        let found = self.list(via).await?.into_iter().find(|member| member.peer_ur_ls.contains(&url));
        found.map(|member| member.id).ok_or_else(|| ClusterError::Call(tonic::Status::not_found("no such member")))
    }

    /// Promotes a learner through `via`, trying until it is ready.
    ///
    /// # Errors
    /// When it is not within `limit`.
    pub async fn promote(&self, via: usize, member: usize, limit: Duration) -> Result<(), ClusterError> {
        let (begun, id) = (Instant::now(), self.id_of(via, member).await?);
        loop {
            let promoted =
                ClusterClient::new(self.channel(via).await?).member_promote(MemberPromoteRequest { id }).await;
            match promoted {
                Ok(_) => return Ok(()),
                Err(status) if begun.elapsed() > limit => return Err(status.into()),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Transfers leadership from member `leader` to member `to`.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn move_leader(&self, leader: usize, to: usize) -> Result<(), ClusterError> {
        let target_id = self.id_of(leader, to).await?;
        MaintenanceClient::new(self.channel(leader).await?).move_leader(MoveLeaderRequest { target_id }).await?;
        Ok(())
    }

    /// Returns the raft term of a member.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn raft_term(&self, member: usize) -> Result<u64, ClusterError> {
        Ok(MaintenanceClient::new(self.channel(member).await?).status(StatusRequest {}).await?.into_inner().raft_term)
    }

    /// Removes a member through `via`; its process is left alone.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn remove(&self, via: usize, member: usize) -> Result<(), ClusterError> {
        let id = self.id_of(via, member).await?;
        ClusterClient::new(self.channel(via).await?).member_remove(MemberRemoveRequest { id }).await?;
        Ok(())
    }
}

async fn connect(member: &Server) -> Result<Channel, tonic::transport::Error> {
    Endpoint::from_shared(member.endpoint())?.timeout(Duration::from_secs(10)).connect().await
}
