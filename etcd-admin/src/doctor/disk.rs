//! The disk below a directory: time of a sync, free space, filesystem.

use super::finding::Finding;
use admin_ui::error::CliError;
use admin_ui::output::size;
use serde::Serialize;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The limit that etcd's documents recommend, at the 99th percentile.
const SYNC_LIMIT: Duration = Duration::from_millis(10);
const PROBE_WRITES: u32 = 200;
/// About the log bytes of a small put.
const PROBE_BYTES: u32 = 2300;
/// A probe of a slow disk ends after this; a bench does not.
const PROBE_TIME: Duration = Duration::from_secs(10);
/// Multiple of the quota that should be free: state, log, and a snapshot of it.
const ROOM: u64 = 3;
/// etcd's quota where none is said.
pub(super) const DEFAULT_QUOTA: u64 = 2 << 30;

/// Microseconds until a write is on the disk.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Latency {
    pub(crate) writes: usize,
    pub(crate) bytes: u32,
    pub(crate) p50_microseconds: u64,
    pub(crate) p90_microseconds: u64,
    pub(crate) p99_microseconds: u64,
    pub(crate) max_microseconds: u64,
}

/// Returns the directory, or the nearest existing one above it.
pub(super) fn nearest(path: &Path) -> PathBuf {
    path.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/")).to_owned()
}

/// Writes over and over to a preallocated file in `dir`, each time synced; the file is removed.
pub(crate) fn measure(dir: &Path, writes: u32, bytes: u32, limit: Option<Duration>) -> Result<Latency, CliError> {
    let failed = |error: std::io::Error| CliError::at(dir, error);
    let file = tempfile::tempfile_in(dir).map_err(failed)?;
    let block = vec![0x5a; bytes as usize];
    // As a log does: the room is there before, so that a sync writes no metadata of the file
    // system.
    let length = u64::from(writes) * u64::from(bytes);
    nix::fcntl::fallocate(&file, nix::fcntl::FallocateFlags::empty(), 0, length.cast_signed())
        .map_err(|error| failed(error.into()))?;
    file.sync_all().map_err(failed)?;
    let begun = Instant::now();
    let mut times = Vec::new();
    for number in 0..u64::from(writes) {
        let at = Instant::now();
        file.write_all_at(&block, number * u64::from(bytes)).map_err(failed)?;
        file.sync_data().map_err(failed)?;
        times.push(u64::try_from(at.elapsed().as_micros()).unwrap_or(u64::MAX));
        if limit.is_some_and(|limit| begun.elapsed() > limit) {
            break;
        }
    }
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    Ok(Latency {
        writes: times.len(),
        bytes,
        p50_microseconds: at(50),
        p90_microseconds: at(90),
        p99_microseconds: at(99),
        max_microseconds: at(100),
    })
}

/// A short measurement, which a slow disk does not make a long one.
pub(crate) fn probe(dir: &Path) -> Result<Latency, CliError> {
    measure(dir, PROBE_WRITES, PROBE_BYTES, Some(PROBE_TIME))
}

pub(super) fn sync_time(dir: &Path) -> Finding {
    let near = nearest(dir);
    match probe(&near) {
        Err(error) => Finding::bad(
            "disk-write",
            near.display(),
            error.to_string(),
            "the daemon must be able to write there: check permissions and mounts",
        ),
        Ok(found) => {
            let text = format!(
                "a sync takes {} at the median, {} at the 99th percentile",
                milliseconds(found.p50_microseconds),
                milliseconds(found.p99_microseconds)
            );
            if u128::from(found.p99_microseconds) <= SYNC_LIMIT.as_micros() {
                Finding::good("disk-sync", near.display(), text)
            } else {
                let remedy = "every put waits for it: a disk of its own, an SSD with power-loss protection, or raise heartbeat-interval and election-timeout";
                Finding::warning("disk-sync", near.display(), format!("{text}; {SYNC_LIMIT:?} is good"), remedy)
            }
        }
    }
}

pub(super) fn milliseconds(micros: u64) -> String {
    format!("{}.{:02} ms", micros / 1000, micros % 1000 / 10)
}

/// Free room and kind of file system.
pub(super) fn room(dir: &Path, quota: u64) -> Vec<Finding> {
    let near = nearest(dir);
    let mut findings = Vec::new();
    match nix::sys::statvfs::statvfs(&near) {
        Err(error) => findings.push(Finding::bad("disk-space", near.display(), error.to_string(), "check the mount")),
        Ok(stat) => {
            let free = stat.blocks_available() * stat.fragment_size();
            let text = format!("{} free, for a quota of {}", size(free), size(quota));
            let remedy = "give it a larger disk, or a smaller quota";
            findings.push(match free {
                free if free < quota => Finding::bad("disk-space", near.display(), text, remedy),
                free if free < quota * ROOM => {
                    Finding::warning("disk-space", near.display(), format!("{text}; {ROOM} times is good"), remedy)
                }
                _ => Finding::good("disk-space", near.display(), text),
            });
        }
    }
    findings
        .extend(nix::sys::statfs::statfs(&near).ok().map(|stat| kind(&near, stat.filesystem_type().0.cast_unsigned())));
    findings
}

/// By the numbers of linux/magic.h.
fn kind(dir: &Path, magic: u64) -> Finding {
    let remedy = "put the data directory on a local disk";
    match magic {
        0x6969 => {
            Finding::bad("file-system", dir.display(), "NFS: its locks and syncs are not to be relied upon", remedy)
        }
        0xff53_4d42 | 0xfe53_4d42 | 0x517b => {
            Finding::bad("file-system", dir.display(), "SMB: its locks and syncs are not to be relied upon", remedy)
        }
        0x6573_5546 => Finding::warning(
            "file-system",
            dir.display(),
            "FUSE: whether a sync is one depends on what is behind it",
            remedy,
        ),
        0x0102_1994 => {
            Finding::warning("file-system", dir.display(), "tmpfs: it is gone when the machine restarts", remedy)
        }
        0x794c_7630 => {
            Finding::warning("file-system", dir.display(), "overlay, as of a container: it may be gone with it", remedy)
        }
        0xef53 => Finding::good("file-system", dir.display(), "ext4"),
        0x5846_5342 => Finding::good("file-system", dir.display(), "xfs"),
        0x9123_683e => Finding::good("file-system", dir.display(), "btrfs"),
        0x2fc1_2fc1 => Finding::good("file-system", dir.display(), "zfs"),
        other => Finding::good("file-system", dir.display(), format!("a local one (0x{other:x})")),
    }
}
