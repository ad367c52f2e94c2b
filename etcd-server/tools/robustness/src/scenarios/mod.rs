//! The implementation of each scenario. Durations come from the seed; the caller repairs the
//! remaining faults.

mod clocks;
mod disks;
mod membership;
mod network;
mod processes;

use crate::cluster::{Cluster, ClusterError};
use crate::scenario::Scenario;
use fastrand::Rng;
use std::ops::Range;
use std::time::Duration;
use tokio::time::sleep;

/// Time limit for waiting for a leader.
const LEADER_PATIENCE: Duration = Duration::from_secs(10);

/// A scenario under way.
pub(crate) struct Faults<'a> {
    pub(crate) cluster: &'a mut Cluster,
    pub(crate) random: &'a mut Rng,
    /// Entries that a member must miss so that it needs a snapshot.
    pub(crate) catchup_entries: i64,
}

impl Faults<'_> {
    /// Injects the faults of a scenario.
    pub(crate) async fn inject(&mut self, scenario: Scenario) -> Result<(), ClusterError> {
        match scenario {
            Scenario::Quiet => {
                self.rest(1000..2000).await;
                Ok(())
            }
            Scenario::KillMember => self.kill_members().await,
            Scenario::KillLeader => self.kill_leaders().await,
            Scenario::KillAll => self.kill_all().await,
            Scenario::Terminate => self.terminate().await,
            Scenario::Pause => self.pause().await,
            Scenario::PauseLeader => self.pause_leader().await,
            Scenario::PauseAll => self.pause_all().await,
            Scenario::CompactAndKill | Scenario::DefragmentAndKill => self.kill_members().await,
            Scenario::PowerCut => self.cut_power(false).await,
            Scenario::PowerCutAll => self.cut_power(true).await,
            Scenario::FailedSync => self.fail_calls("fsync,fdatasync").await,
            // Files are written with this call; pipes and sockets are not.
            Scenario::FailedWrite => self.fail_calls("pwrite64").await,
            Scenario::FailedRead => self.fail_reads().await,
            Scenario::Starve => self.starve().await,
            Scenario::OutOfMemory => self.exhaust_memory().await,
            Scenario::WallClockJump => self.jump_wall_clocks().await,
            Scenario::WallClockRate => self.bend_wall_clocks().await,
            Scenario::ClockEpochs => self.pause_leader().await,
            Scenario::OtherBuild => self.change_builds().await,
            Scenario::SlowSync => self.slow_syncs().await,
            Scenario::HungDisk => self.hang_disk().await,
            Scenario::FullDisk => self.fill_disk().await,
            Scenario::ReadOnlyDisk => self.turn_read_only().await,
            Scenario::IsolateLeader => self.isolate(true).await,
            Scenario::IsolateFollower => self.isolate(false).await,
            Scenario::Shatter => self.shatter().await,
            Scenario::OneWay => self.one_way().await,
            Scenario::Bridge => self.bridge().await,
            Scenario::Ring => self.ring().await,
            Scenario::Loss => self.lose().await,
            Scenario::Delay => self.delay().await,
            Scenario::Throttle => self.throttle().await,
            Scenario::BreakConnections => self.break_connections().await,
            Scenario::DamagedBytes => self.damage().await,
            Scenario::FallBehind => self.fall_behind(false).await,
            Scenario::FallBehindKilled => self.fall_behind(true).await,
            Scenario::Flapping => self.flap().await,
            Scenario::MoveLeader => self.move_leader().await,
            Scenario::ReplaceMember => self.replace_member().await,
            Scenario::RemoveLeader => self.remove_leader().await,
            Scenario::Learner => self.learner().await,
            Scenario::GrowAndShrink => self.grow_and_shrink().await,
            Scenario::ChangeWhileAway => self.change_while_away().await,
        }
    }

    fn duration(&mut self, milliseconds: Range<u64>) -> Duration {
        Duration::from_millis(self.random.u64(milliseconds))
    }

    /// Lets a fault take its effect.
    async fn rest(&mut self, milliseconds: Range<u64>) {
        sleep(self.duration(milliseconds)).await;
    }

    fn any(&mut self) -> Result<usize, ClusterError> {
        let up = self.cluster.up();
        self.random.choice(up).ok_or_else(|| ClusterError::Unexpected("nobody is up".to_owned()))
    }

    async fn leader(&mut self) -> Result<usize, ClusterError> {
        match self.cluster.leader(LEADER_PATIENCE).await {
            Some(leader) => Ok(leader),
            None => self.any(),
        }
    }

    /// The leader in half of the cases, where most can go wrong.
    async fn victim(&mut self) -> Result<usize, ClusterError> {
        if self.random.bool() { self.leader().await } else { self.any() }
    }

    async fn follower(&mut self) -> Result<usize, ClusterError> {
        let leader = self.leader().await?;
        let others: Vec<_> = self.cluster.up().into_iter().filter(|member| *member != leader).collect();
        self.random.choice(others).map_or(Ok(leader), Ok)
    }

    /// Returns a running member other than these.
    fn other_than(&mut self, not: &[usize]) -> Result<usize, ClusterError> {
        let others: Vec<_> = self.cluster.up().into_iter().filter(|member| !not.contains(member)).collect();
        self.random.choice(others).ok_or_else(|| ClusterError::Unexpected("nobody else is up".to_owned()))
    }
}
