//! The operator of a cluster: finds the leader, transfers leadership, adds, promotes and removes
//! members.

use super::{Cluster, ClusterError, MemberState, PATIENCE};
use proto::etcdserverpb::{
    MemberAddRequest, MemberListRequest, MemberPromoteRequest, MemberRemoveRequest, MoveLeaderRequest, StatusRequest,
};
use rpc::etcdserverpb::{cluster_client::ClusterClient, maintenance_client::MaintenanceClient};
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// Time limit of one call.
const CALL_PATIENCE: Duration = Duration::from_secs(5);

impl Cluster {
    /// Returns the leader, by its own statement; waits for one.
    pub(crate) async fn leader(&self, patience: Duration) -> Option<usize> {
        let begun = Instant::now();
        while begun.elapsed() < patience {
            for member in self.up() {
                if self.status(member).await.is_some_and(|(own, leader)| own == leader) {
                    return Some(member);
                }
            }
            sleep(Duration::from_millis(20)).await;
        }
        None
    }

    /// Returns the id of a member, and of the leader in its view.
    async fn status(&self, member: usize) -> Option<(u64, u64)> {
        let mut maintenance = MaintenanceClient::new(self.shared_state.seat(member)?.channel);
        let status =
            timeout(Duration::from_secs(1), maintenance.status(StatusRequest {})).await.ok()?.ok()?.into_inner();
        Some((status.header?.member_id, status.leader))
    }

    pub(crate) async fn id(&self, member: usize) -> Result<u64, ClusterError> {
        let begun = Instant::now();
        loop {
            match self.status(member).await {
                Some((id, _)) => return Ok(id),
                None if begun.elapsed() > PATIENCE => {
                    return Err(ClusterError::Unexpected(format!("member {member} tells no status")));
                }
                None => sleep(Duration::from_millis(50)).await,
            }
        }
    }

    pub(crate) async fn move_leader(&self, from: usize, to: usize) -> Result<(), ClusterError> {
        self.shared_state.note(format!("leadership from {from} to {to}"));
        let target_id = self.id(to).await?;
        let Some(seat) = self.shared_state.seat(from) else { return Ok(()) };
        let mut maintenance = MaintenanceClient::new(seat.channel);
        match timeout(CALL_PATIENCE, maintenance.move_leader(MoveLeaderRequest { target_id })).await {
            // The outcome does not matter; leadership may have moved by itself meanwhile.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn cluster(&self, via: usize) -> Result<ClusterClient<tonic::transport::Channel>, ClusterError> {
        let seat =
            self.shared_state.seat(via).ok_or_else(|| ClusterError::Unexpected(format!("member {via} is gone")))?;
        Ok(ClusterClient::new(seat.channel))
    }

    /// Adds a member and starts it; tries until the group agrees.
    pub(crate) async fn add(&mut self, via: usize, learner: bool) -> Result<usize, ClusterError> {
        let member = self.slots.len();
        let (place, entry, peer_url) = self.place(member).await?;
        self.shared_state.note(format!("add {} {member}", if learner { "learner" } else { "member" }));
        let begun = Instant::now();
        loop {
            let request = MemberAddRequest { peer_ur_ls: vec![peer_url.clone()], is_learner: learner };
            let added = timeout(CALL_PATIENCE, self.cluster(via)?.member_add(request)).await;
            match added {
                Ok(Ok(_)) => break,
                // It took longer than we waited, and is there.
                Ok(Err(status)) if status.message().contains("Peer URLs already exists") => break,
                Ok(Err(status)) if begun.elapsed() > PATIENCE => return Err(status.into()),
                Err(_) if begun.elapsed() > PATIENCE => {
                    return Err(ClusterError::Unexpected("a member cannot be added".to_owned()));
                }
                Ok(Err(_)) | Err(_) => sleep(Duration::from_millis(200)).await,
            }
        }
        // This member's own list is enough: it reported success, and a cluster of two without the
        // second one orders nothing.
        let listed = timeout(PATIENCE, self.cluster(via)?.member_list(MemberListRequest { linearizable: false })).await;
        let listed = listed
            .map_err(|_| ClusterError::Unexpected("the members are not listed".to_owned()))??
            .into_inner()
            .members;
        let known = self.slots.iter().map(|slot| (&slot.peer_url, &slot.entry)).chain([(&peer_url, &entry)]);
        let entries: Vec<_> = known
            .filter(|(url, _)| listed.iter().any(|member| member.peer_ur_ls.contains(url)))
            .map(|(_, entry)| entry.as_str())
            .collect();
        let flags = ["--initial-cluster", &entries.join(","), "--initial-cluster-state", "existing"].map(str::to_owned);
        self.launch(place, entry, peer_url, &flags)?;
        Ok(member)
    }

    /// Makes a voter of a learner; tries until it has caught up.
    pub(crate) async fn promote(&self, via: usize, member: usize) -> Result<(), ClusterError> {
        self.shared_state.note(format!("promote {member}"));
        let (begun, id) = (Instant::now(), self.listed_id(via, member).await?);
        loop {
            let promoted = timeout(CALL_PATIENCE, self.cluster(via)?.member_promote(MemberPromoteRequest { id })).await;
            match promoted {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(status)) if status.message() == "etcdserver: can only promote a learner member" => return Ok(()),
                Ok(Err(status)) if begun.elapsed() > PATIENCE => return Err(status.into()),
                Err(_) if begun.elapsed() > PATIENCE => {
                    return Err(ClusterError::Unexpected("a learner is not promoted".to_owned()));
                }
                Ok(Err(_)) | Err(_) => sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Takes a member out; tries until the group agrees. Its process ends by itself, or is ended.
    pub(crate) async fn remove(&mut self, via: usize, member: usize) -> Result<(), ClusterError> {
        self.shared_state.note(format!("remove {member}"));
        let (begun, id) = (Instant::now(), self.listed_id(via, member).await?);
        loop {
            let removed = timeout(CALL_PATIENCE, self.cluster(via)?.member_remove(MemberRemoveRequest { id })).await;
            match removed {
                Ok(Ok(_)) => break,
                Ok(Err(status)) if status.message().contains("member not found") => break,
                Ok(Err(status)) if begun.elapsed() > PATIENCE => return Err(status.into()),
                Err(_) if begun.elapsed() > PATIENCE => {
                    return Err(ClusterError::Unexpected("a member is not removed".to_owned()));
                }
                Ok(Err(_)) | Err(_) => sleep(Duration::from_millis(100)).await,
            }
        }
        self.shared_state.unseat(member);
        self.slots[member].standing = MemberState::Removed;
        Ok(())
    }

    async fn listed_id(&self, via: usize, member: usize) -> Result<u64, ClusterError> {
        let listed = timeout(PATIENCE, self.cluster(via)?.member_list(MemberListRequest { linearizable: false })).await;
        let listed = listed
            .map_err(|_| ClusterError::Unexpected("the members are not listed".to_owned()))??
            .into_inner()
            .members;
        let found = listed.into_iter().find(|listed| listed.peer_ur_ls.contains(&self.slots[member].peer_url));
        found.map(|member| member.id).ok_or_else(|| ClusterError::Unexpected(format!("member {member} is not listed")))
    }
}
