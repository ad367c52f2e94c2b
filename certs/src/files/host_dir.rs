//! The certificates of a member: whole sets, one of which is current.
//!
//! `current` is a link to a directory below `generations/`; a daemon is configured with paths
//! through the link. A change makes a new directory with everything in it, synced, and then moves
//! the link in one step, so that certificate, key and bundle always belong together. Keys of
//! pending requests wait in `pending/`.

use super::{PRIVATE_MODE, PUBLIC_MODE, private_dir};
use crate::Error;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const CURRENT: &str = "current";
const GENERATIONS: &str = "generations";
const PENDING: &str = "pending";
/// Number of kept sets: the current one, and two to go back to.
const KEPT: usize = 3;

/// A file of a set.
#[derive(Clone, Debug)]
pub struct HostFile {
    pub name: String,
    pub content: Zeroizing<Vec<u8>>,
    pub private: bool,
}

/// The result of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub generation: u64,
    /// Sets that were removed because they are too old.
    pub removed: Vec<u64>,
}

/// The directory of one member.
#[derive(Clone, Debug)]
pub struct HostDir {
    path: PathBuf,
}

impl HostDir {
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of a file of the current set, for the configuration of a daemon.
    #[must_use]
    pub fn current(&self, name: &str) -> PathBuf {
        self.path.join(CURRENT).join(name)
    }

    /// Returns the path of the key or the request of a pending certificate.
    #[must_use]
    pub fn pending(&self, name: &str) -> PathBuf {
        self.path.join(PENDING).join(name)
    }

    /// Keeps the key of a new request.
    ///
    /// # Errors
    /// When another request waits for its answer.
    pub fn keep_pending(&self, name: &str, content: &[u8], private: bool) -> Result<(), Error> {
        private_dir(&self.path.join(PENDING))?;
        super::create(&self.pending(name), content, if private { PRIVATE_MODE } else { PUBLIC_MODE })
    }

    /// Forgets a request that has been answered, or is not wanted any more.
    ///
    /// # Errors
    /// When a file of it cannot be removed.
    pub fn forget_pending(&self, names: &[String]) -> Result<(), Error> {
        for path in names.iter().map(|name| self.pending(name)).filter(|path| path.exists()) {
            fs::remove_file(&path).map_err(Error::file("remove", &path))?;
        }
        Ok(())
    }

    /// Puts files in place, all at once; the others of the current set stay as they are.
    ///
    /// # Errors
    /// When the disk does not take them; then the current set is as it was.
    pub fn change(&self, files: &[HostFile]) -> Result<Change, Error> {
        let generations = self.path.join(GENERATIONS);
        // The mode of this directory decides about access; the content below has to be as open.
        fs::create_dir_all(&generations).map_err(Error::file("make the directory", &generations))?;
        let owner = Owner::of(&self.path)?;
        owner.give(&generations, owner.dir_mode())?;
        let generation = self.numbers()?.last().copied().unwrap_or_default() + 1;
        let fresh = generations.join(format!(".{generation:06}.new"));
        if fresh.exists() {
            // Left by a change that was interrupted before it counted.
            fs::remove_dir_all(&fresh).map_err(Error::file("remove", &fresh))?;
        }
        fs::create_dir(&fresh).map_err(Error::file("make the directory", &fresh))?;
        owner.give(&fresh, owner.dir_mode())?;
        for (name, path) in self.files()? {
            if !files.iter().any(|file| file.name == name) {
                fs::hard_link(&path, fresh.join(&name)).map_err(Error::file("link", &path))?;
            }
        }
        for file in files {
            let path = fresh.join(&file.name);
            super::create(&path, &file.content, PRIVATE_MODE)?;
            owner.give(&path, if file.private { owner.key_mode() } else { PUBLIC_MODE })?;
        }
        super::sync_dir(&fresh)?;
        let place = generations.join(format!("{generation:06}"));
        fs::rename(&fresh, &place).map_err(Error::file("write", &place))?;
        super::sync_dir(&generations)?;
        self.point_at(generation)?;
        Ok(Change { generation, removed: self.remove_old()? })
    }

    /// Returns the files of the current set.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn files(&self) -> Result<BTreeMap<String, PathBuf>, Error> {
        let current = self.path.join(CURRENT);
        let entries = match fs::read_dir(&current) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(Error::file("read", &current)(error)),
        };
        let mut files = BTreeMap::new();
        for entry in entries {
            let entry = entry.map_err(Error::file("read", &current))?;
            files.insert(entry.file_name().to_string_lossy().into_owned(), entry.path());
        }
        Ok(files)
    }

    fn point_at(&self, generation: u64) -> Result<(), Error> {
        let (link, fresh) = (self.path.join(CURRENT), self.path.join(".current.new"));
        if fresh.symlink_metadata().is_ok() {
            fs::remove_file(&fresh).map_err(Error::file("remove", &fresh))?;
        }
        symlink(Path::new(GENERATIONS).join(format!("{generation:06}")), &fresh)
            .map_err(Error::file("link", &fresh))?;
        fs::rename(&fresh, &link).map_err(Error::file("link", &link))?;
        super::sync_dir(&self.path)
    }

    fn numbers(&self) -> Result<Vec<u64>, Error> {
        let generations = self.path.join(GENERATIONS);
        let entries = fs::read_dir(&generations).map_err(Error::file("read", &generations))?;
        let mut numbers: Vec<u64> =
            entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn remove_old(&self) -> Result<Vec<u64>, Error> {
        let mut numbers = self.numbers()?;
        let old: Vec<u64> = numbers.drain(..numbers.len().saturating_sub(KEPT)).collect();
        for number in &old {
            let path = self.path.join(GENERATIONS).join(format!("{number:06}"));
            fs::remove_dir_all(&path).map_err(Error::file("remove", &path))?;
        }
        Ok(old)
    }
}

/// The owner of the directory: its files are to be read by the same daemon.
#[derive(Clone, Copy, Debug)]
struct Owner {
    user: u32,
    group: u32,
    mode: u32,
    /// `true` if its group shall read: another one than that of the writer.
    shared: bool,
}

impl Owner {
    fn of(dir: &Path) -> Result<Self, Error> {
        let metadata = fs::metadata(dir).map_err(Error::file("read", dir))?;
        let mode = metadata.permissions().mode() & 0o777;
        // A directory of root that another group may enter, as packages make it: root:etcd 0750.
        let shared = metadata.uid() == 0 && metadata.gid() != 0 && mode & 0o050 == 0o050;
        Ok(Self { user: metadata.uid(), group: metadata.gid(), mode, shared })
    }

    fn dir_mode(self) -> u32 {
        self.mode
    }

    fn key_mode(self) -> u32 {
        if self.shared { 0o640 } else { PRIVATE_MODE }
    }

    fn give(self, path: &Path, mode: u32) -> Result<(), Error> {
        let found = fs::metadata(path).map_err(Error::file("read", path))?;
        if (found.uid(), found.gid()) != (self.user, self.group) {
            std::os::unix::fs::chown(path, Some(self.user), Some(self.group))
                .map_err(Error::file("give to the owner of the directory", path))?;
        }
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(Error::file("set the mode of", path))
    }
}
