//! Disks that lose, refuse, delay or hang. A member whose disk fails must end: it may not continue
//! without knowing the content of its disk.

use super::Faults;
use crate::cluster::ClusterError;
use std::fs;
use std::io::Write as _;
use std::time::Duration;

/// Time limit for a member to notice that its disk failed, under load.
const FAIL_STOP: Duration = Duration::from_secs(20);

impl Faults<'_> {
    pub(super) async fn cut_power(&mut self, of_all: bool) -> Result<(), ClusterError> {
        for _ in 0..self.random.u8(1..3) {
            let victims = if of_all { self.cluster.up() } else { vec![self.victim().await?] };
            for victim in &victims {
                self.cluster.cut_power(*victim)?;
            }
            self.rest(0..300).await;
            for victim in &victims {
                self.cluster.relaunch(*victim)?;
            }
            if self.random.bool() {
                for victim in victims {
                    self.cluster.healthy(victim).await?;
                }
            }
            self.rest(100..600).await;
        }
        Ok(())
    }

    /// From some call on, all of these fail; the member must end by itself.
    pub(super) async fn fail_calls(&mut self, calls: &str) -> Result<(), ClusterError> {
        let victim = self.victim().await?;
        let first = self.random.u16(1..40);
        let error = if self.random.bool() { "EIO" } else { "ENOSPC" };
        let injection = format!("error={error}:when={first}+");
        self.cluster.trace(victim, calls, &injection)?;
        self.must_end(victim)?;
        self.rest(0..500).await;
        self.cluster.relaunch(victim)
    }

    /// Makes reads of the state fail for a while. Reads from memory may succeed; a member that
    /// needs more must end rather than respond without it.
    pub(super) async fn fail_reads(&mut self) -> Result<(), ClusterError> {
        let victim = self.victim().await?;
        let first = self.random.u16(1..10);
        self.cluster.trace(victim, "pread64", &format!("error=EIO:when={first}+"))?;
        let patience = self.duration(1500..3000);
        if self.cluster.wait_for_end(victim, patience) {
            return self.cluster.relaunch(victim);
        }
        self.cluster.release(victim);
        self.rest(200..500).await;
        // One that noticed must not stay.
        if self.cluster.log_tail(victim).contains("member cannot continue") {
            self.must_end(victim)?;
        }
        Ok(())
    }

    fn must_end(&mut self, member: usize) -> Result<(), ClusterError> {
        if self.cluster.wait_for_end(member, FAIL_STOP) {
            return Ok(());
        }
        Err(ClusterError::Unexpected(format!("member {member} still runs {FAIL_STOP:?} after its disk failed")))
    }

    pub(super) async fn slow_syncs(&mut self) -> Result<(), ClusterError> {
        let victim = self.victim().await?;
        let microseconds = self.random.u32(50_000..1_000_000);
        self.cluster.trace(victim, "fsync,fdatasync", &format!("delay_exit={microseconds}"))?;
        self.rest(1500..3500).await;
        self.cluster.release(victim);
        self.rest(200..500).await;
        Ok(())
    }

    pub(super) async fn hang_disk(&mut self) -> Result<(), ClusterError> {
        let victim = self.victim().await?;
        self.cluster.shared_state.note(format!("the disk of {victim} hangs"));
        if !self.cluster.disk(victim)?.freeze(true) {
            return Err(ClusterError::Unable("fsfreeze"));
        }
        self.rest(500..3000).await;
        self.cluster.shared_state.note(format!("the disk of {victim} goes on"));
        if !self.cluster.disk(victim)?.freeze(false) {
            return Err(ClusterError::Unable("fsfreeze"));
        }
        self.rest(200..800).await;
        Ok(())
    }

    /// Fills a disk. The member continues in its allocated space, or ends; with space again it must
    /// run.
    pub(super) async fn fill_disk(&mut self) -> Result<(), ClusterError> {
        let victim = self.victim().await?;
        let balloon = self.cluster.disk_path(victim)?.join("balloon");
        self.cluster.shared_state.note(format!("the disk of {victim} is full"));
        let file = fs::File::create(&balloon)?;
        tokio::task::block_in_place(|| fill(file));
        self.rest(1500..3000).await;
        fs::remove_file(&balloon)?;
        self.cluster.shared_state.note(format!("the disk of {victim} has space"));
        self.rest(200..800).await;
        // One that said why it cannot go on must not stay: others could take it for one that only
        // is slow.
        if self.cluster.log_tail(victim).contains("member cannot continue") {
            self.must_end(victim)?;
        } else if !self.cluster.is_running(victim) {
            self.cluster.wait_for_end(victim, FAIL_STOP);
        }
        Ok(())
    }

    pub(super) async fn turn_read_only(&mut self) -> Result<(), ClusterError> {
        let victim = self.victim().await?;
        self.cluster.shared_state.note(format!("the disk of {victim} turns read-only"));
        if !self.cluster.disk(victim)?.turn_read_only() {
            return Err(ClusterError::Unable("a file system that can be turned read-only"));
        }
        self.must_end(victim)?;
        let disk = self.cluster.disk(victim)?;
        if !(disk.unmount() && disk.mount()) {
            return Err(ClusterError::Unable("a disk to be mounted again"));
        }
        self.rest(0..500).await;
        self.cluster.relaunch(victim)
    }
}

/// Writes until nothing more fits, however little: the failure is intended.
fn fill(mut file: fs::File) {
    for bytes in [1 << 20, 4 << 10] {
        let block = vec![0; bytes];
        while file.write_all(&block).is_ok() {}
    }
}
