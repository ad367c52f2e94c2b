//! The cost of a process so far, from `/proc`.

use std::{fs, io, time::Duration};

/// Cost of one process, read from `/proc/PID`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// User and system time of all its threads, since it started. The kernel counts in steps of 10
    /// ms.
    pub cpu: Duration,
    /// Resident memory now, in bytes (`VmRSS`).
    pub resident_bytes: u64,
    /// Largest resident memory since the start or the last [`memory_peak_reset`], in bytes
    /// (`VmHWM`).
    pub resident_peak_bytes: u64,
}

/// `USER_HZ`: the unit of times in `/proc/PID/stat`, 100 on every Linux that we run on.
const TICKS_PER_SECOND: u64 = 100;

impl Usage {
    /// Reads the cost of process `pid`.
    ///
    /// # Errors
    /// When the process is gone or `/proc` differs from `proc(5)`.
    pub fn of(pid: u32) -> io::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let odd = |what| io::Error::new(io::ErrorKind::InvalidData, format!("no {what} for process {pid}"));
        Ok(Self {
            cpu: cpu_time(&stat).ok_or_else(|| odd("cpu time"))?,
            resident_bytes: kibibytes(&status, "VmRSS:").ok_or_else(|| odd("VmRSS"))? * 1024,
            resident_peak_bytes: kibibytes(&status, "VmHWM:").ok_or_else(|| odd("VmHWM"))? * 1024,
        })
    }
}

/// Makes the peak of [`Usage`] start again from the present size.
///
/// # Errors
/// When the process is gone or belongs to another user.
pub fn memory_peak_reset(pid: u32) -> io::Result<()> {
    fs::write(format!("/proc/{pid}/clear_refs"), "5")
}

/// Fields 14 and 15 of `proc(5)`, counted after the program's name, which may hold blanks and
/// parentheses itself.
fn cpu_time(stat: &str) -> Option<Duration> {
    let after_name = stat.get(stat.rfind(')')? + 2..)?;
    let mut fields = after_name.split(' ').skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 1000 / TICKS_PER_SECOND))
}

fn kibibytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_survives_a_name_with_blanks_and_parentheses() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 1 0 0 0 123 77 0 0 20 0 1 0 9 1 1";
        assert_eq!(cpu_time(stat), Some(Duration::from_secs(2)));
    }

    #[test]
    fn own_process_has_memory() {
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(usage.resident_bytes > 0 && usage.resident_peak_bytes >= usage.resident_bytes / 2);
    }
}
