//! snapshot save.

use super::args::ScheduleArgs;
use super::manifest::{API_VERSION, Manifest, ManifestMember};
use super::metrics::Run;
use super::owner::give_to_owner_of_dir;
use super::turn::{Turn, recent, turn};
use crate::cli::context::Context;
use crate::cluster_view::{ClusterView, Seen};
use admin_client::download::{DownloadError, Downloaded, Part, abandoned_parts, download_into};
use admin_client::{CallError, Client, explained};
use admin_offline::snapshot_file::{Digested, SnapshotFile};
use admin_ui::error::{CliError, FAILED, INTEGRITY};
use admin_ui::output::print_result;
use admin_ui::output::size;
use admin_ui::progress::{Progress, note};
use backend_file::StatusStyle;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, Serialize)]
struct Saved {
    changed: bool,
    file: PathBuf,
    manifest_file: PathBuf,
    #[serde(flatten)]
    manifest: Manifest,
}

/// The flags of a snapshot that a member sends.
#[derive(Debug)]
pub(super) struct SaveArgs {
    pub(super) file: Option<PathBuf>,
    pub(super) dir: PathBuf,
    pub(super) from: Option<String>,
    pub(super) schedule: ScheduleArgs,
}

/// A run that left the snapshot to another member, or found one that is recent enough.
#[derive(Debug, Serialize)]
struct Skipped {
    changed: bool,
    reason: String,
}

/// The end of a run that did not fail.
enum Outcome {
    Saved(Box<Saved>),
    Skipped(Skipped),
    /// The text of a dry run.
    Planned(String),
}

pub(super) async fn save(context: &Context, client: &Client, args: &SaveArgs) -> Result<ExitCode, CliError> {
    let outcome = run(context, client, args).await;
    if let (Some(path), false) = (&args.schedule.metrics_file, context.dry_run) {
        let run = match &outcome {
            Ok(Outcome::Saved(saved)) => {
                Run::Saved { manifest: &saved.manifest, unix_seconds: context.now.unix_timestamp() }
            }
            Ok(Outcome::Skipped(_) | Outcome::Planned(_)) => Run::Skipped,
            Err(_) => Run::Failed,
        };
        if let Err(error) = super::metrics::write(path, run, context.now.unix_timestamp()) {
            note(&format!("the metrics of this run are not written: {error}"));
        }
    }
    match outcome? {
        Outcome::Saved(report) => print_result(context.format, &report, || report.text())?,
        Outcome::Skipped(report) => print_result(context.format, &report, || format!("skipped: {}\n", report.reason))?,
        Outcome::Planned(text) => admin_ui::output::say(&text)?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn run(context: &Context, client: &Client, args: &SaveArgs) -> Result<Outcome, CliError> {
    let view = ClusterView::survey(client).await.map_err(with_credentials)?;
    let dir = &args.dir;
    if args.schedule.scheduled
        && let Some(reason) = skip(context, &view, args)?
    {
        return Ok(Outcome::Skipped(Skipped { changed: false, reason }));
    }
    let source = source(&view, args)?;
    let endpoint =
        source.endpoint.clone().ok_or_else(|| CliError::refused(format!("{} has no client URL", source.name())))?;
    let stem = stem(context, &view);
    if context.dry_run {
        let path = args.file.clone().unwrap_or_else(|| dir.join(format!("{stem}.db")));
        return Ok(Outcome::Planned(format!(
            "would take a snapshot of {} from {} into {}\n",
            source.name(),
            endpoint,
            path.display()
        )));
    }
    if args.file.is_none() {
        // Remains of killed runs may fill the disk.
        clear_parts(dir)?;
    }
    let part = match &args.file {
        Some(file) => Part::begin(file),
        None => Part::begin_numbered(dir, &stem),
    };
    let part = part.map_err(|error| of_file(&error))?;
    let path = part.path().to_owned();
    let saved = fetch(&client.at(&endpoint)?, endpoint, part, &source.name()).await?;
    let after = if view.is_led() {
        ClusterView::look(client).await.map_or(view.revision, |after| after.revision)
    } else {
        view.revision
    };
    let described = manifest(context, &view, source, &path, saved, after).and_then(|manifest| {
        let manifest_file = manifest.write(&path)?;
        [&path, &manifest_file].into_iter().try_for_each(|file| give_to_owner_of_dir(file))?;
        Ok(Saved { changed: true, file: path.clone(), manifest_file, manifest })
    });
    if described.is_err() {
        // `prune` removes nothing without a manifest: a disk that is full would stay full.
        drop(std::fs::remove_file(&path));
    }
    described.map(|saved| Outcome::Saved(Box::new(saved)))
}

/// Returns why a scheduled run has nothing to do on this host. `None` if it has to save.
fn skip(context: &Context, view: &ClusterView, args: &SaveArgs) -> Result<Option<String>, CliError> {
    let age = args.schedule.min_age.try_into().unwrap_or(time::Duration::MAX);
    let found = if args.dir.is_dir() { super::look::snapshots(&args.dir)? } else { Vec::new() };
    if let Some(recent) = recent(found, view.cluster_id, context.now, age) {
        let seconds = context.now.unix_timestamp() - recent.unix_seconds;
        return Ok(Some(format!("{} was saved {seconds} s ago", recent.file.display())));
    }
    Ok(match turn(view, admin_client::own_name().as_deref()) {
        Turn::Save(reason) => {
            note(&format!("this host saves the snapshot: {reason}"));
            None
        }
        Turn::Skip(reason) => Some(reason),
    })
}

/// Returns the member that sends its state.
fn source<'a>(view: &'a ClusterView, args: &SaveArgs) -> Result<&'a Seen, CliError> {
    if let Some(arg) = &args.from {
        return view.expect(arg);
    }
    if !args.schedule.scheduled || view.is_led() {
        return usual_source(view);
    }
    // Without a leader, what the member with the longest log has applied is the best that there is.
    let responses = view.voters().filter(|seen| seen.status.is_ok());
    responses.max_by_key(|seen| seen.applied()).ok_or_else(|| CliError::refused("no voter answers"))
}

