//! snapshot save.

use super::download::{DownloadError, Part, abandoned_parts, download_into};
use super::file::{Digested, SnapshotFile};
use super::manifest::{API_VERSION, Manifest, ManifestMember};
use super::owner::give_to_owner_of_dir;
use crate::cli::context::Context;
use crate::client::{CallError, Client};
use crate::etcdctl::size;
use crate::members::{ClusterView, Seen, explained};
use crate::ui::error::{CliError, FAILED, INTEGRITY};
use crate::ui::output::print_result;
use crate::ui::progress::{Progress, note};
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

pub(super) async fn save(
    context: &Context,
    client: &Client,
    file: Option<&Path>,
    dir: &Path,
    from: Option<&str>,
) -> Result<ExitCode, CliError> {
    let view = ClusterView::look(client).await.map_err(with_credentials)?;
    let source = match from {
        Some(arg) => view.expect(arg)?,
        None => freshest(&view)?,
    };
    let endpoint =
        source.endpoint.clone().ok_or_else(|| CliError::refused(format!("{} has no client URL", source.name())))?;
    let stem = stem(context, &view);
    if context.dry_run {
        let path = file.map_or_else(|| dir.join(format!("{stem}.db")), Path::to_path_buf);
        let text = format!("would take a snapshot of {} from {} into {}\n", source.name(), endpoint, path.display());
        return crate::ui::output::say(&text).map(|()| ExitCode::SUCCESS);
    }
    if file.is_none() {
        // Remains of killed runs may fill the disk.
        clear_parts(dir)?;
    }
    let part = match file {
        Some(file) => Part::begin(file),
        None => Part::begin_numbered(dir, &stem),
    };
    let part = part.map_err(|error| of_file(&error))?;
    let path = part.path().to_owned();
    let own = client.at(&endpoint)?;
    let session = match own.session().await {
        Ok(session) => session,
        Err(error) => return Err(explained(&own, error).await),
    };
    let progress = Progress::of_bytes(&format!("snapshot of {}", source.name()));
    let saved = download_into(&session, part, |bytes, remaining| progress.at(bytes, bytes + remaining)).await;
    drop(progress);
    let saved = match saved {
        Ok(saved) => saved,
        Err(DownloadError::Call(status)) => return Err(of_call(&own, endpoint, status).await),
        Err(error @ DownloadError::File { .. }) => return Err(of_file(&error)),
        Err(error) => return Err(CliError::new(INTEGRITY, format!("{}: {error}", path.display()))),
    };
    let after = ClusterView::look(client).await.map_or(view.revision, |after| after.revision);
    // Read again from the disk: its content there counts.
    let opened = SnapshotFile::open(&path, Digested::Required)?;
    let (status, content) = (opened.status(StatusStyle::V3_6)?, opened.content()?);
    let manifest = Manifest {
        api_version: API_VERSION.to_owned(),
        taken_at: certs::rfc3339(context.now),
        cluster_id: format!("{:x}", view.cluster_id),
        member: source.name(),
        server_version: source.status.as_ref().map(|status| status.version.clone()).unwrap_or_default(),
        storage_version: saved.version,
        bytes: saved.bytes,
        sha256: certs::hex(&saved.sha256),
        revision: status.revision,
        revision_high_water: after.max(status.revision),
        total_keys: status.total_keys,
        hash: status.hash,
        hash_kv: opened.hash_kv(status.revision, content.compacted)?,
        members: view.members.iter().map(manifest_member).collect(),
    };
    let manifest_file = manifest.write(&path)?;
    [&path, &manifest_file].into_iter().try_for_each(|file| give_to_owner_of_dir(file))?;
    let report = Saved { changed: true, file: path, manifest_file, manifest };
    print_result(context.format, &report, || {
        let Manifest { bytes, revision, total_keys, member, sha256, .. } = &report.manifest;
        format!(
            "{}\n{}\n{} of {member}: revision {revision}, {total_keys} keys, sha256 {sha256}, checked\n",
            report.file.display(),
            report.manifest_file.display(),
            size(*bytes)
        )
    })?;
    Ok(ExitCode::SUCCESS)
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
        return crate::ui::output::say(&text).map(|()| ExitCode::SUCCESS);
    }
    crate::offline::data_dir::export(data_dir, path)?;
    give_to_owner_of_dir(path)?;
    let status = SnapshotFile::open(path, Digested::Required)?.status(StatusStyle::V3_6)?;
    let report =
        Exported { changed: true, file: path.to_owned(), revision: status.revision, total_keys: status.total_keys };
    print_result(context.format, &report, || {
        format!("{}\nrevision {}, {} keys, checked\n", report.file.display(), report.revision, report.total_keys)
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The follower that has applied most; the leader where there is no other.
fn freshest(view: &ClusterView) -> Result<&Seen, CliError> {
    let leader = view.leader().map(|seen| seen.member.id);
    let followers = view.voters().filter(|seen| seen.proven && Some(seen.member.id) != leader);
    let chosen = followers.max_by_key(|seen| seen.applied()).or_else(|| view.leader());
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
