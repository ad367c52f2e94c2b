//! Snapshots that this member receives: files beside the present state, one at a time. The received
//! part of an interrupted transfer stays for a while, across a restart too.

use super::{RESUME_WINDOW, blocking, checksum};
use peer::{Held, SnapshotReader};
use std::fs::{self, File};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, OwnedMutexGuard};

const PREFIX: &str = "incoming-";
const SUFFIX: &str = ".db";
/// The name of a file that cannot be resumed.
const BARE: &str = "incoming-bare.db";

/// Bytes that are written at once.
const WRITE_BYTES: usize = 1 << 20;

/// A snapshot is refused when it would leave less than this part of the filesystem free: it must
/// never fill the disk of a member that has a sound state, and a state is made of it beside the
/// present one.
const FREE_PART_MIN: u64 = 20;

/// The directory of received snapshots.
pub(crate) struct Incomings {
    dir: PathBuf,
    turn: Arc<Mutex<()>>,
}

/// One state is taken in at a time.
pub(crate) struct Turn {
    incomings: Arc<Incomings>,
    _guard: OwnedMutexGuard<()>,
}

/// A state that has arrived whole. It is gone when this is dropped.
pub(crate) struct Arrived {
    pub(crate) file: File,
    pub(crate) bytes: u64,
    _path: Gone,
}

/// A file that is removed when this is dropped.
struct Gone(PathBuf);

impl Drop for Gone {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

impl Incomings {
    /// Uses `dir`; files that are too old are removed.
    pub(crate) fn new(dir: PathBuf) -> Arc<Self> {
        let incomings = Arc::new(Self { dir, turn: Arc::default() });
        incomings.forget_later();
        incomings.forget_older_than(RESUME_WINDOW);
        incomings
    }

    /// Takes the turn. `None` while another snapshot is being received.
    pub(crate) fn turn(self: &Arc<Self>) -> Option<Turn> {
        let guard = Arc::clone(&self.turn).try_lock_owned().ok()?;
        Some(Turn { incomings: Arc::clone(self), _guard: guard })
    }

    /// Removes the remains of the present turn later, unless they have been resumed.
    fn forget_later(self: &Arc<Self>) {
        let incomings = Arc::clone(self);
        tokio::spawn(async move {
            drop(incomings.turn.lock().await);
            tokio::time::sleep(RESUME_WINDOW + Duration::from_secs(1)).await;
            if let Some(_turn) = incomings.turn() {
                incomings.forget_older_than(RESUME_WINDOW);
            }
        });
    }

    fn forget_older_than(&self, age: Duration) {
        for (path, metadata) in self.files() {
            // A clock that went back says nothing of the age; the next state takes the file's place
            // at the latest.
            let is_old =
                metadata.modified().is_ok_and(|modified| modified.elapsed().is_ok_and(|elapsed| elapsed >= age));
            if is_old {
                drop(Gone(path));
            }
        }
    }

    fn files(&self) -> Vec<(PathBuf, fs::Metadata)> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let named = entries.filter(|entry| entry.file_name().to_str().is_some_and(is_incoming));
        named.filter_map(|entry| Some((entry.path(), entry.metadata().ok()?))).collect()
    }
}

impl Turn {
    /// Returns the received part of an interrupted transfer.
    pub(crate) fn held(&self) -> Option<Held> {
        let files = self.incomings.files();
        files
            .into_iter()
            .find_map(|(path, metadata)| Some(Held { transfer: transfer_of(&path)?, bytes: metadata.len() }))
    }

    /// Takes in a bare file, or the bytes of a transfer from where it says.
    pub(crate) async fn receive(&self, transfer: Option<Held>, body: &mut SnapshotReader) -> Result<Arrived, String> {
        let name = transfer.map_or_else(|| BARE.to_owned(), |held| format!("{PREFIX}{:016x}{SUFFIX}", held.transfer));
        let path = self.incomings.dir.join(name);
        for (other, _) in self.incomings.files() {
            if other != path {
                drop(Gone(other));
            }
        }
        let from = transfer.map_or(0, |held| held.bytes);
        let file = open(&path, from).map_err(|error| format!("{}: {error}", path.display()))?;
        // A bare file cannot be resumed.
        let bare = transfer.is_none().then(|| Gone(path.clone()));
        self.incomings.forget_later();
        let mut file = match write(file, body).await {
            Ok(file) => file,
            Err(Broken::Sender(error)) => return Err(error),
            Err(Broken::Disk(error)) => {
                drop(Gone(path));
                return Err(error);
            }
        };
        let path = bare.unwrap_or_else(|| Gone(path));
        if transfer.is_some() {
            let verified = blocking(move || checksum::verify_and_cut(&mut file).map(|intact| (intact, file))).await?;
            let (intact, verified) = verified.map_err(|error| error.to_string())?;
            if !intact {
                return Err("its checksum is another one than the sender's".to_owned());
            }
            file = verified;
        }
        let bytes = file.metadata().map_err(|error| error.to_string())?.len();
        Ok(Arrived { file, bytes, _path: path })
    }
}

