//! Limits on a member's share of the machine, by cgroup v1; they end when this is dropped.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const ROOT: &str = "/sys/fs/cgroup";
/// Microseconds of a period in which the quota may be used up.
const PERIOD: u32 = 100_000;

#[derive(Debug)]
pub(crate) struct Limit {
    dir: PathBuf,
    above: PathBuf,
}

impl Limit {
    /// Limits a process to hundredths of one processor; `None` where that is not permitted.
    pub(crate) fn processor(pid: u32, percent: u32) -> Option<Self> {
        let values =
            [("cpu.cfs_period_us", PERIOD.to_string()), ("cpu.cfs_quota_us", (PERIOD / 100 * percent).to_string())];
        Self::new("cpu", pid, &values).ok()
    }

    /// Limits a process to this many further bytes of memory; it keeps those that it has. One that
    /// needs more is ended by the kernel.
    pub(crate) fn memory(pid: u32, bytes: u32) -> Option<Self> {
        Self::new("memory", pid, &[("memory.limit_in_bytes", bytes.to_string())]).ok()
    }

    fn new(controller: &str, pid: u32, values: &[(&str, String)]) -> io::Result<Self> {
        let above = Path::new(ROOT).join(controller);
        let limit = Self { dir: above.join(format!("robustness-{pid}")), above };
        fs::create_dir(&limit.dir)?;
        for (name, value) in values {
            fs::write(limit.dir.join(name), value)?;
        }
        fs::write(limit.dir.join("cgroup.procs"), pid.to_string())?;
        Ok(limit)
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        let inside = fs::read_to_string(self.dir.join("cgroup.procs")).unwrap_or_default();
        for pid in inside.lines() {
            // Fails only for one that has ended.
            fs::write(self.above.join("cgroup.procs"), pid).ok();
        }
        // An empty group that stays behind is harmless.
        fs::remove_dir(&self.dir).ok();
    }
}
