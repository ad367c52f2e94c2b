//! What every command knows: the time, where the authorities are, and how to answer.

use crate::failure::Failure;
use crate::output::Format;
use crate::words::GlobalWords;
use certs::AuthorityKind;
use certs::files::AuthorityFolder;
use std::path::PathBuf;
use time::OffsetDateTime;

#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) now: OffsetDateTime,
    pub(crate) format: Format,
    /// Nothing is changed; an answer's `changed` then tells whether something would be.
    pub(crate) dry_run: bool,
    pub(crate) ca_dir: Option<PathBuf>,
}

impl Context {
    pub(crate) fn new(words: &GlobalWords) -> Self {
        Self { now: OffsetDateTime::now_utc(), format: words.output, dry_run: words.dry_run, ca_dir: words.ca_dir.clone() }
    }

    /// The folder of all authorities.
    pub(crate) fn ca_dir(&self) -> Result<PathBuf, Failure> {
        let told = || std::env::var_os("ETCD_ADMIN_CA_DIR").filter(|folder| !folder.is_empty()).map(PathBuf::from);
        let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".etcd-admin/pki"));
        let missing = || Failure::usage("where are the authorities? give --ca-dir, or set ETCD_ADMIN_CA_DIR");
        self.ca_dir.clone().or_else(told).or_else(home).ok_or_else(missing)
    }

    /// The folder of an authority that is there.
    pub(crate) fn authority(&self, kind: AuthorityKind) -> Result<AuthorityFolder, Failure> {
        let root = self.ca_dir()?;
        let folder = AuthorityFolder::below(&root, kind);
        if folder.exists() {
            return Ok(folder);
        }
        let text = format!("there is no {kind} authority in {}: make one with `etcd-admin ca init`, or give --ca-dir", root.display());
        Err(Failure::new(crate::failure::FAILED, text))
    }
}
