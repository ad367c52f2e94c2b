//! Clocks of members that are not the machine's: a wall clock that jumps or runs at another rate, a
//! monotonic one that began at another time.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// By how much the monotonic clocks of neighbours differ: more than any of them can have run.
const EPOCH_STEP: Duration = Duration::from_secs(10_000_000);

/// The clocks of a cluster's members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Clocks {
    #[default]
    TheMachines,
    /// The wall clock of each can be set.
    Wall,
    /// Monotonic clocks with different epochs.
    Epochs,
}

/// A fault of a wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WallClock {
    pub(crate) off_by_seconds: i64,
    /// Thousandths of the true rate.
    pub(crate) rate: i64,
}

impl WallClock {
    pub(crate) const TRUE: Self = Self { off_by_seconds: 0, rate: 1000 };
}

/// The library that members are started with, and a file for each one's wall clock.
#[derive(Debug)]
pub(crate) struct WallClocks(TempDir);

impl WallClocks {
    /// Compiles the library; nothing where there is no compiler.
    pub(crate) fn new() -> io::Result<Option<Self>> {
        let dir = tempfile::Builder::new().prefix("robustness-clocks-").tempdir()?;
        let source = dir.path().join("wall_clock.c");
        fs::write(&source, include_str!("wall_clock.c"))?;
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O2", "-o"]).arg(dir.path().join("wall_clock.so")).arg(source);
        match compiler.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status() {
            Ok(status) if status.success() => Ok(Some(Self(dir))),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn file(&self, member: usize) -> PathBuf {
        self.0.path().join(format!("clock-{member}"))
    }

    /// The command that starts a member under its own wall clock, which is right at first.
    pub(crate) fn command(&self, member: usize, command: &str) -> io::Result<String> {
        self.set(member, WallClock::TRUE)?;
        let (library, file) = (self.0.path().join("wall_clock.so"), self.file(member));
        Ok(format!("env LD_PRELOAD={} WALL_CLOCK={} {command}", library.display(), file.display()))
    }

    /// Sets a member's wall clock, whether it runs or not.
    pub(crate) fn set(&self, member: usize, clock: WallClock) -> io::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX);
        let words = [clock.off_by_seconds * 1_000_000_000, if clock.rate == 1000 { 0 } else { now }, clock.rate];
        let bytes: Vec<u8> = words.into_iter().flat_map(i64::to_ne_bytes).collect();
        // In place: the member has the file mapped.
        let file = fs::OpenOptions::new().write(true).create(true).truncate(false).open(self.file(member))?;
        file.write_all_at(&bytes, 0)
    }
}

/// The command that starts a member whose monotonic clock began at another time than its
/// neighbours'.
pub(crate) fn with_own_epoch(member: usize, command: &str) -> String {
    let seconds = EPOCH_STEP.as_secs() * (member as u64 + 1);
    format!("unshare --time --monotonic {seconds} --boottime {seconds} {command}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(command: &str) -> i64 {
        let mut words = command.split_whitespace();
        let told = Command::new(words.next().unwrap()).args(words).output().unwrap();
        String::from_utf8(told.stdout).unwrap().trim().parse().unwrap()
    }

    #[test]
    fn a_wall_clock_is_off_by_what_it_is_set_to() {
        let Some(clocks) = WallClocks::new().unwrap() else {
            println!("skipped: there is no compiler");
            return;
        };
        let command = clocks.command(1, "date +%s").unwrap();
        let before = told("date +%s");
        clocks.set(1, WallClock { off_by_seconds: -172_800, rate: 1000 }).unwrap();
        let there = told(&command);
        let after = told("date +%s");
        assert!((before..=after).contains(&(there + 172_800)), "{before} {there} {after}");
    }
}
