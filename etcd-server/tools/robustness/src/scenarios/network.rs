//! Links that are cut, slow, narrow or lossy.

use super::Faults;
use crate::cluster::ClusterError;
use crate::switch::Link;
use std::time::{Duration, Instant};
use tokio::time::sleep;

const CUT: Link = Link {
    cut: true,
    delay: Duration::ZERO,
    jitter: Duration::ZERO,
    bytes_per_second: 0,
    loss_per_mille: 0,
    damage_per_mille: 0,
};
/// Maximum time for which a member is kept away, until it has missed enough.
const AWAY_LIMIT: Duration = Duration::from_secs(40);

impl Faults<'_> {
    fn pairs(&self) -> Vec<(usize, usize)> {
        let up = self.cluster.up();
        up.iter().flat_map(|&from| up.iter().map(move |&to| (from, to))).filter(|(from, to)| from != to).collect()
    }

    /// Changes the links that a rule names.
    fn links(&self, what: &str, link: Link, concerned: impl Fn(usize, usize) -> bool) {
        self.cluster.shared_state.note(what.to_owned());
        for (from, to) in self.pairs().into_iter().filter(|(from, to)| concerned(*from, *to)) {
            self.cluster.link(from, to, link);
        }
    }

    fn mend(&self) {
        self.cluster.shared_state.note("all links are well");
        self.cluster.switch.clear();
    }

    /// Half of the time connections break when a cut ends, as they do when it lasts longer.
    async fn heal_after(&mut self, milliseconds: std::ops::Range<u64>) {
        self.rest(milliseconds).await;
        if self.random.bool() {
            for member in self.cluster.up() {
                self.cluster.switch.break_connections(member);
            }
        }
        self.mend();
        self.rest(200..1000).await;
    }

    pub(super) async fn isolate(&mut self, leader: bool) -> Result<(), ClusterError> {
        for _ in 0..2 {
            let victim = if leader { self.leader().await? } else { self.follower().await? };
            self.links(&format!("member {victim} is cut off"), CUT, |from, to| from == victim || to == victim);
            self.heal_after(500..3000).await;
        }
        Ok(())
    }

    pub(super) async fn shatter(&mut self) -> Result<(), ClusterError> {
        self.links("all links are cut", CUT, |_, _| true);
        self.heal_after(500..2500).await;
        Ok(())
    }

    pub(super) async fn one_way(&mut self) -> Result<(), ClusterError> {
        for _ in 0..2 {
            let (victim, other) = (self.victim().await?, self.any()?);
            let shape = self.random.u8(..4);
            self.links(
                &format!("member {victim} is cut one way, shape {shape}, {other}"),
                CUT,
                |from, to| match shape {
                    0 => from == victim,
                    1 => to == victim,
                    2 => (from, to) == (victim, other),
                    _ => (from, to) == (other, victim),
                },
            );
            self.heal_after(500..2500).await;
        }
        Ok(())
    }

    pub(super) async fn bridge(&mut self) -> Result<(), ClusterError> {
        for _ in 0..2 {
            let first = self.victim().await?;
            let second = self.other_than(&[first])?;
            self.links(&format!("{first} and {second} do not see each other"), CUT, |from, to| {
                [(first, second), (second, first)].contains(&(from, to))
            });
            self.heal_after(800..3000).await;
        }
        Ok(())
    }

    /// Each sees its neighbours in the ring only; with five members that is a majority, with three
    /// all.
    pub(super) async fn ring(&mut self) -> Result<(), ClusterError> {
        let up = self.cluster.up();
        let place = |member: usize| up.iter().position(|known| *known == member).unwrap_or_default();
        let size = up.len();
        self.links("a ring", CUT, |from, to| {
            let distance = place(from).abs_diff(place(to));
            distance.min(size - distance) > 1
        });
        self.heal_after(1000..4000).await;
        Ok(())
    }

    pub(super) async fn lose(&mut self) -> Result<(), ClusterError> {
        let loss_per_mille = *self.random.choice(&[10, 100, 300, 500]).unwrap_or(&100);
        self.links(
            &format!("{loss_per_mille} of 1000 are lost"),
            Link { loss_per_mille, ..Link::default() },
            |_, _| true,
        );
        self.heal_after(1500..3500).await;
        Ok(())
    }

    pub(super) async fn delay(&mut self) -> Result<(), ClusterError> {
        let delay = *self.random.choice(&[25, 75, 250]).unwrap_or(&75);
        let link =
            Link { delay: Duration::from_millis(delay), jitter: Duration::from_millis(delay), ..Link::default() };
        let victim = self.random.bool().then_some(self.any()?);
        self.links(&format!("{link:?} of {victim:?}"), link, |from, to| {
            victim.is_none_or(|victim| from == victim || to == victim)
        });
        self.heal_after(1500..3500).await;
        Ok(())
    }

    pub(super) async fn throttle(&mut self) -> Result<(), ClusterError> {
        let bytes_per_second = self.random.u32(16_000..128_000);
        let victim = self.any()?;
        let link = Link { bytes_per_second, ..Link::default() };
        self.links(&format!("links of {victim} carry {bytes_per_second} bytes a second"), link, |from, to| {
            from == victim || to == victim
        });
        self.heal_after(2000..4000).await;
        Ok(())
    }

    pub(super) async fn damage(&mut self) -> Result<(), ClusterError> {
        for _ in 0..3 {
            let damage_per_mille = self.random.u16(5..100);
            self.links(
                &format!("{damage_per_mille} of 1000 chunks are damaged"),
                Link { damage_per_mille, ..Link::default() },
                |_, _| true,
            );
            self.rest(500..2000).await;
            self.mend();
            self.rest(200..1000).await;
        }
        Ok(())
    }

    pub(super) async fn break_connections(&mut self) -> Result<(), ClusterError> {
        self.cluster.shared_state.note("connections break all the time");
        for _ in 0..self.random.u8(20..50) {
            let victim = self.any()?;
            self.cluster.switch.break_connections(victim);
            sleep(Duration::from_millis(50)).await;
        }
        self.rest(200..500).await;
        Ok(())
    }

    /// A follower misses so much that the log does not reach back to it; watchers at it come and go
    /// meanwhile.
    pub(super) async fn fall_behind(&mut self, killed: bool) -> Result<(), ClusterError> {
        let victim = self.follower().await?;
        self.links(&format!("member {victim} is cut off until it needs a snapshot"), CUT, |from, to| {
            from == victim || to == victim
        });
        let (begun, think) = (Instant::now(), self.cluster.shared_state.think());
        self.cluster.shared_state.set_think(Duration::ZERO);
        let far = self.cluster.shared_state.recorded() + self.catchup_entries;
        while self.cluster.shared_state.recorded() < far && begun.elapsed() < AWAY_LIMIT {
            sleep(Duration::from_millis(20)).await;
        }
        self.cluster.shared_state.set_think(think);
        self.cluster.shared_state.note(format!("revision {}", self.cluster.shared_state.recorded()));
        self.mend();
        if killed {
            self.rest(0..300).await;
            self.cluster.kill(victim);
            self.rest(0..300).await;
            self.cluster.relaunch(victim)?;
        }
        self.cluster.healthy(victim).await?;
        self.rest(200..1000).await;
        Ok(())
    }

    pub(super) async fn flap(&mut self) -> Result<(), ClusterError> {
        let victim = self.victim().await?;
        for _ in 0..self.random.u8(3..7) {
            self.links(&format!("member {victim} is cut off"), CUT, |from, to| from == victim || to == victim);
            self.rest(100..900).await;
            self.mend();
            self.rest(100..900).await;
        }
        Ok(())
    }
}
