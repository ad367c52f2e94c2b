//! The few file operations the log is made of, with the modes and syncs they owe.
//!
//! Every write and sync of the log passes here, so that tests can make the n-th one fail.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;

/// Zeros are written in pieces of this size.
static ZERO_CHUNK: [u8; 64 * 1024] = [0; 64 * 1024];

/// Creates `directory` and its missing parents, readable by the owner alone.
pub(crate) fn create_directory(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    match directory.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_directory(parent),
        Some(_) | None => Ok(()),
    }
}

/// Opens a new, empty file; one that is already there is emptied.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Opens an existing file for reading and writing.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

/// Makes creations, renames and removals in `directory` durable.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    injected(Operation::Sync)?;
    File::open(directory)?.sync_all()
}

/// Writes all of `bytes` at `offset`.
pub(crate) fn write(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    injected(Operation::Write)?;
    file.write_all_at(bytes, offset)
}

/// Makes the written data of `file` durable; its size and blocks must be durable already.
pub(crate) fn sync_data(file: &File) -> io::Result<()> {
    injected(Operation::Sync)?;
    file.sync_data()
}

/// Writes `length` zeros at `offset`.
pub(crate) fn write_zeros(file: &File, offset: u64, length: u64) -> io::Result<()> {
    let (mut at, end) = (offset, offset + length);
    while at < end {
        let piece = usize::try_from(end - at).unwrap_or(usize::MAX).min(ZERO_CHUNK.len());
        write(file, &ZERO_CHUNK[..piece], at)?;
        at += piece as u64;
    }
    Ok(())
}

/// The operations that a test can make fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Write,
    Sync,
}

#[cfg(not(test))]
fn injected(_operation: Operation) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
pub(crate) use injection::fail_next;
#[cfg(test)]
use injection::injected;

#[cfg(test)]
mod injection {
    use super::Operation;
    use std::cell::Cell;
    use std::io;

    thread_local! {
        static NEXT: Cell<Option<Operation>> = const { Cell::new(None) };
    }

    /// Makes the next such operation of this thread fail, once.
    pub(crate) fn fail_next(operation: Operation) {
        NEXT.set(Some(operation));
    }

    pub(super) fn injected(operation: Operation) -> io::Result<()> {
        if NEXT.get() == Some(operation) {
            NEXT.set(None);
            return Err(io::Error::other("injected"));
        }
        Ok(())
    }
}
