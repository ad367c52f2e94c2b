//! The terminal side of every command: arguments read as Go reads them, tables and JSON, progress,
//! prompts, completion, errors with their exit status.

pub(crate) mod completion;
pub(crate) mod confirm;
pub(crate) mod error;
pub(crate) mod go_flags;
pub(crate) mod output;
pub(crate) mod passphrase;
pub(crate) mod progress;
