//! The journal of a member's migration on its host: what the cluster no longer knows once the
//! member is removed, and the steps that are done.
//!
//! A step is recorded durably when it is done. A step that was interrupted is repeated, so each of
//! them looks at the present state first.

use admin_ui::error::{CliError, FAILED, INTEGRITY};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The form of the file.
const FORMAT: u32 = 1;

/// A step of `migrate run` or `migrate rollback`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Step {
    /// Write the configuration of the new daemon.
    Configure,
    /// Transfer leadership, and remove the member.
    Remove,
    /// Stop the old process, and keep it from starting again.
    Stop,
    /// Rename the data of the old process.
    MoveAside,
    /// Add the member again, as a learner.
    Add,
    /// Start the new process.
    Start,
    /// Let the member vote when it has caught up.
    Promote,
    /// Hold the cluster version, or release the hold where a member of etcd keeps the version.
    Hold,
    /// Compare all members.
    Verify,
}

/// The way in which a member goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Direction {
    /// From etcd to ours.
    Run,
    /// Back to etcd.
    Rollback,
}

impl Direction {
    /// Returns the steps in their order.
    pub(super) fn steps(self) -> &'static [Step] {
        use Step::{Add, Configure, Hold, MoveAside, Promote, Remove, Start, Stop, Verify};
        match self {
            Self::Run | Self::Rollback => &[Configure, Remove, Stop, MoveAside, Add, Start, Promote, Hold, Verify],
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Done {
    pub(super) step: Step,
    /// RFC 3339.
    pub(super) time: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Journal {
    pub(super) format: u32,
    pub(super) cluster_id: String,
    pub(super) name: String,
    pub(super) direction: Direction,
    /// Version of the etcd.
    pub(super) etcd_version: String,
    /// Id of the member while it ran etcd, as hexadecimal text.
    pub(super) etcd_id: String,
    /// Id of the member of ours; `None` until it is added.
    pub(super) our_id: Option<String>,
    /// Id of the member after its rollback; `None` until it is added.
    pub(super) returned_id: Option<String>,
    pub(super) peer_urls: Vec<String>,
    /// Client URLs of the other members.
    pub(super) others: Vec<String>,
    pub(super) from: PathBuf,
    pub(super) to: PathBuf,
    /// Settings that were left out by the operator.
    pub(super) leave_out: Vec<String>,
    pub(super) data_dir: PathBuf,
    pub(super) etcd_data_dir: PathBuf,
    pub(super) etcd_wal_dir: Option<PathBuf>,
    /// Paths to which data was moved.
    pub(super) aside: Vec<PathBuf>,
    pub(super) done: Vec<Done>,
}

impl Journal {
    /// Returns the next step; `None` if all are done.
    pub(super) fn next(&self) -> Option<Step> {
        self.direction.steps().iter().copied().find(|step| !self.is_done(*step))
    }

    pub(super) fn is_done(&self, step: Step) -> bool {
        self.done.iter().any(|done| done.step == step)
    }

    /// Returns the mark of data that is moved aside: the id of the member that it belongs to.
    pub(super) fn mark_of_etcd(&self) -> String {
        format!("etcd-{}", self.etcd_id)
    }

    pub(super) fn mark_of_ours(&self) -> String {
        format!("ours-{}", self.our_id.as_deref().unwrap_or("0"))
    }

    /// Turns the journal of a migration, complete or not, into that of its rollback.
    pub(super) fn turn_back(&mut self) {
        self.direction = Direction::Rollback;
        self.done.clear();
    }

    /// Returns a new journal, for the migration of a member of etcd.
    pub(super) fn begin(cluster_id: u64, name: &str, etcd_id: u64) -> Self {
        Self {
            format: FORMAT,
            cluster_id: format!("{cluster_id:x}"),
            name: name.to_owned(),
            direction: Direction::Run,
            etcd_version: String::new(),
            etcd_id: format!("{etcd_id:x}"),
            our_id: None,
            returned_id: None,
            peer_urls: Vec::new(),
            others: Vec::new(),
            from: PathBuf::new(),
            to: PathBuf::new(),
            leave_out: Vec::new(),
            data_dir: PathBuf::new(),
            etcd_data_dir: PathBuf::new(),
            etcd_wal_dir: None,
            aside: Vec::new(),
            done: Vec::new(),
        }
    }
}

/// The directory of journals on a host.
#[derive(Debug)]
pub(super) struct Journals {
    directory: PathBuf,
}

impl Journals {
    pub(super) fn at(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        // A name is any text, and a file is named here.
        let plain = |letter: char| if letter.is_ascii_alphanumeric() || "-_.".contains(letter) { letter } else { '_' };
        self.directory.join(format!("{}.json", name.chars().map(plain).collect::<String>()))
    }

    /// Returns the journal of a member; `None` if its migration has not begun.
    ///
    /// # Errors
    /// A file that cannot be read, or is of another form.
    pub(super) fn read(&self, name: &str) -> Result<Option<Journal>, CliError> {
        read(&self.file(name))
    }

    /// Writes the journal durably.
    pub(super) fn write(&self, journal: &Journal) -> Result<(), CliError> {
        certs::files::private_dir(&self.directory)?;
        let text = serde_json::to_string_pretty(journal)
            .map_err(|error| CliError::new(FAILED, format!("write JSON: {error}")))?;
        Ok(certs::files::replace(&self.file(&journal.name), text.as_bytes(), 0o600)?)
    }

    /// Keeps the journal of a rollback that is complete under another name, so that a new migration
    /// may begin.
    pub(super) fn close(&self, journal: &Journal) -> Result<(), CliError> {
        let file = self.file(&journal.name);
        let id = journal.returned_id.as_deref().unwrap_or(&journal.etcd_id);
        let kept = file.with_extension(format!("{id}.rolled-back"));
        std::fs::rename(&file, &kept).map_err(|error| CliError::at(&file, error))
    }

    /// Returns all journals in use, by the name of the file.
    pub(super) fn all(&self) -> Result<Vec<Journal>, CliError> {
        let entries = match std::fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(CliError::at(&self.directory, error)),
        };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        paths.sort();
        paths.iter().filter_map(|path| read(path).transpose()).collect()
    }
}

fn read(path: &Path) -> Result<Option<Journal>, CliError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(CliError::at(path, error)),
    };
    let damaged = |reason: String| CliError::new(INTEGRITY, format!("{}: {reason}", path.display()));
    let journal: Journal = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
    if journal.format != FORMAT {
        let text = format!("form {} of the journal is unknown; use the etcd-admin that wrote it", journal.format);
        return Err(damaged(text));
    }
    Ok(Some(journal))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(step: Step) -> Done {
        Done { step, time: String::new() }
    }

