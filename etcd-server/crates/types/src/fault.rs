//! A fatal error: this member cannot continue.
//!
//! A fault is never a response to a client. Every caller returns it until the process exits with
//! the reason.

use std::fmt;
use std::path::PathBuf;

/// The reason why this member must stop: a chain of the attempted operations, outermost first.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Stored data is corrupt.
    #[error("{what} is damaged: {detail}")]
    Corrupt {
        /// The thing that is damaged, for example `lease record 42`.
        what: String,
        /// The defect.
        detail: String,
    },
    /// The disk or the system refused.
    #[error("{doing}: {source}")]
    Io {
        /// The attempted operation, for example `sync raft log`.
        doing: String,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The store's own machinery failed.
    #[error("{doing}: {detail}")]
    Store {
        /// The attempted operation.
        doing: String,
        /// The error of the store.
        detail: String,
    },
    /// A path no longer leads to the file that is in use: a restart would not find what is written
    /// there.
    #[error(
        "{} was {loss} while this member uses it, and nothing is acknowledged any more: find the cause, then restore \
         the original, or rebuild this member from its peers or a backup",
        path.display()
    )]
    FileLost {
        /// The file or directory.
        path: PathBuf,
        /// The way it was lost, for example `removed`.
        loss: &'static str,
    },
    /// A fault met while attempting something larger.
    #[error("{doing}: {cause}")]
    While {
        /// The attempted operation.
        doing: String,
        /// The fault below.
        cause: Box<Fault>,
    },
}

impl Fault {
    /// Returns the fault that `what` is corrupt because of `detail`.
    pub fn corrupt(what: impl fmt::Display, detail: impl fmt::Display) -> Self {
        Self::Corrupt { what: what.to_string(), detail: detail.to_string() }
    }

    /// The system refused while `doing`.
    pub fn io(doing: impl fmt::Display, source: std::io::Error) -> Self {
        Self::Io { doing: doing.to_string(), source }
    }

    /// The store failed while `doing`.
    pub fn store(doing: impl fmt::Display, detail: impl fmt::Display) -> Self {
        Self::Store { doing: doing.to_string(), detail: detail.to_string() }
    }

    /// Returns `true` if a file of this member was removed or replaced, which only the operator can
    /// mend.
    pub fn is_file_lost(&self) -> bool {
        match self {
            Self::FileLost { .. } => true,
            Self::While { cause, .. } => cause.is_file_lost(),
            Self::Corrupt { .. } | Self::Io { .. } | Self::Store { .. } => false,
        }
    }

    /// Adds the operation that was attempted around this fault.
    #[must_use]
    pub fn during(self, doing: impl fmt::Display) -> Self {
        Self::While { doing: doing.to_string(), cause: Box::new(self) }
    }
}
