//! recover inspect.

use crate::cli::context::Context;
use admin_offline::data_dir;
use admin_ui::error::{CliError, INTEGRITY};
use admin_ui::output::{print_result, table};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A data directory, and its content. Ids are hexadecimal text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Survivor {
    pub(crate) data_dir: PathBuf,
    pub(crate) name: String,
    pub(crate) member: String,
    pub(crate) cluster: String,
    /// Term of the last entry of its log, which decides which is most up to date.
    pub(crate) last_term: u64,
    pub(crate) last_index: u64,
    /// The newest term that it knew.
    pub(crate) term: u64,
    pub(crate) commit: u64,
    pub(crate) applied_index: u64,
    /// Of the state on disk; its log may raise it.
    pub(crate) revision: i64,
    pub(crate) voters: usize,
    pub(crate) client_urls: Vec<String>,
}

impl Survivor {
    /// As raft compares logs.
    pub(crate) fn rank(&self) -> (u64, u64) {
        (self.last_term, self.last_index)
    }
}

/// An unreadable directory, and the reason.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Lost {
    pub(crate) data_dir: PathBuf,
    pub(crate) error: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct Found {
    /// The best first.
    pub(crate) survivors: Vec<Survivor>,
    pub(crate) lost: Vec<Lost>,
}

/// Looks at all of them.
pub(crate) fn look(data_dirs: &[PathBuf]) -> Found {
    let (mut survivors, mut lost) = (Vec::new(), Vec::new());
    for data_dir in data_dirs {
        match one(data_dir) {
            Ok(survivor) => survivors.push(survivor),
            Err(failure) => lost.push(Lost { data_dir: data_dir.clone(), error: failure.to_string() }),
        }
    }
    survivors.sort_by_key(|survivor| std::cmp::Reverse(survivor.rank()));
    Found { survivors, lost }
}

fn one(data_dir: &Path) -> Result<Survivor, CliError> {
    data_dir::must_be_idle(data_dir)?;
    let found = data_dir::inspect(data_dir)?;
    let own = found.members.iter().find(|member| member.id == found.member);
    Ok(Survivor {
        data_dir: data_dir.to_owned(),
        name: own.map(|member| member.name.clone()).unwrap_or_default(),
        member: found.member.to_string(),
        cluster: found.cluster.to_string(),
        last_term: found.last_term,
        last_index: found.last_index,
        term: found.term,
        commit: found.commit,
        applied_index: found.applied_index,
        revision: found.revision,
        voters: found.members.iter().filter(|member| !member.is_learner).count(),
        client_urls: found.members.iter().flat_map(|member| member.client_urls.clone()).collect(),
    })
}

pub(super) fn inspect(context: &Context, data_dirs: &[PathBuf]) -> Result<ExitCode, CliError> {
    let found = look(data_dirs);
    print_result(context.format, &found, || {
        let row = |survivor: &Survivor| {
            let cell = |number: u64| number.to_string();
            let Survivor {
                data_dir,
                name,
                member,
                cluster,
                last_term,
                last_index,
                commit,
                applied_index,
                revision,
                ..
            } = survivor;
            vec![
                data_dir.display().to_string(),
                name.clone(),
                member.clone(),
                cluster.clone(),
                cell(*last_term),
                cell(*last_index),
                cell(*commit),
                cell(*applied_index),
                revision.to_string(),
            ]
        };
        let head = [
            "DATA DIRECTORY",
            "NAME",
            "MEMBER",
            "CLUSTER",
            "LAST TERM",
            "LAST INDEX",
            "COMMITTED",
            "APPLIED",
            "REVISION",
        ];
        let lost: String =
            found.lost.iter().map(|lost| format!("{}: {}\n", lost.data_dir.display(), lost.error)).collect();
        table(&head, &found.survivors.iter().map(row).collect::<Vec<_>>()) + &lost
    })?;
    Ok(if found.survivors.is_empty() { ExitCode::from(INTEGRITY) } else { ExitCode::SUCCESS })
}
