//! Files: read within bounds, written whole or not at all, keys for their owner alone.

mod ca_dir;
mod host_dir;
mod register;
mod rotation;

pub use ca_dir::{CaDir, LIST_DAYS, NewCa};
pub use host_dir::{Change, HostDir, HostFile};
pub use register::{Entry, Issued, Register};
pub use rotation::RotationPhase;

use crate::Error;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use zeroize::Zeroizing;

/// No certificate, key or bundle comes near it; a revocation list of a hundred thousand entries
/// does not either.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Secrets: for their owner alone.
pub const PRIVATE_MODE: u32 = 0o600;
/// Mode of public files.
pub const PUBLIC_MODE: u32 = 0o644;

/// Reads a whole file.
///
/// # Errors
/// When it cannot be read, is no regular file, or is far too large for its purpose.
pub fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    // A pipe would be waited for without end.
    let metadata = fs::metadata(path).map_err(Error::file("read", path))?;
    if !metadata.is_file() {
        return Err(Error::Content { path: path.to_owned(), reason: "it is not a regular file".to_owned() });
    }
    let mut content = Zeroizing::new(Vec::new());
    let file = File::open(path).map_err(Error::file("read", path))?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut content).map_err(Error::file("read", path))?;
    if content.len() as u64 > FILE_BYTES_MAX {
        let reason = format!("it is larger than {FILE_BYTES_MAX} bytes, which no file of this kind is");
        return Err(Error::Content { path: path.to_owned(), reason });
    }
    Ok(content)
}

/// A whole file of text.
///
/// # Errors
/// As [`read`], and when it is no text.
pub fn read_text(path: &Path) -> Result<Zeroizing<String>, Error> {
    let bytes = read(path)?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| Error::Content { path: path.to_owned(), reason: "it is not text".to_owned() })?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Checks that a private key is kept from others: only the owner may write it, and others may not
/// read it. A group may read it, for keys that belong to root and are served by a daemon of another
/// name.
///
/// # Errors
/// With the remedy, when it is not.
pub fn check_private(path: &Path) -> Result<(), Error> {
    let mode = fs::metadata(path).map_err(Error::file("read", path))?.permissions().mode() & 0o777;
    if mode & 0o027 != 0 { Err(Error::Exposed { path: path.to_owned(), mode }) } else { Ok(()) }
}

/// Writes a file that may replace another: whole and synced, or not at all.
///
/// # Errors
/// When the disk does not take it.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> Result<(), Error> {
    let dir = dir_of(path);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let fresh = dir.join(format!(".{name}.{}.new", std::process::id()));
    let written =
        write(&fresh, content, mode).and_then(|()| fs::rename(&fresh, path).map_err(Error::file("write", path)));
    if written.is_err() {
        // The rest is ours and useless; the returned error is the first.
        drop(fs::remove_file(&fresh));
    }
    written?;
    sync_dir(dir)
}

/// Writes a file that must not be there yet.
///
/// # Errors
/// When it is, or the disk does not take it.
pub fn create(path: &Path, content: &[u8], mode: u32) -> Result<(), Error> {
    write(path, content, mode)?;
    sync_dir(dir_of(path))
}

/// Makes a directory for its owner alone, with all above it.
///
/// # Errors
/// When it cannot be made.
pub fn private_dir(path: &Path) -> Result<(), Error> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(Error::file("make the directory", path))
}

fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), Error> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(Error::Exists { path: path.to_owned() });
        }
        Err(error) => return Err(Error::file("write", path)(error)),
    };
    // The umask of the caller takes bits from the mode of a new file, and the daemon's group is to
    // read some.
    let permissions = fs::Permissions::from_mode(mode);
    file.set_permissions(permissions)
        .and_then(|()| file.write_all(content))
        .and_then(|()| file.sync_all())
        .map_err(Error::file("write", path))
}

/// Returns the directory of a file or directory; for a bare name the present one.
#[must_use]
pub fn dir_of(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

fn sync_dir(dir: &Path) -> Result<(), Error> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(Error::file("sync", dir))
}
