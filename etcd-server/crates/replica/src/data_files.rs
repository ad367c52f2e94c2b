//! The files that this member writes to: are they still where a restart looks for them?
//!
//! A file that is removed or replaced stays open, and writes to it succeed. So the paths are
//! compared with the inodes in use: all of them twice a second, and after every sync of the log
//! wherever a directory was changed, before the sync is acknowledged.

use crate::published::Published;
use crate::{Options, state_dir};
use raftlog::{Inode, Loss, Reader, is_absence};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};
use storage::Store;
use types::Fault;

/// Time between two looks at all files.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// Two changes of a directory within this time may leave it with the same modification time: the
/// kernel's clock for them ticks every 10 ms at most.
const TIME_GRANULARITY: Duration = Duration::from_millis(20);

/// Looks at all files until `stop` is dropped.
pub(crate) fn watch(mut files: DataFiles, stop: &Receiver<()>) -> Result<(), Fault> {
    while let Err(RecvTimeoutError::Timeout) = stop.recv_timeout(LOOK_INTERVAL) {
        files.check()?;
    }
    Ok(())
}

/// What a directory shows when an entry of it changes, or when it is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct DirectoryMark {
    inode: Inode,
    modified: SystemTime,
}

impl DirectoryMark {
    /// `None` for a directory that cannot be looked at.
    fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self { inode: Inode::of(&metadata), modified: metadata.modified().ok()? })
    }
}

/// Directories as they were at the last look at all files.
#[derive(Clone, Debug)]
struct Looked {
    marks: [Option<DirectoryMark>; 3],
    /// When these marks were first seen.
    since: Instant,
    /// Whether the look came so late that a later change must alter the marks.
    is_settled: bool,
}

/// The data directory of a running member. Each thread that looks has its own.
#[derive(Clone)]
pub(crate) struct DataFiles {
    member: PathBuf,
    log: Reader,
    published: Arc<Published>,
    /// Paths that must lead to these inodes for as long as this member runs.
    fixed: Vec<(PathBuf, Inode)>,
    /// Files of the state, by path, as they were when they were first seen.
    state: BTreeMap<PathBuf, Inode>,
    looked: Option<Looked>,
}

impl DataFiles {
    /// Remembers the files of a member that is about to run.
    pub(crate) fn of(options: &Options, log: Reader, published: Arc<Published>) -> Result<Self, Fault> {
        let member = options.dir.clone();
        let paths = [member.clone(), member.join("log")].into_iter().chain(options.other_files.iter().cloned());
        let remember = |path: PathBuf| match Inode::at(&path) {
            Ok(inode) => Ok((path, inode)),
            Err(error) => Err(Fault::io(format!("look at {}", path.display()), error)),
        };
        let fixed = paths.map(remember).collect::<Result<_, _>>()?;
        let mut files = Self { member, log, published, fixed, state: BTreeMap::new(), looked: None };
        files.check()?;
        Ok(files)
    }

    /// Looks at all files if a directory was changed since the last look. Costs three lookups where
    /// none was.
    pub(crate) fn check_if_changed(&mut self) -> Result<(), Fault> {
        let state = self.published.store();
        let marks = [&self.member, &self.member.join("log"), state.path()].map(DirectoryMark::of);
        let since = match &self.looked {
            Some(looked) if looked.marks == marks && looked.is_settled => return Ok(()),
            Some(looked) if looked.marks == marks => looked.since,
            Some(_) | None => Instant::now(),
        };
        let is_settled = since.elapsed() >= TIME_GRANULARITY;
        self.check()?;
        self.looked = Some(Looked { marks, since, is_settled });
        Ok(())
    }

    /// Looks at all files.
    fn check(&mut self) -> Result<(), Fault> {
        let lost = |(path, loss): (PathBuf, Loss)| Fault::FileLost { path, loss: loss.as_str() };
        let fixed = self.fixed.iter().find_map(|(path, inode)| inode.loss_at(path).map(|loss| (path.clone(), loss)));
        match fixed.or_else(|| self.log.lost_file()) {
            Some(found) => Err(lost(found)),
            None => self.lost_state_file()?.map_or(Ok(()), |found| Err(lost(found))),
        }
    }

    /// Returns a file of the state that is no longer at its path.
    fn lost_state_file(&mut self) -> Result<Option<(PathBuf, Loss)>, Fault> {
        loop {
            let store = self.published.store();
            let listed = store.live_files()?;
            let (path, loss) = match self.compare_state(&store, &listed) {
                Ok(found) => {
                    self.state = found;
                    return Ok(None);
                }
                Err(lost) => lost,
            };
            // The member may have turned to another state meanwhile, and RocksDB deletes files
            // after the state has done without them.
            let is_same_state = Arc::ptr_eq(&store, &self.published.store());
            let is_needed = || Ok::<_, Fault>(!listed.contains(&path) || store.live_files()?.contains(&path));
            if is_same_state && is_needed()? {
                return Ok(Some((path, loss)));
            }
        }
    }

    /// Compares the files of `store` with those that were seen there before, and returns them as
    /// they are now.
    fn compare_state(&self, store: &Store, listed: &[PathBuf]) -> Result<BTreeMap<PathBuf, Inode>, (PathBuf, Loss)> {
        let mut present = BTreeMap::new();
        for path in [store.path().to_owned()].iter().chain(listed) {
            match (self.state.get(path), Inode::at(path)) {
                (Some(inode), Ok(found)) if *inode != found => return Err((path.clone(), Loss::Replaced)),
                (_, Ok(found)) => drop(present.insert(path.clone(), found)),
                (_, Err(error)) if is_absence(&error) => return Err((path.clone(), Loss::Removed)),
                // Such an error says nothing about the file: what was seen before still counts.
                (inode, Err(_)) => present.extend(inode.map(|inode| (path.clone(), *inode))),
            }
        }
        let pointers = [Some(store.current_file()), state_dir::pointer_to(&self.member, store.path())];
        let missing =
            pointers.into_iter().flatten().find(|path| Inode::at(path).is_err_and(|error| is_absence(&error)));
        missing.map_or(Ok(present), |path| Err((path, Loss::Removed)))
    }
}
