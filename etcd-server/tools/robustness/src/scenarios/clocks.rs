//! Wall clocks that are wrong. Nothing that a group promises may depend on them.

use super::Faults;
use crate::cluster::{ClusterError, WallClock};

const DAY_SECONDS: i64 = 86_400;

impl Faults<'_> {
    /// Moves wall clocks of some members by two days forth or back, and right again.
    pub(super) async fn jump_wall_clocks(&mut self) -> Result<(), ClusterError> {
        for _ in 0..self.random.u8(2..5) {
            let victim = self.victim().await?;
            let off_by_seconds = if self.random.bool() { 2 } else { -2 } * DAY_SECONDS;
            self.cluster.set_wall_clock(victim, WallClock { off_by_seconds, ..WallClock::TRUE })?;
            self.rest(300..1500).await;
            if self.random.bool() {
                self.cluster.set_wall_clock(victim, WallClock::TRUE)?;
            }
            self.rest(0..500).await;
        }
        Ok(())
    }

    /// Ten times as fast, or a tenth.
    pub(super) async fn bend_wall_clocks(&mut self) -> Result<(), ClusterError> {
        for member in self.cluster.up() {
            let rate = *self.random.choice(&[100, 1000, 10_000]).unwrap_or(&1000);
            self.cluster.set_wall_clock(member, WallClock { rate, ..WallClock::TRUE })?;
        }
        self.rest(2000..4000).await;
        Ok(())
    }
}
