//! Processes that end, and processes that stand still.

use super::Faults;
use crate::group::GroupError;

impl Faults<'_> {
    pub(super) async fn kill_members(&mut self) -> Result<(), GroupError> {
        for _ in 0..self.random.u8(1..4) {
            let victim = self.victim().await?;
            self.group.kill(victim);
            self.rest(0..800).await;
            self.group.relaunch(victim)?;
            // The next one falls before this one has risen, or after.
            if self.random.bool() {
                self.group.healthy(victim).await?;
            } else {
                self.rest(0..500).await;
            }
        }
        Ok(())
    }

    pub(super) async fn kill_leaders(&mut self) -> Result<(), GroupError> {
        for _ in 0..2 {
            let leader = self.leader().await?;
            self.group.kill(leader);
            self.leader().await?;
            self.rest(0..500).await;
            self.group.relaunch(leader)?;
            self.rest(0..1000).await;
        }
        Ok(())
    }

    pub(super) async fn kill_all(&mut self) -> Result<(), GroupError> {
        for _ in 0..2 {
            let all = self.group.up();
            for member in &all {
                self.group.kill(*member);
            }
            for member in &all {
                self.group.relaunch(*member)?;
            }
            for member in all {
                self.group.healthy(member).await?;
            }
            self.rest(200..800).await;
        }
        Ok(())
    }

    pub(super) async fn terminate(&mut self) -> Result<(), GroupError> {
        for _ in 0..2 {
            let victim = self.victim().await?;
            self.group.terminate(victim)?;
            self.rest(0..500).await;
            self.group.relaunch(victim)?;
            self.group.healthy(victim).await?;
        }
        Ok(())
    }

    pub(super) async fn pause(&mut self) -> Result<(), GroupError> {
        for _ in 0..self.random.u8(2..5) {
            let victim = self.victim().await?;
            self.group.freeze(victim, true)?;
            self.rest(100..1500).await;
            self.group.freeze(victim, false)?;
            self.rest(50..500).await;
        }
        Ok(())
    }

    /// The old leader goes on while it believes that it leads: nothing that it says then may be stale.
    pub(super) async fn pause_leader(&mut self) -> Result<(), GroupError> {
        for _ in 0..self.random.u8(2..5) {
            let leader = self.leader().await?;
            self.group.freeze(leader, true)?;
            let pause = self.duration(900..2500);
            tokio::time::sleep(pause).await;
            self.group.freeze(leader, false)?;
            self.rest(100..700).await;
        }
        Ok(())
    }

    pub(super) async fn pause_all(&mut self) -> Result<(), GroupError> {
        let all = self.group.up();
        for member in &all {
            self.group.freeze(*member, true)?;
            self.rest(0..200).await;
        }
        self.rest(300..2000).await;
        for member in all {
            self.group.freeze(member, false)?;
            self.rest(0..400).await;
        }
        self.rest(200..800).await;
        Ok(())
    }

    /// A member that gets little of the machine is slow, and nothing worse.
    pub(super) async fn starve(&mut self) -> Result<(), GroupError> {
        for _ in 0..2 {
            let victim = self.victim().await?;
            let percent = self.random.u32(5..20);
            self.group.limit_processor(victim, percent)?;
            self.rest(1500..4000).await;
            self.group.unlimit(victim);
            self.rest(100..500).await;
        }
        Ok(())
    }

    /// The kernel ends a member that needs more memory than there is.
    pub(super) async fn exhaust_memory(&mut self) -> Result<(), GroupError> {
        for _ in 0..2 {
            let victim = self.victim().await?;
            let bytes = self.random.u32(64 << 10..4 << 20);
            self.group.limit_memory(victim, bytes)?;
            let patience = self.duration(2000..5000);
            if self.group.wait_for_end(victim, patience) {
                self.group.relaunch(victim)?;
                self.group.healthy(victim).await?;
            } else {
                self.group.unlimit(victim);
            }
            self.rest(100..500).await;
        }
        Ok(())
    }

    /// Upgrades members one by one, with some killed now and then; and some go back.
    pub(super) async fn change_builds(&mut self) -> Result<(), GroupError> {
        let all = self.group.up();
        for (member, other) in all.iter().map(|member| (*member, true)).chain(all.iter().map(|member| (*member, false))) {
            if !other && self.random.bool() {
                continue;
            }
            self.group.terminate(member)?;
            self.group.choose_build(member, other)?;
            self.rest(0..300).await;
            self.group.relaunch(member)?;
            if self.random.bool() {
                let victim = self.any()?;
                self.group.kill(victim);
                self.rest(0..300).await;
                self.group.relaunch(victim)?;
                self.group.healthy(victim).await?;
            }
            self.group.healthy(member).await?;
            self.rest(0..400).await;
        }
        Ok(())
    }
}