/// Downloads the state of the member at `endpoint` into `part`.
async fn fetch(own: &Client, endpoint: String, part: Part, name: &str) -> Result<Downloaded, CliError> {
    let path = part.path().to_owned();
    let session = match own.session().await {
        Ok(session) => session,
        Err(error) => return Err(explained(own, error).await),
    };
    let progress = Progress::of_bytes(&format!("snapshot of {name}"));
    let saved = download_into(&session, part, |bytes, remaining| progress.at(bytes, bytes + remaining)).await;
    drop(progress);
    match saved {
        Ok(saved) => Ok(saved),
        Err(DownloadError::Call(status)) => Err(of_call(own, endpoint, status).await),
        Err(error @ DownloadError::File { .. }) => Err(of_file(&error)),
        Err(error) => Err(CliError::new(INTEGRITY, format!("{}: {error}", path.display()))),
    }
}

/// Returns the manifest of the snapshot at `path`, which is read again from the disk: its content
/// there counts.
fn manifest(
    context: &Context,
    view: &ClusterView,
    source: &Seen,
    path: &Path,
    saved: Downloaded,
    newest_revision: i64,
) -> Result<Manifest, CliError> {
    let opened = SnapshotFile::open(path, Digested::Required)?;
    let (status, content) = (opened.status(StatusStyle::V3_6)?, opened.content()?);
    Ok(Manifest {
        api_version: API_VERSION.to_owned(),
        taken_at: certs::rfc3339(context.now),
        cluster_id: format!("{:x}", view.cluster_id),
        member: source.name(),
        server_version: source.status.as_ref().map(|status| status.version.clone()).unwrap_or_default(),
        storage_version: saved.version,
        bytes: saved.bytes,
        sha256: certs::hex(&saved.sha256),
        revision: status.revision,
        revision_high_water: newest_revision.max(status.revision),
        total_keys: status.total_keys,
        hash: status.hash,
        hash_kv: opened.hash_kv(status.revision, content.compacted)?,
        members: view.members.iter().map(manifest_member).collect(),
    })
}

impl Saved {
    fn text(&self) -> String {
        let Manifest { bytes, revision, total_keys, member, sha256, .. } = &self.manifest;
        format!(
            "{}\n{}\n{} of {member}: revision {revision}, {total_keys} keys, sha256 {sha256}, checked\n",
            self.file.display(),
            self.manifest_file.display(),
            size(*bytes)
        )
    }
}

