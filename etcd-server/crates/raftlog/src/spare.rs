//! Spare segments: prepared by a thread in the background, so that beginning a segment neither
//! waits nor runs out of space.
//!
//! A spare is really written with zeros and synced, so a later fdatasync has no blocks or sizes to
//! journal. A segment dropped from the front becomes a spare as it is: its stale bytes cannot be
//! taken for frames. Lack of space shows here, one whole segment before it matters, and is reported
//! by [`Space`]; any other failure of the disk breaks the pool and with it the log.

use crate::disk;
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use parking_lot::{Condvar, Mutex};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Spares kept at most; a dropped segment beyond them is deleted.
const SPARES_MAX: usize = 2;

/// Bytes of a new spare between two syncs: a stop waits for one piece at most, and the disk never
/// has a whole segment to write back beside the log.
const SYNC_BYTES: u64 = 4 << 20;

/// After a failure for lack of space, the thread tries again this often.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The space for further writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes left in the current segment.
    pub segment_remaining_bytes: u64,
    /// The state of the next segment.
    pub spare: SpareState,
    /// Bytes the file system still gives to this process.
    pub filesystem_available_bytes: u64,
}

/// The state of the next segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpareState {
    /// Prepared: a whole segment is left after the current one.
    Ready,
    /// Being prepared.
    Preparing,
    /// No space for it: the member must refuse writes before the current segment is full. Tried
    /// again every second.
    NoSpace,
    /// The disk failed; the next segment will be a fault.
    Broken(String),
}

/// A prepared file.
#[derive(Debug)]
pub(crate) struct Spare {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    pub(crate) size: u64,
    pub(crate) recycled: bool,
}

#[derive(Debug)]
struct Pool {
    ready: Vec<Spare>,
    state: SpareState,
    /// Counts finished preparations, good or bad.
    attempts: u64,
    preparing: bool,
    next_name: u64,
    stopping: bool,
}

#[derive(Debug)]
struct Shared {
    directory: PathBuf,
    segment_bytes: u64,
    pool: Mutex<Pool>,
    changed: Condvar,
}

/// The pool and its thread, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Spares {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Spares {
    /// Takes over the spares found in `directory` and starts the thread.
    pub(crate) fn start(directory: &Path, segment_bytes: u64) -> io::Result<Self> {
        let (ready, next_name) = collect(directory, segment_bytes)?;
        let pool =
            Pool { ready, state: SpareState::Preparing, attempts: 0, preparing: false, next_name, stopping: false };
        let shared = Arc::new(Shared {
            directory: directory.to_owned(),
            segment_bytes,
            pool: Mutex::new(pool),
            changed: Condvar::new(),
        });
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("raftlog-spare".into()).spawn(move || of_thread.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// A prepared file of at least `bytes`; waits for the thread if it has none, and prepares an
    /// oversized one itself.
    pub(crate) fn take(&self, bytes: u64) -> io::Result<Spare> {
        if bytes > self.shared.segment_bytes {
            let path = self.shared.new_path();
            return self.shared.prepare(&path, bytes);
        }
        let mut pool = self.shared.pool.lock();
        // An attempt under way began before we came, perhaps before space was freed: one more is
        // awaited after it.
        let enough = pool.attempts + 1 + u64::from(pool.preparing);
        loop {
            if let Some(spare) = pool.ready.pop() {
                assert!(spare.size >= bytes, "a spare of {} bytes is taken for {bytes}", spare.size);
                self.shared.changed.notify_all();
                return Ok(spare);
            }
            match &pool.state {
                SpareState::Broken(reason) => return Err(io::Error::other(reason.clone())),
                SpareState::NoSpace if pool.attempts >= enough => return Err(Errno::ENOSPC.into()),
                SpareState::NoSpace | SpareState::Preparing | SpareState::Ready => {}
            }
            self.shared.changed.notify_all();
            self.shared.changed.wait(&mut pool);
        }
    }

    /// Takes back a segment that was dropped: keeps it as a spare or deletes it. It has no other
    /// open handle.
    pub(crate) fn give_back(&self, path: &Path, file: File, size: u64) -> io::Result<()> {
        let wanted = size == self.shared.segment_bytes && self.shared.pool.lock().ready.len() < SPARES_MAX;
        if !wanted {
            return std::fs::remove_file(path);
        }
        let spare = Spare { path: self.shared.new_path(), file, size, recycled: true };
        std::fs::rename(path, &spare.path)?;
        self.shared.pool.lock().ready.push(spare);
        self.shared.changed.notify_all();
        Ok(())
    }

    pub(crate) fn state(&self) -> SpareState {
        let pool = self.shared.pool.lock();
        if pool.ready.is_empty() { pool.state.clone() } else { SpareState::Ready }
    }
}

impl Drop for Spares {
    fn drop(&mut self) {
        self.shared.pool.lock().stopping = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported by the panic hook; there is nothing left to
            // undo.
            drop(thread.join());
        }
    }
}

