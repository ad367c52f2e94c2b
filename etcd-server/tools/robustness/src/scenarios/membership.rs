//! A group that changes under load.

use super::Faults;
use crate::group::GroupError;
use std::time::Duration;

/// Time limit for a removed member to learn of it and end.
const FAREWELL: Duration = Duration::from_secs(3);

impl Faults<'_> {
    pub(super) async fn move_leader(&mut self) -> Result<(), GroupError> {
        for _ in 0..self.random.u8(2..6) {
            let from = self.leader().await?;
            let to = self.other_than(&[from])?;
            self.group.move_leader(from, to).await?;
            self.rest(0..600).await;
        }
        Ok(())
    }

    /// Removes a member through another one, and ends its process.
    async fn take_out(&mut self, member: usize) -> Result<(), GroupError> {
        let via = self.other_than(&[member])?;
        self.group.remove(via, member).await?;
        self.group.retire(member, FAREWELL);
        Ok(())
    }

    pub(super) async fn replace_member(&mut self) -> Result<(), GroupError> {
        let victim = self.victim().await?;
        let crashed = self.random.bool();
        if crashed {
            self.group.kill(victim);
            self.leader().await?;
        }
        self.take_out(victim).await?;
        let via = self.leader().await?;
        let learner = self.random.bool();
        let added = self.group.add(via, learner).await?;
        if learner {
            self.group.promote(via, added).await?;
        }
        self.group.healthy(added).await?;
        self.rest(200..800).await;
        Ok(())
    }

    pub(super) async fn remove_leader(&mut self) -> Result<(), GroupError> {
        let leader = self.leader().await?;
        // Asked by itself, or by another one.
        let via = if self.random.bool() { leader } else { self.other_than(&[leader])? };
        self.group.remove(via, leader).await?;
        self.group.retire(leader, FAREWELL);
        self.leader().await?;
        self.rest(300..1000).await;
        Ok(())
    }

    pub(super) async fn learner(&mut self) -> Result<(), GroupError> {
        let via = self.leader().await?;
        let added = self.group.add(via, true).await?;
        self.rest(0..500).await;
        let via = self.leader().await?;
        self.group.promote(via, added).await?;
        self.group.healthy(added).await?;
        if self.random.bool() {
            let (from, to) = (self.leader().await?, added);
            self.group.move_leader(from, to).await?;
        }
        self.rest(300..800).await;
        Ok(())
    }

    pub(super) async fn grow_and_shrink(&mut self) -> Result<(), GroupError> {
        for _ in 0..2 {
            let via = self.leader().await?;
            let added = self.group.add(via, false).await?;
            self.group.healthy(added).await?;
        }
        let victim = self.victim().await?;
        self.group.kill(victim);
        self.rest(0..500).await;
        self.group.relaunch(victim)?;
        self.group.healthy(victim).await?;
        for _ in 0..2 {
            let leaving = self.victim().await?;
            self.take_out(leaving).await?;
        }
        self.rest(200..600).await;
        Ok(())
    }

    /// One is killed; another one comes; the first comes back to a group that it does not know.
    pub(super) async fn change_while_away(&mut self) -> Result<(), GroupError> {
        let away = self.follower().await?;
        self.group.kill(away);
        let via = self.leader().await?;
        let added = self.group.add(via, true).await?;
        self.rest(0..500).await;
        if self.random.bool() {
            let leader = self.leader().await?;
            self.group.kill(leader);
            self.rest(0..300).await;
            self.group.relaunch(away)?;
            self.group.relaunch(leader)?;
        } else {
            self.group.relaunch(away)?;
        }
        // A voter more is refused while one is missed.
        self.group.healthy(away).await?;
        let via = self.leader().await?;
        self.group.promote(via, added).await?;
        self.group.healthy(added).await?;
        self.rest(200..800).await;
        Ok(())
    }
}