fn manifest_member(seen: &Seen) -> ManifestMember {
    ManifestMember { id: seen.id(), name: seen.member.name.clone(), peer_urls: seen.member.peer_ur_ls.clone() }
}

#[derive(Debug, Serialize)]
struct Exported {
    changed: bool,
    file: PathBuf,
    revision: i64,
    total_keys: u64,
}

/// Saves a snapshot of an unused data directory. There is no manifest, because the positions of the
/// others are unknown.
pub(super) fn offline(context: &Context, path: &Path, data_dir: &Path) -> Result<ExitCode, CliError> {
    if path.exists() {
        return Err(CliError::refused(format!("{} is there already: nothing is overwritten", path.display())));
    }
    if context.dry_run {
        let text = format!("would take a snapshot of {} into {}\n", data_dir.display(), path.display());
        return admin_ui::output::say(&text).map(|()| ExitCode::SUCCESS);
    }
    admin_offline::data_dir::export(data_dir, path)?;
    give_to_owner_of_dir(path)?;
    let status = SnapshotFile::open(path, Digested::Required)?.status(StatusStyle::V3_6)?;
    let report =
        Exported { changed: true, file: path.to_owned(), revision: status.revision, total_keys: status.total_keys };
    print_result(context.format, &report, || {
        format!("{}\nrevision {}, {} keys, checked\n", report.file.display(), report.revision, report.total_keys)
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the most up-to-date follower; the leader where there is none.
fn usual_source(view: &ClusterView) -> Result<&Seen, CliError> {
    let chosen = view.most_up_to_date_follower().or_else(|| view.leader());
    chosen.ok_or_else(|| CliError::refused("no member follows a leader: choose a member with --from"))
}

/// Returns the name of a snapshot without its ending: cluster, revision and time.
fn stem(context: &Context, view: &ClusterView) -> String {
    let now = certs::rfc3339(context.now).replace([':', '-'], "");
    format!("etcd-{:x}-{}-{now}", view.cluster_id, view.revision)
}

/// Removes the remains of killed snapshots, and logs them.
pub(super) fn clear_parts(dir: &Path) -> Result<Vec<PathBuf>, CliError> {
    let parts = match abandoned_parts(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(CliError::new(
                FAILED,
                format!("{}: {error}; make the directory, or name another one with --dir", dir.display()),
            ));
        }
        parts => parts.map_err(|error| CliError::at(dir, error))?,
    };
    for part in &parts {
        std::fs::remove_file(part).map_err(|error| CliError::at(part, error))?;
        note(&format!("removed {}, which an interrupted snapshot left", part.display()));
    }
    Ok(parts)
}

fn of_file(error: &DownloadError) -> CliError {
    let DownloadError::File { path, source } = error else { return CliError::new(INTEGRITY, error.to_string()) };
    let kind = source.kind();
    if kind == std::io::ErrorKind::AlreadyExists {
        return CliError::refused(error.to_string());
    }
    if matches!(kind, std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded) {
        let remedy =
            "the part was removed: free disk space (etcd-admin snapshot prune), or choose another disk with --dir";
        return CliError::new(FAILED, format!("{}: {source}; {remedy}", path.display()));
    }
    CliError::new(FAILED, error.to_string())
}

/// Returns the failure of a call; only root may take snapshots once authentication is enabled.
async fn of_call(client: &Client, endpoint: String, status: tonic::Status) -> CliError {
    with_credentials(explained(client, CallError::Status { endpoint, status }).await)
}

/// Adds the source of the credentials, if they are missing.
fn with_credentials(error: CliError) -> CliError {
    let text = error.to_string();
    if !["user name is empty", "permission denied", "invalid auth token"].iter().any(|says| text.contains(says)) {
        return error;
    }
    let text = format!(
        "{text}; authentication is enabled, and a snapshot needs a user with the role root: give --user, or for the timer write \
         ETCDCTL_USER=NAME:PASSWORD to /etc/etcd/snapshot.env (mode 0640, owner root:etcd)"
    );
    CliError::new(error.code(), text)
}
