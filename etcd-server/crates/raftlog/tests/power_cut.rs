//! Power cuts on a file system of its own: everything acknowledged before the cut is there after
//! it.
//!
//! The cut is ext4's shutdown ioctl without flushing its journal: everything unsynced is lost and
//! every later write fails. Needs root and loop mounts; prints one line and passes where they are
//! not available.

use crate::support::{IDENTITY, entry, small};
use raftlog::{HardState, Log, SpareState};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

const CHILD_DIRECTORY: &str = "RAFTLOG_POWER_CUT_DIRECTORY";
const CYCLES: &str = "RAFTLOG_POWER_CUT_CYCLES";
const SEGMENT_BYTES: u64 = 256 * 1024;

/// A mounted ext4 on a file.
struct Disk {
    home: TempDir,
    mounted: bool,
}

fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

impl Disk {
    /// Returns `None` where loop mounts are not available.
    fn new(bytes: u64) -> Option<Self> {
        let home = tempfile::tempdir().unwrap();
        let image = home.path().join("image");
        std::fs::File::create(&image).unwrap().set_len(bytes).unwrap();
        std::fs::create_dir(home.path().join("mount")).unwrap();
        let mut disk = Self { home, mounted: false };
        let usable = succeeds(Command::new("mkfs.ext4").args(["-q", "-m", "0"]).arg(&image)) && disk.mount();
        if !usable {
            skip::report("no loop mount of an ext4 image here (needs root, mkfs.ext4 and a loop device)");
        }
        usable.then_some(disk)
    }

    fn path(&self) -> PathBuf {
        self.home.path().join("mount")
    }

    fn mount(&mut self) -> bool {
        self.mounted =
            succeeds(Command::new("mount").args(["-o", "loop"]).arg(self.home.path().join("image")).arg(self.path()));
        self.mounted
    }

    fn cut_power(&self) {
        let shutdown =
            "open(F, '<', $ARGV[0]) or exit 1; my $flags = pack('L', 2); ioctl(F, 0x8004587d, $flags) or exit 2;";
        assert!(
            succeeds(Command::new("perl").arg("-e").arg(shutdown).arg(self.path().join("raft/watermark"))),
            "the shutdown ioctl works"
        );
    }

    fn unmount(&mut self) {
        assert!(succeeds(Command::new("umount").arg(self.path())), "unmount {}", self.path().display());
        self.mounted = false;
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted && !succeeds(Command::new("umount").arg(self.path())) {
            println!("left mounted: {}", self.path().display());
        }
    }
}

/// The process that loses power; does nothing in an ordinary run.
#[test]
fn child() {
    let Some(directory) = std::env::var_os(CHILD_DIRECTORY) else { return };
    let (mut log, recovered) = Log::open(Path::new(&directory), IDENTITY, small(SEGMENT_BYTES)).unwrap();
    let term = recovered.incarnation;
    let mut random = fastrand::Rng::new();
    let mut next = recovered.last_index + 1;
    loop {
        let batch: Vec<_> =
            (next..next + random.u64(1..20)).map(|index| entry(index, term, random.usize(0..2000))).collect();
        next += batch.len() as u64;
        let state = HardState { term, vote: term, commit: next - 1 };
        let done = match random.u8(..) {
            0..20 => log.write(&batch, Some(state)).and_then(|()| log.truncate_front(next.saturating_sub(300).max(1))),
            _ => log.append(&batch, Some(state)),
        };
        if done.is_err() {
            break;
        }
        println!("acknowledged {}", next - 1);
    }
    let refused = log.append(&[entry(next, term, 1)], None).is_err()
        && log.sync().is_err()
        && log.reader().term(next - 1).is_err();
    println!("poisoned {refused}");
}

/// Runs the child, cuts the power after some acknowledgements, and returns the last acknowledged
/// index.
fn run_until_cut(disk: &Disk, directory: &Path, random: &mut fastrand::Rng) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["power_cut::child", "--exact", "--nocapture"])
        .env(CHILD_DIRECTORY, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let cut_after = random.u32(1..150);
    let (mut seen, mut acknowledged, mut poisoned) = (0, 0, false);
    for line in lines {
        if let Some(index) = line.split("acknowledged ").nth(1) {
            acknowledged = index.parse().unwrap();
            seen += 1;
        }
        poisoned |= line.contains("poisoned true");
        if seen == cut_after {
            seen += 1;
            disk.cut_power();
        }
    }
    child.wait().unwrap();
    assert!(poisoned, "the child met the cut as a fault and stayed poisoned");
    acknowledged
}

#[test]
fn acknowledged_entries_survive_power_cuts() {
    let Some(mut disk) = Disk::new(64 << 20) else { return };
    let directory = disk.path().join("raft");
    let cycles = std::env::var(CYCLES).map_or(8, |cycles| cycles.parse().unwrap());
    let (mut random, mut torn, mut unacknowledged) = (fastrand::Rng::new(), 0, 0);
    for cycle in 0..cycles {
        let acknowledged = run_until_cut(&disk, &directory, &mut random);
        disk.unmount();
        assert!(disk.mount());
        let (log, recovered) = Log::open(&directory, IDENTITY, small(SEGMENT_BYTES)).unwrap();
        assert!(recovered.last_index >= acknowledged, "cycle {cycle}: {} of {acknowledged}", recovered.last_index);
        assert!(recovered.hard_state.commit >= acknowledged, "cycle {cycle}");
        let mut expected = recovered.first_index;
        for found in recovered.entries_from(recovered.first_index) {
            let found = found.unwrap();
            assert_eq!(found, entry(expected, found.term, found.data.len()), "cycle {cycle}");
            expected += 1;
        }
        assert_eq!(expected, recovered.last_index + 1);
        torn += u32::from(recovered.torn_tail.is_some());
        unacknowledged += recovered.last_index - acknowledged;
        drop(log);
    }
    println!(
        "{cycles} power cuts: nothing acknowledged lost, {torn} torn tails, {unacknowledged} unacknowledged entries kept"
    );
}

#[test]
fn lack_of_space_is_told_before_the_log_is_full() {
    let Some(disk) = Disk::new(32 << 20) else { return };
    let (mut log, _) = Log::open(&disk.path().join("raft"), IDENTITY, small(1 << 20)).unwrap();
    let until = |log: &Log, state: SpareState| {
        while log.space().unwrap().spare != state {
            std::thread::yield_now();
        }
    };
    until(&log, SpareState::Ready);
    let balloon = disk.path().join("balloon");
    let available = log.space().unwrap().filesystem_available_bytes;
    assert!(succeeds(Command::new("fallocate").arg("-l").arg((available - (512 << 10)).to_string()).arg(&balloon)));
    let mut next = 1;
    while log.space().unwrap().spare == SpareState::Ready {
        log.append(&[entry(next, 1, 4000)], None).unwrap();
        next += 1;
    }
    until(&log, SpareState::NoSpace);
    assert!(log.space().unwrap().segment_remaining_bytes > 900_000, "told with nearly a whole segment left");
    log.append(&[entry(next, 1, 4000)], None).unwrap();
    std::fs::remove_file(balloon).unwrap();
    until(&log, SpareState::Ready);
    for index in next + 1..next + 600 {
        log.append(&[entry(index, 1, 4000)], None).unwrap();
    }
}
