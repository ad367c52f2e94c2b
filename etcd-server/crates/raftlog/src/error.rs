//! The reasons why a log cannot be opened, and why entries cannot be read.

use crate::segment::Identity;
use std::io;
use std::path::PathBuf;
use types::Fault;

const CURE: &str =
    "do not start this member from this directory: rebuild it from its peers with `etcd-admin member rebuild`";

/// The reason why the log was refused. Nothing on disk was changed. The text gives the found and
/// the promised state, and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The system refused.
    #[error("{doing}: {source}")]
    Io {
        /// The attempted operation.
        doing: String,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Acknowledged data can no longer be read.
    #[error("{}: damaged at offset {offset}: {reason}; {CURE}", file.display())]
    Damaged {
        /// The damaged file.
        file: PathBuf,
        /// Its offset, in bytes.
        offset: u64,
        /// The defect.
        reason: String,
    },
    /// The log ends before the entries that this member promised its peers.
    #[error(
        "{}: the log ends at batch {found_batch} (index {found_index}), but this member acknowledged batch {promised_batch} \
         (index {promised_index}, term {promised_term}): {reason}; {CURE}",
        file.display()
    )]
    Shorter {
        /// The segment in which the log ends.
        file: PathBuf,
        /// The last batch that can be read.
        found_batch: u64,
        /// The last index that can be read.
        found_index: u64,
        /// The last batch acknowledged, as the watermark says.
        promised_batch: u64,
        /// The last index acknowledged.
        promised_index: u64,
        /// The term of that index.
        promised_term: u64,
        /// The content found in place of the next batch.
        reason: String,
    },
    /// State and log are of different times: one of them was replaced or rolled back.
    #[error(
        "{}: the log holds entries {first_index} to {last_index}, but the state beside it ends at entry {applied_index}: one of them was \
         replaced by an older copy; {CURE}",
        directory.display()
    )]
    Apart {
        /// The log's directory.
        directory: PathBuf,
        /// The first index the log holds.
        first_index: u64,
        /// The last one.
        last_index: u64,
        /// The last index in the state.
        applied_index: u64,
    },
    /// A file that belongs to the log is not there.
    #[error("{}: missing, though {promise}; put it back, or rebuild this member from its peers with `etcd-admin member rebuild`", file.display())]
    Missing {
        /// The missing file.
        file: PathBuf,
        /// The evidence that it must exist.
        promise: String,
    },
    /// The directory belongs to another member or cluster.
    #[error("{}: belongs to member {found}, but this is member {expected}: the data directories of two members were swapped; give each its own", file.display())]
    Foreign {
        /// The file that says so.
        file: PathBuf,
        /// Its owner.
        found: Identity,
        /// The caller.
        expected: Identity,
    },
    /// A newer release wrote this.
    #[error("{}: has format {found}, this release reads up to {supported}; install the release that wrote it, or a newer one", file.display())]
    NewerFormat {
        /// The file.
        file: PathBuf,
        /// Its format version.
        found: u32,
        /// The newest one understood here.
        supported: u32,
    },
    /// A new log was asked for where one exists.
    #[error("{}: already holds a raft log; a new member needs an empty directory", directory.display())]
    Exists {
        /// The directory.
        directory: PathBuf,
    },
}

impl OpenError {
    pub(crate) fn io(doing: impl std::fmt::Display) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.to_string();
        move |source| Self::Io { doing, source }
    }
}

impl From<Fault> for OpenError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Io { doing, source } => Self::Io { doing, source },
            other @ (Fault::Corrupt { .. } | Fault::Store { .. } | Fault::FileLost { .. } | Fault::While { .. }) => {
                Self::Io { doing: "open raft log".into(), source: io::Error::other(other.to_string()) }
            }
        }
    }
}

/// The reason why entries could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The entry was dropped from the front; a raft snapshot must be sent instead.
    #[error("index {asked} is compacted: the log begins at {first_index}")]
    Compacted {
        /// The requested index.
        asked: u64,
        /// The first index the log holds.
        first_index: u64,
    },
    /// The entry has not been written.
    #[error("index {asked} is not there yet: the log ends at {last_index}")]
    Unavailable {
        /// The requested index.
        asked: u64,
        /// The last index the log holds.
        last_index: u64,
    },
    /// This member cannot continue.
    #[error(transparent)]
    Fault(#[from] Fault),
}