    #[test]
    fn steps_follow_in_order_and_resume() {
        for direction in [Direction::Run, Direction::Rollback] {
            let mut journal = Journal { direction, ..Journal::begin(1, "m1", 2) };
            let mut order = Vec::new();
            while let Some(step) = journal.next() {
                order.push(step);
                journal.done.push(done(step));
            }
            assert_eq!(order, direction.steps());
        }
        let mut journal = Journal::begin(1, "m1", 2);
        journal.done = [Step::Configure, Step::Remove].map(done).to_vec();
        assert_eq!(journal.next(), Some(Step::Stop));
        journal.turn_back();
        assert_eq!(journal.next(), Some(Step::Configure));
    }

    #[test]
    fn nothing_is_stopped_or_moved_before_removal() {
        for direction in [Direction::Run, Direction::Rollback] {
            let position = |wanted| direction.steps().iter().position(|step| *step == wanted).unwrap();
            let order =
                [Step::Remove, Step::Stop, Step::MoveAside, Step::Add, Step::Start, Step::Promote, Step::Verify];
            assert!(order.map(position).is_sorted(), "{direction:?}");
        }
    }

    #[test]
    fn journals_are_kept_and_other_forms_refused() {
        let home = tempfile::tempdir().unwrap();
        let journals = Journals::at(&home.path().join("state"));
        assert!(journals.read("m/1").unwrap().is_none() && journals.all().unwrap().is_empty());
        let journal = Journal { done: vec![done(Step::Configure)], ..Journal::begin(7, "m/1", 2) };
        journals.write(&journal).unwrap();
        assert_eq!(journals.read("m/1").unwrap(), Some(journal.clone()));
        assert_eq!(journals.all().unwrap(), std::slice::from_ref(&journal));
        journals.close(&journal).unwrap();
        assert!(journals.all().unwrap().is_empty() && home.path().join("state/m_1.2.rolled-back").is_file());
        journals.write(&Journal { format: 2, ..journal }).unwrap();
        assert_eq!(journals.read("m/1").unwrap_err().code(), INTEGRITY);
    }
}
