//! Reading `cluster.yaml`: from its usual places, and checked.

use super::check::check;
use super::document::ClusterFile;
use admin_ui::error::CliError;
use std::path::{Path, PathBuf};

/// The default paths of `cluster.yaml`.
const PLACES: [&str; 2] = ["cluster.yaml", "/etc/etcd/cluster.yaml"];
impl ClusterFile {
    /// Reads and checks the document at `path`, or where it is looked for.
    pub(crate) fn read(path: Option<&Path>) -> Result<Self, CliError> {
        let found = || PLACES.iter().map(PathBuf::from).find(|path| path.is_file());
        let path = path.map(Path::to_owned).or_else(found);
        let path = path.ok_or_else(|| {
            let text = format!(
                "no cluster.yaml found: give --cluster FILE, or write {} (etcd-admin init new)",
                PLACES.join(" or ")
            );
            CliError::usage(text)
        })?;
        let text = std::fs::read_to_string(&path).map_err(|error| CliError::at(&path, error))?;
        Self::parse(&text).map_err(|reason| CliError::usage(format!("{}: {reason}", path.display())))
    }

    /// Returns `true` if a document is where it is looked for.
    pub(crate) fn is_here() -> bool {
        PLACES.iter().any(|path| Path::new(path).is_file())
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let file: Self = serde_norway::from_str(text).map_err(|error| error.to_string())?;
        check(&file)?;
        Ok(file)
    }
}
