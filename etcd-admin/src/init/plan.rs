//! The plan for this host, found by looking at it. Carrying it out is another matter.

use super::args::{HostArgs, placed};
use super::certificates::Certificates;
use super::files::{Change, Rendered, TIMER_LINK, TIMER_UNIT, files_of};
use crate::cli::context::Context;
use crate::cluster_config::{FOUNDING, Host};
use admin_offline::data_dir::{has_member, is_real_etcds};
use admin_ui::error::CliError;
use serde_norway::Mapping;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A required directory.
#[derive(Debug)]
pub(super) struct Dir {
    pub(super) path: PathBuf,
    pub(super) mode: u32,
    /// `true` if it is the daemon's own; else it is root's, for the daemon's group to enter.
    pub(super) own: bool,
}

/// Everything that is not as the document wants it.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) dirs: Vec<Dir>,
    pub(super) certificates: Option<Certificates>,
    pub(super) files: Vec<Rendered>,
    pub(super) changes: Vec<Change>,
    /// The link that enables the timer of snapshots, if it is missing, and the unit that it leads
    /// to.
    pub(super) timer: Option<(PathBuf, PathBuf)>,
    /// `true` if the member may be started when this is done.
    pub(super) ready: bool,
    /// The operator's next steps, in order.
    pub(super) next: Vec<String>,
}

impl Plan {
    /// Returns the plan with the settings of an initial member, or of one that joins a running
    /// cluster.
    pub(super) fn of(context: &Context, host: &Host<'_>, args: &HostArgs, settings: Mapping) -> Result<Self, CliError> {
        let data = placed(args, &host.data_dir());
        must_be_ours(&data)?;
        let mut changes = Vec::new();
        let dirs = dirs(host, args);
        for dir in &dirs {
            changes.push(Change {
                path: dir.path.clone(),
                before: None,
                after: format!("a directory, mode {:04o}", dir.mode),
            });
        }
        let certificates = host.file.tls.enabled.then(|| Certificates::plan(context, host, args)).transpose()?;
        let (mut ready, mut next) = (true, Vec::new());
        if let Some(certificates) = &certificates {
            changes.extend(certificates.changes.iter().cloned());
            ready = certificates.next.is_empty();
            next.extend(certificates.next.iter().cloned());
        }
        let lists = certificates.as_ref().map(|certificates| certificates.lists.as_slice()).unwrap_or_default();
        let settings = host.enforce(settings, lists);
        let config = placed(args, &host.config_file());
        let joins = !has_member(&data)
            && is_joining(&config)?
            && settings.get("initial-cluster-state").is_none_or(|state| state == "new");
        let settings = if has_member(&data) || joins { kept(&config, settings)? } else { settings };
        if joins {
            next.push(format!(
                "the join of this host is in progress: {} keeps its initial-cluster (run etcd-admin join again; to bootstrap a new cluster, remove the file)",
                config.display()
            ));
        }
        let mut files = Vec::new();
        for mut rendered in files_of(host, &settings)? {
            rendered.path = placed(args, &rendered.path);
            if let Some(change) = Change::of_file(&rendered.path, &rendered.content)? {
                changes.push(change);
                files.push(rendered);
            }
        }
        let link = placed(args, Path::new(TIMER_LINK));
        let timer = (host.file.backup.is_some() && !link.is_symlink()).then(|| (link, PathBuf::from(TIMER_UNIT)));
        if let Some((link, unit)) = &timer {
            changes.push(Change {
                path: link.clone(),
                before: None,
                after: format!("a link to {}: snapshots are on", unit.display()),
            });
        }
        if let Some(credentials) = host.file.backup.as_ref().and_then(|backup| backup.credentials.as_deref()) {
            let path = placed(args, Path::new(credentials));
            if !path.exists() {
                next.push(format!(
                    "write ETCDCTL_USER=NAME:PASSWORD of a user with the role root to {} (mode 0640, owner root:{})",
                    path.display(),
                    host.file.user
                ));
            }
        }
        if files.iter().any(|file| file.path.starts_with("/etc/systemd")) && !runs_systemd(args) {
            next.push("systemctl daemon-reload".to_owned());
        }
        if has_member(&data) && files.iter().any(|file| file.shared) {
            next.push(
                "restart the member to apply its new settings: etcd-admin roll restart prints the order".to_owned(),
            );
        } else if ready && !has_member(&data) && !changes.is_empty() {
            next.push("start the member: systemctl enable --now etcd-server".to_owned());
        }
        Ok(Self { dirs, certificates, files, changes, timer, ready, next })
    }
}

/// Returns `true` if this is the host itself and systemd runs on it, so that units can be loaded
/// and started.
pub(super) fn runs_systemd(args: &HostArgs) -> bool {
    args.root.is_none() && nix::unistd::geteuid().is_root() && Path::new("/run/systemd/system").is_dir()
}

fn dirs(host: &Host<'_>, args: &HostArgs) -> Vec<Dir> {
    let dir = |path: PathBuf, mode, own| Dir { path: placed(args, &path), mode, own };
    let mut all = vec![dir(host.data_dir(), 0o700, true)];
    if let Some(above) = host.config_file().parent() {
        all.push(dir(above.to_owned(), 0o750, false));
    }
    if host.file.tls.enabled {
        all.push(dir(host.certificates(), 0o750, false));
    }
    all.extend(host.backups().map(|path| dir(path, 0o700, true)));
    let mut seen = BTreeSet::new();
    all.retain(|dir| !dir.path.is_dir() && seen.insert(dir.path.clone()));
    all
}

/// Refuses etcd's own data, which our daemon would refuse too.
fn must_be_ours(data: &Path) -> Result<(), CliError> {
    if is_real_etcds(data) || data.join("member/wal").is_dir() {
        let text = format!(
            "{} has the data of an etcd: move it with etcd-admin adopt, and set another data_dir for the new member",
            data.display()
        );
        return Err(CliError::refused(text));
    }
    Ok(())
}

/// Returns `true` if `join` has written the configuration of a host that has no data yet.
fn is_joining(config: &Path) -> Result<bool, CliError> {
    let Ok(text) = std::fs::read_to_string(config) else { return Ok(false) };
    let before: Mapping = serde_norway::from_str(&text).map_err(|error| CliError::at(config, error))?;
    Ok(before.get("initial-cluster-state").is_some_and(|state| state == "existing"))
}

/// Keeps the settings of an initial member as they were at its first start: nothing reads them
/// again.
fn kept(config: &Path, mut settings: Mapping) -> Result<Mapping, CliError> {
    let Ok(text) = std::fs::read_to_string(config) else { return Ok(settings) };
    let before: Mapping = serde_norway::from_str(&text).map_err(|error| CliError::at(config, error))?;
    for key in FOUNDING {
        if let Some(value) = before.get(key) {
            settings.insert(key.into(), value.clone());
        }
    }
    Ok(settings)
}
