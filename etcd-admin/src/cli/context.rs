//! The context of every command: the time, the directory of the CAs, and the output format.

use crate::cluster_config::ClusterFile;
use admin_ui::error::CliError;
use admin_ui::output::Format;
use certs::CaKind;
use certs::files::CaDir;
use std::path::PathBuf;
use time::OffsetDateTime;

#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) now: OffsetDateTime,
    pub(crate) format: Format,
    /// `true` if nothing is changed; `changed` in the output then shows whether something would be.
    pub(crate) dry_run: bool,
    pub(crate) ca_dir: Option<PathBuf>,
}

impl Context {
    pub(crate) fn new(format: Format, dry_run: bool, ca_dir: Option<PathBuf>) -> Self {
        Self { now: OffsetDateTime::now_utc(), format, dry_run, ca_dir }
    }

    /// Returns the directory of the CAs: as given, else that of the cluster whose document is here,
    /// else the one that older releases used for all clusters.
    pub(crate) fn ca_dir(&self) -> Result<PathBuf, CliError> {
        let (own, shared) = (self.own_ca_dir()?, Self::shared_ca_dir());
        match (own, shared) {
            (Some(own), Some(shared)) if !own.exists() && shared.exists() => Ok(shared),
            (Some(own), _) => Ok(own),
            (None, Some(shared)) => Ok(shared),
            (None, None) => {
                Err(CliError::usage("the directory of the CAs is not known: give --ca-dir, or set ETCD_ADMIN_CA_DIR"))
            }
        }
    }

    /// Returns the directory for new CAs, which never is that of another cluster.
    pub(crate) fn new_ca_dir(&self) -> Result<PathBuf, CliError> {
        self.own_ca_dir()?.map_or_else(|| self.ca_dir(), Ok)
    }

    /// Returns the directory that was given, or that of the cluster whose document is here.
    fn own_ca_dir(&self) -> Result<Option<PathBuf>, CliError> {
        let variable =
            || std::env::var_os("ETCD_ADMIN_CA_DIR").filter(|directory| !directory.is_empty()).map(PathBuf::from);
        if let Some(given) = self.ca_dir.clone().or_else(variable) {
            return Ok(Some(given));
        }
        let (Some(home), true) = (home(), ClusterFile::is_here()) else { return Ok(None) };
        Ok(Some(home.join(ClusterFile::read(None)?.name).join("pki")))
    }

    fn shared_ca_dir() -> Option<PathBuf> {
        home().map(|home| home.join("pki"))
    }

    /// Returns the directory of an existing CA.
    pub(crate) fn ca(&self, kind: CaKind) -> Result<CaDir, CliError> {
        let root = self.ca_dir()?;
        let dir = CaDir::below(&root, kind);
        if dir.exists() {
            return Ok(dir);
        }
        let text = format!(
            "there is no {kind} CA in {}: create one with `etcd-admin ca init`, or give --ca-dir",
            root.display()
        );
        Err(CliError::new(admin_ui::error::FAILED, text))
    }
}

/// Returns the directory of this tool below the home directory.
fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".etcd-admin"))
}
