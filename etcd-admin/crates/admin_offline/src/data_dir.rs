//! The one place of this tool that knows how our own data lies on disk, and so links the store.
//! Everything here works on data that no daemon uses.

use crate::new_cluster::NewMember;
use admin_client::download::{part_of, put_in_place};
use admin_ui::error::{CliError, FAILED, INTEGRITY, REFUSED};
use backend_file::bolt::{BoltFile, ReadAt};
use membership::Version;
use replica::{ImportError, ImportPlan, InspectError, Inspected, Raise, import};
use std::io::Write as _;
use std::path::Path;

/// The version whose data we make.
const OWN_VERSION: Version = Version { major: 3, minor: 7, patch: 1 };

/// Returns `true` if a member, of ours or of a real etcd, has been here.
pub fn has_member(data_dir: &Path) -> bool {
    std::fs::read_dir(data_dir.join("member")).is_ok_and(|mut entries| entries.next().is_some())
}

/// Returns `true` if it is the data of a real etcd.
pub fn is_real_etcds(data_dir: &Path) -> bool {
    data_dir.join("member/snap").is_dir()
}

/// Fills a new data directory from a backend file: built beside its place, and put there when it is
/// complete. Answers the newest revision.
pub fn make_data_dir<R: ReadAt>(
    data_dir: &Path,
    own: &NewMember,
    members: &[NewMember],
    raise: Option<i64>,
    file: &BoltFile<R>,
    progress: &mut dyn FnMut(u64),
) -> Result<i64, CliError> {
    let part = part_of(data_dir);
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error: std::io::Error| CliError::at(&path, error)
    };
    // The remains of an interrupted run were never in use.
    match std::fs::remove_dir_all(&part) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(&part)(error)),
        Ok(()) | Err(_) => {}
    }
    let member = part.join("member");
    certs::files::private_dir(&member)?;
    let plan = ImportPlan {
        member: own.id,
        cluster: membership::cluster_id(members.iter().map(|member| member.id)),
        members: members.iter().map(NewMember::record).collect(),
        raise: raise.map_or(Raise::Exact, Raise::By),
        own_version: OWN_VERSION,
    };
    let made = import(&member, &plan, file, progress).map_err(|error| refused(data_dir, &error));
    if made.is_err() {
        // Useless, and ours; the returned error is the first.
        drop(std::fs::remove_dir_all(&part));
    }
    let made = made?;
    // An empty directory may be there already.
    match std::fs::remove_dir(data_dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(data_dir)(error)),
        Ok(()) | Err(_) => {}
    }
    std::fs::rename(&part, data_dir).map_err(failed(data_dir))?;
    let above = certs::files::dir_of(data_dir);
    std::fs::File::open(above).and_then(|above| above.sync_all()).map_err(failed(above))?;
    Ok(made.revision)
}

fn refused(data_dir: &Path, error: &ImportError) -> CliError {
    let code = match error {
        ImportError::Used(_) => REFUSED,
        ImportError::File(_) => INTEGRITY,
        ImportError::Store(_) | ImportError::Log(_) | ImportError::Fault(_) => FAILED,
    };
    CliError::new(code, format!("{}: {error}", data_dir.display()))
}

/// Refuses a directory that has content.
pub fn must_be_free(data_dir: &Path) -> Result<(), CliError> {
    let text =
        |more: &str| format!("data-dir {:?} not empty or could not be read{more}", data_dir.display().to_string());
    match std::fs::read_dir(data_dir).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(CliError::refused(text(""))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(CliError::new(FAILED, text(&format!(": {error}")))),
    }
}

/// Refuses a data directory that a daemon uses.
pub fn must_be_idle(data_dir: &Path) -> Result<(), CliError> {
    let path = data_dir.join("member/lock");
    let file = match std::fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(CliError::at(&path, error)),
    };
    // Let go at once, with the file: nothing here writes.
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(std::fs::TryLockError::WouldBlock) => {
            Err(CliError::refused(format!("{} is in use: stop its member first", data_dir.display())))
        }
        Err(std::fs::TryLockError::Error(error)) => Err(CliError::at(&path, error)),
    }
}

/// Inspects the data directory of a stopped member.
pub fn inspect(data_dir: &Path) -> Result<Inspected, CliError> {
    let scratch =
        tempfile::tempdir().map_err(|error| CliError::new(FAILED, format!("create a temporary directory: {error}")))?;
    replica::inspect(&data_dir.join("member"), scratch.path()).map_err(|error| untold(&error))
}

/// Writes a snapshot of an unused data directory: complete in its place, or not there at all.
pub fn export(data_dir: &Path, path: &Path) -> Result<(), CliError> {
    must_be_idle(data_dir)?;
    let part = part_of(path);
    let failed = |error: std::io::Error| CliError::at(&part, error);
    let scratch =
        tempfile::tempfile().map_err(|error| CliError::new(FAILED, format!("create a temporary file: {error}")))?;
    let written = || -> Result<(), CliError> {
        let mut out = std::io::BufWriter::new(std::fs::File::create(&part).map_err(failed)?);
        replica::export(&data_dir.join("member"), &scratch, &mut out).map_err(|error| untold(&error))?;
        out.flush().map_err(failed)?;
        out.get_ref().sync_all().map_err(failed)
    };
    if let Err(failure) = written() {
        // A full disk must not stay full because of it.
        drop(std::fs::remove_file(&part));
        return Err(failure);
    }
    put_in_place(&part, path).map_err(|error| CliError::new(FAILED, error.to_string()))
}

fn untold(error: &InspectError) -> CliError {
    let code = match error {
        InspectError::Empty => REFUSED,
        InspectError::Store(_) | InspectError::Log(_) | InspectError::Fault(_) => INTEGRITY,
    };
    CliError::new(code, error.to_string())
}
