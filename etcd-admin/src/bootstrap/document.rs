//! `init new` and `init render`: from words to a document, from a document to files.

use super::files::{Change, files_of};
use super::words::NewWords;
use crate::context::Context;
use crate::failure::{FAILED, Failure};
use crate::inventory::{ClusterFile, MemberEntry};
use crate::output::{answer, say};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(super) fn new(words: &NewWords) -> Result<ExitCode, Failure> {
    let members = words.members.iter().map(|word| {
        let wrong = || Failure::usage(format!("{word}: write NAME=HOST, such as etcd1=10.0.0.11"));
        word.split_once('=').map(|(name, host)| MemberEntry::new(name, host)).ok_or_else(wrong)
    });
    let members = members.collect::<Result<Vec<_>, _>>()?;
    let file = ClusterFile::new(&words.name, members, format!("{}-{}", words.name, random()?));
    let text = serde_norway::to_string(&file).map_err(|error| Failure::new(FAILED, format!("write YAML: {error}")))?;
    ClusterFile::parse(&text).map_err(Failure::usage)?;
    say(&format!("# A cluster of etcd; etcd-admin init schema tells what may be said here.\n{text}")).map(|()| ExitCode::SUCCESS)
}

/// Sixteen digits that no other cluster has.
fn random() -> Result<String, Failure> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| Failure::new(FAILED, format!("draw a token: {error}")))?;
    Ok(certs::hex(&bytes))
}

#[derive(Debug, Serialize)]
struct Rendered {
    /// Whether anything was written; in a dry run, whether it would be.
    changed: bool,
    dry_run: bool,
    files: Vec<PathBuf>,
    diff: Vec<Change>,
}

pub(super) fn render(context: &Context, cluster: Option<&Path>, out: &Path) -> Result<ExitCode, Failure> {
    let file = ClusterFile::read(cluster)?;
    let (mut files, mut diff) = (Vec::new(), Vec::new());
    for host in file.hosts() {
        for rendered in files_of(&host, &host.settings())? {
            let path = out.join(&host.entry.name).join(rendered.path.strip_prefix("/").unwrap_or(&rendered.path));
            if let Some(change) = Change::of_file(&path, &rendered.content)? {
                if !context.dry_run {
                    let above = path.parent().unwrap_or(out);
                    std::fs::create_dir_all(above).map_err(|error| Failure::at(above, error))?;
                    certs::files::replace(&path, rendered.content.as_bytes(), rendered.mode)?;
                }
                diff.push(change);
            }
            files.push(path);
        }
    }
    let told = Rendered { changed: !diff.is_empty(), dry_run: context.dry_run, files, diff };
    answer(context.format, &told, || {
        let row = |path: &PathBuf| {
            let mark = if told.diff.iter().any(|change| change.path == *path) { "written" } else { "as it was" };
            let mark = if context.dry_run && mark == "written" { "would be written" } else { mark };
            format!("{}: {mark}\n", path.display())
        };
        told.files.iter().map(row).collect()
    })?;
    Ok(ExitCode::SUCCESS)
}