impl Shared {
    fn run(&self) {
        let mut pool = self.pool.lock();
        while !pool.stopping {
            if !pool.ready.is_empty() || matches!(pool.state, SpareState::Broken(_)) {
                self.changed.wait(&mut pool);
                continue;
            }
            pool.preparing = true;
            drop(pool);
            let path = self.new_path();
            let outcome = self.prepare(&path, self.segment_bytes);
            pool = self.pool.lock();
            pool.preparing = false;
            pool.attempts += 1;
            match outcome {
                Ok(spare) => {
                    pool.state = SpareState::Preparing;
                    pool.ready.push(spare);
                }
                Err(error) if is_no_space(&error) => pool.state = SpareState::NoSpace,
                Err(error) => pool.state = SpareState::Broken(format!("prepare the next segment: {error}")),
            }
            self.changed.notify_all();
            if pool.state == SpareState::NoSpace && !pool.stopping {
                self.changed.wait_for(&mut pool, RETRY_INTERVAL);
            }
        }
    }

    fn new_path(&self) -> PathBuf {
        let mut pool = self.pool.lock();
        pool.next_name += 1;
        self.directory.join(format!("spare-{:016x}", pool.next_name))
    }

    /// Writes and syncs a file of zeros; it gets its name only when it is whole.
    fn prepare(&self, path: &Path, size: u64) -> io::Result<Spare> {
        let unfinished = path.with_extension("unfinished");
        let prepared = self.fill(&unfinished, size).and_then(|file| {
            std::fs::rename(&unfinished, path)?;
            disk::sync_directory(&self.directory)?;
            Ok(Spare { path: path.to_owned(), file, size, recycled: false })
        });
        if prepared.is_err() {
            // The first error counts; the rest is removed at the next open.
            drop(std::fs::remove_file(&unfinished));
        }
        prepared
    }

    fn fill(&self, path: &Path, size: u64) -> io::Result<File> {
        let file = disk::create(path)?;
        let length = i64::try_from(size).map_err(io::Error::other)?;
        match fallocate(&file, FallocateFlags::empty(), 0, length) {
            Ok(()) | Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => {}
            Err(error) => return Err(error.into()),
        }
        let mut at = 0;
        while at < size {
            if self.pool.lock().stopping {
                return Err(io::Error::from(io::ErrorKind::Interrupted));
            }
            let piece = (size - at).min(SYNC_BYTES);
            disk::write_zeros(&file, at, piece)?;
            file.sync_data()?;
            at += piece;
        }
        file.sync_all()?;
        Ok(file)
    }
}

fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The usable spares of an earlier run and the highest name; others are deleted.
fn collect(directory: &Path, segment_bytes: u64) -> io::Result<(Vec<Spare>, u64)> {
    let mut ready = Vec::new();
    let mut highest = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(number) = name.to_str().and_then(|name| name.strip_prefix("spare-")) else { continue };
        let whole = u64::from_str_radix(number, 16).ok();
        highest = highest.max(whole.unwrap_or_default());
        if whole.is_some() && entry.metadata()?.len() == segment_bytes && ready.len() < SPARES_MAX {
            let file = disk::open(&entry.path())?;
            ready.push(Spare { path: entry.path(), file, size: segment_bytes, recycled: true });
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok((ready, highest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_disk_and_quota_are_lack_of_space() {
        assert!([Errno::ENOSPC, Errno::EDQUOT].into_iter().all(|error| is_no_space(&error.into())));
        assert!([Errno::EIO, Errno::EROFS, Errno::ENOENT].into_iter().all(|error| !is_no_space(&error.into())));
    }
}
