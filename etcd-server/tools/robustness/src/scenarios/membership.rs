//! A group that changes under load.

use super::Faults;
use crate::cluster::ClusterError;
use std::time::Duration;

/// Time limit for a removed member to learn of it and end.
const FAREWELL: Duration = Duration::from_secs(3);

impl Faults<'_> {
    pub(super) async fn move_leader(&mut self) -> Result<(), ClusterError> {
        for _ in 0..self.random.u8(2..6) {
            let from = self.leader().await?;
            let to = self.other_than(&[from])?;
            self.cluster.move_leader(from, to).await?;
            self.rest(0..600).await;
        }
        Ok(())
    }

    /// Removes a member through another one, and ends its process.
    async fn take_out(&mut self, member: usize) -> Result<(), ClusterError> {
        let via = self.other_than(&[member])?;
        self.cluster.remove(via, member).await?;
        self.cluster.retire(member, FAREWELL);
        Ok(())
    }

    pub(super) async fn replace_member(&mut self) -> Result<(), ClusterError> {
        let victim = self.victim().await?;
        let crashed = self.random.bool();
        if crashed {
            self.cluster.kill(victim);
            self.leader().await?;
        }
        self.take_out(victim).await?;
        let via = self.leader().await?;
        let learner = self.random.bool();
        let added = self.cluster.add(via, learner).await?;
        if learner {
            self.cluster.promote(via, added).await?;
        }
        self.cluster.healthy(added).await?;
        self.rest(200..800).await;
        Ok(())
    }

    pub(super) async fn remove_leader(&mut self) -> Result<(), ClusterError> {
        let leader = self.leader().await?;
        // Asked by itself, or by another one.
        let via = if self.random.bool() { leader } else { self.other_than(&[leader])? };
        self.cluster.remove(via, leader).await?;
        self.cluster.retire(leader, FAREWELL);
        self.leader().await?;
        self.rest(300..1000).await;
        Ok(())
    }

    pub(super) async fn learner(&mut self) -> Result<(), ClusterError> {
        let via = self.leader().await?;
        let added = self.cluster.add(via, true).await?;
        self.rest(0..500).await;
        let via = self.leader().await?;
        self.cluster.promote(via, added).await?;
        self.cluster.healthy(added).await?;
        if self.random.bool() {
            let (from, to) = (self.leader().await?, added);
            self.cluster.move_leader(from, to).await?;
        }
        self.rest(300..800).await;
        Ok(())
    }

    pub(super) async fn grow_and_shrink(&mut self) -> Result<(), ClusterError> {
        for _ in 0..2 {
            let via = self.leader().await?;
            let added = self.cluster.add(via, false).await?;
            self.cluster.healthy(added).await?;
        }
        let victim = self.victim().await?;
        self.cluster.kill(victim);
        self.rest(0..500).await;
        self.cluster.relaunch(victim)?;
        self.cluster.healthy(victim).await?;
        for _ in 0..2 {
            let leaving = self.victim().await?;
            self.take_out(leaving).await?;
        }
        self.rest(200..600).await;
        Ok(())
    }

    /// One is killed; another one comes; the first comes back to a group that it does not know.
    pub(super) async fn change_while_away(&mut self) -> Result<(), ClusterError> {
        let away = self.follower().await?;
        self.cluster.kill(away);
        let via = self.leader().await?;
        let added = self.cluster.add(via, true).await?;
        self.rest(0..500).await;
        if self.random.bool() {
            let leader = self.leader().await?;
            self.cluster.kill(leader);
            self.rest(0..300).await;
            self.cluster.relaunch(away)?;
            self.cluster.relaunch(leader)?;
        } else {
            self.cluster.relaunch(away)?;
        }
        // A voter more is refused while one is missed.
        self.cluster.healthy(away).await?;
        let via = self.leader().await?;
        self.cluster.promote(via, added).await?;
        self.cluster.healthy(added).await?;
        self.rest(200..800).await;
        Ok(())
    }
}
