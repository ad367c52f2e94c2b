//! snapshot list, status, verify.

use super::manifest::Manifest;
use super::test_restore::test_restore;
use crate::cli::context::Context;
use admin_client::download::abandoned_parts;
use admin_offline::snapshot_file::{Digested, SnapshotFile};
use admin_ui::error::{CliError, INTEGRITY};
use admin_ui::output::size;
use admin_ui::output::{print_result, table};
use admin_ui::progress::note;
use backend_file::StatusStyle;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A snapshot of a directory, as its manifest describes it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Listed {
    pub(super) file: PathBuf,
    pub(super) bytes: u64,
    /// `None` without a manifest: only its age is known then.
    pub(super) manifest: Option<Manifest>,
    /// Seconds since 1970 at which it was taken, or last written.
    pub(super) unix_seconds: i64,
}

/// Returns the snapshots of a directory, newest first: files that end in `.db`.
pub(super) fn snapshots(dir: &Path) -> Result<Vec<Listed>, CliError> {
    let failed = |error: std::io::Error| CliError::at(dir, error);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let metadata = entry.metadata().map_err(failed)?;
        let file = entry.path();
        if !metadata.is_file() || file.extension().is_none_or(|ending| ending != "db") {
            continue;
        }
        let manifest = Manifest::read(&file)?;
        let taken = manifest.as_ref().and_then(|manifest| {
            time::OffsetDateTime::parse(&manifest.taken_at, &time::format_description::well_known::Rfc3339).ok()
        });
        let written = metadata.modified().map_err(failed)?;
        let unix_seconds = taken.unwrap_or_else(|| written.into()).unix_timestamp();
        found.push(Listed { file, bytes: metadata.len(), manifest, unix_seconds });
    }
    found.sort_by_key(|listed| std::cmp::Reverse(listed.unix_seconds));
    Ok(found)
}

pub(super) fn list(context: &Context, dir: &Path) -> Result<ExitCode, CliError> {
    let found = snapshots(dir)?;
    let parts = abandoned_parts(dir).map_err(|error| CliError::at(dir, error))?;
    for part in &parts {
        note(&format!(
            "{}: left by an interrupted snapshot; the next one, or etcd-admin snapshot prune, removes it",
            part.display()
        ));
    }
    print_result(context.format, &found, || {
        let row = |listed: &Listed| {
            let manifest = listed.manifest.as_ref();
            let taken =
                time::OffsetDateTime::from_unix_timestamp(listed.unix_seconds).map(certs::rfc3339).unwrap_or_default();
            vec![
                listed.file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                taken,
                size(listed.bytes),
                manifest.map_or_else(|| "-".to_owned(), |manifest| manifest.revision.to_string()),
                manifest.map_or_else(|| "-".to_owned(), |manifest| manifest.cluster_id.clone()),
                if manifest.is_some() { "" } else { "no manifest" }.to_owned(),
            ]
        };
        table(&["FILE", "TAKEN", "SIZE", "REVISION", "CLUSTER", ""], &found.iter().map(row).collect::<Vec<_>>())
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn status(context: &Context, path: &Path) -> Result<ExitCode, CliError> {
    let status = SnapshotFile::open(path, Digested::Ignored)?.status(StatusStyle::V3_6)?;
    print_result(context.format, &status, || {
        let version = status.version.clone().unwrap_or_default();
        let row = vec![
            format!("{:x}", status.hash),
            status.revision.to_string(),
            status.total_keys.to_string(),
            size(status.size_bytes),
            version,
        ];
        table(&["HASH", "REVISION", "TOTAL KEYS", "TOTAL SIZE", "VERSION"], &[row])
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The result of checking a snapshot; a flaw is a failure and not a finding.
#[derive(Debug, Serialize)]
struct Verified {
    file: PathBuf,
    bytes: u64,
    revision: i64,
    total_keys: u64,
    hash: u32,
    hash_kv: u32,
    members: usize,
    /// `true` if the manifest beside it agrees; `None` where there is none.
    manifest: Option<bool>,
    /// `true` if a member that was started on it returned the same hash; `None` without a test
    /// restore.
    test_restored: Option<bool>,
}

pub(super) async fn verify(
    context: &Context,
    path: &Path,
    with_test_restore: bool,
    skip_hash_check: bool,
) -> Result<ExitCode, CliError> {
    let file = SnapshotFile::open(path, if skip_hash_check { Digested::Ignored } else { Digested::Required })?;
    let (status, content) = (file.status(StatusStyle::V3_6)?, file.content()?);
    let hash_kv = file.hash_kv(status.revision, content.compacted)?;
    let manifest = if path.is_dir() { None } else { Manifest::read(path)? };
    let agrees = manifest.map(|manifest| {
        let same = manifest.bytes == file.bytes
            && manifest.hash == status.hash
            && manifest.revision == status.revision
            && manifest.hash_kv == hash_kv;
        if same {
            Ok(true)
        } else {
            Err(CliError::new(INTEGRITY, format!("{}: the file does not match its manifest", path.display())))
        }
    });
    let manifest = agrees.transpose()?;
    let test_restored =
        if with_test_restore { Some(test_restore(&file, status.revision, hash_kv).await?) } else { None };
    let report = Verified {
        file: path.to_owned(),
        bytes: file.bytes,
        revision: status.revision,
        total_keys: status.total_keys,
        hash: status.hash,
        hash_kv,
        members: content.members.len(),
        manifest,
        test_restored,
    };
    print_result(context.format, &report, || {
        let manifest = if report.manifest.is_some() { "manifest agrees" } else { "no manifest" };
        let suffix =
            if report.test_restored.is_some() { "; a member started on it and returned the same hash" } else { "" };
        format!(
            "{}: valid. {}, revision {}, {} keys, {} members, {manifest}{suffix}\n",
            report.file.display(),
            size(report.bytes),
            report.revision,
            report.total_keys,
            report.members
        )
    })?;
    Ok(ExitCode::SUCCESS)
}
