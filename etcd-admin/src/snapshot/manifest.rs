//! The manifest of a snapshot, written when it is taken, beside it as `FILE.json`.

use admin_ui::error::{CliError, FAILED, INTEGRITY};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

pub(crate) const API_VERSION: &str = "etcd-admin/v1";

/// Ids are hexadecimal text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    #[serde(rename = "apiVersion")]
    pub(crate) api_version: String,
    /// RFC 3339, in UTC.
    pub(crate) taken_at: String,
    pub(crate) cluster_id: String,
    /// The source member.
    pub(crate) member: String,
    pub(crate) server_version: String,
    pub(crate) storage_version: String,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
    /// The newest revision in it.
    pub(crate) revision: i64,
    /// The cluster's newest revision when it was complete: never restore to less.
    pub(crate) revision_high_water: i64,
    pub(crate) total_keys: u64,
    /// CRC-32C over all buckets, as in `snapshot status`.
    pub(crate) hash: u32,
    /// HashKV at the revision.
    pub(crate) hash_kv: u32,
    pub(crate) members: Vec<ManifestMember>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ManifestMember {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) peer_urls: Vec<String>,
}

impl Manifest {
    /// Returns its path.
    pub(crate) fn path_of(snapshot: &Path) -> PathBuf {
        let mut name = snapshot.as_os_str().to_owned();
        name.push(".json");
        PathBuf::from(name)
    }

    pub(crate) fn write(&self, snapshot: &Path) -> Result<PathBuf, CliError> {
        let path = Self::path_of(snapshot);
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| CliError::new(FAILED, format!("write JSON: {error}")))?;
        certs::files::replace(&path, format!("{text}\n").as_bytes(), 0o600)?;
        Ok(path)
    }

    /// The one beside a snapshot, if there is one.
    pub(crate) fn read(snapshot: &Path) -> Result<Option<Self>, CliError> {
        let path = Self::path_of(snapshot);
        match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map(Some)
                .map_err(|error| CliError::new(INTEGRITY, format!("{}: {error}", path.display()))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(CliError::at(&path, error)),
        }
    }
}
