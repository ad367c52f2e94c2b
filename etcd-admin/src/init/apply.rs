//! `init plan` and `init apply`.

use super::args::HostArgs;
use super::files::{Change, Rendered, TIMER};
use super::plan::{Dir, Plan, runs_systemd};
use crate::cli::context::Context;
use crate::cluster_config::{ClusterFile, Host};
use admin_ui::error::{CliError, FAILED};
use admin_ui::output::print_result;
use serde::Serialize;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The changes made, or planned, on a host.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// `true` if anything was changed; in a dry run, whether it would be.
    pub(super) changed: bool,
    pub(super) dry_run: bool,
    pub(super) member: String,
    /// `true` if the member may be started.
    pub(super) ready: bool,
    pub(super) diff: Vec<Change>,
    pub(super) next: Vec<String>,
}

impl Report {
    pub(super) fn of(host: &Host<'_>, plan: &Plan, dry_run: bool) -> Self {
        let next = plan.next.clone();
        Self {
            changed: !plan.changes.is_empty(),
            dry_run,
            member: host.entry.name.clone(),
            ready: plan.ready,
            diff: plan.changes.clone(),
            next,
        }
    }

    pub(super) fn text(&self) -> String {
        let changes: String = self.diff.iter().map(Change::report).collect();
        let head = match (self.changed, self.dry_run) {
            (false, _) => format!("{}: nothing to change\n", self.member),
            (true, true) => format!("{}: this would change\n", self.member),
            (true, false) => format!("{}: this was changed\n", self.member),
        };
        let next: String = self.next.iter().map(|step| format!("next: {step}\n")).collect();
        format!("{head}{changes}{next}")
    }
}

/// Never writes; `changed` is whether `apply` would.
pub(super) fn plan(context: &Context, args: &HostArgs) -> Result<ExitCode, CliError> {
    let file = ClusterFile::read(args.document.cluster.as_deref())?;
    let host = file.host(args.member.as_deref())?;
    let plan = Plan::of(context, &host, args, host.settings())?;
    let report = Report::of(&host, &plan, true);
    print_result(context.format, &report, || report.text())?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn apply(context: &Context, args: &HostArgs) -> Result<ExitCode, CliError> {
    let file = ClusterFile::read(args.document.cluster.as_deref())?;
    let host = file.host(args.member.as_deref())?;
    let plan = Plan::of(context, &host, args, host.settings())?;
    if !context.dry_run {
        execute(context, &host, args, &plan)?;
    }
    let report = Report::of(&host, &plan, context.dry_run);
    print_result(context.format, &report, || report.text())?;
    Ok(ExitCode::SUCCESS)
}

/// Creates directories, certificates, and the configuration last: with it the host counts as
/// complete.
pub(super) fn execute(context: &Context, host: &Host<'_>, args: &HostArgs, plan: &Plan) -> Result<(), CliError> {
    let owner = Owner::of(host, args);
    plan.dirs.iter().try_for_each(|dir| make(dir, owner))?;
    if let Some(certificates) = &plan.certificates {
        certificates.apply(context, args)?;
    }
    let mut units_first: Vec<&Rendered> = plan.files.iter().collect();
    units_first.sort_by_key(|file| file.shared);
    units_first.into_iter().try_for_each(|file| write(context, file, owner))?;
    if let Some((link, unit)) = &plan.timer {
        enable(link, unit)?;
    }
    let has_units = plan.timer.is_some() || plan.files.iter().any(|file| !file.shared);
    if has_units && runs_systemd(args) { start_timer() } else { Ok(()) }
}

/// Enables a unit, as systemctl does: by a link.
fn enable(link: &Path, unit: &Path) -> Result<(), CliError> {
    let above = link.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(above).map_err(failed(above))?;
    std::os::unix::fs::symlink(unit, link).map_err(failed(link))
}

/// Lets systemd read the units, and starts the timer; both are safe to repeat.
fn start_timer() -> Result<(), CliError> {
    for args in [&["daemon-reload"][..], &["start", TIMER]] {
        let failed = |reason: String| {
            CliError::new(FAILED, format!("systemctl {}: {reason}; give the command by hand", args.join(" ")))
        };
        let ended = Command::new("systemctl").args(args).output().map_err(|error| failed(error.to_string()))?;
        if !ended.status.success() {
            return Err(failed(String::from_utf8_lossy(&ended.stderr).trim().to_owned()));
        }
    }
    Ok(())
}

/// The daemon's user, where there is one and we may give files away.
#[derive(Clone, Copy, Debug)]
struct Owner {
    user: Option<(u32, u32)>,
}

impl Owner {
    fn of(host: &Host<'_>, args: &HostArgs) -> Self {
        let may = nix::unistd::geteuid().is_root() && args.root.is_none();
        let user = if may { nix::unistd::User::from_name(&host.file.user).ok().flatten() } else { None };
        Self { user: user.map(|user| (user.uid.as_raw(), user.gid.as_raw())) }
    }

    /// To the daemon, or to root and the daemon's group.
    fn give(self, path: &Path, own: bool) -> Result<(), CliError> {
        let Some((user, group)) = self.user else { return Ok(()) };
        chown(path, Some(if own { user } else { 0 }), Some(group)).map_err(failed(path))
    }
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> CliError {
    move |error| CliError::at(path, error)
}

fn make(dir: &Dir, owner: Owner) -> Result<(), CliError> {
    std::fs::DirBuilder::new().recursive(true).mode(dir.mode).create(&dir.path).map_err(failed(&dir.path))?;
    owner.give(&dir.path, dir.own)?;
    std::fs::set_permissions(&dir.path, std::fs::Permissions::from_mode(dir.mode)).map_err(failed(&dir.path))
}

/// Writes a file; a previous one is kept beside it.
fn write(context: &Context, file: &Rendered, owner: Owner) -> Result<(), CliError> {
    let path = &file.path;
    if let Some(above) = path.parent() {
        std::fs::create_dir_all(above).map_err(failed(above))?;
    }
    if path.exists() {
        std::fs::copy(path, kept_name(context, path)).map_err(failed(path))?;
    }
    certs::files::replace(path, file.content.as_bytes(), file.mode)?;
    if file.shared { owner.give(path, false) } else { Ok(()) }
}

/// `etcd.yaml.20260131T120000Z.old`.
pub(super) fn kept_name(context: &Context, path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.old", certs::rfc3339(context.now).replace([':', '-'], "")));
    PathBuf::from(name)
}