/// The reason why a snapshot did not arrive.
enum Broken {
    /// The received part is right and can be resumed.
    Sender(String),
    /// It cannot be kept here.
    Disk(String),
}

/// Appends the body to `file`, until it is complete.
async fn write(mut file: File, body: &mut SnapshotReader) -> Result<File, Broken> {
    let mut waiting = Vec::with_capacity(WRITE_BYTES);
    loop {
        let next = body.next().await;
        if let Ok(Some(part)) = &next {
            waiting.extend_from_slice(part);
        }
        if waiting.len() >= WRITE_BYTES || !matches!(next, Ok(Some(_))) {
            let bytes = std::mem::replace(&mut waiting, Vec::with_capacity(WRITE_BYTES));
            let written = blocking(move || {
                check_room(&file)?;
                file.write_all(&bytes).map(|()| file)
            });
            let written = written.await.map_err(Broken::Disk)?;
            file = written.map_err(|error| Broken::Disk(error.to_string()))?;
        }
        match next {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(file),
            Err(error) => return Err(Broken::Sender(error)),
        }
    }
}

fn check_room(file: &File) -> io::Result<()> {
    let disk = nix::sys::statvfs::fstatvfs(file)?;
    if has_room(disk.blocks_available(), disk.blocks()) {
        return Ok(());
    }
    let free = disk.blocks_available() * disk.fragment_size();
    Err(io::Error::new(
        io::ErrorKind::StorageFull,
        format!(
            "only {free} bytes are free on the filesystem of the data directory, less than a twentieth; free or add space"
        ),
    ))
}

fn has_room(available: u64, total: u64) -> bool {
    available >= total / FREE_PART_MIN
}

/// Opens the file at `path`, of `from` bytes, to be resumed; a new one if that is 0.
fn open(path: &Path, from: u64) -> io::Result<File> {
    let mut file = File::options().read(true).write(true).create(from == 0).truncate(from == 0).open(path)?;
    let here = file.seek(SeekFrom::End(0))?;
    if here != from {
        return Err(io::Error::other(format!("{here} bytes are here, and the sender resumes at {from}")));
    }
    Ok(file)
}

fn is_incoming(name: &str) -> bool {
    name.starts_with(PREFIX) && name.ends_with(SUFFIX)
}

fn transfer_of(path: &Path) -> Option<u64> {
    let digits = path.file_name()?.to_str()?.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_never_fills_the_disk() {
        for (available, total, room) in
            [(1000, 1000, true), (50, 1000, true), (49, 1000, false), (0, 1000, false), (0, 0, true)]
        {
            assert_eq!(has_room(available, total), room, "{available} of {total}");
        }
    }

    #[tokio::test]
    async fn what_has_arrived_is_told_and_gone_on_with_at_its_very_end() {
        let dir = tempfile::tempdir().unwrap();
        let incomings = Incomings::new(dir.path().to_owned());
        let turn = incomings.turn().unwrap();
        assert!(incomings.turn().is_none(), "one at a time");
        assert_eq!(turn.held(), None);
        let path = dir.path().join("incoming-00000000000000ff.db");
        fs::write(&path, "begun").unwrap();
        fs::write(dir.path().join(BARE), "of nobody").unwrap();
        assert_eq!(turn.held(), Some(Held { transfer: 255, bytes: 5 }));
        assert!(open(&path, 4).is_err() && open(&path, 6).is_err());
        open(&path, 5).unwrap().write_all(b", ended").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"begun, ended");
        incomings.forget_older_than(Duration::from_secs(1000));
        assert_eq!(turn.held().unwrap().bytes, 12);
        incomings.forget_older_than(Duration::ZERO);
        assert_eq!(incomings.files().len(), 0);
    }
}
