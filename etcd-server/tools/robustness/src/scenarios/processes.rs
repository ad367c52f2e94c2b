//! Processes that end, and processes that stand still.

use super::Faults;
use crate::cluster::ClusterError;

impl Faults<'_> {
    pub(super) async fn kill_members(&mut self) -> Result<(), ClusterError> {
        for _ in 0..self.random.u8(1..4) {
            let victim = self.victim().await?;
            self.cluster.kill(victim);
            self.rest(0..800).await;
            self.cluster.relaunch(victim)?;
            // The next one falls before this one has risen, or after.
            if self.random.bool() {
                self.cluster.healthy(victim).await?;
            } else {
                self.rest(0..500).await;
            }
        }
        Ok(())
    }

    pub(super) async fn kill_leaders(&mut self) -> Result<(), ClusterError> {
        for _ in 0..2 {
            let leader = self.leader().await?;
            self.cluster.kill(leader);
            self.leader().await?;
            self.rest(0..500).await;
            self.cluster.relaunch(leader)?;
            self.rest(0..1000).await;
        }
        Ok(())
    }

    pub(super) async fn kill_all(&mut self) -> Result<(), ClusterError> {
        for _ in 0..2 {
            let all = self.cluster.up();
            for member in &all {
                self.cluster.kill(*member);
            }
            for member in &all {
                self.cluster.relaunch(*member)?;
            }
            for member in all {
                self.cluster.healthy(member).await?;
            }
            self.rest(200..800).await;
        }
        Ok(())
    }

    pub(super) async fn terminate(&mut self) -> Result<(), ClusterError> {
        for _ in 0..2 {
            let victim = self.victim().await?;
            self.cluster.terminate(victim)?;
            self.rest(0..500).await;
            self.cluster.relaunch(victim)?;
            self.cluster.healthy(victim).await?;
        }
        Ok(())
    }

    pub(super) async fn pause(&mut self) -> Result<(), ClusterError> {
        for _ in 0..self.random.u8(2..5) {
            let victim = self.victim().await?;
            self.cluster.freeze(victim, true)?;
            self.rest(100..1500).await;
            self.cluster.freeze(victim, false)?;
            self.rest(50..500).await;
        }
        Ok(())
    }

    /// The old leader goes on while it believes that it leads: nothing that it says then may be
    /// stale.
    pub(super) async fn pause_leader(&mut self) -> Result<(), ClusterError> {
        for _ in 0..self.random.u8(2..5) {
            let leader = self.leader().await?;
            self.cluster.freeze(leader, true)?;
            let pause = self.duration(900..2500);
            tokio::time::sleep(pause).await;
            self.cluster.freeze(leader, false)?;
            self.rest(100..700).await;
        }
        Ok(())
    }

    pub(super) async fn pause_all(&mut self) -> Result<(), ClusterError> {
        let all = self.cluster.up();
        for member in &all {
            self.cluster.freeze(*member, true)?;
            self.rest(0..200).await;
        }
        self.rest(300..2000).await;
        for member in all {
            self.cluster.freeze(member, false)?;
            self.rest(0..400).await;
        }
        self.rest(200..800).await;
        Ok(())
    }

    /// A member that gets little of the machine is slow, and nothing worse.
    pub(super) async fn starve(&mut self) -> Result<(), ClusterError> {
        for _ in 0..2 {
            let victim = self.victim().await?;
            let percent = self.random.u32(5..20);
            self.cluster.limit_processor(victim, percent)?;
            self.rest(1500..4000).await;
            self.cluster.unlimit(victim);
            self.rest(100..500).await;
        }
        Ok(())
    }

    /// The kernel ends a member that needs more memory than there is.
    pub(super) async fn exhaust_memory(&mut self) -> Result<(), ClusterError> {
        for _ in 0..2 {
            let victim = self.victim().await?;
            let bytes = self.random.u32(64 << 10..4 << 20);
            self.cluster.limit_memory(victim, bytes)?;
            let patience = self.duration(2000..5000);
            if self.cluster.wait_for_end(victim, patience) {
                self.cluster.relaunch(victim)?;
                self.cluster.healthy(victim).await?;
            } else {
                self.cluster.unlimit(victim);
            }
            self.rest(100..500).await;
        }
        Ok(())
    }

    /// Upgrades members one by one, with some killed now and then; and some go back.
    pub(super) async fn change_builds(&mut self) -> Result<(), ClusterError> {
        let all = self.cluster.up();
        for (member, other) in all.iter().map(|member| (*member, true)).chain(all.iter().map(|member| (*member, false)))
        {
            if !other && self.random.bool() {
                continue;
            }
            self.cluster.terminate(member)?;
            self.cluster.choose_build(member, other)?;
            self.rest(0..300).await;
            self.cluster.relaunch(member)?;
            if self.random.bool() {
                let victim = self.any()?;
                self.cluster.kill(victim);
                self.rest(0..300).await;
                self.cluster.relaunch(victim)?;
                self.cluster.healthy(victim).await?;
            }
            self.cluster.healthy(member).await?;
            self.rest(0..400).await;
        }
        Ok(())
    }
}
