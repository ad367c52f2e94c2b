//! A fault: this member cannot go on.
//!
//! A fault is never an answer to a client: whoever meets one passes it up until the process stops and says why.

use std::fmt;

/// Why this member must stop: a chain of what was attempted, outermost first.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// What is stored cannot be right.
    #[error("{what} is damaged: {detail}")]
    Corrupt {
        /// The thing that is damaged, for example `lease record 42`.
        what: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The disk or the system refused.
    #[error("{doing}: {source}")]
    Io {
        /// What was attempted, for example `sync raft log`.
        doing: String,
        /// What the system answered.
        source: std::io::Error,
    },
    /// The store's own machinery failed.
    #[error("{doing}: {detail}")]
    Store {
        /// What was attempted.
        doing: String,
        /// What the store said.
        detail: String,
    },
    /// A fault met while attempting something larger.
    #[error("{doing}: {cause}")]
    While {
        /// What was attempted.
        doing: String,
        /// The fault below.
        cause: Box<Fault>,
    },
}

impl Fault {
    /// `what` cannot be right because of `detail`.
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

    /// Adds what was being attempted around this fault.
    #[must_use]
    pub fn during(self, doing: impl fmt::Display) -> Self {
        Self::While { doing: doing.to_string(), cause: Box::new(self) }
    }
}
