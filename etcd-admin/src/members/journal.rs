//! The progress of `member rebuild`, so that a second run resumes: once the member is removed, no
//! member list has its name and URLs.

use crate::cluster_view::ClusterView;
use admin_ui::error::{CliError, FAILED};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The directory of the journal below the home directory; a variable may name another one.
const DIRECTORY: &str = ".etcd-admin/rebuild";
const VARIABLE: &str = "ETCD_ADMIN_STATE_DIR";

/// A member that is being rebuilt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Begun {
    /// Its id before, as hexadecimal text.
    pub(super) id: String,
    pub(super) name: String,
    pub(super) peer_urls: Vec<String>,
}

/// The members of one cluster that are being rebuilt, one file each.
#[derive(Debug)]
pub(super) struct Journal {
    directory: PathBuf,
}

impl Journal {
    pub(super) fn of(view: &ClusterView) -> Result<Self, CliError> {
        let named = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
        let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(DIRECTORY));
        let base = named.or_else(home).unwrap_or_else(|| PathBuf::from("/var/lib/etcd-admin/rebuild"));
        Ok(Self { directory: base.join(format!("{:x}", view.cluster_id)) })
    }

    fn file(&self, begun: &Begun) -> PathBuf {
        self.directory.join(format!("{}.json", begun.id))
    }

    /// Notes the member durably, before it is removed.
    pub(super) fn write(&self, begun: &Begun) -> Result<(), CliError> {
        certs::files::private_dir(&self.directory)?;
        let text = serde_json::to_string_pretty(begun)
            .map_err(|error| CliError::new(FAILED, format!("write JSON: {error}")))?;
        Ok(certs::files::replace(&self.file(begun), text.as_bytes(), 0o600)?)
    }

    pub(super) fn remove(&self, begun: &Begun) -> Result<(), CliError> {
        let file = self.file(begun);
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(CliError::at(&file, error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Returns the member of that former name or id.
    pub(super) fn find(&self, arg: &str) -> Result<Option<Begun>, CliError> {
        Ok(self.all()?.into_iter().find(|begun| begun.name == arg || begun.id == arg))
    }

    /// Returns the member of these peer URLs.
    pub(super) fn find_urls(&self, peer_urls: &[String]) -> Result<Option<Begun>, CliError> {
        Ok(self.all()?.into_iter().find(|begun| begun.peer_urls == peer_urls))
    }

    fn all(&self) -> Result<Vec<Begun>, CliError> {
        let entries = match std::fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(CliError::at(&self.directory, error)),
        };
        let read = |path: PathBuf| {
            let text = std::fs::read_to_string(&path).map_err(|error| CliError::at(&path, error))?;
            serde_json::from_str(&text).map_err(|error| CliError::at(&path, error))
        };
        entries.flatten().map(|entry| read(entry.path())).collect()
    }
}
